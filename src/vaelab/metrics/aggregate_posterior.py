"""The aggregate posterior q(z) = 1/N sum_n q(z|x_n) of diagonal normals: samples, densities."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from vaelab.distributions import is_diagonal_normal
from vaelab.errors import require, require_range
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.factor_dataset import Rows, require_codes

Floats = NDArray[np.floating]

SAMPLES, COMPONENTS = 256, 2048  # evaluated at once: the table fits a core's cache
SPACING = 1 / 16  # of the grid, in units of sigma and of log sigma
MAX_NODES = 8  # per normal: most nodes stay empty, but they take memory
LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def require_normals(mean: ArrayLike, std: ArrayLike) -> tuple[Floats, Floats]:
    """Mean and std (N, L) of N diagonal normals.

    Raises:
        UserError: shapes that differ, a std that is not positive, or a number that is not finite.
    """
    mu, sigma = require_codes(mean), require_codes(std)
    require(
        mu.shape == sigma.shape and bool((sigma > 0).all()),
        f"mean and std expect one shape (N, L) and std > 0, got {mu.shape} and {sigma.shape} with "
        f"a smallest std of {sigma.min():g}; give standard deviations.",
    )
    return mu, sigma


def encode_normals(
    encoded: EncodedDataset, num_images: int | None, rng: np.random.Generator
) -> tuple[Rows, Floats, Floats]:
    """(rows, mean, std) of q(z|x) for num_images of all images (None: all of them).

    Raises:
        UserError: the posterior is not a diagonal normal, or num_images is out of range.
    """
    total = len(encoded.images)
    if num_images is not None:
        require_range("num_images", num_images, at_least=2, integer=True, example=1000)
    num = total if num_images is None else min(num_images, total)
    rows: Rows = np.arange(total) if num == total else np.sort(rng.permutation(total)[:num])
    q_z = encoded.posterior(rows)
    require(
        is_diagonal_normal(q_z),
        f"the aggregate posterior expects diagonal normals q(z|x), got {type(q_z).__name__}; use "
        "a Gaussian posterior, or leave this metric out.",
    )
    return rows, q_z.mean.cpu().numpy(), q_z.stddev.cpu().numpy()


def sample_aggregate(
    mean: Floats, std: Floats, num_samples: int, rng: np.random.Generator
) -> tuple[Rows, Floats]:
    """Images (M,) and z ~ q(z|x) of each (M, L), so that z ~ q(z).

    One image comes from each of M equal stretches of the N, which spreads the samples evenly over a
    grid of factors; each image is as likely as any other.
    """
    place = (np.arange(num_samples) + rng.random(num_samples)) / num_samples
    rows = np.minimum((place * len(mean)).astype(np.int64), len(mean) - 1)
    return rows, mean[rows] + std[rows] * rng.standard_normal((num_samples, mean.shape[1]))


def map_in_threads(function: Callable[[int], NDArray], num: int) -> list[NDArray]:
    """function(i) for i < num, on as many threads as torch has, each using a single core.

    The operations are small. Spread over threads by torch they would synchronise at every single
    one, which is up to a hundred times slower where other programs use the cores as well.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(num_threads) as pool:
            return list(pool.map(function, range(num)))
    finally:
        torch.set_num_threads(num_threads)


def log_joint(z: Floats, mean: Floats, std: Floats) -> NDArray[np.float64]:
    """log q(z) in nats, exact over all N: z (M, L), mean and std (N, L) -> (M,)."""
    origin = mean.mean(0, dtype=np.float64)  # near it the expanded square loses no digits
    points = torch.from_numpy(np.ascontiguousarray(z - origin, dtype=np.float64))
    points = torch.cat([points.square(), points, torch.ones(len(points), 1).double()], 1)
    weights = []
    for start in range(0, len(mean), COMPONENTS):
        mu = torch.from_numpy(mean[start : start + COMPONENTS] - origin)
        sigma = torch.from_numpy(std[start : start + COMPONENTS]).double()
        precision = sigma.square().reciprocal()
        constant = (-0.5 * mu.square() * precision - sigma.log() - LOG_SQRT_2PI).sum(1)
        weights.append(torch.cat([-0.5 * precision, mu * precision, constant[:, None]], 1).T)
    parts = points.split(SAMPLES)

    def total(i: int) -> NDArray[np.float64]:
        log_sum = torch.full((len(parts[i]),), -torch.inf, dtype=torch.float64)
        for some in weights:
            log_sum = torch.logaddexp(log_sum, (parts[i] @ some).logsumexp(1))
        return log_sum.numpy()

    return np.concatenate(map_in_threads(total, len(parts))) - math.log(len(mean))


