"""What an autoencoder of one or two latents learns beyond PCA."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaelab import figures
from vaelab.visualize.context import BATCH_SIZE, FigureContext, class_numbers
from vaelab.visualize.projection import principal_axes

if TYPE_CHECKING:
    from vaelab.figures import Figure

NUM_IMAGES = 1000  # to which PCA is fitted
NUM_POINTS = 400  # of a decoded curve
NUM_LINES = 13  # of a decoded surface, in each direction
NEAR = 0.03  # of the range of the codes: beyond it from any code, a surface is not drawn


def draw_pca_manifold(context: FigureContext) -> "Figure":
    """The decoder's curve or surface beside PCA's line or plane, on the images' principal axes.

    PCA is fitted to the images shown, so no line or plane is closer to them. Those of a conditional
    model are of one class, as each class has a surface of its own.
    """
    num_latents, positions, model = context.model.latent_dim, context.positions, context.fixed
    if context.model.condition is not None:
        y = class_numbers(context.splits, positions)
        positions = positions[y == class_numbers(context.splits, context.image)]
    x = context.subset.take(positions[:NUM_IMAGES].to(context.device))
    codes = model.encode(x).mean
    points = x.flatten(1).double().cpu()
    axes, explained = principal_axes(points, num_latents + 1)
    mean = points.mean(0)
    on_axes = (points - mean) @ axes
    z = latent_lines(codes).flatten(0, 1)
    decoded = (model.decode(part).mean for part in z.split(BATCH_SIZE))
    lines = torch.cat([(x_hat.flatten(1).double().cpu() - mean) @ axes for x_hat in decoded])
    if num_latents > 1:  # a decoder may do anything where there are no codes
        lines[~is_near(z, codes).cpu()] = torch.nan
    ours = (model.decode(codes).mean - x).double().square().flatten(1).sum(1).mean()
    kept = on_axes[:, :num_latents].square().sum(1)
    pca = ((points - mean).square().sum(1) - kept).mean()
    latents, shape, where = "one latent", "line", "within the range of the codes"
    if num_latents > 1:
        latents, shape, where = "two latents", "plane", "on a grid near the codes"
    caption = (
        f"{len(x):,} {context.split} images{context.fixed_name} on their principal axes (variance "
        f"explained), PCA's {shape} through them, and what the decoder makes of {latents} {where}; "
        f"mean squared error per image: autoencoder {ours:.3g}, PCA with {latents} {pca:.3g}, "
        f"{context.when}"
    )
    curves = lines.unflatten(0, (-1, NUM_POINTS))
    return figures.plot_pca_manifold(on_axes.numpy(), curves.numpy(), explained.numpy(), caption)


def latent_lines(codes: Tensor) -> Tensor:
    """Lines that span the range of the codes (N, L): (num_lines, NUM_POINTS, L) for L of 1 or 2.

    One line for one latent. For two a mesh: along each line one latent varies, and the other stays
    at a quantile of its codes.
    """
    low, high = codes.min(0).values, codes.max(0).values
    along = low + (high - low) * torch.linspace(0, 1, NUM_POINTS).to(codes)[:, None]
    if codes.shape[1] == 1:
        return along[None]
    fixed = codes.quantile(torch.linspace(0, 1, NUM_LINES).to(codes), dim=0)
    rows = [torch.cartesian_prod(fixed[:, 1 - i], along[:, i]) for i in (0, 1)]
    return torch.cat([rows[0].flip(-1), rows[1]]).unflatten(0, (-1, NUM_POINTS))


def is_near(z: Tensor, codes: Tensor) -> Tensor:
    """Which of the points z (M, L) have a code (N, L) within NEAR of the range of the codes."""
    low, high = codes.min(0).values, codes.max(0).values
    extent = (high - low).clamp(min=1e-30)
    distance = torch.cdist((z - low) / extent, (codes - low) / extent).min(1).values
    return distance <= NEAR
