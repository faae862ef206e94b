"""What the figures of a model share: settings, images, activity of the latents, random numbers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.data.images import Splits, Subset
from vaelab.distributions import kl_per_latent
from vaelab.elbo_statistics import kl_order, latent_names
from vaelab.errors import require, require_choice, require_range
from vaelab.models import VAE
from vaelab.seeding import random_stream

BATCH_SIZE = 200
NUM_SCATTER = 2000
FORMATS = ("png", "svg")
ORDERED_BY = {
    "KL": "ordered by KL in nats",
    "variance": "ordered by the variance of the means of q(z|x), as there is no KL per latent",
}
CENTRES = {"prior": "the prior mean", "codes": "the mean of the codes"}


@dataclass(frozen=True)
class FigureSettings:
    """What figures of a model show, and how much of it.

    Args:
        num_images: images in the row of reconstructions.
        num_values: columns of a still traversal.
        max_latents: largest number of latents in a traversal; those of largest KL are shown.
        traversal_range: how far a traversal goes from the mean of the prior, in its standard
            deviations.
        image: position in the evaluation set (test, else validation) of the image around which
            latents are traversed; None for the first of the reconstructions.
        formats: of still figures: "png", "svg" or both.

    Raises:
        UserError: a setting that draws nothing.
    """

    num_images: int = 10
    num_values: int = 9
    max_latents: int = 20
    traversal_range: float = 2.0
    image: int | None = None
    formats: Sequence[str] = ("png",)

    def __post_init__(self) -> None:
        for name, least, usual in (
            ("num_images", 1, 10),
            ("num_values", 2, 9),
            ("max_latents", 1, 20),
        ):
            require_range(name, getattr(self, name), at_least=least, integer=True, example=usual)
        unit = "standard deviations"
        require_range("traversal_range", self.traversal_range, above=0, unit=unit, example=2.0)
        require(
            len(self.formats) > 0 and not isinstance(self.formats, str),
            f"formats expects a list of png, svg or both, got {self.formats!r}; try [png].",
        )
        for name in self.formats:
            require_choice("formats", name, FORMATS)


@dataclass(frozen=True)
class FigureContext:
    """A model, the images that its figures show, and how its latents are traversed.

    Attributes:
        model: in evaluation mode.
        splits: its data.
        settings: what figures show.
        when: end of every caption, such as "step 2,500".
        positions: (N,) of up to NUM_SCATTER evaluation images, in random order.
        means: (B, L) E[z|x] of the first BATCH_SIZE of these.
        activity: (L,) what `latent_activity` measures on the same images.
        measure: what it is: "KL" or "variance".
        centre: (L,) point around which latents are traversed: the mean of the prior, or of the
            codes where the posterior has no density, which then need not resemble the prior.
        scale: (L,) unit of a traversal: the standard deviation of the same.
        image: position of the evaluation image around which latents are traversed.
        start: (L,) its E[z|x].
    """

    model: VAE
    splits: Splits
    settings: FigureSettings
    when: str
    positions: Tensor
    means: Tensor
    activity: Tensor
    measure: str
    centre: Tensor
    scale: Tensor
    image: int
    start: Tensor

    @property
    def subset(self) -> Subset:
        """The evaluation images."""
        return evaluation_set(self.splits)[0]

    @property
    def split(self) -> str:
        """Their name in captions: "test" or "validation"."""
        return evaluation_set(self.splits)[1]

    @property
    def reference(self) -> str:
        """What `centre` and `scale` describe: "prior" or "codes"."""
        return "prior" if self.model.posterior.has_density else "codes"

    @property
    def centre_name(self) -> str:
        """What captions call `centre`."""
        return CENTRES[self.reference]

    @property
    def latents(self) -> list[int]:
        """The latents that a traversal shows, in its order."""
        return kl_order(self.activity)[: self.settings.max_latents]


def prepare_context(
    model: VAE, splits: Splits, when: str, settings: FigureSettings
) -> FigureContext:
    """Choose images and encode them; to be called in `evaluation_mode`.

    Raises:
        UserError: settings.image is no position in the evaluation set.
    """
    subset, split = evaluation_set(splits)
    device = next(model.parameters()).device
    positions = torch.randperm(len(subset))[:NUM_SCATTER]
    q_z = model.encode(subset.take(positions[:BATCH_SIZE].to(device)))
    prior = model.prior()
    activity, measure = latent_activity(q_z, prior)
    centre, scale = prior.mean, prior.stddev
    if not model.posterior.has_density:
        centre, scale = q_z.mean.mean(0), q_z.mean.std(0)
    image = int(positions[0]) if settings.image is None else settings.image
    last, unit = len(subset) - 1, f"a position among the {len(subset):,} {split} images"
    require_range("image", image, at_least=0, at_most=last, integer=True, unit=unit, example=0)
    return FigureContext(
        model=model,
        splits=splits,
        settings=settings,
        when=when,
        positions=positions,
        means=q_z.mean,
        activity=activity,
        measure=measure,
        centre=centre,
        scale=scale,
        image=image,
        start=model.encode(subset.take(torch.tensor([image], device=device))).mean[0],
    )


def evaluation_set(splits: Splits) -> tuple[Subset, str]:
    """What figures show: the test images, or the validation images where there are none."""
    return (splits.test, "test") if splits.test else (splits.val, "validation")


@contextmanager
def evaluation_mode(model: VAE, stream: str) -> Iterator[None]:
    """Inside, the model is in evaluation mode, without gradients or autocast, in full precision.

    Random numbers come from the stream of that name, and afterwards the model's mode and torch's
    generator are as they were: drawing never changes training.
    """
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    try:
        with (
            random_stream("figures", stream),
            torch.no_grad(),
            torch.autocast(device.type, enabled=False),
        ):
            yield
    finally:
        model.train(was_training)


def latent_activity(q_z: Distribution, p_z: Distribution) -> tuple[Tensor, str]:
    """How active each latent is on a batch of images, (L,), and the measure, a key of ORDERED_BY.

    KL(q(z_j|x) || p(z_j)), averaged over the batch, or where posterior and prior allow no KL per
    latent the variance of E[z_j|x] over it, as Burda et al. measure activity (Importance Weighted
    Autoencoders, 2016, https://arxiv.org/abs/1509.00519).
    """
    kl = kl_per_latent(q_z, p_z)
    if kl is None:
        return q_z.mean.var(0, correction=0).cpu(), "variance"
    return kl.mean(0).cpu(), "KL"


def label_latents(activity: Tensor, measure: str) -> list[str]:
    """Name and activity of each latent, such as "z3, KL 1.27", in the order of their numbers."""
    names = latent_names(len(activity))
    return [f"{name}, {measure} {a:.2f}" for name, a in zip(names, activity, strict=True)]
