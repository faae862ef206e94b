"""A user's own images and factors go from files to scores in one command."""

import numpy as np
import pytest

from vaelab.data import FactorSpace, rendering
from vaelab.errors import UserError
from vaelab.run import train_and_evaluate

SIZES = (3, 3, 2, 4, 4)


@pytest.fixture
def files(tmp_path):
    """Words for 90 % of the combinations of a small grid of sprites, in any order."""
    space = FactorSpace(rendering.FACTORS, SIZES)
    order = np.random.default_rng(0).permutation(len(space))[: round(0.9 * len(space))]
    bits = np.unpackbits(rendering.render(SIZES, 16), axis=1).reshape(-1, 16, 16)
    np.save(tmp_path / "images.npy", bits[order].astype(bool))
    values = dict(zip(space.names, np.unravel_index(order, SIZES), strict=True))
    np.savez(tmp_path / "factors.npz", **values)
    return "data=array", f"data.root={tmp_path}/images.npy", f"data.factors={tmp_path}/factors.npz"


def test_from_files_to_mig(compose, tiny, files, tmp_path):
    words = [*tiny, *files, "metrics@evaluation=[mig]"]
    scores = train_and_evaluate(compose(*words), tmp_path / "run", words)
    assert 0 <= scores["metrics/mig"] <= 1
    assert set(scores["scores"]["mig"]["breakdown"]) == set(rendering.FACTORS)


def test_metrics_that_the_factors_do_not_allow_stop_the_run_before_it_trains(
    compose, tiny, files, tmp_path
):
    with np.load(tmp_path / "factors.npz") as content:
        np.savez(tmp_path / "factors.npz", shape=content["shape"])
    words = [*tiny, *files, "metrics@evaluation=[mig,dci]"]
    with pytest.raises(UserError, match=r"^dci expects at least 2 factors .*, got 1"):
        train_and_evaluate(compose(*words), tmp_path / "run", words)
    with np.load(tmp_path / "factors.npz") as content:
        np.savez(tmp_path / "factors.npz", shape=content["shape"][1:])
    with pytest.raises(UserError, match=r"^data\.factors expects one row for each of 259 images"):
        train_and_evaluate(compose(*words), tmp_path / "other", words)
