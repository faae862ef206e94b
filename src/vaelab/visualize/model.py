"""Which pictures there are of a model; drawn while it trains, and later from its run folder."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab import figures
from vaelab.data.images import Splits, Subset
from vaelab.distributions import kl_per_latent
from vaelab.elbo_statistics import kl_order
from vaelab.errors import require
from vaelab.figures import Animation
from vaelab.metrics.mutual_information import mutual_information_matrix
from vaelab.models import VAE
from vaelab.seeding import derive_seed, random_stream

if TYPE_CHECKING:
    from vaelab.figures.page import Figure
    from vaelab.metrics.encoded_dataset import EncodedDataset

BATCH = 200
NUM_SCATTER = 2000
NUM_SAMPLES = 64
NUM_MANIFOLD = 16
NUM_INFORMED = 10_000
NUM_BINS = 20
KL_PARTS = {
    "distortion": "reconstruction",
    "index_code_mutual_information": "mutual information I(x; z)",
    "total_correlation": "total correlation",
    "dimension_wise_kl": "dimension-wise KL",
}
ORDERED = {
    "KL": "ordered by KL in nats",
    "variance": "ordered by the variance of the means of q(z|x), for want of a KL of each latent",
}
NUM_MOMENTS = 24  # of an animation, one way


@dataclass(frozen=True)
class FigureSettings:
    """What is drawn, and how much of it.

    Attributes:
        num_images: images in the row of reconstructions.
        num_values: columns of a still traversal.
        max_latents: latents in a traversal at most, those of largest KL.
        traversal_range: how far a traversal goes from the mean of the prior, in its standard
            deviations.
        image: the position in the evaluation set (test, else validation) of the image that
            traversals are around; None for the first of the reconstructions.
        formats: of the stills: "png", "svg" or both.

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
        for name, least in (("num_images", 1), ("num_values", 2), ("max_latents", 1)):
            value = getattr(self, name)
            require(value >= least, f"figures' {name} expects at least {least}, got {value}.")
        require(
            self.traversal_range > 0,
            f"figures' traversal_range expects a positive number of standard deviations, got "
            f"{self.traversal_range}; try 2.",
        )
        unknown = [name for name in self.formats if name not in ("png", "svg")]
        require(
            len(self.formats) > 0 and not unknown,
            f"figures' formats expects png, svg or both, got {list(self.formats)}; try [png].",
        )


@dataclass(frozen=True)
class _View:
    """A model and the images that it is looked at with."""

    model: VAE
    splits: Splits
    subset: Subset
    split: str
    when: str
    settings: FigureSettings
    chosen: Tensor  # positions of up to NUM_SCATTER images, in random order
    means: Tensor  # E[z|x] of the first batch of them
    use: Tensor  # how much each latent tells of that batch
    measure: str  # what `use` is: KL or variance
    centre: Tensor  # (L,), about which latents move
    spread: Tensor  # (L,), by how much
    whose: str  # what has this mean and standard deviation: prior or codes
    start: Tensor  # E[z|x] of the image that traversals are around
    start_name: str

    @property
    def latents(self) -> list[int]:
        """Those that a traversal shows, in its order."""
        return kl_order(self.use)[: self.settings.max_latents]


def model_pictures(
    model: VAE,
    splits: Splits,
    when: str,
    settings: FigureSettings | None = None,
    names: Collection[str] | None = None,
) -> Iterator[tuple[str, "Figure | Animation"]]:
    """Name and picture of all there is to see of a model, one after the other.

    Images are those of test, else of val. The random numbers are streams of their own and the same
    at each call, so that pictures of different steps show the same images, and nothing else changes
    by looking: the model's mode is put back, and no gradient is recorded.

    Args:
        model: on any device.
        splits: on that device, too.
        when: the last words of every caption, such as "step 2,500".
        settings: what is drawn.
        names: only these of `picture_names`.

    Raises:
        UserError: settings.image is no position in the evaluation set.
    """
    wanted = [n for n in picture_names(model) if names is None or n in names]
    if not wanted:
        return
    with _looking(model, "images"):
        view = _view(model, splits, when, settings or FigureSettings())
    for name in wanted:
        with _looking(model, name):
            picture = PICTURES[name](view)
        yield name, picture


def score_pictures(
    encoded: "EncodedDataset", numbers: Mapping[str, float], when: str
) -> Iterator[tuple[str, "Figure"]]:
    """Name and picture of what metrics found out.

    mutual_information: of latents and factors, where the data has factors.
    elbo_decomposition: where `numbers` has distortion and the parts of the KL.

    Args:
        numbers: score -> value in nats per image.
        when: the last words of every caption.
    """
    if encoded.splits.factors is not None:
        rng = np.random.default_rng(derive_seed("figures", "mutual_information"))
        dataset = encoded.factor_dataset("mean", rng)
        rows = dataset.sample(NUM_INFORMED, rng)
        codes, factors = dataset.codes(rows), dataset.factors[rows]
        mi = mutual_information_matrix(codes, factors, NUM_BINS)
        use, measure = _use(encoded.posterior(rows), encoded.model.prior())
        caption = (
            f"Mutual information of each latent (mean of q(z|x), {NUM_BINS} bins) and factor, "
            f"{NUM_INFORMED:,} images; {ORDERED[measure]}, {when}"
        )
        order, names = kl_order(use), latent_names(encoded.latent_dim)
        labels = [f"{names[i]}, {measure} {use[i]:.2f}" for i in order]
        heat_map = figures.mutual_information_heat_map(mi[order], labels, dataset.names, caption)
        yield "mutual_information", heat_map
    if set(KL_PARTS) <= set(numbers):
        parts = {word: numbers[name] for name, word in KL_PARTS.items()}
        caption = (
            f"Minus the ELBO: reconstruction over the {encoded.split} images, and the parts of the "
            f"KL, in which q(z) is the average of q(z|x) over all images, {when}"
        )
        yield "elbo_decomposition", figures.elbo_decomposition(parts, caption)


