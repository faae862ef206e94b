"""Annealed importance sampling: log p(x) of a decoder without trusting the encoder."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import effective_sample_size, log_mean_weight
from vaelab.errors import require, require_range
from vaelab.metrics.base import Score
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.per_image import ImagesMetric, decoded_at_once, split_rows
from vaelab.models import VAE
from vaelab.seeding import random_stream

BLOCK = 16  # images annealed together; fixed, because their noise is drawn together
STEEPNESS = 4.0  # delta of the sigmoidal schedule
LEAPFROG_STEPS = 10
TARGET_ACCEPTANCE = 0.65
MAX_STEP_SIZE = 0.5
ADAPTATION = 0.5  # of the log step size, per unit of acceptance


class Annealed(NamedTuple):
    """Log weights (chains, B) in float64 and the acceptance rate of each image (B,)."""

    log_weights: Tensor
    acceptance: Tensor


class Sandwich(NamedTuple):
    """Images x (B, C, H, W) of the model with estimates (B,) from below and above log p(x)."""

    x: Tensor
    lower: Tensor
    upper: Tensor


class Point(NamedTuple):
    """Positions z (chains, B, L) with both log densities (chains, B) and their gradients."""

    z: Tensor
    log_prior: Tensor
    log_likelihood: Tensor
    prior_gradient: Tensor
    likelihood_gradient: Tensor

    def log_density(self, beta: float) -> Tensor:
        return self.log_prior + beta * self.log_likelihood

    def gradient(self, beta: float) -> Tensor:
        return self.prior_gradient + beta * self.likelihood_gradient


def ais_log_likelihood(
    model: VAE, x: Tensor, num_chains: int = 16, num_temperatures: int = 1000, *, seed: int = 0
) -> Tensor:
    """An estimate of log p(x) in nats per image by annealed importance sampling, (B,) in float64.

    Chains go from the prior, through p(z) p(x|z)^beta_t, to the posterior, and collect weights

        log w = sum_t (beta_t - beta_{t-1}) log p(x|z_{t-1}),    log p(x) ~ log mean over chains w

    with a Hamiltonian Monte Carlo transition (10 leapfrog steps, unit mass) at each temperature and
    Wu et al.'s sigmoidal schedule beta_t. E[w] = p(x) exactly, so that the estimate is below
    log p(x) on average, and above it by b nats with probability at most exp(-b). q(z|x) is not
    used. The step size of an image at each temperature is found beforehand by pilot chains, a
    quarter as many, that aim at 65 % acceptance. As these are independent of the chains that count,
    E[w] = p(x) still holds; adapting it on the way, as Wu et al.'s code does, breaks it.

    Neal 2001, "Annealed importance sampling", https://doi.org/10.1023/A:1008923215028; Wu et al.
    2017, "On the quantitative analysis of decoder-based generative models", sec. 3 and 4,
    https://arxiv.org/abs/1611.04273.

    Args:
        model: in evaluation mode, with a p(z) and p(x|z) that have gradients in z.
        x: (B, C, H, W).
        num_chains: independent chains per image.
        num_temperatures: T; each costs 10 decodings and their gradients per chain.
        seed: of all noise, which is drawn for blocks of 16 images: what an image gets depends on
            its block and place, and on how many images the block has.
    """
    blocks = anneal_blocks(model, x, num_chains, num_temperatures, seed)
    return log_mean_weight(torch.cat([block.log_weights for block in blocks], 1).T)


def anneal_blocks(
    model: VAE, x: Tensor, num_chains: int, num_temperatures: int, seed: int
) -> list[Annealed]:
    """`anneal` of BLOCK images at a time."""
    parts = enumerate(zip(model.split(BLOCK, len(x)), x.split(BLOCK), strict=True))
    return [anneal(*part, num_chains, num_temperatures, seed, i) for i, part in parts]


def anneal(
    model: VAE, x: Tensor, num_chains: int, num_temperatures: int, seed: int, number: int
) -> Annealed:
    """Pilot chains, then those that count, on the images (B, C, H, W) of block `number`."""
    betas = sigmoidal_schedule(num_temperatures)
    with (
        random_stream("metrics", "ais", seed, number),
        torch.no_grad(),
        torch.autocast(x.device.type, enabled=False),
    ):
        *_, step_sizes = _run(model, x, max(1, num_chains // 4), betas, None)
        log_weights, acceptance, _ = _run(model, x, num_chains, betas, step_sizes)
    return Annealed(log_weights, acceptance)


@torch.no_grad()
def bidirectional_ais(
    model: VAE,
    num_images: int,
    num_chains: int = 16,
    num_temperatures: int = 1000,
    *,
    seed: int = 0,
) -> Sandwich:
    """Estimates from below and from above of log p(x), on images drawn from the model itself.

    Of x ~ p(x|z) with z ~ p(z), z is an exact sample of p(z|x). Chains that start there and go from
    the posterior to the prior, through the temperatures of `ais_log_likelihood`, have the weights

        log w = sum_t (beta_t - beta_{t-1}) log p(x|z_{t-1}),    E[1 / w] = 1 / p(x)

    so that -log mean over chains 1/w is above log p(x) on average, and below it by b nats with
    probability at most exp(-b). Both have the same pilot chains. The gap bounds the error of AIS on
    images like these, and closes with more temperatures; on other images it need not.

    Grosse et al. 2015, "Sandwiching the marginal likelihood using bidirectional Monte Carlo", sec.
    3 (number not checked), https://arxiv.org/abs/1511.02543.

    Args:
        model: in evaluation mode, with a continuous z.
        num_images: B, drawn here.
        num_chains: chains of an image in each direction; the reversed ones share their start.
        num_temperatures: T; each costs 10 decodings and their gradients per chain.
        seed: of all noise, which is drawn for blocks of 16 images.

    Raises:
        UserError: num_images is below 1, or z is discrete.
    """
    require_range("num_images", num_images, at_least=1, integer=True, example=16)
    require_continuous("bidirectional_ais", model)
    betas, parts = sigmoidal_schedule(num_temperatures), []
    sizes = [len(rows) for rows in torch.arange(num_images).split(BLOCK)]
    device = next(model.parameters()).device
    for number, size in enumerate(sizes):
        with (
            random_stream("metrics", "bidirectional_ais", seed, number),
            torch.autocast(device.type, enabled=False),
        ):
            z = model.sample_prior(size)
            x = model.decode(z).sample()
            *_, step_sizes = _run(model, x, max(1, num_chains // 4), betas, None)
            forward, *_ = _run(model, x, num_chains, betas, step_sizes)
            backward = _run_reversed(model, x, z.expand(num_chains, -1, -1), betas, step_sizes)
        parts.append(Sandwich(x, log_mean_weight(forward.T), -log_mean_weight(-backward.T)))
    return Sandwich(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def require_continuous(who: str, model: VAE) -> None:
    """Require latents in which log p(x, z) has a gradient, on behalf of `who`.

    Raises:
        UserError: z is discrete.
    """
    require(
        not model.posterior.is_discrete,
        f"{who} expects a continuous z, got the posterior {type(model.posterior).__name__}, which "
        "is discrete; use the metric inference_gap, whose log p(x) is then exact.",
    )


def sigmoidal_schedule(num_temperatures: int) -> list[float]:
    """beta_0 = 0 .. beta_T = 1, slow at both ends: sigmoid(4 (2t/T - 1)), rescaled."""
    t = torch.linspace(-STEEPNESS, STEEPNESS, num_temperatures + 1, dtype=torch.float64).sigmoid()
    return ((t - t[0]) / (t[-1] - t[0])).tolist()


def _run(
    model: VAE, x: Tensor, num_chains: int, betas: list[float], step_sizes: list[Tensor] | None
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Log weights, acceptance (B,) and the step size (B,) of each temperature; adapted if None."""
    prior = model.prior()  # once: it may be made of hundreds of posteriors
    z = model.sample_prior(num_chains, len(x))
    point = _evaluate(model, prior, x, z)
    log_weights = torch.zeros(z.shape[:-1], dtype=torch.float64, device=z.device)
    step, accepted, used = z.new_full((len(x),), MAX_STEP_SIZE / 2), z.new_zeros(len(x)), []
    for t in range(1, len(betas)):
        log_weights += (betas[t] - betas[t - 1]) * point.log_likelihood.double()
        if step_sizes is not None:
            step = step_sizes[t - 1]
        used.append(step)
        point, probability = _transition(model, prior, x, point, betas[t], step)
        rate = probability.mean(0)
        accepted += rate
        if step_sizes is None:
            step = (step * torch.exp(ADAPTATION * (rate - TARGET_ACCEPTANCE))).clamp(
                max=MAX_STEP_SIZE
            )
    return log_weights, accepted / (len(betas) - 1), used


