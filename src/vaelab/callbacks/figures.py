"""Pictures of a run: in TensorBoard at validations, and as PNG in figures/ at the end."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch.distributions import Distribution

from vaelab.data.images import Splits
from vaelab.distributions import kl_per_latent
from vaelab.errors import require
from vaelab.metrics import kl_order
from vaelab.models import VAE
from vaelab.run_folder import RunFolder
from vaelab.seeding import random_stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_SCATTER = 5000
NUM_MANIFOLD = 16
EVAL_BATCH = 200


class Figures(pl.Callback):
    """Reconstructions, prior samples and latent traversals; with two latents manifold and scatter.

    The random numbers are a stream of their own and the same at every drawing, so that pictures of
    different steps show the same images and the loss does not depend on whether they are drawn.

    Args:
        folder: the run's; the PNG files go into its figures/.
        every_n_steps: draw at the first validation this many steps after the last drawing, and at
            the end of training.
        num_images: images in a row of reconstructions.
        num_values: columns of a traversal.
        max_latents: rows of a traversal at most, those of largest KL.
        traversal_range: how far a traversal goes, in standard deviations of the prior.
    """

    def __init__(
        self,
        folder: RunFolder,
        every_n_steps: int = 1000,
        num_images: int = 10,
        num_values: int = 9,
        max_latents: int = 20,
        traversal_range: float = 2.0,
    ):
        for name, value in (("every_n_steps", every_n_steps), ("num_images", num_images)):
            require(value >= 1, f"callbacks.figures.{name} expects at least 1, got {value}.")
        require(
            num_values >= 2, f"callbacks.figures.num_values expects at least 2, got {num_values}."
        )
        self.folder, self.every_n_steps = folder.figures, every_n_steps
        self.num_images, self.num_values = num_images, num_values
        self.max_latents, self.traversal_range = max_latents, traversal_range
        self.last_drawn = 0

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Not on_validation_end: averaged weights (callbacks.ema) are in place only until here.
        fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        if fitting and trainer.global_step - self.last_drawn >= self.every_n_steps:
            self.draw(trainer, module)

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.global_step != self.last_drawn:
            self.draw(trainer, module)

    def state_dict(self) -> dict[str, int]:
        return {"last_drawn": self.last_drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.last_drawn = state["last_drawn"]

    def draw(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draw all figures of the model as it is, to the folder and to TensorBoard."""
        self.last_drawn = trainer.global_step
        if not trainer.is_global_zero:
            return
        from vaelab.figures import save_png, to_array  # matplotlib is slow to import

        was_training = module.training
        module.eval()
        with (
            random_stream("figures"),
            torch.no_grad(),
            torch.autocast(module.device.type, enabled=False),
        ):
            splits = trainer.datamodule.splits  # type: ignore[attr-defined]
            for name, figure in self.figures(cast(VAE, module.model), splits, trainer.global_step):
                save_png(figure, self.folder / f"{name}.png")
                for logger in trainer.loggers:
                    if isinstance(logger, TensorBoardLogger):
                        logger.experiment.add_image(
                            name, to_array(figure), trainer.global_step, dataformats="HWC"
                        )
        module.train(was_training)

    def figures(self, model: VAE, splits: Splits, step: int) -> Iterator[tuple[str, "Figure"]]:
        """(name, figure) of every picture there is of this model."""
        from vaelab import figures

        subset, split = (splits.test, "test") if splits.test else (splits.val, "validation")
        device = next(model.parameters()).device
        chosen = torch.randperm(len(subset))[:NUM_SCATTER]
        first, *rest = chosen.to(device).split(EVAL_BATCH)
        q_z = model.encode(subset.take(first))
        x = subset.take(first[: self.num_images])
        when = f"step {step:,}"
        caption = f"{split} images (above) and their reconstructions, {when}"
        yield "reconstructions", figures.reconstructions(x, model.reconstruct(x), caption)
        caption = f"mean of p(x|z) for 64 draws of z from the prior, {when}"
        yield "samples", figures.samples(model.sample(64), 8, caption)
        yield "traversals", self._traversals(model, q_z, when)
        if model.latent_dim == 2:
            yield "manifold", self._manifold(model, when)
            others = [model.encode(subset.take(part)).mean for part in rest]
            z = torch.cat([q_z.mean, *others])
            labels = None if subset.labels is None else subset.labels[chosen]
            caption = f"means of q(z|x) of {len(z):,} {split} images, {when}"
            yield "latent_scatter", figures.latent_scatter(z, labels, caption=caption)

    def _traversals(self, model: VAE, q_z: Distribution, when: str) -> "Figure":
        from vaelab import figures

        kl = kl_per_latent(q_z, model.prior())
        kl_latent = torch.zeros(model.latent_dim) if kl is None else kl.mean(0).cpu()
        latents = kl_order(kl_latent)[: self.max_latents]
        values = torch.linspace(-self.traversal_range, self.traversal_range, self.num_values)
        images = model.traverse(q_z.mean[0], latents, values.to(q_z.mean.device))
        names = [f"z{i + 1}, KL {kl_latent[i]:.2f}" for i in latents]
        caption = (
            "one latent a row, set to the value below it, the others at the posterior mean of\n"
            f"one image; rows ordered by KL in nats, {when}"
        )
        return figures.traversals(images, names, values.tolist(), caption)

    def _manifold(self, model: VAE, when: str) -> "Figure":
        from vaelab import figures

        quantiles = torch.special.ndtri((torch.arange(NUM_MANIFOLD) + 0.5) / NUM_MANIFOLD)
        grid = torch.stack(torch.meshgrid(quantiles, quantiles, indexing="xy"), dim=-1)
        z = grid.flatten(0, 1).to(next(model.parameters()).device)
        images = model.decode(z).mean.unflatten(0, (NUM_MANIFOLD, NUM_MANIFOLD))
        caption = f"mean of p(x|z) on a grid of Gaussian quantiles, {when}"
        return figures.manifold(images, quantiles.tolist(), caption)