def picture_names(model: VAE) -> list[str]:
    """The pictures that this model has."""
    unfit = {"manifold"} if model.latent_dim != 2 else set()
    unfit |= {"latent_scatter"} if model.latent_dim < 2 else set()
    return [name for name in PICTURES if name not in unfit]


def latent_names(latent_dim: int) -> list[str]:
    """z1, z2, ...: what pictures call the latents."""
    return [f"z{i + 1}" for i in range(latent_dim)]


def kl_curves(
    curves: Mapping[str, Mapping[int, float]], latent_dim: int, split: str = "val"
) -> dict[int, list[float]]:
    """step -> KL of each latent, from the curves that a run logged; {} where there are none."""
    width = len(str(latent_dim - 1))
    columns = [curves.get(f"{split}/kl_latent/{i:0{width}d}", {}) for i in range(latent_dim)]
    steps = sorted(set(columns[0]).intersection(*columns))
    return {step: [column[step] for column in columns] for step in steps}


def latent_kl_picture(kl: Mapping[int, Sequence[float]], split: str = "validation") -> "Figure":
    """KL of each latent over training: step -> (L,) nats, at least one step."""
    steps = sorted(kl)
    values = np.array([kl[step] for step in steps])
    caption = f"KL of q(z|x) and p(z) of each latent over training, mean over the {split} images"
    return figures.latent_kl_curves(steps, values, latent_names(values.shape[1]), caption)


def principal_components(points: Tensor) -> tuple[Tensor, Tensor]:
    """Points on their first two principal axes.

    Args:
        points: (N, L), L at least 2.

    Returns:
        (N, 2) float64, centred, the larger variance first, each axis turned so that the latent
        that it leans on most counts positive; and (2,) the parts of the variance that they explain.
    """
    centred = points.double() - points.double().mean(0)
    variances, axes = torch.linalg.eigh(centred.T @ centred)
    axes = axes.flip(1)[:, :2]
    leading = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    explained = variances.flip(0)[:2].clamp(min=0) / variances.sum().clamp(min=1e-300)
    return centred @ (axes * leading.sign()), explained


@contextmanager
def _looking(model: VAE, name: str) -> Iterator[None]:
    """Random numbers, gradients, precision and the model's mode as nobody else sees them."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    try:
        with (
            random_stream("figures", name),
            torch.no_grad(),
            torch.autocast(device.type, enabled=False),
        ):
            yield
    finally:
        model.train(was_training)


def _view(model: VAE, splits: Splits, when: str, settings: FigureSettings) -> _View:
    subset, split = (splits.test, "test") if splits.test else (splits.val, "validation")
    device = next(model.parameters()).device
    chosen = torch.randperm(len(subset))[:NUM_SCATTER]
    q_z = model.encode(subset.take(chosen[:BATCH].to(device)))
    prior = model.prior()
    use, measure = _use(q_z, prior)
    centre, spread, whose = prior.mean, prior.stddev, "prior"
    if not model.posterior.has_density:  # nothing need have drawn an autoencoder to its prior
        centre, spread, whose = q_z.mean.mean(0), q_z.mean.std(0), "codes"
    position = int(chosen[0]) if settings.image is None else settings.image
    require(
        0 <= position < len(subset),
        f"figures' image expects a position in the {len(subset):,} {split} images, 0 to "
        f"{len(subset) - 1}, got {position}.",
    )
    return _View(
        model=model,
        splits=splits,
        subset=subset,
        split=split,
        when=when,
        settings=settings,
        chosen=chosen,
        means=q_z.mean,
        use=use,
        measure=measure,
        centre=centre,
        spread=spread,
        whose=whose,
        start=model.encode(subset.take(torch.tensor([position], device=device))).mean[0],
        start_name=f"the posterior mean of {split} image {position}",
    )


def _use(q_z: Distribution, p_z: Distribution) -> tuple[Tensor, str]:
    """How much each latent tells of some images, (L,), and what was measured, one of ORDERED."""
    kl = kl_per_latent(q_z, p_z)
    if kl is None:
        return q_z.mean.var(0, correction=0).cpu(), "variance"
    return kl.mean(0).cpu(), "KL"


def _reconstructions(view: _View) -> "Figure":
    x = view.subset.take(view.chosen[: view.settings.num_images].to(view.start.device))
    caption = f"{view.split.capitalize()} images and their reconstructions, {view.when}"
    return figures.reconstructions(x, view.model.reconstruct(x), caption)


def _samples(view: _View) -> "Figure":
    caption = f"Means of p(x|z) for {NUM_SAMPLES} draws of z from the prior, {view.when}"
    return figures.samples(view.model.sample(NUM_SAMPLES), 8, caption)


def _traversals(view: _View, start: Tensor, name: str) -> "Figure":
    reach = view.settings.traversal_range
    values = torch.linspace(-reach, reach, view.settings.num_values)
    caption = (
        f"One latent a row, set to the value below (standard deviations of the "
        f"{view.whose}), the others at {name}; {ORDERED[view.measure]}, {view.when}"
    )
    images, names = _traversed(view, start, values)
    return figures.traversals(images, names, values.tolist(), caption)


def _animated(view: _View, start: Tensor, name: str) -> Animation:
    # A cosine: fastest at the centre, and it turns round at the ends without a jerk.
    values = -view.settings.traversal_range * torch.linspace(0, torch.pi, NUM_MOMENTS).cos()
    caption = (
        f"One latent a picture, moving as the slider says (standard deviations of the "
        f"{view.whose}), the others at {name}; {ORDERED[view.measure]}, {view.when}"
    )
    images, names = _traversed(view, start, values)
    return figures.animated_traversals(images, names, values.tolist(), caption)


def _traversed(view: _View, start: Tensor, values: Tensor) -> tuple[Tensor, list[str]]:
    """Images (latents, values, C, H, W), decoded a latent at a time, and the latents' names."""
    moved = view.centre[:, None] + view.spread[:, None] * values.to(start.device)
    rows = [view.model.traverse(start, [latent], moved[[latent]]) for latent in view.latents]
    names = latent_names(view.model.latent_dim)
    return torch.cat(rows), [f"{names[i]}, {view.measure} {view.use[i]:.2f}" for i in view.latents]


