"""The inference gap where its answer is known, and of a trained run from both starts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from vaelab.likelihoods import Gaussian as GaussianPixels
from vaelab.load import load_run
from vaelab.metrics import InferenceGap, bidirectional_ais, fit_posterior, inference_gap
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.posteriors import Gaussian
from vaelab.priors import StandardNormal
from vaelab.seeding import random_stream

SIGMA = 0.5
WEIGHTS = ((2.0, 0.5), (0.0, 1.1), (0.4, 0.0), (0.0, 0.0), (1.0, 0.2), (0.0, 0.3))
F64 = torch.float64


@dataclass(frozen=True)
class LinearGaussian:
    """z ~ N(0, I), x = W z + noise of variance sigma^2, whose columns of W are not orthogonal.

    p(z|x) = N(M^-1 W^T x / sigma^2, M^-1) with M = I + W^T W / sigma^2. The best diagonal normal
    has its mean and the variances 1 / M_jj, which a linear encoder can give.

    Attributes:
        model: with that encoder, in float64.
        x: (B, 1, 2, 3), drawn from it.
        log_p: (B,) log p(x).
        mean: (B, 2) of p(z|x).
        precision: M.
    """

    model: VAE
    x: Tensor
    log_p: Tensor
    mean: Tensor
    precision: Tensor

    @property
    def approximation_gap(self) -> Tensor:
        """KL(q* || p(z|x)) = 1/2 (sum_j ln M_jj - ln |M|) of the best diagonal normal."""
        return 0.5 * (self.precision.diagonal().log().sum() - self.precision.logdet())

    def divergence(self, mean: Tensor, covariance: Tensor) -> Tensor:
        """KL(N(mean, covariance) || p(z|x)) of each image, (B,)."""
        posterior = MultivariateNormal(self.mean, precision_matrix=self.precision)
        return kl_divergence(MultivariateNormal(mean, covariance), posterior)


@torch.no_grad()
def build_linear_gaussian(num_images: int, seed: int = 0) -> LinearGaussian:
    """The model, and `num_images` drawn from it."""
    w = torch.tensor(WEIGHTS, dtype=F64)
    num_pixels, latent_dim = w.shape
    linear = (partial(MLPEncoder, hidden=()), partial(MLPDecoder, hidden=()))
    pixels = GaussianPixels(SIGMA)
    model = VAE((1, 2, 3), latent_dim, *linear, Gaussian, StandardNormal, pixels).double().eval()
    precision = torch.eye(latent_dim, dtype=F64) + w.T @ w / SIGMA**2
    gain = torch.linalg.solve(precision, w.T) / SIGMA**2
    parameters = dict(model.named_parameters())
    parameters["decoder.head.weight"].copy_(w)
    parameters["decoder.head.bias"].zero_()
    parameters["encoder.head.weight"].copy_(torch.cat([gain, torch.zeros_like(gain)]))
    log_variance = -precision.diagonal().log()
    parameters["encoder.head.bias"].copy_(torch.cat([torch.zeros(latent_dim), log_variance]))
    with random_stream("linear_gaussian", seed):
        z = torch.randn(num_images, latent_dim, dtype=F64)
        x = z @ w.T + SIGMA * torch.randn(num_images, num_pixels, dtype=F64)
    p_x = _density(w)
    images = x.view(num_images, *model.image_shape)
    return LinearGaussian(model, images, p_x.log_prob(x), x @ gain.T, precision)


def known_gaps(cfg: DictConfig, metric: InferenceGap, temperatures: Sequence[int]) -> dict:
    """The gaps of a linear Gaussian model beside their closed forms, in nats.

    Args:
        cfg: of the target.
        metric: the settings of the fit and of the bounds; family and start are chosen here.
        temperatures: few and many, of annealing in both directions.
    """
    known = build_linear_gaussian(metric.num_images or 100, cfg.seed)
    names = ("num_steps", "num_samples", "lr", "num_bound_samples")
    settings = {name: getattr(metric, name) for name in names} | {"seed": cfg.seed}
    best = inference_gap(known.model, known.x, **settings)
    full = inference_gap(known.model, known.x, **settings, family="full_covariance")
    numbers = {
        "linear encoder/amortization_gap": best.amortization.max(),
        "linear encoder/approximation_gap": (known.log_p - best.elbo_optimum).mean(),
        "closed form/approximation_gap": known.approximation_gap,
        "full covariance/approximation_gap": full.approximation.abs().max(),
        "full covariance/log_p error": (full.log_p - known.log_p).abs().max(),
    }
    ends = {}
    for start in ("encoder", "prior"):
        options = {name: settings[name] for name in ("num_steps", "num_samples", "lr", "seed")}
        q_z = fit_posterior(known.model, known.x, **options, start=start).q_z
        ends[start] = known.divergence(q_z.mean, torch.diag_embed(q_z.variance))
    numbers["starts/largest difference"] = (ends["encoder"] - ends["prior"]).abs().max()
    numbers |= _constant_encoder(known, settings)
    numbers |= _bidirectional(known, temperatures, cfg.seed)
    gaps = [numbers["constant encoder/smallest gap"], best.amortization.min()]
    numbers["smallest amortization_gap"] = torch.stack(gaps).min()
    return {name: float(value) for name, value in numbers.items()}


def gaps_from_both_starts(path: Path, metric: InferenceGap) -> dict[str, float]:
    """The gaps of a run from the encoder's start, and how far the prior's start is from it.

    `optimum difference` is L[q*] from the encoder minus L[q*] from the prior, `improved images` the
    number with an amortization gap above 0, `amortization share` that gap over the inference gap.
    """
    encoded = load_run(path).encoded_dataset()
    scores, others = (replace(metric, start=s)(encoded) for s in ("encoder", "prior"))
    optima = [float(one["log_p"]) - float(one["approximation_gap"]) for one in (scores, others)]
    return {name: float(score) for name, score in scores.items()} | {
        "optimum difference": optima[0] - optima[1],
        "improved images": float(scores["amortization_gap"].details["images_improved"]),
        "amortization share": float(scores["amortization_gap"]) / float(scores["inference_gap"]),
    }


def _constant_encoder(known: LinearGaussian, settings: dict) -> dict[str, Tensor]:
    """The amortization gap of q(z|x) = p(z), and its closed form.

    Over p(x) the latter is tr M - L - 1/2 sum_j ln M_jj; here it is that of the images.
    """
    kept = [parameter.clone() for parameter in known.model.encoder.parameters()]
    with torch.no_grad():
        for parameter in known.model.encoder.parameters():
            parameter.zero_()
    gap = inference_gap(known.model, known.x, **settings)
    with torch.no_grad():
        for parameter, value in zip(known.model.encoder.parameters(), kept, strict=True):
            parameter.copy_(value)
    latent_dim = len(known.precision)
    standard = known.divergence(torch.zeros(latent_dim), torch.eye(latent_dim, dtype=F64))
    expected = standard - known.approximation_gap
    return {
        "constant encoder/amortization_gap": gap.amortization.mean(),
        "constant encoder/closed form": expected.mean(),
        "constant encoder/smallest gap": gap.amortization.min(),
    }


def _bidirectional(
    known: LinearGaussian, temperatures: Sequence[int], seed: int
) -> dict[str, Tensor]:
    """log p(x) minus the mean of the lower estimates, the reverse, and the gap between both."""
    p_x, numbers = _density(torch.tensor(WEIGHTS, dtype=F64)), {}
    for count in temperatures:
        x, lower, upper = bidirectional_ais(known.model, len(known.x), 8, count, seed=seed)
        log_p = p_x.log_prob(x.flatten(1))
        numbers[f"ais {count}/below"] = (log_p - lower).mean()
        numbers[f"ais {count}/above"] = (upper - log_p).mean()
        numbers[f"ais {count}/gap"] = (upper - lower).mean()
    return numbers


def _density(w: Tensor) -> MultivariateNormal:
    """p(x) = N(0, W W^T + sigma^2 I)."""
    covariance = w @ w.T + SIGMA**2 * torch.eye(len(w), dtype=F64)
    return MultivariateNormal(torch.zeros(len(w), dtype=F64), covariance)
