"""What an autoencoder of one or two latents learns beyond PCA."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaelab import figures
from vaelab.visualize.context import FigureContext
from vaelab.visualize.projection import principal_axes

if TYPE_CHECKING:
    from vaelab.figures import Figure

NUM_IMAGES = 1000  # to which PCA is fitted
NUM_POINTS = 400  # of a decoded curve
NUM_LINES = 13  # of a decoded surface, in each direction


def draw_pca_manifold(context: FigureContext) -> "Figure":
    """The decoder's curve or surface beside PCA's line or plane, on the images' principal axes.

    PCA is fitted to the images shown, so no line or plane is closer to them.
    """
    num_latents = context.model.latent_dim
    x = context.subset.take(context.positions[:NUM_IMAGES].to(context.start.device))
    codes = context.model.encode(x).mean
    points = x.flatten(1).double().cpu()
    axes, explained = principal_axes(points, num_latents + 1)
    mean = points.mean(0)
    on_axes = (points - mean) @ axes
    lines = context.model.decode(latent_lines(codes).flatten(0, 1)).mean
    lines = (lines.flatten(1).double().cpu() - mean) @ axes
    ours = (context.model.decode(codes).mean - x).double().square().flatten(1).sum(1).mean()
    kept = on_axes[:, :num_latents].square().sum(1)
    pca = ((points - mean).square().sum(1) - kept).mean()
    latents, shape = ("one latent", "line") if num_latents == 1 else ("two latents", "plane")
    caption = (
        f"{len(x):,} {context.split} images on their principal axes (variance explained), PCA's "
        f"{shape} through them, and what the decoder makes of {latents} within the range of the "
        f"codes; mean squared error per image: autoencoder {ours:.3g}, PCA with {latents} "
        f"{pca:.3g}, {context.when}"
    )
    curves = lines.unflatten(0, (-1, NUM_POINTS))
    return figures.plot_pca_manifold(on_axes.numpy(), curves.numpy(), explained.numpy(), caption)


def latent_lines(codes: Tensor) -> Tensor:
    """Lines that span the range of the codes (N, L): (num_lines, NUM_POINTS, L) for L of 1 or 2.

    One line for one latent; for two a mesh, along each line of which one latent varies.
    """
    low, high = codes.min(0).values, codes.max(0).values
    steps = torch.linspace(0, 1, NUM_POINTS).to(codes)
    if codes.shape[1] == 1:
        return (low + (high - low) * steps[:, None])[None]
    along, across = torch.meshgrid(torch.linspace(0, 1, NUM_LINES).to(codes), steps, indexing="ij")
    mesh = torch.cat([torch.stack([across, along], -1), torch.stack([along, across], -1)])
    return low + (high - low) * mesh
