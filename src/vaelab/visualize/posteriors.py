"""What q(z|x) of single images is: its densities, its samples, and the way from one to another."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily, MultivariateNormal

from vaelab import figures
from vaelab.distributions import is_diagonal_normal
from vaelab.figures import Curve
from vaelab.visualize.context import (
    ORDERED_BY,
    FigureContext,
    class_numbers,
    given_classes,
    label_latents,
)

if TYPE_CHECKING:
    from vaelab.figures import Figure

NUM_IMAGES = 4
NUM_LATENTS = 6  # with a panel each
NUM_DRAWS = 8  # of z for one image
NUM_PAIRS = 3  # between which to interpolate
NUM_HISTOGRAM, NUM_BINS = 20_000, 80  # samples and bins of a density without a closed form
REACH, NUM_POINTS, MAX_POINTS = 4.5, 181, 2_000  # of a density: deviations to each side, points
MIN_ANGLE = 1e-6  # radians from 0 or pi, where no great circle is defined


def draw_posteriors(context: FigureContext) -> "Figure":
    """The densities of q(z_j|x) of a few images over the prior's, for the most active latents.

    Where the prior is a p(z|y), the images are of one class.
    """
    positions = context.positions
    if context.model.latent_prior.is_conditional:
        y = class_numbers(context.splits, positions)
        positions = positions[y == class_numbers(context.splits, context.image)]
    x, model = context.take(positions[:NUM_IMAGES])
    latents = context.latents[:NUM_LATENTS]
    p_z, q_z = context.fixed.prior(), model.encode(x)
    (prior,) = marginal_curves(p_z, latents)
    by_image = marginal_curves(q_z, latents)
    names = label_latents(context.activity, context.measure)
    shown = f"the {len(latents)} most active of the {context.model.latent_dim} latents"
    if len(latents) == context.model.latent_dim:
        shown = "every latent"
    q_name, p_name = context.q_name, context.prior_name
    sampled = [name for name, d in ((p_name, p_z), (q_name, q_z)) if normals_of(d) is None]
    histogram = f"; {' and '.join(sampled)} as histograms of {NUM_HISTOGRAM:,} samples"
    given = ", each given its own class" if context.model.condition else ""
    if context.model.latent_prior.is_conditional:
        given = context.fixed_name
    caption = (
        f"Densities of {q_name.replace('z|', 'z_j|')} of {len(x)} {context.split} images{given} "
        f"(lines) over the prior {p_name.replace('z', 'z_j')} (grey), for {shown}, "
        f"{ORDERED_BY[context.measure]}{histogram if sampled else ''}, {context.when}"
    )
    posteriors = [list(of_latent) for of_latent in zip(*by_image, strict=True)]
    return figures.plot_posteriors(prior, posteriors, x, [names[i] for i in latents], caption)


def draw_posterior_samples(context: FigureContext) -> "Figure":
    """An image per row, and beside it the decodings of several samples of its q(z|x)."""
    x, model = context.take(context.positions[:NUM_IMAGES])
    z = model.encode(x).sample((NUM_DRAWS,))
    images = torch.cat([x[:, None], model.decode(z).mean.transpose(0, 1)], 1)
    own = ", given its own class" if context.model.condition else ""
    caption = (
        f"{context.split.capitalize()} images and beside each the means of {context.p_name} for "
        f"{NUM_DRAWS} draws of z from its {context.q_name}{own}, {context.when}"
    )
    columns = {0: "data"} | {i: str(i) for i in range(1, NUM_DRAWS + 1)}
    return figures.plot_rows(images, [""] * len(x), columns, caption)


def draw_interpolations(context: FigureContext) -> "Figure":
    """The decoded ways from one image to another, straight and spherical in turn.

    Those of a conditional model are of one class, given which the way is decoded.
    """
    positions = _choose_pairs(context)
    x, model = context.take(positions)
    z = model.encode(x).mean
    given = given_classes(context.model, context.splits, positions[0::2])
    fractions = torch.linspace(0, 1, context.settings.num_values)
    ways = {"straight": lerp(z[0::2], z[1::2], fractions)}
    around = ""
    if context.model.latent_dim > 1:
        ways["spherical"] = slerp(z[0::2], z[1::2], fractions, context.centre)
        around = f" and on the great circle around {context.centre_name}"
    rows = torch.stack([given.decode(way).mean.transpose(0, 1) for way in ways.values()], 1)
    ends = x.unflatten(0, (-1, 2))[:, None].expand(-1, len(ways), -1, -1, -1, -1)
    images = torch.cat([ends[:, :, :1], rows, ends[:, :, 1:]], 2).flatten(0, 1)
    codes = "posterior means" if context.model.posterior.has_density else "codes"
    of_class = " of one class, given which they are decoded" if context.model.condition else ""
    caption = (
        f"Means of {context.p_name} on the way between the {codes} of two {context.split} "
        f"images{of_class}, which are shown at both ends: on a straight line{around}; below, the "
        f"fraction of the way, {context.when}"
    )
    columns = {0: "data", len(fractions) + 1: "data"}
    columns |= {i: f"{fraction:.2g}" for i, fraction in enumerate(fractions.tolist(), 1)}
    return figures.plot_rows(images, [*ways] * len(ends), columns, caption)


def _choose_pairs(context: FigureContext) -> Tensor:
    """Positions of NUM_PAIRS pairs of evaluation images, one after the other; fewer if need be.

    Of a conditional model both images of a pair are of one class, and pairs of different ones.
    """
    positions = context.positions
    if context.model.condition is not None:
        y = class_numbers(context.splits, positions)
        of_class = [positions[y == c][:2] for c in dict.fromkeys(y.tolist())]
        pairs = [pair for pair in of_class if len(pair) == 2][:NUM_PAIRS]
        positions = torch.cat(pairs) if pairs else positions[:1]
    positions = positions[: 2 * NUM_PAIRS]
    if len(positions) % 2:
        positions = positions[:-1] if len(positions) > 1 else positions.repeat(2)
    return positions


def lerp(start: Tensor, end: Tensor, fractions: Tensor) -> Tensor:
    """The points (1 - t) start + t end: (B, L), (B, L) and T fractions t -> (T, B, L)."""
    t = fractions.to(start)[:, None, None]
    return (1 - t) * start + t * end


def slerp(start: Tensor, end: Tensor, fractions: Tensor, centre: Tensor | float = 0.0) -> Tensor:
    """The points c + [sin((1 - t) w) (a - c) + sin(t w) (b - c)] / sin w from a to b.

    w is the angle between a - c and b - c. Where both are equally long, so are all points: they
    lie on the arc of a great circle. Otherwise the length changes on the way. Where w is 0 or pi
    the circle is not defined, and the points are those of `lerp`.

    Shoemake 1985, "Animating rotation with quaternion curves",
    https://doi.org/10.1145/325334.325242; for latents: White 2016, "Sampling generative networks",
    https://arxiv.org/abs/1609.04468.

    Args:
        start: a (B, L).
        end: b (B, L).
        fractions: t (T,), from 0 to 1.
        centre: c (L,).

    Returns:
        (T, B, L), in the precision of `start`.
    """
    a, b = (start - centre).double(), (end - centre).double()
    t = fractions.to(a)[:, None, None]
    # From the chord and the diagonal of the unit vectors: accurate at every angle, as acos is not.
    u, v = (p / p.norm(dim=-1, keepdim=True).clamp(min=1e-300) for p in (a, b))
    w = 2 * torch.atan2((u - v).norm(dim=-1, keepdim=True), (u + v).norm(dim=-1, keepdim=True))
    on_circle = (w > MIN_ANGLE) & (w < math.pi - MIN_ANGLE)
    sine = torch.where(on_circle, w.sin(), 1.0)
    arc = (((1 - t) * w).sin() * a + (t * w).sin() * b) / sine
    return (centre + torch.where(on_circle, arc, lerp(a, b, fractions))).to(start)


def marginal_curves(distribution: Distribution, latents: Sequence[int]) -> list[list[Curve]]:
    """The density of single latents of each distribution of a batch, as points of a curve.

    In closed form for normals, correlated or not, and for mixtures of these, else the histogram
    of NUM_HISTOGRAM samples.

    Args:
        distribution: batch (B,) or (), event (L,).
        latents: their numbers.

    Returns:
        for each of the B (or the one), for each of these latents, its values and densities.
    """
    normals = normals_of(distribution)
    if normals is None:
        z = distribution.sample((NUM_HISTOGRAM,)).double().cpu()
        z = z[:, None] if z.ndim == 2 else z
        return [[_histogram(z[:, i, j]) for j in latents] for i in range(z.shape[1])]
    weights, mu, sigma = normals
    return [
        [_mixture_density(w, m[:, j], s[:, j]) for j in latents]
        for w, m, s in zip(weights, mu, sigma, strict=True)
    ]


def normals_of(distribution: Distribution) -> tuple[Tensor, Tensor, Tensor] | None:
    """The weights (B, K), means and standard deviations (B, K, L) of a mixture of normals.

    A single normal is one with K = 1; None for any other distribution. For batch (), B = 1.
    """
    parts, weights = distribution, None
    if isinstance(distribution, MixtureSameFamily):
        parts, weights = (
            distribution.component_distribution,
            distribution.mixture_distribution.probs,
        )
    if not (is_diagonal_normal(parts) or isinstance(parts, MultivariateNormal)):
        return None
    mu, sigma = (m.double().cpu() for m in (parts.mean, parts.stddev))
    if weights is None:
        mu, sigma = mu.unsqueeze(-2), sigma.unsqueeze(-2)
    w = mu.new_ones(mu.shape[:-1]) if weights is None else weights.double().cpu()
    return (w[None], mu[None], sigma[None]) if mu.ndim == 2 else (w, mu, sigma)


def _mixture_density(weights: Tensor, mu: Tensor, sigma: Tensor) -> Curve:
    """sum_k w_k N(z; mu_k, sigma_k^2), all (K,), at points that are densest where it is narrow."""
    steps = torch.linspace(-REACH, REACH, NUM_POINTS, dtype=mu.dtype)
    z = (mu[:, None] + sigma[:, None] * steps).flatten().sort().values
    z = z[torch.linspace(0, len(z) - 1, min(len(z), MAX_POINTS)).round().long()]
    log_density = torch.distributions.Normal(mu, sigma).log_prob(z[:, None])
    return z.numpy(), (weights * log_density.exp()).sum(1).numpy()


def _histogram(z: Tensor) -> Curve:
    """The histogram of (N,) samples, as a stair of area 1."""
    density, edges = np.histogram(z.numpy(), NUM_BINS, density=True)
    return edges.repeat(2), np.concatenate([[0.0], density.repeat(2), [0.0]])
