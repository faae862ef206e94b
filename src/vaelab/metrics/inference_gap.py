"""The inference gap log p(x) - ELBO, split into what the family and what the encoder costs."""

from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import kl_divergence, log_mean_weight
from vaelab.errors import require, require_choice, require_range
from vaelab.metrics.ais import AIS, ais_log_likelihood
from vaelab.metrics.base import Score
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.per_image import ImagesMetric, decoded_at_once
from vaelab.models import VAE
from vaelab.posteriors import IAF, FullCovariance, Gaussian, Posterior
from vaelab.seeding import random_stream

# Each contains those before it.
FAMILIES: dict[str, type[Posterior]] = {
    "gaussian": Gaussian,
    "full_covariance": FullCovariance,
    "iaf": IAF,
}
STARTS = ("encoder", "prior")
ESTIMATORS = ("L_K of q(z|x)", "L_K of the optimum", "AIS")
SAMPLES_AT_ONCE = 100  # of every image; fixed, because they are drawn together
ENUMERATED_AT_ONCE = 128  # images


@dataclass(frozen=True)
class ImageBounds:
    """Bounds of each image (B,) in nats, in float64.

    Attributes:
        elbo: L[q_phi], of the encoder.
        elbo_optimum: L[q*], of the best q of the family for the image.
        log_p: the best lower bound on log p(x); of a discrete z log p(x) itself.
        trace: (num_steps, B) the ELBO at every step, by the samples of that step; empty if exact.
        estimator: (B,) which of `ESTIMATORS` gave log_p; empty if exact.
    """

    elbo: Tensor
    elbo_optimum: Tensor
    log_p: Tensor
    trace: Tensor
    estimator: Tensor

    @property
    def approximation(self) -> Tensor:
        """log p(x) - L[q*], the cost of the family."""
        return self.log_p - self.elbo_optimum

    @property
    def amortization(self) -> Tensor:
        """L[q*] - L[q_phi], the cost of the encoder, at least 0."""
        return self.elbo_optimum - self.elbo

    @property
    def total(self) -> Tensor:
        """log p(x) - L[q_phi], the sum of both."""
        return self.log_p - self.elbo


class Fit(NamedTuple):
    """q(z|x) of each image as fitted, and the ELBO (num_steps, B) on the way there."""

    q_z: Distribution
    trace: Tensor


def inference_gap(
    model: VAE,
    x: Tensor,
    *,
    num_steps: int = 500,
    num_samples: int = 20,
    lr: float = 0.05,
    family: str = "gaussian",
    start: str = "encoder",
    num_bound_samples: int = 5000,
    ais: int = 0,
    seed: int = 0,
) -> ImageBounds:
    """Where the inference gap of images x (B, C, H, W) comes from.

        log p(x) - L[q_phi] = (log p(x) - L[q*]) + (L[q*] - L[q_phi])
                            = approximation gap  + amortization gap

    with the ELBO L, the encoder's q_phi, and q* the best q of `family` for this x, which
    `fit_posterior` looks for. L[q*] is of the better of q_phi and the result, so that it is at
    least L[q_phi] for each image. All bounds are computed with fresh samples, of the same noise for
    q_phi and q*: L is the mean of their log weights log p(x, z) - log q(z), and L_K the log of the
    mean of their weights.

    log p(x) is estimated by the largest of L_K[q_phi], L_K[q*] and AIS of each image. Each of these
    is a lower bound in expectation, so that the approximation gap is too small rather than too
    large; the largest of several noisy numbers is too large by a part of their noise.

    For a discrete z everything is exact, by enumeration: q* is p(z|x), and L[q*] is log p(x).

    Cremer et al. 2018, "Inference suboptimality in variational autoencoders", sec. 3 (number not
    checked), https://arxiv.org/abs/1801.03558.

    Args:
        model: in evaluation mode.
        x: (B, C, H, W).
        num_steps, num_samples, lr, family, start: of `fit_posterior`.
        num_bound_samples: K of the bounds.
        ais: on how many of the images, from the first, AIS is run, too.
        seed: of all noise.

    Raises:
        UserError: a setting is out of its range, or q(z|x) has no density or is not in the family.
    """
    require_range("num_bound_samples", num_bound_samples, at_least=1, integer=True, example=5000)
    require_range("ais", ais, at_least=0, integer=True, example=16)
    if model.posterior.is_discrete:
        return _enumerate(model, x)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        q_phi = model.encode(x)
        optimum = fit_posterior(
            model, x, num_steps, num_samples, lr=lr, family=family, start=start, seed=seed
        )
        (elbo, bound), (fitted, fitted_bound) = (
            _bounds(model, x, q_z, num_bound_samples, seed) for q_z in (q_phi, optimum.q_z)
        )
        better = fitted > elbo  # False where the fit has diverged
        bounds = [bound, torch.where(fitted_bound.isfinite(), fitted_bound, bound)]
        if ais:
            chains, temperatures = AIS.num_chains, AIS.num_temperatures
            annealed = ais_log_likelihood(model, x[:ais], chains, temperatures, seed=seed)
            rest = annealed.new_full((len(x) - len(annealed),), -torch.inf)
            bounds.append(torch.cat([annealed, rest]))
        log_p, estimator = torch.stack(bounds).max(0)
    return ImageBounds(elbo, torch.where(better, fitted, elbo), log_p, optimum.trace, estimator)


