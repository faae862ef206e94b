"""Which metrics agree, and what moves them: on runs whose answer is known."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from vaelab.reproduction.relations import rank_correlations, shares
from vaelab.reproduction.runs import TargetRun

RAW = ("", "raw ")


@pytest.fixture
def scored():
    """settings -> (mig, sap, elbo) of 2 methods x 2 strengths x 4 seeds."""
    rng = np.random.default_rng(0)
    return [
        TargetRun(
            {"target": target, "objective.beta": beta, "seed": str(seed)},
            dict(zip(("mig", "sap", "elbo"), rng.normal(size=3), strict=True)),
        )
        for target in ("f1", "f3")
        for beta in ("1", "4")
        for seed in range(4)
    ]


def test_rank_correlations_are_spearmans(scored):
    numbers = rank_correlations(scored, ["mig", "sap"], ["elbo"])
    mig, sap, elbo = ([run.numbers[name] for run in scored] for name in ("mig", "sap", "elbo"))
    assert numbers["rho mig, sap"] == pytest.approx(spearmanr(mig, sap).statistic)
    assert numbers["rho elbo, mig"] == pytest.approx(spearmanr(elbo, mig).statistic)
    assert numbers["mean rho sap"] == numbers["smallest mean rho but of mig"]


def test_metric_that_agrees_least_is_told(scored):
    for run in scored:
        run.numbers["like"] = run.numbers["mig"] ** 3
    numbers = rank_correlations(scored, ["mig", "like", "sap"])
    assert numbers["rho mig, like"] == pytest.approx(1)
    assert numbers["mean rho sap"] < numbers["smallest mean rho but of sap"]


@pytest.mark.parametrize(
    ("moved_by", "share"), [("target", "method"), ("objective.beta", "strength"), ("seed", "seed")]
)
def test_share_of_what_moves_a_score_is_one(scored, moved_by, share):
    values = {"f1": 0.0, "f3": 5.0, "4": 2.0}
    for run in scored:
        level = run.settings[moved_by]
        run.numbers["x"] = values.get(level, float(level) if level.isdigit() else 0.0)
    numbers = shares(scored, ["x"])
    found = {one: numbers[f"x raw share of {one}"] for one in ("method", "strength", "seed")}
    assert found == pytest.approx({one: float(one == share) for one in found})
    if share != "seed":
        assert numbers[f"x share of {share}"] == pytest.approx(1)
    assert numbers["gap of methods in x"] == (5 if share == "method" else 0)
    assert numbers["spread of seeds in x"] == (1.5 if share == "seed" else 0)


def test_noise_has_no_share_on_average_but_a_raw_one():
    """11 cells of 5 seeds, as F8 has: (11 - 1) / (55 - 1) of noise."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        runs = [
            TargetRun({"target": f"f{cell % 3}", "beta": str(cell), "seed": str(seed)}, {"x": x})
            for cell in range(11)
            for seed, x in enumerate(rng.normal(size=5))
        ]
        numbers = shares(runs, ["x"])
        found.append(
            [numbers[f"x {w}share of method"] + numbers[f"x {w}share of strength"] for w in RAW]
        )
    # A share of one set of runs has a standard deviation below 0.1.
    assert np.mean(found, axis=0) == pytest.approx([0, 10 / 54], abs=4 * 0.1 / np.sqrt(200))
