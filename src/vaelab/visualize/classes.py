"""What a conditional model makes of its classes: the same z given each y."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaelab import figures
from vaelab.distributions import point_of
from vaelab.seeding import random_stream
from vaelab.visualize.context import MANY_CLASSES, FigureContext, class_numbers

if TYPE_CHECKING:
    from vaelab.figures import Figure

NUM_DRAWS = 10  # of z
NUM_SAMPLES = 64  # of images, where each has a class of its own
NUM_IMAGES = 10
SIDE = 8  # images of a manifold in a panel


def draw_class_grid(context: FigureContext) -> "Figure":
    """Classes in rows, and in each column the same draw of z, decoded given each class.

    Where the prior is a p(z|y), a column has the same noise eps, and z = mu(y) + sigma(y) eps.
    """
    rows = []
    for y in context.shown_classes.to(context.device):
        model = context.model.given(y[None])
        with random_stream("figures", "class_grid", "z"):
            z = model.sample_prior(NUM_DRAWS, 1)
        rows.append(model.decode(z).mean[:, 0])
    drawn = "the same draws of z from the prior"
    if context.model.latent_prior.is_conditional:
        drawn = "the same noise, by which z is drawn from the p(z|y) of its row"
    caption = (
        f"Means of {context.p_name}: a class y per row{_say_choice(context)}, and in the columns "
        f"{drawn}, {context.when}"
    )
    return figures.plot_rows(
        torch.stack(rows), _names(context), caption=caption, y_label=context.classes.title
    )


def draw_samples_of_classes(context: FigureContext) -> "Figure":
    """Independent samples: those of a class in a row, or of many classes one drawn per image."""
    model, num = context.model, context.model.num_classes
    if num <= MANY_CLASSES:
        y = torch.arange(num, device=context.device)
        images = model.given(y.repeat_interleave(NUM_DRAWS)).sample(num * NUM_DRAWS)
        caption = (
            f"Means of {context.p_name} for draws of z from {context.prior_name}, a class y per "
            f"row, {context.when}"
        )
        rows = images.unflatten(0, (num, NUM_DRAWS))
        return figures.plot_rows(
            rows, _names(context), caption=caption, y_label=context.classes.title
        )
    assert model.condition is not None
    y = torch.multinomial(model.condition.log_prior.exp(), NUM_SAMPLES, replacement=True)
    caption = (
        f"Means of {context.p_name} for {NUM_SAMPLES} draws of y ({context.classes.title}) from "
        f"p(y) and of z from {context.prior_name}, {context.when}"
    )
    return figures.plot_samples(model.given(y).sample(NUM_SAMPLES), 8, caption)


def draw_analogies(context: FigureContext) -> "Figure":
    """Images in rows: each as it is, reconstructed, and with its z decoded given every class."""
    positions = choose_of_classes(context)
    x, own = context.take(positions)
    z = point_of(own.encode(x))
    y = class_numbers(context.splits, positions)
    shown = context.shown_classes
    every = context.model.given(shown[:, None].to(context.device))
    decoded = every.decode(z).mean.transpose(0, 1)
    point = "mode" if context.model.posterior.is_discrete else "mean"
    caption = (
        f"{context.split.capitalize()} images, their reconstructions, and the {point} z of "
        f"{context.q_name} decoded given each class{_say_choice(context)}; framed: the own "
        f"class of the image, {context.when}"
    )
    own_columns = (y[:, None] == shown).int().argmax(1).tolist()
    return figures.plot_analogies(
        x,
        own.decode(z).mean,
        decoded,
        own_columns,
        _names(context),
        context.classes.title,
        caption,
    )


def choose_of_classes(context: FigureContext) -> Tensor:
    """Positions of evaluation images of the classes shown, as many of each, in order of classes."""
    y = class_numbers(context.splits, context.positions)
    of_class = {c: context.positions[y == c] for c in context.shown_classes.tolist()}
    num_each = -(-NUM_IMAGES // len(of_class))
    turns = [(turn, c) for turn in range(num_each) for c, p in of_class.items() if turn < len(p)]
    most = max(NUM_IMAGES, len(of_class))
    chosen = sorted(turns[:most], key=lambda one: one[::-1])
    return torch.stack([of_class[c][turn] for turn, c in chosen])


def draw_manifolds(context: FigureContext) -> "Figure":
    """The plane of both latents, decoded given each class, in panels."""
    panels = []
    for y in context.shown_classes.to(context.device):
        model, centre, scale = context.model.given(y[None]), context.centre, context.scale
        if context.model.posterior.has_density:
            prior = model.prior()
            centre, scale = prior.mean.view_as(centre), prior.stddev.view_as(scale)
        quantiles, z = quantile_grid(SIDE, centre, scale)
        panels.append(model.decode(z).mean.unflatten(0, (SIDE, SIDE)))
    normal = "the prior" if context.model.posterior.has_density else "a normal like the codes"
    caption = (
        f"Means of {context.p_name} given each class y{_say_choice(context)}, each on the same "
        f"grid of quantiles of {normal}: $z_0$ to the right and $z_1$ upwards, from "
        f"{quantiles[0]:.2f} to {quantiles[-1]:.2f} standard deviations, {context.when}"
    )
    names = [context.classes.name(y) for y in context.shown_classes.tolist()]
    return figures.plot_manifolds(torch.stack(panels), names, caption)


def quantile_grid(side: int, centre: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Quantiles (side,) of the standard normal, and pairs (side^2, 2) of them, scaled and moved.

    z_0 varies fastest.
    """
    quantiles = torch.special.ndtri((torch.arange(side) + 0.5) / side)
    grid = torch.stack(torch.meshgrid(quantiles, quantiles, indexing="xy"), dim=-1)
    return quantiles, centre + scale * grid.flatten(0, 1).to(centre.device)


def _names(context: FigureContext) -> list[str]:
    return [context.classes.short_name(y) for y in context.shown_classes.tolist()]


def _say_choice(context: FigureContext) -> str:
    """Which classes are shown, for the caption; nothing where all are."""
    num, total = len(context.shown_classes), context.model.num_classes
    return "" if num == total else f" ({num} of {total:,}, chosen at random)"
