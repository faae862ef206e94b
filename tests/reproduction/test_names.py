"""Every number that the YAML of a target names will be measured; checked without training."""

import numpy as np
import pytest
import torch

from vaelab import build
from vaelab.cli import hydra_app
from vaelab.cli import reproduce as program
from vaelab.reproduction import checks, classification, conditional
from vaelab.reproduction.reproduce import find_unmeasured
from vaelab.reproduction.runs import TargetRun, expand_runs
from vaelab.reproduction.targets import read_targets
from vaelab.runs.folder import RunFolder
from vaelab.train import train

MEASURED = ("e4", "e5", "e5_bounds")  # in test_reproduce.py, as they are
NAMES = [n for n in read_targets(hydra_app.CONF / program.TARGETS) if n not in MEASURED]
SMALL = {
    "s2b": ["target.measure.num_seeds=1", "target.measure.num_components=2"],
    "e3": ["target.measure.num_images=200", "target.measure.num_batches=1"],
    "e6": ["data=dsprites_small"],
    "s6a": [
        *("evaluation.inference_gap.num_steps=2", "evaluation.inference_gap.num_images=3"),
        *(
            "evaluation.inference_gap.num_bound_samples=10",
            "evaluation.inference_gap.num_samples=2",
        ),
    ],
    "s3b": ["data=dsprites_small", "target.measure.num_images=20", "target.measure.num_draws=500"],
    "s5b": ["target.measure.num_steps=2", "target.measure.seeds=[0]"],
    "s5d": ["target.measure.num_steps=2", "target.measure.seeds=[0]"],
    "s7b": ["data=dsprites_small", "target.measure.num_steps=2", "target.measure.num_components=3"],
}
CLASSIFIER = ("error", "log_prob", "calibration_error")
# What the measures of runs add to the numbers of a run; test_divergences has that of s5c,
# test_measures those of e7 and s7c, test_bayes_classifier those of s2c, test_codes those of s3a.
OF_MEASURES = [
    "test/elbo_at_mean",
    "smallest",  # of e7
    *(f"bayes_error{k}" for k in ("", "/K=1", "/K=10", "/K=100")),  # of s2c and s2d
    *(f"{who}_{what}" for who in ("bayes", "discriminative") for what in CLASSIFIER),
    *(f"own_bound/K={k}" for k in (1, 10, 100)),
    *(f"{who}/{num}" for who in ("m1_m2", "logistic") for num in (100, 600, 1000, 3000)),
    *("inference_gap", "approximation_gap", "amortization_gap", "log_p"),
    *("optimum difference", "improved images", "amortization share"),
    *(f"{who} {num}" for who in ("prior", "posterior", "shortfall") for num in (1, 100, 10000)),
    *(f"{who} deviation 100" for who in ("prior", "posterior")),
    *(
        f"{who}{what}"
        for who in ("forward/", "reverse/", "difference of ")
        for what in ("entropy", "elbo", "bound", "effective_sample_size")
    ),
]
SCORES = {
    "dci": ["dci_disentanglement", "dci_completeness", "dci_informativeness"],
    "importance_weighted": ["importance_weighted_bound"],
    "inference_gap": ["inference_gap", "approximation_gap", "amortization_gap", "log_p"],
}  # the others have one score, of their own name


def digits():
    """10,100 images of 4 pixels, which say little about their ten classes."""
    x = torch.from_numpy(np.random.default_rng(0).integers(2, size=(10_100, 4))).float()
    images = classification.Labelled(x, torch.arange(len(x)) % 10)
    return images, images, 10


@pytest.fixture(scope="module")
def tiny_run(compose, tiny, tmp_path_factory):
    """The folder of a run with every number that training leaves."""
    path = tmp_path_factory.mktemp("tiny")
    train(compose(*tiny), path, list(tiny))
    return RunFolder(path)


@pytest.fixture
def names_of(tiny_run):
    """The config of a target -> the names of numbers of its runs."""

    def names(cfg):
        found = [*tiny_run.read_metrics(), *tiny_run.read_curves()]
        if cfg.data._target_.endswith("DSprites"):  # whose full grid has no test images
            found = [name for name in found if not name.startswith("test/")]
        scores = [one for name in cfg.evaluation for one in SCORES.get(name, [name])]
        return [*found, *(f"metrics/{score}" for score in scores)]

    return names


@pytest.fixture
def unmeasured(compose, names_of, tiny_run, monkeypatch):
    """Target, overrides -> the names in its YAML under which nothing would be measured."""

    def runs_of(name):
        cfg = compose(f"experiment=reproduce/{name}")
        rng = np.random.default_rng(0)
        runs = [
            TargetRun(
                {"target": name} | dict(override.split("=", 1) for override in line),
                {one: float(rng.normal()) for one in names_of(cfg)},
            )
            for line in expand_runs(cfg)
        ]
        return [*runs, *(run for other in cfg.target.get("runs_of", []) for run in runs_of(other))]

    def check(name, *overrides):
        cfg = compose(f"experiment=reproduce/{name}", *SMALL.get(name, ()), *overrides)
        runs = runs_of(name)
        if cfg.target.get("train"):
            numbers = dict.fromkeys([*names_of(cfg), *OF_MEASURES], 0.0)
        elif name == "e1":
            monkeypatch.setattr(checks, "factor_grid", lambda: np.zeros((9, 5), int))
            monkeypatch.setattr(checks, "PrecomputedCodes", lambda *_: None)
            nothing = {one: lambda _, one=one: {one: 0.0} for one in checks.ORACLE_METRICS}
            monkeypatch.setattr(checks, "ORACLE_METRICS", nothing)
            numbers = build.build(cfg.target.measure, _partial_=True)(cfg)
        elif name in ("s2a", "s2b"):
            monkeypatch.setattr(classification, "_load", lambda _: digits())
            numbers = build.build(cfg.target.measure, _partial_=True)(cfg)
        else:
            shares = ("classifier", "samples named right")
            monkeypatch.setattr(
                conditional,
                "measure_classes",
                lambda _, setting, *rest: {f"probe at {setting}": 0.0} | dict.fromkeys(shares, 0.0),
            )  # test_conditional has that of s1a
            numbers = build.build(cfg.target.measure, _partial_=True)(runs or cfg)
        return find_unmeasured(cfg.target, numbers, runs, tiny_run)

    return check


@pytest.mark.parametrize("name", NAMES)
def test_every_name_will_be_measured(unmeasured, name):
    assert unmeasured(name) == []


@pytest.mark.parametrize(
    ("name", "overrides", "found"),
    [
        ("c2", ["target.columns=[test/elbo,test/kll]"], ["test/kll"]),
        ("c2", ["target.expected=[{number: test/kl sinks, at_least: 1}]"], ["test/kl sinks"]),
        ("c1", ["target.expected=[{number: train/los, step: 3, at_least: 1}]"], ["train/los"]),
        ("f3", ["target.expected=[{number: val/elbo at f3, minus: x, at_least: 0}]"], ["x"]),
        ("f8", ["target.printed=[metrics/mig share of seeds]"], ["metrics/mig share of seeds"]),
    ],
)
def test_a_misspelt_name_is_found(unmeasured, name, overrides, found):
    assert unmeasured(name, *overrides) == found
