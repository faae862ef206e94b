"""Figures of a model; drawn while it trains, and later from its run folder."""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vaelab import figures
from vaelab.data.images import Splits
from vaelab.distributions import states
from vaelab.figures import Animation
from vaelab.models import VAE
from vaelab.visualize.autoencoders import draw_pca_manifold
from vaelab.visualize.classes import (
    draw_analogies,
    draw_class_grid,
    draw_manifolds,
    draw_samples_of_classes,
    quantile_grid,
)
from vaelab.visualize.context import (
    BATCH_SIZE,
    ORDERED_BY,
    FigureContext,
    FigureSettings,
    evaluation_mode,
    label_latents,
    prepare_context,
)
from vaelab.visualize.posteriors import (
    draw_interpolations,
    draw_posterior_samples,
    draw_posteriors,
)
from vaelab.visualize.projection import principal_components

if TYPE_CHECKING:
    from vaelab.figures import Figure

NUM_SAMPLES = 64
MANIFOLD_SIDE = 16  # images
NUM_COMPONENTS = 100  # of a mixture
NUM_MOMENTS = 24  # of an animation, one way


def draw_model_figures(
    model: VAE,
    splits: Splits,
    when: str,
    settings: FigureSettings | None = None,
    names: Collection[str] | None = None,
) -> Iterator[tuple[str, "Figure | Animation"]]:
    """Name and figure of everything there is to see of a model, one after the other.

    Images are those of test, else of val. Random numbers come from their own streams and are the
    same at each call, so that figures of different steps show the same images. Drawing changes
    nothing else: the model's mode is restored, and no gradients are recorded.

    Args:
        model: on any device.
        splits: on the same device.
        when: end of every caption, such as "step 2,500".
        settings: what figures show.
        names: only these of `figure_names`.

    Raises:
        UserError: settings.image is no position in the evaluation set.
    """
    chosen = [n for n in figure_names(model) if names is None or n in names]
    if not chosen:
        return
    with evaluation_mode(model, "images"):
        context = prepare_context(model, splits, when, settings or FigureSettings())
    for name in chosen:
        with evaluation_mode(model, name):
            figure = FIGURES[name](context)
        yield name, figure


def figure_names(model: VAE) -> list[str]:
    """The figures that this model has."""
    unfit = {"manifold", "manifolds"} if model.latent_dim != 2 else set()
    unfit |= {"latent_scatter"} if model.latent_dim < 2 else set()
    unfit |= {*NEED_DENSITY} if not model.posterior.has_density else {"pca_manifold"}
    unfit |= {"pca_manifold"} if model.latent_dim > 2 or model.num_pixels < 3 else set()
    in_decoder = model.condition is not None and model.condition.decoder
    unfit |= {"analogies"} if not in_decoder else set()
    if not in_decoder and not model.latent_prior.is_conditional:
        unfit |= {*OF_CLASSES}
    if model.posterior.is_discrete:
        return [name for name in DISCRETE if name not in unfit]
    return [name for name in FIGURES if name not in unfit and name not in ONLY_DISCRETE]


def _draw_reconstructions(context: FigureContext) -> "Figure":
    positions = context.positions[: context.settings.num_images]
    x, model = context.take(positions)
    own = ", each given its own class" if context.model.condition else ""
    caption = f"{context.split.capitalize()} images and their reconstructions{own}, {context.when}"
    return figures.plot_reconstructions(x, model.reconstruct(x), caption, context.p_name)


def _draw_samples(context: FigureContext) -> "Figure":
    if context.model.condition:
        return draw_samples_of_classes(context)
    caption = f"Means of p(x|z) for {NUM_SAMPLES} draws of z from the prior, {context.when}"
    return figures.plot_samples(context.model.sample(NUM_SAMPLES), 8, caption)


def _draw_components(context: FigureContext) -> "Figure":
    p_z = context.fixed.prior()
    z = states(p_z)
    weights = p_z.log_prob(z).exp()
    order = weights.argsort(descending=True)[:NUM_COMPONENTS]
    images = context.fixed.decode(z[order]).mean
    shown = f"the {len(order)} largest of " if len(order) < len(z) else ""
    caption = (
        f"Means of {context.p_name} of {shown}{len(z)} components{context.fixed_name}, by weight "
        f"from {weights.max():.3f} down to {weights[order].min():.3f}, {context.when}"
    )
    return figures.plot_samples(images, 10, caption)


def _draw_traversals(context: FigureContext, around: str) -> "Figure":
    reach = context.settings.traversal_range
    values = torch.linspace(-reach, reach, context.settings.num_values)
    images, labels, others = _traverse(context, around, values)
    caption = (
        f"One latent per row, set to the value below (in standard deviations of the "
        f"{context.reference}), {others}"
    )
    return figures.plot_traversals(images, labels, values.tolist(), caption)


def _animate_traversals(context: FigureContext, around: str) -> Animation:
    # A cosine: fastest at the centre, and it turns at the ends without a jerk.
    values = -context.settings.traversal_range * torch.linspace(0, torch.pi, NUM_MOMENTS).cos()
    images, labels, others = _traverse(context, around, values)
    caption = (
        f"One latent per image, set to the value of the slider (in standard deviations of the "
        f"{context.reference}), {others}"
    )
    return figures.animate_traversals(images, labels, values.tolist(), caption)


