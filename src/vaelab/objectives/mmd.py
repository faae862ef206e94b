"""Maximum mean discrepancy between the aggregate posterior q(z) and the prior, from samples."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributed import all_gather_batch, split_over_processes
from vaelab.errors import require, require_choice
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective


def imq(r: Tensor) -> Tensor:
    """1 / (1 + r), the inverse multiquadratic."""
    return 1 / (1 + r)


def rbf(r: Tensor) -> Tensor:
    """exp(-r), the Gaussian."""
    return (-r).exp()


SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the code of Tolstikhin et al. 2018
SHAPES = {"imq": imq, "rbf": rbf}


class Kernel:
    """k(a, b) = sum_s f(|a - b|^2 / C_s),  C_s = 2 L s,  with L latents and one term per scale s.

        imq, inverse multiquadratic:  f(r) = 1 / (1 + r), so C / (C + |a - b|^2)
        rbf, Gaussian:                f(r) = exp(-r), with bandwidth h = sqrt(L s)

    At s = 1, C is the mean squared distance of two points of N(0, I); for a prior of variance
    sigma^2 multiply the scales by it.
    Tolstikhin et al. 2018, "Wasserstein auto-encoders", sec. 4, https://arxiv.org/abs/1711.01558:
    imq with C = 2 L sigma^2; the sum over the scales .1 .2 .5 1 2 5 10 is that of their code,
    https://github.com/tolstikhin/wae.

    Shapes: (N, L), (M, L) -> (N, M), without unit, in (0, number of scales].

    Args:
        kernel: `imq` or `rbf`.
        scales: one or more numbers above 0.
    """

    def __init__(self, kernel: str, scales: Sequence[float]):
        require_choice("kernel", kernel, SHAPES)
        require(
            len(scales) > 0 and all(scale > 0 for scale in scales),
            f"scales expects one or more numbers above 0, got {list(scales)}; try [1.0].",
        )
        self.shape, self.scales = SHAPES[kernel], tuple(scales)

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        # Differences, since |a|^2 + |b|^2 - 2ab cancels between near points.
        distance = (a[:, None] - b).square().sum(-1) / (2 * a.shape[-1])
        return torch.stack([self.shape(distance / scale) for scale in self.scales]).sum(0)


def squared_mmd(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    """The unbiased estimate of MMD^2 = E k(a, a') + E k(b, b') - 2 E k(a, b), a scalar.

    A sample is never paired with itself, so N samples have N (N - 1) pairs. For equal distributions
    the estimate has mean 0 and is often negative.
    Gretton et al. 2012, "A kernel two-sample test", lemma 6,
    https://jmlr.org/papers/v13/gretton12a.html.

    a: (N, L). b: (M, L). N, M >= 2.
    """
    return _mean_of_pairs(kernel(a, a)) + _mean_of_pairs(kernel(b, b)) - 2 * kernel(a, b).mean()


def squared_mmd_to_prior(z: Tensor, p_z: Distribution, kernel: Kernel) -> Tensor:
    """`squared_mmd` between the z of all processes and as many samples of p(z).

    z: (B, L), this process's samples of q(z), one per image.

    Where p(z) has reparameterised samples the gradient reaches its parameters too.

    Raises:
        UserError: the batch of all processes is a single image.
    """
    z = all_gather_batch(z)
    require(len(z) >= 2, f"batch_size of an MMD expects at least 2 images, got {len(z)}; try 64.")
    with split_over_processes(0, 1):  # every process needs all samples, not its rows of them
        draw = p_z.rsample if p_z.has_rsample else p_z.sample
        prior_z = draw(torch.Size([len(z)]))
    return squared_mmd(z, prior_z, kernel)


def require_samples_with_gradient(objective: Objective, model: VAE) -> None:
    """Reject a prior that has parameters but no reparameterised samples, or is one per class.

    Raises:
        UserError: the MMD would not reach the parameters of the prior, or the prior has no q(z) of
            all images beside it.
    """
    require(
        not model.latent_prior.is_conditional,
        f"{type(objective).__name__} expects one prior for all images, since its MMD compares it "
        f"with q(z) of the whole batch, got {type(model.latent_prior).__name__}; use "
        "StandardNormal or Flow.",
    )
    learned = any(parameter.requires_grad for parameter in model.latent_prior.parameters())
    require(
        not learned or model.distributions()[1].has_rsample,
        f"{type(objective).__name__} expects a fixed prior or one with reparameterised samples, "
        f"got {type(model.latent_prior).__name__}, which the MMD gives no gradient; use "
        "StandardNormal or Flow.",
    )


def _mean_of_pairs(k: Tensor) -> Tensor:
    """The mean of (N, N) without the diagonal."""
    return (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))
