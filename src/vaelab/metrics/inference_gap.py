"""The inference gap log p(x) - ELBO, split into what the family and what the encoder costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import pad

from vaelab.distributions import effective_sample_size, log_mean_weight
from vaelab.errors import require_range
from vaelab.metrics.ais import AIS, anneal_blocks
from vaelab.metrics.base import Score
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.fit_posterior import FAMILIES, fit_posterior
from vaelab.metrics.per_image import ImagesMetric, decoded_at_once
from vaelab.models import VAE
from vaelab.seeding import random_stream

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


def inference_gap(
    model: VAE,
    x: Tensor,
    *,
    num_steps: int = 500,
    num_samples: int = 20,
    lr: float = 0.1,
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

    log p(x) is estimated by the largest of L_K[q_phi], L_K[q*] and AIS of each image, after two
    standard errors have been taken off each, without which it would be the noisiest. Each is a
    lower bound in expectation, and above log p(x) by b nats with probability at most exp(-b), so
    that the approximation gap is too small rather than too large. The standard error is itself an
    estimate, too small where q is much narrower than p(z|x) in some direction.

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
        ours, fitted = (
            _log_weights(model, x, q_z, num_bound_samples, seed) for q_z in (q_phi, optimum.q_z)
        )
        estimates = [ours, torch.where(fitted.isfinite().all(0), fitted, ours)]
        if ais:
            parts = [
                block.log_weights
                for block in anneal_blocks(
                    model, x[:ais], AIS.num_chains, AIS.num_temperatures, seed
                )
            ]
            estimates.append(torch.cat(parts, 1))
        log_p, estimator = _largest(estimates)
        elbo, better = ours.mean(0), fitted.mean(0)
        better = torch.where(better > elbo, better, elbo)  # not where the fit has diverged
    return ImageBounds(elbo, better, log_p, optimum.trace, estimator)


def _log_weights(model: VAE, x: Tensor, q_z: Distribution, num_samples: int, seed: int) -> Tensor:
    """log p(x, z_k) - log q(z_k) of K samples of q_z, batch (B,): (K, B) in float64."""
    prior, log_weights = model.prior(), []
    with random_stream("metrics", "inference_gap", "bounds", seed):
        for part in torch.arange(num_samples).split(SAMPLES_AT_ONCE):
            z = q_z.sample(torch.Size([len(part)]))
            log_ratio = prior.log_prob(z).double() - q_z.log_prob(z).double()
            size = max(1, decoded_at_once(model) // len(z))
            log_likelihood = [
                view.decode(some).log_prob(images)
                for view, some, images in zip(
                    model.split(size, len(x)), z.split(size, 1), x.split(size), strict=True
                )
            ]
            log_weights.append(log_ratio + torch.cat(log_likelihood, 1).double())
    return torch.cat(log_weights)


def _largest(log_weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The estimate of log p(x) whose lower limit is the largest, (B,), and its number.

    log_weights: (K, B), K > 1, of each estimator, for the first B images at least one of them.
    """
    limits, bounds = [], []
    for weights in log_weights:
        bound, num = log_mean_weight(weights, 0), len(weights)
        # The standard error of log mean w, by the delta method.
        error = (1 / effective_sample_size(weights, 0) - 1 / num).clamp(min=0).sqrt()
        missing = (0, log_weights[0].shape[1] - weights.shape[1])
        limits.append(pad(bound - 2 * error, missing, value=-torch.inf))
        bounds.append(pad(bound, missing))
    estimator = torch.stack(limits).argmax(0)
    return torch.stack(bounds).gather(0, estimator[None])[0], estimator


@torch.no_grad()
def _enumerate(model: VAE, x: Tensor) -> ImageBounds:
    """The same of a discrete z, exactly."""
    elbos, log_ps = [], []
    views = model.split(ENUMERATED_AT_ONCE, len(x))
    for view, images in zip(views, x.split(ENUMERATED_AT_ONCE), strict=True):
        log_joint = view.log_joint(images).double()  # (S, B)
        raw = log_joint.T if model.posterior.is_exact else view.encode_raw(images).double()
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
    lr: float = 0.1
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
        rows = self.rows(encoded)
        gap = inference_gap(encoded.given(rows), encoded.x(rows), **settings, seed=self.seed)
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
