"""One run leaves everything that later work needs, and looking at it changes nothing."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim.optimizer import register_optimizer_step_post_hook

from vaelab.build import build_run
from vaelab.errors import UserError
from vaelab.runs.config import load_config, to_container
from vaelab.train import train

ALL = ("callbacks=[checkpoints,figures]", "callbacks.figures.every_n_steps=4")


@pytest.fixture(scope="module")
def finished(compose, tiny, tmp_path_factory):
    """A run with everything on; two latents, for the figures of those."""
    from vaelab.runs.folder import RunFolder

    folder = RunFolder(tmp_path_factory.mktemp("runs") / "all")
    words = [*tiny, *ALL, "logger=[csv,tensorboard]"]
    words += ["latent_dim=2"]
    train(compose(*words), folder.path, words)
    return folder


@pytest.fixture
def trace(run):
    """Words -> the logged training losses of a run with them."""
    return lambda name, *words: run(*words, name=name).read_curve("train/loss")


def digests(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).digest()
        for path in folder.path.rglob("*")
        if path.is_file()
    }


def test_metrics_of_the_end(finished):
    metrics = finished.read_metrics()
    assert finished.status()["state"] == "finished"
    assert metrics["num_steps"] == 12
    assert metrics["seconds"] > 0
    assert metrics["images_per_second"] > 0
    for split in ("val", "test"):
        parts = [metrics[f"{split}/{name}"] for name in ("elbo", "reconstruction", "kl")]
        assert parts[0] == pytest.approx(-parts[1] - parts[2])
        assert 0 <= metrics[f"{split}/active_units"] <= 2
    curve = finished.read_curve("val/elbo")
    assert curve[12] == metrics["val/elbo"]
    assert metrics["best/val/elbo"] == max(curve.values()) == curve[metrics["best/step"]]


def test_curves_are_at_the_steps_that_were_asked_for(finished):
    assert list(finished.read_curve("train/loss")) == [3, 6, 9, 12]
    assert list(finished.read_curve("val/elbo")) == [4, 8, 12]


def test_provenance_says_where_the_numbers_come_from(finished):
    (record,) = json.loads(finished.provenance.read_text())
    assert record["command"]
    assert "num_steps=12" in record["overrides"]
    assert torch.__version__.startswith(record["versions"]["torch"])
    assert "git" in record
    assert len(record["data_checksum"]) > 8


def test_config_is_resolved_and_builds_the_same_run(finished, compose, tiny):
    assert "${" not in finished.config.read_text()
    cfg = load_config(finished.config)
    expected = compose(*tiny, *ALL, "latent_dim=2")
    expected.logger = cfg.logger
    assert to_container(cfg) == to_container(expected)


@pytest.mark.parametrize("name", ["last", "best"])
def test_checkpoint_loads_without_code_and_holds_the_config(finished, name):
    path = finished.last_checkpoint.with_name(f"{name}.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["config"] == to_container(load_config(finished.config))
    assert type(checkpoint["config"]["model"]["hidden"]) is list


def test_tensorboard_has_curves_pictures_and_settings(finished):
    events = EventAccumulator(str(finished.path))
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "train/beta", "val/elbo", "test/kl"} <= set(tags["scalars"])
    losses = {event.step: event.value for event in events.Scalars("train/loss")}
    assert losses == pytest.approx(finished.read_curve("train/loss"))
    assert [event.step for event in events.Images("reconstructions")] == [4, 8, 12]
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert "_hparams_/experiment" not in events.summary_metadata  # it would hide later scores
    final = {name: value for name, value in finished.read_metrics().items() if name != "scores"}
    shown = {name: events.Scalars(name)[-1].value for name in final}
    assert shown == pytest.approx(final)


def test_figures_are_pictures(finished):
    names = {path.stem for path in finished.figures.glob("*.png")}
    assert names == {
        *("reconstructions", "samples", "traversals", "traversals_prior", "manifold"),
        *("latent_scatter", "latent_kl", "posteriors", "posterior_samples", "interpolations"),
    }
    animations = {path.stem for path in finished.figures.glob("*.gif")}
    assert animations == {"traversals_animated", "traversals_prior_animated"}
    for path in finished.figures.glob("*.png"):
        with Image.open(path) as picture:
            assert np.asarray(picture).std() > 0


def test_run_is_never_overwritten(finished, compose, tiny):
    before = digests(finished)
    with pytest.raises(UserError, match="already holds one; resume it with resume="):
        train(compose(*tiny), finished.path, [])
    assert digests(finished) == before


def test_looking_does_not_change_the_losses(trace):
    unwatched = trace("unwatched", "callbacks=[]", "trainer.limit_val_batches=0")
    watched = trace("watched", *ALL)
    assert watched == unwatched
    assert len(watched) == 4


def test_without_callbacks_and_loggers(run):
    folder = run("callbacks=[]", "logger=[]")
    assert folder.read_metrics()["num_steps"] == 12
    assert not folder.curves.exists()
    assert not folder.last_checkpoint.exists()


def test_seed_decides(trace):
    assert trace("a") == trace("b") != trace("c", "seed=1")


def test_training_lowers_the_loss(trace):
    losses = list(trace("long", "num_steps=90", "optimizer.lr=1e-2").values())
    assert losses[-1] < 0.97 * losses[0]


def test_beta_follows_its_schedule(run):
    folder = run("kl_penalty=linear", "kl_penalty.num_steps=8", "objective.beta=4")
    # The mean of beta over the steps 0-2, 3-5, 6-8 and 9-11, at beta_t = 4 min(1, t / 8).
    assert list(folder.read_curve("train/beta").values()) == pytest.approx([0.5, 2.0, 3.5, 4.0])


@pytest.mark.parametrize(
    ("words", "rates"),
    [
        ((), [1] * 12),
        (
            ("lr_scheduler=multi_step", "lr_scheduler.milestones=[4,8]", "lr_scheduler.gamma=0.5"),
            [1] * 4 + [0.5] * 4 + [0.25] * 4,
        ),
        (("lr_scheduler=cosine",), [(1 + np.cos(np.pi * t / 12)) / 2 for t in range(12)]),
    ],
    ids=["constant", "multi_step", "cosine"],
)
def test_learning_rate_moves_step_by_step(run, words, rates):
    seen = []
    hook = register_optimizer_step_post_hook(
        lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"])
    )
    folder = run("optimizer.lr=0.01", *words)
    hook.remove()
    assert seen == pytest.approx([0.01 * rate for rate in rates], rel=1e-6, abs=1e-12)
    logged = folder.read_curve("train/lr")
    assert logged == (pytest.approx({s: seen[s - 1] for s in (3, 6, 9, 12)}) if words else {})


def test_bfloat16_trains_and_evaluates_in_float32(run):
    # At a learning rate of zero both evaluate the same weights.
    exact = run("optimizer.lr=0", name="float32")
    rounded = run("optimizer.lr=0", "trainer.precision=bf16-mixed", name="bfloat16")
    assert rounded.read_curve("val/elbo") == exact.read_curve("val/elbo")
    loss, close = rounded.read_curve("train/loss"), exact.read_curve("train/loss")
    assert loss != close
    assert loss == pytest.approx(close, rel=1e-2)


@pytest.mark.parametrize("bound", [0.5, None])
def test_clipping_bounds_the_gradient(run, bound):
    norms = []

    def record(optimizer, args, kwargs):
        grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(torch.stack([grad.norm() for grad in grads]).norm().item())

    hook = register_optimizer_step_post_hook(record)
    run(f"trainer.gradient_clip_val={'null' if bound is None else bound}")
    hook.remove()
    assert len(norms) == 12
    if bound:
        assert norms == pytest.approx([bound] * 12, rel=1e-4)
    else:
        assert min(norms) > 0.5


@pytest.mark.filterwarnings("ignore")  # of the compiler about its own workings
def test_compiled_networks_give_the_same_losses(trace):
    assert trace("compiled", "compile=true") == pytest.approx(trace("eager"), rel=1e-4)


def test_sigma_starts_from_the_data_and_is_logged(run, compose, tiny):
    parts = build_run(compose(*tiny, "likelihood=gaussian_learned"))
    train_set = parts.data.splits.train
    x = train_set.take(torch.arange(len(train_set)))
    deviation = (x - x.mean(0)).square().mean().sqrt().item()
    start = parts.model.likelihood.state()["sigma"].item()
    assert start == pytest.approx(deviation, rel=0.01)
    words = ("likelihood=gaussian_learned", "lr_scheduler=cosine", "trainer.log_every_n_steps=1")
    folder = run(*words)
    assert folder.read_curve("train/sigma")[1] == pytest.approx(start, rel=1e-6)
    assert folder.read_curve("train/lr")[1] == pytest.approx(1e-3)  # that of the networks
    assert "train/sigma" not in run(name="bernoulli").read_curves()
