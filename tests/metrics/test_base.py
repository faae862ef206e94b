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
from vaelab.metrics import MIG, CodesMetric, ImagesMetric, MultiRunMetric, Score, TrainTestMetric
from vaelab.metrics.base import Metric, mean_over_factors, metric_rng
from vaelab.metrics.fixed_factor import FixedFactorMetric

ROOT = Path(__file__).parents[2]
ABSTRACT = (Metric, CodesMetric, TrainTestMetric, ImagesMetric, MultiRunMetric, FixedFactorMetric)
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
        metric.num_bootstrap = 3


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
    assert scores["num_varying"].details == {"codes": "mean"}


def test_images_are_drawn_from_the_stream_of_the_metric(encoded_table):
    """First the rows, then what samples codes, then the bootstrap: numbers depend on this order."""
    asked = []

    @dataclasses.dataclass(frozen=True)
    class Rows(CodesMetric):
        name = "rows"
        num_samples: int = 7

        def scores(self, codes, factors, *, num_bootstrap, rng, names):
            asked.append((codes[:, 0], factors, num_bootstrap, rng.random(), names))
            return {"rows": Score(0.0)}

    factors = np.arange(100)[:, None] % 5
    encoded = encoded_table(np.arange(100.0)[:, None], factors, ("five",))
    encoded.codes = lambda rows, codes, rng: rows[:, None] + 0 * rng.random()
    assert list(Rows(codes="sampled", num_bootstrap=3, seed=4)(encoded)) == ["rows_sampled_codes"]
    ((rows, drawn, num_bootstrap, uniform, names),) = asked
    rng = metric_rng("rows", 4)
    np.testing.assert_array_equal(rows, rng.integers(100, size=7))
    np.testing.assert_array_equal(drawn, factors[rows.astype(int)])
    assert (num_bootstrap, names) == (3, ("five",))
    rng.random()  # of the codes
    assert uniform == rng.random()
    assert metric_rng("rows", 4).random() != metric_rng("mig", 4).random()


def test_mean_over_factors_is_the_mean_and_its_bootstrap():
    x = np.random.default_rng(0).normal([1, 3], 1, (400, 2))
    score = mean_over_factors(
        lambda counts: counts @ x / counts.sum(),
        400,
        ("a", "b"),
        np.random.default_rng(1),
        1000,
        (-np.inf, np.inf),
    )
    assert list(score.breakdown.values()) == pytest.approx(x.mean(0).tolist(), rel=1e-12)
    assert score.value == pytest.approx(x.mean(), rel=1e-12)
    half = 1.96 * x.mean(1).std() / 400**0.5
    assert (score.interval[1] - score.interval[0]) / 2 == pytest.approx(half, rel=0.1)


def test_equal_settings_are_equal_metrics():
    assert MIG(seed=1) == MIG(seed=1) != MIG(seed=2)