@torch.no_grad()
def fit_posterior(
    model: VAE,
    x: Tensor,
    num_steps: int = 500,
    num_samples: int = 20,
    *,
    lr: float = 0.05,
    family: str = "gaussian",
    start: str = "encoder",
    seed: int = 0,
) -> Fit:
    """The best q of a family for each image (B, C, H, W), by stochastic variational inference.

    Adam maximises the ELBO of all images at once, over the numbers that the encoder would give for
    each: its step size falls to 0 along half a cosine. In `iaf` the weights of the flow are fitted,
    too, shared by these images; of a model without a flow they start near the identity. So q* of
    `iaf` is a lower bound on the best flow of each image, and with one image that flow.

    Args:
        model: in evaluation mode; it stays as it is.
        x: (B, C, H, W).
        num_steps: of Adam.
        num_samples: of z per image and step.
        lr: Adam's step size at first.
        family: `gaussian`, `full_covariance` or `iaf`: the model's own or one that contains it.
        start: `encoder`, or `prior` for its mean and standard deviation.
        seed: of the noise.

    Raises:
        UserError: a setting is out of its range, or q(z|x) has no density or is not in the family.
    """
    require_range("num_steps", num_steps, at_least=1, integer=True, example=500)
    require_range("num_samples", num_samples, at_least=1, integer=True, example=20)
    require_range("lr", lr, above=0, example=0.05)
    require_choice("start", start, STARTS)
    _require_family(model, family)
    prior = model.prior()
    with torch.enable_grad(), random_stream("metrics", "inference_gap", "fit", seed):
        posterior = _posterior_of(model, family)
        raw = _first_raw(model, x, posterior, start).detach().requires_grad_()
        free = [raw, *posterior.parameters()]
        optimizer = torch.optim.Adam(free, lr)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
        trace = []
        for _ in range(num_steps):
            q_z = posterior(raw)
            z = q_z.rsample(torch.Size([num_samples]))
            kl = kl_divergence(q_z, prior, z)
            log_likelihood, slope = _log_likelihood_and_slope(model, z.detach(), x)
            trace.append((log_likelihood - kl).detach())
            gradients = torch.autograd.grad(
                [kl, z], free, [torch.ones_like(kl), -slope], materialize_grads=True
            )
            for parameter, gradient in zip(free, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            scheduler.step()
    return Fit(posterior(raw.detach()), torch.stack(trace))


def _require_family(model: VAE, family: str) -> None:
    require_choice("family", family, FAMILIES)
    model.posterior.require_density("inference_gap")
    names = list(FAMILIES)
    allowed = [n for n in names[: names.index(family) + 1] if type(model.posterior) is FAMILIES[n]]
    require(
        bool(allowed),
        f"family expects one that contains the model's posterior {type(model.posterior).__name__}, "
        f"got {family}; use {'iaf' if isinstance(model.posterior, IAF) else 'full_covariance'}.",
    )


def _posterior_of(model: VAE, family: str) -> Posterior:
    """The map from raw numbers to the q of a family, with weights of its own."""
    if type(model.posterior) is FAMILIES[family]:
        return deepcopy(model.posterior).requires_grad_()
    built = FAMILIES[family](model.latent_dim)
    return built.to(next(model.decoder.parameters()))


def _first_raw(model: VAE, x: Tensor, posterior: Posterior, start: str) -> Tensor:
    """Where the fit starts: raw numbers (B, P) of the posterior; in other families mu, sigma."""
    if start == "encoder" and type(posterior) is type(model.posterior):
        return model.encoder(x)
    q_z = model.encode(x) if start == "encoder" else model.prior()
    mu, log_variance = (t.expand(len(x), -1) for t in (q_z.mean, q_z.variance.log()))
    rest = mu.new_zeros(len(x), posterior.num_params - 2 * model.latent_dim)
    return torch.cat([mu, log_variance, rest], -1)


def _log_likelihood_and_slope(model: VAE, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean log p(x|z) over samples z (S, B, L), (B,), and its gradient in z."""
    values, slopes = [], []
    size = max(1, decoded_at_once(model) // len(z))
    for part, images in zip(z.split(size, 1), x.split(size), strict=True):
        leaf = part.detach().requires_grad_()
        value = model.decode(leaf).log_prob(images).mean(0)
        slopes.append(torch.autograd.grad(value.sum(), leaf)[0])
        values.append(value.detach())
    return torch.cat(values), torch.cat(slopes, 1)


def _bounds(
    model: VAE, x: Tensor, q_z: Distribution, num_samples: int, seed: int
) -> tuple[Tensor, Tensor]:
    """The ELBO and L_K of each image, (B,) in float64, with K samples of q_z, batch (B,)."""
    prior, log_weights = model.prior(), []
    with random_stream("metrics", "inference_gap", "bounds", seed):
        for part in torch.arange(num_samples).split(SAMPLES_AT_ONCE):
            z = q_z.sample(torch.Size([len(part)]))
            log_ratio = prior.log_prob(z).double() - q_z.log_prob(z).double()
            size = max(1, decoded_at_once(model) // len(z))
            log_likelihood = [
                model.decode(some).log_prob(images)
                for some, images in zip(z.split(size, 1), x.split(size), strict=True)
            ]
            log_weights.append(log_ratio + torch.cat(log_likelihood, 1).double())
    weights = torch.cat(log_weights)
    return weights.mean(0), log_mean_weight(weights, 0)


@torch.no_grad()
def _enumerate(model: VAE, x: Tensor) -> ImageBounds:
    """The same of a discrete z, exactly."""
    elbos, log_ps = [], []
    for images in x.split(ENUMERATED_AT_ONCE):
        log_joint = model.log_joint(images).double()  # (S, B)
        raw = log_joint.T if model.posterior.is_exact else model.encoder(images).double()
        log_q = raw.log_softmax(-1).T
        elbos.append((log_q.exp() * (log_joint - log_q)).sum(0))
        log_ps.append(log_joint.logsumexp(0))
    log_p, none = torch.cat(log_ps), x.new_empty(0, len(x))
    return ImageBounds(torch.cat(elbos), log_p, log_p, none, torch.empty(0, dtype=torch.long))


@dataclass(frozen=True, kw_only=True)
class InferenceGap(ImagesMetric):
    """The inference gap averaged over evaluation images, and its two parts; see `inference_gap`.

    Args:
        num_steps, num_samples, lr, family, start, num_bound_samples, ais: as there.
        num_images: how many evaluation images; None for all. The first in seeded order.
    """

    name = "inference_gap"
    needs_density = True
    higher_is_better = None

    num_images: int | None = 100
    num_steps: int = 500
    num_samples: int = 20
    lr: float = 0.05
    family: str = "gaussian"
    start: str = "encoder"
    num_bound_samples: int = 5000
    ais: int = 0

    def supports(self, model: VAE) -> bool:
        known = type(model.posterior) in FAMILIES.values()
        return model.posterior.is_discrete or (super().supports(model) and known)

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        names = ("num_steps", "num_samples", "lr", "family", "start", "num_bound_samples", "ais")
        settings = {name: getattr(self, name) for name in names}
        gap = inference_gap(
            encoded.model, encoded.x(self.rows(encoded)), **settings, seed=self.seed
        )
        exact = not len(gap.estimator)
        details = {"split": encoded.split} | ({"log_p": "exact"} if exact else settings)
        shares = {
            f"images by {name}": int((gap.estimator == i).sum())
            for i, name in enumerate(ESTIMATORS if not exact else ())
        }
        numbers = {
            "inference_gap": gap.total,
            "approximation_gap": gap.approximation,
            "amortization_gap": gap.amortization,
            "log_p": gap.log_p,
        }
        scores = {n: self.mean_score(v.cpu().numpy(), **details) for n, v in numbers.items()}
        amortized = gap.amortization.cpu().numpy()
        scores["amortization_gap"] = scores["amortization_gap"].with_details(
            images_improved=int(np.count_nonzero(amortized > 0))
        )
        return scores | {"log_p": scores["log_p"].with_details(**shares)}
