"""When to draw: at validations, and all there is at the end; to figures/ and to TensorBoard."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from vaelab.errors import require
from vaelab.figures import Animation
from vaelab.models import VAE
from vaelab.runs.folder import RunFolder
from vaelab.runs.loggers import save_and_log_figure
from vaelab.visualize import model as gallery
from vaelab.visualize.model import FigureSettings

if TYPE_CHECKING:
    from vaelab.figures.page import Figure

ANIMATED = ("traversals_animated", "traversals_prior_animated")


class Figures(pl.Callback):
    """The pictures of `vaelab.visualize.model`: the quick ones at validations, all of them at the end.

    Only at the end, since they take seconds: animations, the scatter of more than two latents, and
    the KL of each latent over training (with logger=csv, where the curves come from).

    Args:
        folder: the run's; the files go into its figures/.
        every_n_steps: draw at the first validation this many steps after the last drawing, and at
            the end of training.
        num_images: images in a row of reconstructions.
        num_values: columns of a traversal.
        max_latents: latents in a traversal at most, those of largest KL.
        traversal_range: how far a traversal goes, in standard deviations of the prior.
        image: the position in the evaluation set (test, else validation) of the image that
            traversals are around; None for the first of the reconstructions.
        formats: of the stills in figures/: png, svg or both.

    Raises:
        UserError: a setting out of its range; at the first drawing, an image that isn't there.
    """

    def __init__(
        self,
        folder: RunFolder,
        every_n_steps: int = 1000,
        num_images: int = 10,
        num_values: int = 9,
        max_latents: int = 20,
        traversal_range: float = 2.0,
        image: int | None = None,
        formats: Sequence[str] = ("png",),
    ):
        require(
            every_n_steps >= 1,
            f"callbacks.figures.every_n_steps expects at least 1, got {every_n_steps}.",
        )
        self.folder, self.every_n_steps = folder, every_n_steps
        self.settings = FigureSettings(
            num_images, num_values, max_latents, traversal_range, image, tuple(formats)
        )
        self.last_drawn = 0

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Not on_validation_end: averaged weights (callbacks.ema) are in place only until here.
        fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        if fitting and trainer.global_step - self.last_drawn >= self.every_n_steps:
            self.draw(trainer, module, quick_names(cast(VAE, module.model)))

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        model = cast(VAE, module.model)
        drawn = quick_names(model) if trainer.global_step == self.last_drawn else []
        self.draw(trainer, module, [n for n in gallery.picture_names(model) if n not in drawn])
        for name, figure in self._curves(trainer, model):
            self._keep(trainer, name, figure)

    def state_dict(self) -> dict[str, int]:
        return {"last_drawn": self.last_drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.last_drawn = state["last_drawn"]

    def draw(
        self, trainer: pl.Trainer, module: pl.LightningModule, names: Collection[str] | None = None
    ) -> None:
        """Draw pictures of the model as it is, all by default, to the folder and to TensorBoard."""
        self.last_drawn = trainer.global_step
        if not trainer.is_global_zero:
            return
        model, splits = cast(VAE, module.model), trainer.datamodule.splits  # type: ignore[attr-defined]
        when = f"step {trainer.global_step:,}"
        for name, picture in gallery.model_pictures(model, splits, when, self.settings, names):
            self._keep(trainer, name, picture)

    def _curves(self, trainer: pl.Trainer, model: VAE) -> Iterator[tuple[str, "Figure"]]:
        if trainer.is_global_zero:
            kl = gallery.kl_curves(self.folder.read_curves(), model.latent_dim)
            if len(kl) > 1:
                yield "latent_kl", gallery.latent_kl_picture(kl)

    def _keep(self, trainer: pl.Trainer, name: str, picture: "Figure | Animation") -> None:
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        writers = [board.experiment for board in boards]
        step, formats = trainer.global_step, self.settings.formats
        save_and_log_figure(name, picture, self.folder, step, writers, formats)


def quick_names(model: VAE) -> list[str]:
    """The pictures that are drawn while the model trains."""
    late = set(ANIMATED) if model.latent_dim == 2 else {*ANIMATED, "latent_scatter"}
    return [name for name in gallery.picture_names(model) if name not in late]
