"""The best q(z|x) of a family for each image, by stochastic variational inference."""

from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import kl_divergence
from vaelab.errors import require, require_choice, require_range
from vaelab.metrics.per_image import decoded_at_once
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
WEIGHTS_LR = 0.1  # of a flow, as a share of lr


class Fit(NamedTuple):
    """q(z|x) of each image as fitted, and the ELBO (num_steps, B) on the way there."""

    q_z: Distribution
    trace: Tensor


@torch.no_grad()
def fit_posterior(
    model: VAE,
    x: Tensor,
    num_steps: int = 500,
    num_samples: int = 20,
    *,
    lr: float = 0.1,
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
        lr: Adam's step size at first; a tenth of it for the weights of a flow.
        family: `gaussian`, `full_covariance` or `iaf`: the model's own or one that contains it.
        start: `encoder`, or `prior` for its mean and standard deviation.
        seed: of the noise.

    Raises:
        UserError: a setting is out of its range, or q(z|x) has no density or is not in the family.
    """
    require_range("num_steps", num_steps, at_least=1, integer=True, example=500)
    require_range("num_samples", num_samples, at_least=1, integer=True, example=20)
    require_range("lr", lr, above=0, example=0.1)
    require_choice("start", start, STARTS)
    _require_family(model, family)
    prior = model.prior()
    with torch.enable_grad(), random_stream("metrics", "inference_gap", "fit", seed):
        posterior = _posterior_of(model, family)
        raw = _first_raw(model, x, posterior, start).detach().requires_grad_()
        weights = list(posterior.parameters())
        free = [raw, *weights]
        groups: list[dict[str, Any]] = [
            {"params": [raw]},
            {"params": weights, "lr": WEIGHTS_LR * lr},
        ]
        optimizer = torch.optim.Adam(groups[: 1 + bool(weights)], lr)
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
        return model.encode_raw(x)
    q_z = model.encode(x) if start == "encoder" else model.prior()
    mu, log_variance = (t.expand(len(x), -1) for t in (q_z.mean, q_z.variance.log()))
    rest = mu.new_zeros(len(x), posterior.num_params - 2 * model.latent_dim)
    return torch.cat([mu, log_variance, rest], -1)


def _log_likelihood_and_slope(model: VAE, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean log p(x|z) over samples z (S, B, L), (B,), and its gradient in z."""
    values, slopes = [], []
    size = max(1, decoded_at_once(model) // len(z))
    views = model.split(size, len(x))
    for view, part, images in zip(views, z.split(size, 1), x.split(size), strict=True):
        leaf = part.detach().requires_grad_()
        value = view.decode(leaf).log_prob(images).mean(0)
        slopes.append(torch.autograd.grad(value.sum(), leaf)[0])
        values.append(value.detach())
    return torch.cat(values), torch.cat(slopes, 1)