def log_marginal(
    z: Floats, mean: Floats, std: Floats, weight: Floats | None = None
) -> NDArray[np.float64]:
    """log q(z_j) of one latent in nats, over all N: z (M,), mean and std (N,) -> (M,).

    weight: (N,) of the components, summing to one; 1/N each where None. Sums of 2,048 components
    are in float32: a relative error near 1e-6. z must be within 13 sigma of a component.
    """
    weight = np.full(len(mean), 1 / len(mean)) if weight is None else weight
    height = torch.from_numpy(weight / std).float()
    points, mu = torch.from_numpy(z).float()[:, None], torch.from_numpy(mean).float()
    scale = torch.from_numpy(math.sqrt(0.5) / std).float()
    density = torch.zeros(len(z), dtype=torch.float64)
    for first in range(0, len(z), SAMPLES):
        some = points[first : first + SAMPLES]
        table = torch.empty(len(some), min(COMPONENTS, len(mean)))
        for start in range(0, len(mean), COMPONENTS):
            part = slice(start, start + COMPONENTS)
            kernel = table[:, : len(mu[part])]
            torch.sub(some, mu[part], out=kernel).mul_(scale[part]).square_().neg_().exp_()
            density[first : first + SAMPLES] += kernel @ height[part]
    return density.log().numpy() - LOG_SQRT_2PI


def coarsen(mean: Floats, std: Floats) -> tuple[Floats, Floats, Floats]:
    """A mixture (mean, std, weight) of fewer normals, with nearly the density of N in one latent.

    Each normal is shared between the two nearest classes of log sigma, and in each between the two
    nearest means of a grid, in the proportions of linear interpolation. With a grid spacing of
    h = 1/16, in units of sigma and log sigma, the density changes by at most 2.2 h^2 / 8 = 0.0011
    times the average height of the N normals (the error of linear interpolation, h^2 max|f''| / 8),
    and typically by a tenth of that. Where the mixture would not be smaller, the N are returned.
    """
    log_class = np.log(std.astype(np.float64)) / SPACING
    low = int(np.floor(log_class.min()))
    num_classes = int(np.floor(log_class.max())) + 2 - low
    steps = SPACING * np.exp((low + np.arange(num_classes)) * SPACING)
    left = np.floor(mean.min() / steps).astype(np.int64)
    widths = np.floor(mean.max() / steps).astype(np.int64) + 2 - left
    unchanged = mean, std, np.full(len(mean), 1 / len(mean))
    if widths.sum() > MAX_NODES * len(mean):
        return unchanged
    starts = np.cumsum(widths) - widths
    weight = np.zeros(widths.sum())
    first_class = np.floor(log_class).astype(np.int64) - low
    upper_class = log_class - low - first_class
    for which, share in ((first_class, 1 - upper_class), (first_class + 1, upper_class)):
        position = mean / steps[which]
        below = np.floor(position).astype(np.int64)
        upper, place = position - below, starts[which] + below - left[which]
        weight += np.bincount(place, share * (1 - upper), len(weight))
        weight += np.bincount(place + 1, share * upper, len(weight))
    used = np.flatnonzero(weight)
    if len(used) >= len(mean):
        return unchanged
    which = np.searchsorted(starts, used, side="right") - 1
    nodes = (used - starts[which] + left[which]) * steps[which]
    return nodes, steps[which] / SPACING, weight[used] / len(mean)