def _run_reversed(
    model: VAE, x: Tensor, z: Tensor, betas: list[float], step_sizes: list[Tensor]
) -> Tensor:
    """Log weights (chains, B) of chains that go from posterior samples z to the prior."""
    prior = model.prior()
    point = _evaluate(model, prior, x, z)
    log_weights = torch.zeros(z.shape[:-1], dtype=torch.float64, device=z.device)
    for t in range(len(betas) - 1, 0, -1):
        point, _ = _transition(model, prior, x, point, betas[t], step_sizes[t - 1])
        log_weights += (betas[t] - betas[t - 1]) * point.log_likelihood.double()
    return log_weights


def _transition(
    model: VAE, prior: Distribution, x: Tensor, start: Point, beta: float, step_size: Tensor
) -> tuple[Point, Tensor]:
    """One HMC transition that leaves p(z) p(x|z)^beta invariant, and its acceptance probability."""
    step = step_size[:, None]
    momentum = torch.randn_like(start.z)
    energy = start.log_density(beta) - 0.5 * momentum.square().sum(-1)
    point = start
    for _ in range(LEAPFROG_STEPS):
        momentum = momentum + 0.5 * step * point.gradient(beta)
        point = _evaluate(model, prior, x, point.z + step * momentum)
        momentum = momentum + 0.5 * step * point.gradient(beta)
    log_ratio = point.log_density(beta) - 0.5 * momentum.square().sum(-1) - energy
    # A diverged trajectory gives NaN or -inf, and is rejected.
    probability = log_ratio.nan_to_num(nan=-torch.inf).clamp(max=0).exp()
    accept = torch.rand_like(probability) < probability
    kept = [
        torch.where(accept if new.ndim == 2 else accept[..., None], new, old)
        for new, old in zip(point, start, strict=True)
    ]
    return Point(*kept), probability


