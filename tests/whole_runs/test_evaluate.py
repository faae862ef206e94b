"""Finished runs are evaluated by their path alone; metrics never change training."""

import json
import shutil

import numpy as np
import pytest

from vaelab import load_run
from vaelab.cli.evaluate import format_evaluation
from vaelab.errors import UserError
from vaelab.evaluate import evaluate
from vaelab.metrics import MIG, UDR, Elbo, Metric, Score, Unsupervised
from vaelab.metrics.encoded_dataset import EncodedDataset

CONFIGS = {"mig": {"num_samples": 300}, "count": {"start": 1}}


class Count(Metric):
    """Counts how often it was asked."""

    def __init__(self, start=0, needs_factors=False):
        self.value, self.needs_factors = start, needs_factors

    def __call__(self, encoded):
        self.value += 1
        return {"count": Score(float(self.value), (0.0, 9.0), {"first": 1.0}, {"codes": "mean"})}


class Reject(Metric):
    """Can't be computed."""

    def __call__(self, encoded):
        raise UserError("Expected something else.")


@pytest.fixture(scope="session")
def factors_overrides(tiny, tmp_path_factory):
    """The command line of `tiny` on 384 images with factors."""
    root = tmp_path_factory.mktemp("dsprites")
    return (
        *(word for word in tiny if not word.startswith("data")),
        *("data=dsprites", f"data.root={root}", "data.image_size=16", "data.num_val=40"),
        "data.factor_sizes=[3,2,4,4,4]",
    )


@pytest.fixture
def with_factors(run, factors_overrides):
    """Overrides -> the folder of a new run on images with factors."""

    def new(*overrides, name="run"):
        return run(*factors_overrides, *overrides, name=name)

    return new


def scores(folder, metrics, **options):
    """The evaluations of a folder with `metrics`, without figures."""
    configs = {name: CONFIGS.get(name, {}) for name in metrics}
    return list(evaluate(folder, metrics, configs, figures=False, **options))


def test_training_is_the_same_with_metrics(with_factors):
    overrides = (
        "metrics=[mig,unsupervised]",
        "metrics_every_n_steps=4",
        "metrics.mig.num_samples=200",
    )
    evaluated = with_factors(*overrides, "metrics.unsupervised.num_samples=200", name="evaluated")
    plain = with_factors(name="plain")
    for metric in ("train/loss", "val/elbo"):
        assert evaluated.read_curve(metric) == plain.read_curve(metric)
    first, second = load_run(evaluated.path), load_run(plain.path)
    assert first.weights_digest == second.weights_digest
    assert list(evaluated.read_curve("metrics/mig")) == [4, 8, 12]
    known = evaluated.read_metrics()
    assert known["metrics/mig"] == evaluated.read_curve("metrics/mig")[12]
    assert known["scores"]["mig"]["details"]["step"] == 12
    assert plain.read_curve("metrics/mig") == {}


def test_evaluation_gives_what_the_end_of_training_gave(with_factors):
    folder = with_factors("metrics=[mig]", "metrics.mig.num_samples=300")
    before = folder.read_metrics()
    config = before["evaluations"]["mig"]["config"]
    (kept,) = evaluate(folder.path, {"mig": MIG(300)}, {"mig": config}, figures=False)
    assert kept.kept == ["mig"]
    (again,) = evaluate(folder.path, {"mig": MIG(300)}, {"mig": config}, figures=False, force=True)
    assert float(again.scores["mig"]) == pytest.approx(before["metrics/mig"], abs=1e-6)


