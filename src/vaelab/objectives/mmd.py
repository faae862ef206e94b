"""Maximum mean discrepancy of the aggregate posterior q(z) and the prior, from samples."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributed import all_gather_batch, split_over_processes
from vaelab.errors import nearest, require
from vaelab.models.vae import VAE


def imq(r: Tensor) -> Tensor:
    """1 / (1 + r), the inverse multiquadratic."""
    return 1 / (1 + r)


def rbf(r: Tensor) -> Tensor:
    """exp(-r), the Gaussian."""
    return (-r).exp()


SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # Tolstikhin et al. 2018
SHAPES = {"imq": imq, "rbf": rbf}


class Kernel:
    """k(a, b) = sum_s f(|a - b|^2 / C_s),  C_s = 2 L s,  with L latents and one term a scale s.

        imq, inverse multiquadratic:  f(r) = 1 / (1 + r), so C / (C + |a - b|^2)
        rbf, Gaussian:                f(r) = exp(-r), of bandwidth h = sqrt(L s)

    At s = 1, C is the mean squared distance of two points of N(0, I); for a prior of variance
    sigma^2 multiply the scales by it. Tolstikhin et al. 2018, sec. 4: imq, the sum over the scales
    .1 .2 .5 1 2 5 10.

    Args:
        name: `imq` or `rbf`.
        scales: one number above 0 or several.

    Shapes: (N, L), (M, L) -> (N, M), without unit, in (0, number of scales].
    """

    def __init__(self, name: str, scales: Sequence[float]):
        hint = nearest(name, SHAPES)
        require(
            name in SHAPES,
            f"objective.kernel expects one of {', '.join(SHAPES)}, got {name!r}"
            + (f"; did you mean {hint}?" if hint else "; choose one of them."),
        )
        require(
            len(scales) > 0 and all(scale > 0 for scale in scales),
            f"objective.scales expects numbers above 0, got {list(scales)}; try [1.0].",
        )
        self.shape, self.scales = SHAPES[name], tuple(scales)

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        # Differences, since |a|^2 + |b|^2 - 2ab cancels between near points.
        distance = (a[:, None] - b).square().sum(-1) / (2 * a.shape[-1])
        return torch.stack([self.shape(distance / scale) for scale in self.scales]).sum(0)


def squared_mmd(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    """The unbiased estimate of MMD^2 = E k(a, a') + E k(b, b') - 2 E k(a, b), a scalar.

    A sample is never paired with itself, which leaves N (N - 1) pairs of N; so the estimate is 0
    in the mean for equal distributions, and often negative. Gretton et al. 2012, lemma 6.

    a: (N, L). b: (M, L). N, M >= 2.
    """
    return _mean_of_pairs(kernel(a, a)) + _mean_of_pairs(kernel(b, b)) - 2 * kernel(a, b).mean()


def squared_mmd_to_prior(z: Tensor, p_z: Distribution, kernel: Kernel) -> Tensor:
    """`squared_mmd` of the z of all processes and as many samples of p(z).

    z: (B, L), this process's samples of q(z), one an image.

    Where p(z) has reparameterised samples the gradient reaches its parameters too.

    Raises:
        UserError: the whole batch is a single image.
    """
    z = all_gather_batch(z)
    require(
        len(z) >= 2, f"an MMD expects at least 2 images a batch, got {len(z)}; raise batch_size."
    )
    with split_over_processes(0, 1):  # every process needs all samples and not its rows of them
        draw = p_z.rsample if p_z.has_rsample else p_z.sample
        prior_z = draw(torch.Size([len(z)]))
    return squared_mmd(z, prior_z, kernel)


def require_samples_with_gradient(model: VAE, who: str) -> None:
    """Refuse a prior that learns and has no reparameterised samples: the MMD would not reach it.

    Raises:
        UserError: it is one.
    """
    learns = any(parameter.requires_grad for parameter in model.latent_prior.parameters())
    require(
        not learns or model.prior().has_rsample,
        f"{who} expects a fixed prior or one with reparameterised samples, got "
        f"{type(model.latent_prior).__name__}, which the MMD would not teach; use "
        "prior=standard_normal or prior=flow.",
    )


def _mean_of_pairs(k: Tensor) -> Tensor:
    """The mean of (N, N) without the diagonal."""
    return (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))
