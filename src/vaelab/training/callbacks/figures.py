"""When to draw figures: fast ones at validations, all at the end; into figures/ and TensorBoard."""

from collections.abc import Collection
from typing import TYPE_CHECKING, cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from vaelab.errors import require_range
from vaelab.figures import Animation
from vaelab.models import VAE
from vaelab.runs.folder import RunFolder
from vaelab.runs.loggers import save_and_log_figure
from vaelab.visualize.context import FigureSettings
from vaelab.visualize.curves import (
    collect_em_bound,
    collect_latent_kl,
    draw_em_bound,
    draw_latent_kl,
)
from vaelab.visualize.model import draw_model_figures, figure_names

if TYPE_CHECKING:
    from vaelab.figures import Figure

LATE = (
    *("traversals_animated", "traversals_prior_animated"),
    *("posteriors", "posterior_samples", "interpolations", "pca_manifold", "manifolds"),
)


class Figures(pl.Callback):
    """Draws the figures of `vaelab.visualize`: fast ones at validations, all of them at the end.

    Only at the end, since together they take seconds: animations, posteriors and their samples,
    interpolations, PCA beside the manifold, the manifold of each class, the scatter of more than
    two latents, and the KL of each latent over training and the bound of EM (where logger=csv has
    logged them).

    Args:
        folder: the run folder; figures are written into its figures/.
        every_n_steps: draw at the first validation at least this many steps after the last
            drawing, and at the end of training.
        settings: what the figures show.

    Raises:
        UserError: every_n_steps is out of range; at the first drawing, settings.image is.
    """

    def __init__(self, folder: RunFolder, every_n_steps: int, settings: FigureSettings):
        require_range("every_n_steps", every_n_steps, at_least=1, integer=True, example=1000)
        self.folder, self.every_n_steps, self.settings = folder, every_n_steps, settings
        self.last_drawn = 0

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Not on_validation_end: averaged weights (callbacks.ema) are in place only until here.
        fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        if fitting and trainer.global_step - self.last_drawn >= self.every_n_steps:
            self.draw(trainer, module, fast_figure_names(cast(VAE, module.model)))

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        model = cast(VAE, module.model)
        drawn = fast_figure_names(model) if trainer.global_step == self.last_drawn else []
        self.draw(trainer, module, [name for name in figure_names(model) if name not in drawn])
        if trainer.is_global_zero:
            curves = self.folder.read_curves()
            kl, bound = collect_latent_kl(curves, model.latent_dim), collect_em_bound(curves)
            if len(kl) > 1:
                self._save(trainer, "latent_kl", draw_latent_kl(kl))
            if bound:
                self._save(trainer, "em_bound", draw_em_bound(*bound))

    def state_dict(self) -> dict[str, int]:
        return {"last_drawn": self.last_drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.last_drawn = state["last_drawn"]

    def draw(
        self, trainer: pl.Trainer, module: pl.LightningModule, names: Collection[str] | None = None
    ) -> None:
        """Draw figures of the model as it is, all by default, into the folder and TensorBoard."""
        self.last_drawn = trainer.global_step
        if not trainer.is_global_zero:
            return
        model, splits = cast(VAE, module.model), trainer.datamodule.splits  # type: ignore[attr-defined]
        when = f"step {trainer.global_step:,}"
        for name, figure in draw_model_figures(model, splits, when, self.settings, names):
            self._save(trainer, name, figure)

    def _save(self, trainer: pl.Trainer, name: str, figure: "Figure | Animation") -> None:
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        writers = [board.experiment for board in boards]
        step, formats = trainer.global_step, self.settings.formats
        save_and_log_figure(name, figure, self.folder, step, writers, formats)


def fast_figure_names(model: VAE) -> list[str]:
    """The figures that are drawn during training."""
    late = set(LATE) if model.latent_dim == 2 else {*LATE, "latent_scatter"}
    return [name for name in figure_names(model) if name not in late]