def _traverse(context: FigureContext, around: str, values: Tensor) -> tuple[Tensor, list[str], str]:
    """Images (latents, values, C, H, W), labels of the latents, and the end of the caption.

    Args:
        context: of the model.
        around: where the other latents stay, "image" or "centre".
        values: in units of context.scale from context.centre.
    """
    at_image = around == "image"
    start = context.start if at_image else context.centre
    moved = context.centre[:, None] + context.scale[:, None] * values.to(start.device)
    rows = [context.fixed.traverse(start, [latent], moved[[latent]]) for latent in context.latents]
    labels = label_latents(context.activity, context.measure)
    where = context.centre_name
    if at_image:
        where = f"the posterior mean of {context.split} image {context.image}"
    if context.model.condition:
        where += f", at fixed y{context.fixed_name.removeprefix(', y')}"
    others = f"the others at {where}; {ORDERED_BY[context.measure]}, {context.when}"
    return torch.cat(rows), [labels[latent] for latent in context.latents], others


def _draw_manifold(context: FigureContext) -> "Figure":
    quantiles, z = quantile_grid(MANIFOLD_SIDE, context.centre, context.scale)
    images = context.fixed.decode(z).mean.unflatten(0, (MANIFOLD_SIDE, MANIFOLD_SIDE))
    normal = "the standard normal"
    if bool((context.centre != 0).any() or (context.scale != 1).any()):
        normal = f"a normal with mean and deviation of the {context.reference}, in units of these"
    caption = (
        f"Means of {context.p_name} on a grid of quantiles of {normal}{context.fixed_name}, "
        f"{context.when}"
    )
    return figures.plot_manifold(images, quantiles.tolist(), caption)


def _draw_latent_scatter(context: FigureContext) -> "Figure":
    means = [context.means]
    for part in context.positions[BATCH_SIZE:].split(BATCH_SIZE):
        x, model = context.take(part)
        means.append(model.encode(x).mean)
    z = torch.cat(means).cpu()
    where, axes = "", dict[str, Any]()
    if context.model.latent_dim > 2:
        z, explained = principal_components(z)
        first, second = (100 * explained).tolist()
        axes = {"axis_names": (f"PC 1 ({first:.0f} %)", f"PC 2 ({second:.0f} %)")}
        where = " on their first two principal components (variance explained)"
    caption = f"Means of {context.q_name} of {len(z):,} {context.split} images{where}"
    if context.model.condition and context.model.condition.encoder:
        caption += ", each given its own class"
    values, note = _factor_values(context), _warn_of_scatter(context)
    if context.splits.factors is not None and values:
        value_names = {name: context.splits.factors.value_names(name) for name in values}
        caption += f", coloured by each factor{note}, {context.when}"
        return figures.plot_factor_scatters(z, values, caption, value_names=value_names, **axes)
    labels = context.subset.labels
    labels = None if labels is None else labels.cpu()[context.positions]
    caption += f"{'' if labels is None else ', coloured by label'}{note}, {context.when}"
    names = context.splits.class_names
    return figures.plot_latent_scatter(z, labels, caption=caption, class_names=names, **axes)


def _warn_of_scatter(context: FigureContext) -> str:
    """What can't be read off means of q(z|x, y), for the caption."""
    if context.model.condition is None or not context.model.condition.encoder:
        return ""
    if context.model.latent_prior.is_conditional:
        return "; means of different classes are not comparable, as p(z|y) is learned"
    return "; one place means other images for each class, as the decoder is given y, too"


def _factor_values(context: FigureContext) -> dict[str, Tensor]:
    """name -> (N,) values of the factors that vary among the images at `context.positions`."""
    space, index = context.splits.factors, context.subset.index
    if space is None:
        return {}
    numbers = context.positions if index is None else index.cpu()[context.positions]
    columns = space.unravel(numbers).unbind(-1)
    return {n: v for n, v in zip(space.names, columns, strict=True) if len(v.unique()) > 1}


FIGURES: dict[str, Callable[[FigureContext], "Figure | Animation"]] = {
    "reconstructions": _draw_reconstructions,
    "samples": _draw_samples,
    "components": _draw_components,
    "traversals": partial(_draw_traversals, around="image"),
    "traversals_prior": partial(_draw_traversals, around="centre"),
    "manifold": _draw_manifold,
    "latent_scatter": _draw_latent_scatter,
    "posteriors": draw_posteriors,
    "posterior_samples": draw_posterior_samples,
    "interpolations": draw_interpolations,
    "pca_manifold": draw_pca_manifold,
    "class_grid": draw_class_grid,
    "analogies": draw_analogies,
    "manifolds": draw_manifolds,
    "traversals_animated": partial(_animate_traversals, around="image"),
    "traversals_prior_animated": partial(_animate_traversals, around="centre"),
}
NEED_DENSITY = ("posteriors", "posterior_samples")
ONLY_DISCRETE = ("components",)
OF_CLASSES = ("class_grid", "analogies", "manifolds")  # those of a conditional model
# Those of a z that can't be traversed:
DISCRETE = ("reconstructions", "samples", *ONLY_DISCRETE, "class_grid", "analogies")
