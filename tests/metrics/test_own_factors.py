"""Metrics of images in any order, with holes: those that exist are all there is to draw from."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from vaelab import build
from vaelab.data import DSprites, FactorSpace, FactorTable, Images, Splits, Subset
from vaelab.errors import UserError
from vaelab.metrics import PrecomputedCodes, mig, require_applicable
from vaelab.metrics.encoded_dataset import EncodedDataset

SIZES = (3, 2, 1, 5, 5)
SPACE = FactorSpace(("shape", "scale", "orientation", "posX", "posY"), SIZES)
LOCATELLO = ("beta_vae_score", "factor_vae_score", "mig", "dci", "sap", "modularity")
FAST = {"num_train": 200, "num_test": 100, "num_eval": 100, "num_samples": 300, "num_repeats": 0}
FAST["num_jobs"] = 1


@pytest.fixture
def model(compose):
    cfg = compose("model=mlp", "model.hidden=[16]", "latent_dim=3", "seed=1")
    torch.manual_seed(0)
    return build.build_model(cfg, (1, 16, 16)).eval()


@pytest.fixture
def grid(tmp_path):
    return DSprites(tmp_path, image_size=16, factor_sizes=SIZES, num_val=10).load()


def with_images(grid, kept):
    """Splits of these images alone, in this order, their factors in a table."""
    images = Subset(Images(grid.val.images.storage[kept], (1, 16, 16), packed=True))
    table = FactorTable({n: SPACE.values(kept, n) for n in SPACE.names})
    return Splits(images, images, factors=table)


@pytest.fixture
def metrics(compose):
    """name -> the configured metric, with few images."""
    built = build.build_metrics(compose("metrics=[locatello,irs,mig_sampled,sap_r2]").metrics)
    return {
        name: replace(metric, **{k: v for k, v in FAST.items() if k in settings(metric)})
        for name, metric in built.items()
    }


def settings(metric):
    return {field.name for field in fields(metric)}


def compute(metrics, encoded):
    return {n: float(s) for m in metrics.values() for n, s in m(encoded).items()}


def test_a_complete_table_scores_as_the_grid(model, grid, metrics):
    table = FactorTable({n: SPACE.values(torch.arange(len(SPACE)), n) for n in SPACE.names})
    one = EncodedDataset(model, grid)
    other = EncodedDataset(model, replace(grid, factors=table))
    metrics = {name: metrics[name] for name in ("mig", "beta_vae_score", "irs", "mig_sampled")}
    np.testing.assert_array_equal(one.factors, other.factors)
    assert one.factor_names == other.factor_names == ("shape", "scale", "posX", "posY")
    np.testing.assert_array_equal(one.evaluation_rows, other.evaluation_rows)
    assert compute(metrics, one) == compute(metrics, other)


def test_every_metric_of_factors_works_with_shuffled_images_and_holes(model, grid, metrics):
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    encoded = EncodedDataset(model, with_images(grid, order[:135]))
    assert set(LOCATELLO) <= set(metrics)
    scores = compute(metrics, encoded)
    assert all(np.isfinite(list(scores.values())))
    assert {"beta_vae_score", "factor_vae_score", "mig", "dci_disentanglement"} < set(scores)


def test_rows_are_the_images_that_have_the_factors(model, grid):
    """The encoder is not asked for images in the order of the grid."""
    kept = torch.tensor([40, 3, 149, 3, 77, 12])
    encoded, full = EncodedDataset(model, with_images(grid, kept)), EncodedDataset(model, grid)
    rows = np.array([2, 0, 3])
    np.testing.assert_allclose(
        encoded.means(rows), full.means(kept.numpy()[rows]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_the_rows_changes_no_score(seed):
    """Codes that are the factors: as for every image once, in any order, MIG is 1."""
    index = torch.arange(len(SPACE))
    order = torch.randperm(len(SPACE), generator=torch.Generator().manual_seed(seed))
    scores = []
    for images in (index, order):
        table = FactorTable({n: SPACE.values(images, n) for n in SPACE.varying})
        values = table.unravel(index).numpy()
        scores.append(mig(values, values, names=table.names))
    assert scores[0].breakdown == pytest.approx(scores[1].breakdown, abs=1e-12)
    assert [score.value for score in scores] == pytest.approx([1, 1], abs=1e-12)


def test_holes_leave_the_mig_of_known_codes_at_its_definition():
    """A factor that tells of another, since combinations are missing: the gap shrinks by that."""
    a, b = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 0, 1, 1])
    table = FactorTable({"a": np.repeat(a, 50), "b": np.repeat(b, 50)})
    values = table.unravel(torch.arange(300)).numpy()
    # I(a; b) = ln 2 - H(1/3), and H(a) = H(b) = ln 2.
    left = -(np.log(1 / 3) / 3 + 2 * np.log(2 / 3) / 3)
    expected = 1 - (np.log(2) - left) / np.log(2)
    assert float(mig(values, values)) == pytest.approx(expected, abs=1e-12)


def test_draws_are_among_the_images_that_exist():
    """Pairs that share a value are images of the table, never a combination that is missing."""
    kept = np.random.default_rng(0).permutation(150)[:100]
    table = FactorTable({n: SPACE.values(torch.from_numpy(kept), n) for n in SPACE.varying})
    values = table.unravel(torch.arange(100)).numpy()
    dataset = PrecomputedCodes(values, values).factor_dataset("mean", np.random.default_rng(0))
    rng = np.random.default_rng(1)
    rows = dataset.sample(2000, rng)
    others = dataset.sample_given_factor(2, dataset.factors[rows, 2], rng)
    assert set(rows) == set(range(100))
    np.testing.assert_array_equal(dataset.factors[others, 2], dataset.factors[rows, 2])


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("dci", {"a": [0, 1] * 9}, "^dci expects at least 2 factors that vary, got 1"),
        ("modularity", {"a": [0, 1] * 9, "b": [3] * 18}, "^modularity expects at least 2 .* got 1"),
        ("beta_vae_score", {"a": [0, 1] * 9}, "^beta_vae_score expects at least 2 factors"),
        (
            "factor_vae_score",
            {"a": [0, 1] * 9, "b": [*range(2, 11)] * 2, "c": [0] + [1] * 17},
            "^factors expects at least 2 images of each value of a factor, got 1 of a value of c",
        ),
        ("mig", {"a": [0, 1] * 9}, None),
        ("dci", {"a": [0, 1] * 9, "b": [0] + [1] * 17}, None),
    ],
)
def test_factors_that_a_metric_cannot_use_are_named_at_set_up(name, columns, message, metrics):
    chosen = {name: metrics[name]}
    if message is None:
        require_applicable(chosen, FactorTable(columns))
        return
    with pytest.raises(UserError, match=message):
        require_applicable(chosen, FactorTable(columns))
    require_applicable(metrics, SPACE)