def _at_image(draw: Callable) -> Callable:
    return lambda view: draw(view, view.start, view.start_name)


def _at_prior(draw: Callable) -> Callable:
    names = {"prior": "the prior mean", "codes": "the mean of the codes"}
    return lambda view: draw(view, view.centre, names[view.whose])


def _manifold(view: _View) -> "Figure":
    quantiles = torch.special.ndtri((torch.arange(NUM_MANIFOLD) + 0.5) / NUM_MANIFOLD)
    grid = torch.stack(torch.meshgrid(quantiles, quantiles, indexing="xy"), dim=-1)
    z = view.centre + view.spread * grid.flatten(0, 1).to(view.start.device)
    images = view.model.decode(z).mean.unflatten(0, (NUM_MANIFOLD, NUM_MANIFOLD))
    normal = "the standard normal"
    if bool((view.centre != 0).any() or (view.spread != 1).any()):
        normal = f"a normal with the mean and deviation of the {view.whose}, in units of these"
    caption = f"Means of p(x|z) on a grid of quantiles of {normal}, {view.when}"
    return figures.manifold(images, quantiles.tolist(), caption)


def _latent_scatter(view: _View) -> "Figure":
    rest = view.chosen[BATCH:].to(view.start.device)
    others = [view.model.encode(view.subset.take(part)).mean for part in rest.split(BATCH)]
    z = torch.cat([view.means, *others]).cpu()
    where, axis_names = "", ("$z_1$", "$z_2$")
    if view.model.latent_dim > 2:
        z, explained = principal_components(z)
        first, second = (100 * explained).tolist()
        axis_names = f"PC 1 ({first:.0f} %)", f"PC 2 ({second:.0f} %)"
        where = " on their first two principal components (variance explained)"
    caption = f"Means of q(z|x) of {len(z):,} {view.split} images{where}"
    values = _factor_values(view)
    if values:
        caption += f", coloured by each factor, {view.when}"
        return figures.factor_scatters(z, values, caption, axis_names=axis_names)
    labels = None if view.subset.labels is None else view.subset.labels[view.chosen]
    caption += f"{'' if labels is None else ', coloured by label'}, {view.when}"
    return figures.latent_scatter(z, labels, caption=caption, axis_names=axis_names)


def _factor_values(view: _View) -> dict[str, Tensor]:
    """What the chosen images show: name -> values, of the factors that vary among them."""
    space, index = view.splits.factors, view.subset.index
    if space is None:
        return {}
    numbers = view.chosen if index is None else index.cpu()[view.chosen]
    columns = space.unravel(numbers).unbind(-1)
    return {n: v for n, v in zip(space.names, columns, strict=True) if len(v.unique()) > 1}


PICTURES: dict[str, Callable[[_View], "Figure | Animation"]] = {
    "reconstructions": _reconstructions,
    "samples": _samples,
    "traversals": _at_image(_traversals),
    "traversals_prior": _at_prior(_traversals),
    "manifold": _manifold,
    "latent_scatter": _latent_scatter,
    "traversals_animated": _at_image(_animated),
    "traversals_prior_animated": _at_prior(_animated),
}
