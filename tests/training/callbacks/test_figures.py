"""What is drawn when: fast figures at validations, all at the end, in files and TensorBoard."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import img_mime_type_detector

from vaelab import build
from vaelab.data import Images, Splits, Subset
from vaelab.errors import UserError
from vaelab.likelihoods import Bernoulli
from vaelab.models import VAE, Condition, MLPDecoder, MLPEncoder
from vaelab.posteriors import Gaussian
from vaelab.priors import StandardNormal
from vaelab.runs.folder import RunFolder
from vaelab.runs.loggers import MetricsCSV, tensorboard
from vaelab.training.callbacks import Figures
from vaelab.training.callbacks.figures import fast_figure_names
from vaelab.visualize.context import FigureSettings

FAST = {"reconstructions", "samples", "traversals", "traversals_prior"}
LATE = {"latent_scatter", "latent_kl", "posteriors", "posterior_samples", "interpolations"}
ANIMATED = {"traversals_animated", "traversals_prior_animated"}


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


@pytest.fixture
def stage(folder, tiny_vae):
    """A trainer and a module at a step, as far as the callback looks at them."""

    def at(step, latent_dim=3, loggers=()):
        shades = torch.randint(0, 256, (50, 16)).byte()
        subset = Subset(Images(shades, (1, 4, 4)))
        trainer = SimpleNamespace(
            global_step=step,
            is_global_zero=True,
            sanity_checking=False,
            state=SimpleNamespace(fn="fit"),
            loggers=list(loggers),
            datamodule=SimpleNamespace(splits=Splits(subset, subset)),
        )
        return trainer, SimpleNamespace(model=tiny_vae(latent_dim).float())

    return at


def figures(folder, every_n_steps=10, **settings):
    return Figures(folder, every_n_steps, FigureSettings(**settings))


def drawn(folder):
    return {path.name for path in folder.figures.glob("*")}


def files(names, suffix):
    return {f"{name}.{suffix}" for name in names}


def test_validation_draws_the_fast_ones_when_they_are_due(folder, stage):
    callback = figures(folder)
    callback.on_validation_epoch_end(*stage(9))
    assert drawn(folder) == set()
    callback.on_validation_epoch_end(*stage(10))
    assert drawn(folder) == files(FAST, "png")
    assert callback.state_dict() == {"last_drawn": 10}


def test_the_end_draws_the_rest_with_the_curves(folder, stage):
    csv = MetricsCSV(folder)
    for step in (5, 10):
        csv.log_metrics({f"val/kl_latent/{i}": float(i) for i in range(3)}, step)
    callback = figures(folder)
    at_the_end = stage(10)
    callback.on_validation_epoch_end(*at_the_end)
    times = {path.name: path.stat().st_mtime_ns for path in folder.figures.glob("*")}
    callback.on_fit_end(*at_the_end)
    assert drawn(folder) == files(FAST | LATE, "png") | files(ANIMATED, "gif")
    for name, time in times.items():
        assert (folder.figures / name).stat().st_mtime_ns == time, "drawn twice"


def test_the_end_without_a_validation_or_curves_draws_all_it_can(folder, stage):
    figures(folder, formats=["svg", "png"]).on_fit_end(*stage(10))
    stills = FAST | LATE - {"latent_kl"}
    assert drawn(folder) == files(stills, "png") | files(stills, "svg") | files(ANIMATED, "gif")


def test_two_latents_have_their_plane_during_training(stage):
    assert set(fast_figure_names(stage(1, latent_dim=2)[1].model)) == FAST | {
        "manifold",
        "latent_scatter",
    }


@pytest.mark.parametrize("latent_dim", [2, 3])
def test_a_conditional_model_has_the_figures_of_its_classes(folder, stage, latent_dim):
    trainer, module = stage(10, latent_dim, loggers=[tensorboard(folder)])
    parts = (MLPEncoder, MLPDecoder, Gaussian, StandardNormal, Bernoulli())
    module.model = VAE((1, 4, 4), latent_dim, *parts, condition=Condition([3]))
    subset = Subset(trainer.datamodule.splits.val.images, None, torch.arange(50) % 3)
    trainer.datamodule.splits = Splits(subset, subset)
    fast, late = {"class_grid", "analogies"}, {"manifolds"} if latent_dim == 2 else set()
    callback = figures(folder)
    callback.on_validation_epoch_end(trainer, module)
    stills = FAST | fast | ({"manifold", "latent_scatter"} if latent_dim == 2 else set())
    assert drawn(folder) == files(stills, "png")
    callback.on_fit_end(trainer, module)
    stills |= LATE - {"latent_kl"} | late
    assert drawn(folder) == files(stills, "png") | files(ANIMATED, "gif")
    trainer.loggers[0].finalize("success")
    events = EventAccumulator(str(folder.path))
    events.Reload()
    assert set(events.Tags()["images"]) == stills | ANIMATED


def test_tensorboard_gets_the_bytes_of_the_files_and_would_serve_a_moving_gif(folder, stage):
    board = tensorboard(folder)
    figures(folder).on_fit_end(*stage(10, loggers=[board]))
    board.finalize("success")
    events = EventAccumulator(str(folder.path))
    events.Reload()
    assert set(events.Tags()["images"]) == FAST | ANIMATED | LATE - {"latent_kl"}
    for name, suffix in (("samples", "png"), ("traversals_animated", "gif")):
        (event,) = events.Images(name)
        assert event.step == 10
        assert event.encoded_image_string == (folder.figures / f"{name}.{suffix}").read_bytes()
        kind = img_mime_type_detector.from_bytes(event.encoded_image_string)
        assert kind == f"image/{suffix}"
        with Image.open(io.BytesIO(event.encoded_image_string)) as image:
            assert image.size == (event.width, event.height)


def test_tensorboard_gets_png_where_the_files_are_svg(folder, stage):
    board = tensorboard(folder)
    callback = figures(folder, formats=["svg"])
    trainer, module = stage(10, loggers=[board])
    callback.draw(trainer, module, ["samples"])
    board.finalize("success")
    events = EventAccumulator(str(folder.path))
    events.Reload()
    assert events.Images("samples")[0].encoded_image_string[1:4] == b"PNG"
    assert drawn(folder) == {"samples.svg"}


def test_other_processes_draw_nothing(folder, stage):
    trainer, module = stage(10)
    trainer.is_global_zero = False
    callback = figures(folder)
    callback.on_fit_end(trainer, module)
    assert drawn(folder) == set()
    assert callback.last_drawn == 10


def test_the_interval_is_checked_at_the_start(folder):
    with pytest.raises(UserError, match=r"^every_n_steps expects an integer of at least 1, got 0"):
        figures(folder, every_n_steps=0)


def test_settings_of_the_command_line_reach_the_figures(compose, folder):
    cfg = compose("callbacks=[figures]", "callbacks.figures.settings.formats=[png,svg]")
    (callback,) = build.build_all(cfg.callbacks, folder)
    assert callback.settings.formats == ["png", "svg"]
    with pytest.raises(Exception, match="formats expects one of png, svg, got 'gif'"):
        build.build(compose("callbacks.figures.settings.formats=[gif]").callbacks.figures)


def test_figures_of_the_same_model_are_the_same(folder, stage):
    trainer, module = stage(10)
    callback = figures(folder)
    shown = []
    for _ in range(2):
        callback.draw(trainer, module, ["samples"])
        shown.append(np.asarray(Image.open(folder.figures / "samples.png")))
    np.testing.assert_array_equal(*shown)