@torch.enable_grad()
def _evaluate(model: VAE, prior: Distribution, x: Tensor, z: Tensor) -> Point:
    """Both log densities at z (chains, B, L) and their gradients, some chains at a time."""
    points = []
    for part in z.split(max(1, decoded_at_once(model) // len(x))):
        leaf = part.detach().requires_grad_()
        log_prior, log_likelihood = prior.log_prob(leaf), model.decode(leaf).log_prob(x)
        (prior_gradient,) = torch.autograd.grad(log_prior.sum(), leaf)
        (likelihood_gradient,) = torch.autograd.grad(log_likelihood.sum(), leaf)
        tensors = (leaf, log_prior, log_likelihood, prior_gradient, likelihood_gradient)
        points.append([tensor.detach() for tensor in tensors])
    return Point(*(torch.cat(parts) for parts in zip(*points, strict=True)))


@dataclass(frozen=True, kw_only=True)
class AIS(ImagesMetric):
    """log p(x) by annealed importance sampling over evaluation images, see `ais_log_likelihood`.

    Costs num_images * num_chains * 1.25 * num_temperatures * 10 decodings with gradients.

    Args:
        num_chains, num_temperatures: as there; Wu et al. used 16 and 10,000.
    """

    name = "ais"

    num_chains: int = 4
    num_temperatures: int = 200
    num_images: int | None = 16

    def supports(self, model: VAE) -> bool:
        return not model.posterior.is_discrete

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        require_continuous("ais", encoded.model)
        rows = self.rows(encoded)
        blocks = [
            anneal(
                encoded.given(part),
                encoded.x(part),
                self.num_chains,
                self.num_temperatures,
                self.seed,
                number,
            )
            for number, part in enumerate(encoded.progress(split_rows(rows, BLOCK)))
        ]
        log_weights = torch.cat([block.log_weights for block in blocks], 1).T
        score = self.mean_score(
            log_mean_weight(log_weights).cpu().numpy(),
            num_chains=self.num_chains,
            num_temperatures=self.num_temperatures,
            leapfrog_steps=LEAPFROG_STEPS,
            split=encoded.split,
            acceptance=float(torch.cat([block.acceptance for block in blocks]).mean()),
            median_effective_chains=float(effective_sample_size(log_weights).median()),
        )
        return {"ais_log_likelihood": score}
