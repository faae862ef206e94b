"""What the figures of a model share: settings, images, activity of the latents, random numbers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.data.classes import Classes
from vaelab.data.factors import FactorSpace
from vaelab.data.images import Splits, Subset
from vaelab.distributions import kl_per_latent
from vaelab.elbo_statistics import kl_order, latent_names
from vaelab.errors import UserError, require, require_choice, require_range
from vaelab.models import VAE
from vaelab.seeding import random_stream

BATCH_SIZE = 200
NUM_SCATTER = 2000
MANY_CLASSES = 12  # up to which figures show each class
NUM_CLASSES = 10  # of more, that they show
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

    A conditional model is shown images with their classes, and is traversed at the class of one.

    Attributes:
        model: in evaluation mode.
        splits: its data.
        settings: what figures show.
        when: end of every caption, such as "step 2,500".
        positions: (N,) of up to NUM_SCATTER evaluation images, in random order.
        means: (B, L) E[z|x], or E[z|x, y], of the first BATCH_SIZE of these.
        activity: (L,) what `latent_activity` measures on the same images.
        measure: what it is: "KL" or "variance".
        centre: (L,) point around which latents are traversed: the mean of the prior, or of the
            codes where the posterior has no density, which then need not resemble the prior.
        scale: (L,) unit of a traversal: the standard deviation of the same.
        image: position of the evaluation image around which latents are traversed.
        start: (L,) its E[z|x].
        fixed: the model of the class of that image; the model itself where there are no classes.
        shown_classes: class numbers, those that figures of classes show; of many a random choice.
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
    fixed: VAE
    shown_classes: Tensor

    @property
    def subset(self) -> Subset:
        """The evaluation images."""
        return evaluation_set(self.splits)[0]

    @property
    def split(self) -> str:
        """Their name in captions: "test" or "validation"."""
        return evaluation_set(self.splits)[1]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.start.device

    @property
    def classes(self) -> Classes:
        """The names of the classes."""
        labels = FactorSpace(("label",), (self.model.num_classes,))
        return self.splits.classes or Classes(labels, self.splits.class_names)

    @property
    def fixed_name(self) -> str:
        """The class of `fixed` in captions, ", y = 7"; nothing without classes."""
        if self.model.condition is None:
            return ""
        return f", y = {self.classes.name(int(class_numbers(self.splits, self.image)))}"

    @property
    def q_name(self) -> str:
        """The posterior in captions: "q(z|x, y)" where it depends on a class."""
        condition = self.model.condition
        return "q(z|x, y)" if condition and condition.encoder else "q(z|x)"

    @property
    def p_name(self) -> str:
        """The decoder's distribution in captions: "p(x|y, z)" where it depends on a class."""
        condition = self.model.condition
        return "p(x|y, z)" if condition and condition.decoder else "p(x|z)"

    @property
    def prior_name(self) -> str:
        """The prior in captions: "p(z|y)" where it depends on a class."""
        return "p(z|y)" if self.model.latent_prior.is_conditional else "p(z)"

    def take(self, positions: Tensor) -> tuple[Tensor, VAE]:
        """Evaluation images (B, C, H, W), and the model of their classes, if it has any."""
        x = self.subset.take(positions.to(self.device))
        return x, given_classes(self.model, self.splits, positions)

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
    first = positions[:BATCH_SIZE]
    of_first = given_classes(model, splits, first)
    q_z = of_first.encode(subset.take(first.to(device)))
    activity, measure = latent_activity(q_z, of_first.prior())
    image = int(positions[0]) if settings.image is None else settings.image
    last, unit = len(subset) - 1, f"a position among the {len(subset):,} {split} images"
    require_range("image", image, at_least=0, at_most=last, integer=True, unit=unit, example=0)
    number = torch.tensor([image])
    fixed = given_classes(model, splits, number)
    start = fixed.encode(subset.take(number.to(device))).mean[0]
    prior = fixed.prior()  # p(z|y) has a batch of one
    centre, scale = prior.mean.view_as(start), prior.stddev.view_as(start)
    if not model.posterior.has_density:
        centre, scale = q_z.mean.mean(0), q_z.mean.std(0)
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
        start=start,
        fixed=fixed,
        shown_classes=_choose_classes(model, splits, positions),
    )


def class_numbers(splits: Splits, positions: Tensor | int) -> Tensor:
    """The classes of evaluation images, in the shape of `positions`.

    Raises:
        UserError: an image without a class.
    """
    labels = evaluation_set(splits)[0].labels
    y = None if labels is None else labels.cpu()[positions]
    if y is None or bool((y < 0).any()):
        raise UserError(
            "a conditional model expects the class of each image, got images without; use data "
            "with labels."
        )
    return y


def given_classes(model: VAE, splits: Splits, positions: Tensor) -> VAE:
    """The model of the classes of evaluation images; the model itself if it has no classes."""
    if model.condition is None:
        return model
    return model.given(class_numbers(splits, positions).to(next(model.parameters()).device))


def _choose_classes(model: VAE, splits: Splits, positions: Tensor) -> Tensor:
    """All classes, in order; of many, a random choice of those that these images have."""
    if model.num_classes <= MANY_CLASSES:
        return torch.arange(model.num_classes)
    there = class_numbers(splits, positions).unique()
    return there[torch.randperm(len(there))[:NUM_CLASSES]].sort().values


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
