"""What all metrics share: frozen settings, scores that are not changed, the same random stream."""

import dataclasses
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from vaelab import metrics
from vaelab.errors import UserError
from vaelab.metrics import (
    IRS,
    MIG,
    CodesMetric,
    Decomposition,
    Modularity,
    MultiRunMetric,
    PrecomputedCodes,
    Score,
    Unsupervised,
)
from vaelab.metrics.base import Metric, mean_over_factors, metric_rng, without_intervals
from vaelab.metrics.intervals import bootstrap_interval, mean_interval, repeat_interval
from vaelab.reproduction.coverage import coverage_of_repeats

ROOT = Path(__file__).parents[2]
ABSTRACT = [cls for cls in vars(metrics).values() if inspect.isabstract(cls)]
CLASSES = [
    thing
    for thing in vars(metrics).values()
    if inspect.isclass(thing) and issubclass(thing, (Metric, MultiRunMetric))
]
YAMLS = [
    (file.stem, node)
    for file in sorted((ROOT / "conf" / "metrics").glob("*.yaml"))
    for node in OmegaConf.load(file).values()
    if "_target_" in node
]


@pytest.mark.parametrize("cls", [c for c in CLASSES if c not in ABSTRACT], ids=lambda c: c.__name__)
def test_configured_metrics_are_frozen_dataclasses(cls):
    metric = cls()
    assert cls(**dataclasses.asdict(metric)) == metric
    with pytest.raises(dataclasses.FrozenInstanceError):
        metric.seed = 3


@pytest.mark.parametrize(("name", "node"), YAMLS, ids=lambda value: str(value)[:20])
def test_defaults_of_signatures_are_those_of_the_yaml(name, node):
    """Where several options share a class, the one with its defaults is called as the class."""
    parameters = inspect.signature(get_object(node["_target_"])).parameters
    defaults = {key: parameter.default for key, parameter in parameters.items()}
    if name in ("dci_lasso", "dci_random_forest"):
        defaults["learner"] = name.removeprefix("dci_")
    assert defaults == {key: value for key, value in node.items() if key != "_target_"}


def test_details_are_added_to_a_copy():
    score = Score(1.0, (0.0, 2.0), {"x": 1.0}, {"a": 1})
    more = score.with_details(b=2)
    assert more == Score(1.0, (0.0, 2.0), {"x": 1.0}, {"a": 1, "b": 2})
    assert score.details == {"a": 1}


def test_a_new_metric_as_the_docs_write_it(encoded_table):
    text = (ROOT / "docs" / "metrics.md").read_text()
    (example,) = re.findall(r"```python\n(from dataclasses.*?)```", text, re.DOTALL)
    names = {"__name__": "my_package"}
    exec(example, names)
    codes = np.random.default_rng(0).standard_normal((300, 4)) * [1, 0.001, 2, 0]
    encoded = encoded_table(codes, np.arange(300)[:, None] % 3, ("a",))
    scores = names["NumVarying"](num_samples=200)(encoded)
    assert {name: score.value for name, score in scores.items()} == {"num_varying": 2}
    assert scores["num_varying"].interval == (2, 2)


def test_images_are_drawn_from_the_stream_of_the_metric(encoded_table):
    """First the rows, then sampled codes, then the metric's own: numbers depend on this order."""
    asked = []

    @dataclasses.dataclass(frozen=True)
    class Rows(CodesMetric):
        name = "rows"
        num_samples: int = 7

        def scores(self, codes, factors, *, rng, names):
            asked.append((codes[:, 0], factors, rng.random(), names))
            return {"rows": Score(0.0)}

    factors = np.arange(100)[:, None] % 5
    encoded = encoded_table(np.arange(100.0)[:, None], factors, ("five",))
    encoded.codes = lambda rows, codes, rng: rows[:, None] + 0 * rng.random()
    assert list(Rows(codes="sampled", num_repeats=0, seed=4)(encoded)) == ["rows_sampled_codes"]
    ((rows, drawn, uniform, names),) = asked
    rng = metric_rng("rows", 4)
    np.testing.assert_array_equal(rows, rng.integers(100, size=7))
    np.testing.assert_array_equal(drawn, factors[rows.astype(int)])
    assert names == ("five",)
    rng.random()  # of the codes
    assert uniform == rng.random()
    assert metric_rng("rows", 4).random() != metric_rng("mig", 4).random()


