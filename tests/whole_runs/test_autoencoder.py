"""A run without a density, and so without an ELBO: trained, resumed, judged and reported."""

import re

import pytest
import torch

from vaelab import load_run
from vaelab.cli.evaluate import format_evaluation
from vaelab.cli.train import summary
from vaelab.errors import UserError
from vaelab.evaluate import evaluate
from vaelab.metrics import AIS, Decomposition, Elbo, ImportanceWeightedBound, ReconstructionError
from vaelab.report.command import main as report
from vaelab.runs.folder import RunFolder
from vaelab.train import train

WORDS = ("objective=autoencoder", "likelihood=gaussian")
EVERYTHING = ("callbacks=[checkpoints,figures]", "logger=[csv,tensorboard]")


@pytest.fixture(scope="module")
def finished(compose, tiny, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "autoencoder")
    words = [*tiny, *WORDS, *EVERYTHING, "optimizer.lr=1e-2"]
    train(compose(*words), folder.path, words)
    return folder


def judged(folder, metrics, **options):
    configs = {name: {} for name in metrics}
    (evaluation,) = evaluate(folder.path, metrics, configs, **options)
    return evaluation


def test_what_is_measured_and_what_is_not(finished):
    metrics = finished.read_metrics()
    for split in ("val", "test"):
        there = {name for name in metrics if name.startswith(f"{split}/")}
        assert there == {f"{split}/reconstruction", f"{split}/active_units"}
    assert finished.status()["state"] == "finished"
    assert set(finished.read_curve("train/reconstruction")) == {3, 6, 9, 12}


def test_best_is_the_least_reconstruction(finished):
    metrics, curve = finished.read_metrics(), finished.read_curve("val/reconstruction")
    assert metrics["best/val/reconstruction"] == min(curve.values())
    assert curve[metrics["best/step"]] == min(curve.values())
    assert "best/val/elbo" not in metrics
    best = torch.load(finished.best_checkpoint, weights_only=True)
    assert best["global_step"] == metrics["best/step"]


def test_best_is_not_replaced_by_a_worse_one(run):
    folder = run(*WORDS, "optimizer.lr=10")
    curve = folder.read_curve("val/reconstruction")
    assert curve[12] > min(curve.values()) or curve[8] > curve[4]  # it gets worse somewhere
    assert folder.read_metrics()["best/val/reconstruction"] == min(curve.values())


def test_summary_says_so(finished):
    text = summary(finished.path, finished.read_metrics(), "outputs")
    assert "no ELBO, since q(z|x) has no density" in text
    assert "by the lowest val/reconstruction" in text
    assert "nan" not in text


def test_resumed_is_uninterrupted(run, resume, at_step):
    class Killed(Exception):
        pass

    def kill():
        raise Killed

    whole = run(*WORDS, name="whole")
    at_step(7, kill)
    with pytest.raises(Killed):
        run(*WORDS, name="run")
    at_step(7, lambda: None)
    parts = resume(RunFolder(whole.path.parent / "run"))
    assert parts.curves.read_text() == whole.curves.read_text()
    same = {k for k in whole.read_metrics() if k not in ("seconds", "images_per_second")}
    assert {k: parts.read_metrics()[k] for k in same} == {k: whole.read_metrics()[k] for k in same}


def test_evaluation_gives_what_is_defined(finished):
    metrics = {"elbo": Elbo(), "reconstruction_error": ReconstructionError()}
    evaluation = judged(finished, metrics)
    assert list(evaluation.scores) == [
        *("distortion", "active_units", "reconstruction_error", "reconstruction_error_pca"),
    ]
    assert evaluation.failed == {}
    reconstruction = finished.read_metrics()["test/reconstruction"]
    assert float(evaluation.scores["distortion"]) == pytest.approx(reconstruction, rel=1e-5)
    assert "nan" not in format_evaluation(evaluation)


def test_what_needs_a_density_is_refused_or_left_out(finished):
    metrics = {"iw": ImportanceWeightedBound(), "parts": Decomposition(num_samples=10)}
    with pytest.raises(UserError, match="iw, parts expects a posterior with a density"):
        judged(finished, metrics)
    evaluation = judged(finished, metrics, skip_inapplicable=True)
    assert (evaluation.undefined, evaluation.scores) == (["iw", "parts"], {})
    assert "not for this posterior and prior: iw, parts" in format_evaluation(evaluation)


def test_annealed_importance_sampling_needs_no_posterior(finished):
    evaluation = judged(
        finished,
        {"ais": AIS(num_chains=2, num_temperatures=10, num_images=2)},
        figures=False,
    )
    assert float(evaluation.scores["ais_log_likelihood"]) < 0


def test_training_refuses_metrics_that_need_a_density(run):
    with pytest.raises(UserError, match="importance_weighted expects a posterior with a density"):
        run(*WORDS, "metrics=[importance_weighted]")


def test_report_has_the_reconstruction_and_says_why_no_elbo(finished, tmp_path):
    report([str(finished.path), "--output", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert "There is no ELBO, since q(z|x) is a point and has no density." in page
    assert not re.search(r"\bnan\b", page[: page.index("<script")], re.IGNORECASE)


def test_loaded_codes_have_no_spread(finished):
    run = load_run(finished.path, "best")
    code = run.encode(torch.rand(5, 1, 8, 8).numpy())
    assert code.mean.shape == (5, 3)
    assert (code.std == 0).all()


def test_a_vae_that_lost_its_numbers_is_not_taken_for_an_autoencoder(run, monkeypatch, tmp_path):
    """A NaN of a model with a density is reported as NaN, and is never the best."""
    from vaelab.elbo_statistics import ElboStatistics

    update = ElboStatistics.update

    def spoiled(self, terms):
        update(self, terms)
        self.sums[2] = float("nan")

    monkeypatch.setattr(ElboStatistics, "update", spoiled)
    with pytest.raises(UserError, match="finite final metrics, got val/elbo = nan"):
        run()
    metrics = RunFolder(tmp_path / "run").read_metrics()
    assert metrics["val/elbo"] != metrics["val/elbo"]
    assert "best/step" not in metrics