def test_resumed_run_has_the_same_metrics(with_factors, resume, at_step):
    overrides = ("metrics=[mig]", "metrics_every_n_steps=4", "metrics.mig.num_samples=200")
    whole = with_factors(*overrides, name="whole")
    at_step(9, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(BaseException):  # noqa: B017, PT011
        with_factors(*overrides, name="stopped")
    at_step(9, lambda: None)
    stopped = resume(type(whole)(whole.path.parent / "stopped"))
    assert stopped.curves.read_text() == whole.curves.read_text()
    assert stopped.read_metrics()["metrics/mig"] == whole.read_metrics()["metrics/mig"]


def test_scores_are_added_and_kept(with_factors):
    folder, count = with_factors(), Count()
    before = folder.read_metrics()
    scores(folder.path, {"mig": MIG(300)})
    (first,) = scores(folder.path, {"count": count})
    after = folder.read_metrics()
    assert {name: after[name] for name in before} == before
    assert after["metrics/count"] == 1.0
    assert set(after["scores"]) == {"mig", "count"}
    assert after["scores"]["count"]["interval"] == [0.0, 9.0]
    assert after["scores"]["count"]["breakdown"] == {"first": 1.0}
    assert after["scores"]["count"]["details"] == {
        "codes": "mean",
        "step": 12,
        "checkpoint": "last",
    }
    assert "count           1  [0, 9]" in format_evaluation(first)

    assert scores(folder.path, {"count": count})[0].kept == ["count"]
    assert count.value == 1
    scores(folder.path, {"count": count}, force=True)
    list(evaluate(folder.path, {"count": count}, {"count": {"start": 2}}, figures=False))
    assert count.value == 3


def test_new_weights_are_evaluated_again(with_factors, resume, compose):
    folder, count = with_factors(), Count()
    scores(folder.path, {"count": count})
    content = json.loads(folder.metrics.read_text())
    content["evaluations"]["count"]["weights"] = "others"
    folder.metrics.write_text(json.dumps(content))
    scores(folder.path, {"count": count})
    assert count.value == 2


def test_best_and_bare_checkpoints(with_factors, tmp_path):
    folder = with_factors()
    scores(folder.path, {"count": Count()}, checkpoint="best")
    scores(folder.last_checkpoint, {"count": Count(10)})
    known = folder.read_metrics()
    assert (known["best/metrics/count"], known["metrics/count"]) == (1.0, 11.0)
    assert known["scores"]["best/count"]["details"]["checkpoint"] == "best"

    bare = tmp_path / "elsewhere" / "mine.ckpt"
    bare.parent.mkdir()
    shutil.copy(folder.last_checkpoint, bare)
    (evaluation,) = scores(bare, {"mig": MIG(300)})
    assert evaluation.folder.path == bare.with_suffix("")
    assert "mine/metrics/mig" in evaluation.folder.read_metrics()


def test_what_makes_no_sense_is_rejected_before_anything_is_computed(run, tmp_path):
    folder, count = run(), Count()
    with pytest.raises(UserError, match="mig expects ground-truth factors"):
        scores(folder.path, {"count": count, "mig": MIG()})
    assert count.value == 0
    (evaluation,) = scores(folder.path, {"count": count, "mig": MIG()}, skip_inapplicable=True)
    assert (evaluation.skipped, list(evaluation.scores)) == (["mig"], ["count"])
    with pytest.raises(UserError, match="compares runs and expects a folder of at least 2"):
        scores(folder.path, {"udr": UDR()})
    with pytest.raises(UserError, match="expected a run folder"):
        scores(tmp_path / "nothing", {"count": count})


def test_training_rejects_metrics_its_data_does_not_allow(run, tmp_path):
    with pytest.raises(UserError, match="mig expects ground-truth factors"):
        run("metrics=[mig]")
    with pytest.raises(UserError, match="udr, which compares runs"):
        run("metrics=[udr]", name="second")


def test_one_failing_metric_does_not_stop_the_others(with_factors):
    (evaluation,) = scores(with_factors().path, {"bad": Reject(), "count": Count()})
    assert evaluation.failed == {"bad": "Expected something else."}
    assert list(evaluation.scores) == ["count"]
    assert "FAILED    bad: Expected something else." in format_evaluation(evaluation)


def test_folder_of_runs_and_scores_that_compare_them(with_factors, tmp_path):
    for seed in (0, 1, 2):
        with_factors(f"seed={seed}", "num_steps=40", name=f"sweep/{seed}")
    sweep = tmp_path / "sweep"
    metrics = {"unsupervised": Unsupervised(200), "udr": UDR(200)}
    evaluations = scores(sweep, metrics)
    assert [one.folder.path.name for one in evaluations] == ["0", "1", "2", "0", "1", "2"]
    for one in evaluations[3:]:
        assert np.isfinite(one.folder.read_metrics()["metrics/udr_lasso"])


def test_udr_compares_runs_of_the_same_labels(with_factors, tmp_path):
    """Those of other labels.seed start from the same weights, and learn from other images."""
    for seed, label_seed in ((0, 0), (1, 0), (0, 1)):
        words = (f"seed={seed}", f"labels.seed={label_seed}", "num_steps=40")
        with_factors(*words, name=f"sweep/{seed}_{label_seed}")
    evaluations = scores(tmp_path / "sweep", {"udr": UDR(200)})
    known = {one.folder.path.name: one for one in evaluations}
    assert {name for name, one in known.items() if one.scores} == {"0_0", "1_0"}
    assert "expects those of at least 2 models" in known["0_1"].failed["udr"]


def test_codes_are_encoded_once_for_all_evaluations(with_factors, monkeypatch):
    folder = with_factors()
    scores(folder.path, {"mig": MIG(300)})
    encoded = []
    monkeypatch.setattr(EncodedDataset, "_encode", lambda self, rows: encoded.extend(rows))
    scores(folder.path, {"mig": MIG(300)}, force=True)
    assert encoded == []


def test_elbo_is_that_of_training(with_factors):
    folder = with_factors()
    (evaluation,) = scores(folder.path, {"elbo": Elbo()})
    value, low, high = float(evaluation.scores["elbo"]), *evaluation.scores["elbo"].interval
    assert low <= folder.read_metrics()["val/elbo"] <= high
    assert low <= value <= high


def test_a_damaged_run_does_not_stop_the_others(with_factors, tmp_path):
    folders = [with_factors(f"seed={seed}", name=f"sweep/{seed}") for seed in (0, 1)]
    folders[0].last_checkpoint.write_bytes(b"nothing")
    first, second = scores(tmp_path / "sweep", {"count": Count()})
    assert "expected a whole checkpoint" in first.failed["the run"]
    assert list(second.scores) == ["count"]
    with pytest.raises(UserError, match="expected a whole checkpoint"):
        scores(folders[0].path, {"count": Count()})


def test_an_unsuited_run_among_others_is_named_and_passed_over(run, with_factors, tmp_path):
    run(name="sweep/0")
    with_factors(name="sweep/1")
    first, second = scores(tmp_path / "sweep", {"mig": MIG(300)})
    assert "mig expects ground-truth factors" in first.failed["the run"]
    assert list(second.scores) == ["mig"]