def test_mean_over_factors_is_the_mean():
    score = mean_over_factors(np.array([1.0, 4.0]), ("a", "b"))
    assert score == Score(2.5, None, {"a": 1.0, "b": 4.0})


@pytest.mark.parametrize("num_repeats", [2, 4, 20])
def test_interval_of_repeats_covers_95_percent(num_repeats):
    """Exactly, for normal scores."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(2000):
        draws = rng.normal(0.5, 0.02, num_repeats)
        low, high = repeat_interval(rng.normal(0.5, 0.02), draws)
        hits += low <= 0.5 <= high
    assert hits / 2000 == pytest.approx(0.95, abs=3.5 * (0.95 * 0.05 / 2000) ** 0.5)


def test_interval_of_repeats_by_hand():
    # The standard deviation of 1, 2, 3 is 1, Student's t with two degrees of freedom 4.303.
    assert repeat_interval(2.0, [1, 2, 3]) == pytest.approx((2 - 4.3027, 2 + 4.3027), abs=1e-4)
    assert repeat_interval(2.0, [1, 2, 3], (0, 3)) == (0, 3)
    assert repeat_interval(2.0, []) is None
    assert repeat_interval(2.0, [1, np.inf]) is None
    with pytest.raises(UserError, match=r"num_repeats expects 0 \(no interval\) or at least 2"):
        MIG(num_repeats=1)


def test_interval_of_a_mean_covers_95_percent():
    """Of few and of skewed values, and of the sum of two means of different sizes."""
    rng, hits = np.random.default_rng(0), np.zeros(3)
    for _ in range(2000):
        few, many = rng.normal(1, 1, 5), rng.exponential(1, 100)
        for i, samples in enumerate([(few,), (many,), (few, rng.normal(1, 0.1, 50))]):
            low, high = mean_interval(*samples)
            hits[i] += low <= len(samples) <= high
    assert hits[0] / 2000 == pytest.approx(0.95, abs=0.016)
    assert hits[1] / 2000 > 0.93
    assert hits[2] / 2000 > 0.94
    assert mean_interval(np.ones(1)) is None


def test_bootstrap_interval_is_centred_and_holds_the_value():
    draws = np.array([0.0, 0.0, 0.0, 1.0])
    assert bootstrap_interval(0.9, draws, bounds=(0, 1)) == pytest.approx((0.65, 1))
    low, high = bootstrap_interval(0.0, np.array([5.0, 5.0, 5.0]))
    assert low <= 0.0 <= high
    assert bootstrap_interval(0.5, np.array([])) is None
    with pytest.raises(UserError, match="num_bootstrap expects 0"):
        bootstrap_interval(0.5, np.array([1.0]))


@pytest.mark.parametrize("metric", [MIG(1000), IRS(1000)], ids=lambda m: m.name)
def test_intervals_cover_on_codes_whose_extremes_decide(metric):
    """Edges of bins and largest deviations hang on few images; all metrics: target E7."""
    rng = np.random.default_rng(0)
    factors = rng.integers((3, 4), size=(50_000, 2))
    noise = rng.standard_normal((50_000, 3)) * np.exp(1.5 * rng.standard_normal((50_000, 3)))
    codes = 0.2 * noise + np.pad(factors, ((0, 0), (0, 1)))
    found = coverage_of_repeats(metric, PrecomputedCodes(codes, factors), 200)
    assert min(found.values()) > 0.92
    assert max(found.values()) < 0.99


def test_without_intervals_values_are_the_same():
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((500, 3))
    given = PrecomputedCodes(codes, (codes[:, :2] > 0).astype(int), ("a", "b"))
    metric = Modularity(200, 100, num_repeats=2)
    bare = without_intervals(metric)
    assert bare == Modularity(200, 100, num_repeats=0)
    full, fast = metric(given), bare(given)
    assert [s.value for s in full.values()] == [s.value for s in fast.values()]
    assert all(score.interval for score in full.values())
    assert [score.interval for score in fast.values()] == [None, None]
    assert {score.details["interval"] for score in fast.values()} == {"none"}
    assert without_intervals(Decomposition()) == Decomposition()


def test_codes_without_factors():
    given = PrecomputedCodes(np.random.default_rng(0).standard_normal((300, 2)))
    assert Unsupervised(100)(given)["wasserstein_correlation"].value >= 0
    with pytest.raises(UserError, match="expects the factors of the images, got none"):
        MIG()(given)


def test_equal_settings_are_equal_metrics():
    assert MIG(seed=1) == MIG(seed=1) != MIG(seed=2)
