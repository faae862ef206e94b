"""Figures of the inference gap: its parts, and the fits and the posterior of one image."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab import figures
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.factor_dataset import Rows
from vaelab.metrics.fit_posterior import FAMILIES, fit_posterior
from vaelab.metrics.inference_gap import inference_gap
from vaelab.metrics.per_image import evaluation_images
from vaelab.models import VAE

if TYPE_CHECKING:
    from vaelab.figures import Figure

GAPS = {"log_p", "approximation_gap", "inference_gap"}
NUM_STEPS, NUM_SAMPLES = 500, 20  # of the fits to one image
NUM_BOUND_SAMPLES = 2000  # of its bounds
NUM_COARSE, NUM_FINE = 81, 121  # values per latent of the grids
REACH = 5.0  # standard deviations of the prior that the coarse grid goes from its mean
NEGLIGIBLE = 1e-4  # of the largest density
AT_ONCE = 256  # z decoded


def draw_inference_figures(
    encoded: EncodedDataset, scores: Mapping[str, float], when: str
) -> Iterator[tuple[str, "Figure"]]:
    """Name and figure of the inference gap, where it has been measured and there is one.

    inference_gap: ELBO, amortization gap, approximation gap and log p(x).
    inference_traces: the ELBO of one image over the steps of a fit, from the encoder's q(z|x) and
        from the prior; not of a discrete z, which needs no fit.
    posterior_grid: p(z|x) of this image on a grid, with q(z|x) and the best of its families; of
        models with two continuous latents.

    Args:
        encoded: the codes of the model.
        scores: name -> value, in nats per image.
        when: end of every caption, such as "step 2,500".
    """
    if not set(scores) >= GAPS or encoded.model.posterior.is_exact:
        return
    split = "validation" if encoded.split == "val" else encoded.split
    log_p, approximation, total = (
        scores[n] for n in ("log_p", "approximation_gap", "inference_gap")
    )
    of = "log p(x|y)" if encoded.model.condition else "log p(x)"
    caption = (
        f"The ELBO of the encoder's q(z|x), what the best q of the family would add (amortization "
        f"gap), and what is left to {of} (approximation gap), mean over {split} images; the "
        f"axis does not start at 0; {when}"
    )
    parts = {"": (log_p - total, log_p - approximation, log_p)}
    yield "inference_gap", figures.plot_inference_gap(parts, caption)
    if type(encoded.model.posterior) not in FAMILIES.values():
        return
    row = evaluation_images(encoded, 1, 0)
    image = f"{split} image {int(row[0])}{_own_class(encoded, row)}"
    yield "inference_traces", draw_traces(encoded.given(row), encoded.x(row), image, when)
    if encoded.latent_dim == 2:
        yield "posterior_grid", draw_posterior(encoded.given(row), encoded.x(row), image, when)


def _own_class(encoded: EncodedDataset, row: Rows) -> str:
    """The class of an image in a caption, " (y = 7)"; nothing without classes."""
    labels, classes = encoded.images.labels, encoded.splits.classes
    if classes is None or labels is None:
        return ""
    return f" (y = {classes.name(int(labels[int(row[0])]))})"


def draw_traces(model: VAE, x: Tensor, image: str, when: str) -> "Figure":
    """The ELBO of one image (1, C, H, W) while its q is fitted, from both starts."""
    family = _own_family(model)
    settings: dict[str, Any] = {
        "num_steps": NUM_STEPS,
        "num_samples": NUM_SAMPLES,
        "family": family,
    }
    gap = inference_gap(model, x, **settings, num_bound_samples=NUM_BOUND_SAMPLES)
    from_prior = fit_posterior(model, x, **settings, start="prior").trace
    traces = {"from the encoder": gap.trace, "from the prior": from_prior}
    levels = {"encoder": gap.elbo, "optimum": gap.elbo_optimum, "log p(x)": gap.log_p}
    caption = (
        f"The ELBO of {image} over {NUM_STEPS} steps of Adam on the parameters of its own q(z|x) "
        f"({type(model.posterior).__name__}), {NUM_SAMPLES} samples a step, from the encoder's "
        f"q(z|x) and from the prior; the ELBOs of start and optimum, and log p(x), by "
        f"{NUM_BOUND_SAMPLES:,} samples, {when}"
    )
    return figures.plot_inference_traces(
        {name: trace[:, 0].cpu().numpy() for name, trace in traces.items()},
        {name: float(level) for name, level in levels.items()},
        caption,
    )


@torch.no_grad()
def draw_posterior(model: VAE, x: Tensor, image: str, when: str) -> "Figure":
    """p(z|x) of one image (1, C, H, W) and two latents, with q(z|x) and the best of families."""
    shown = {"the encoder's q(z|x)": model.encode(x)}
    names = list(FAMILIES)
    for family in names[names.index(_own_family(model)) : 2]:
        fit = fit_posterior(model, x, NUM_STEPS, NUM_SAMPLES, family=family)
        shown[f"best {family.replace('_', ' ')}"] = fit.q_z
    xs, ys = _window(model, x, list(shown.values()))
    grid = _grid(xs, ys)
    log_joint = _log_joint(model, x, grid)
    cell = float((xs[1] - xs[0]) * (ys[1] - ys[0]))
    exact = (log_joint - log_joint.logsumexp(0)).exp() / cell
    shape = (len(ys), len(xs))
    densities = {
        name: q_z.log_prob(grid[:, None])[:, 0].exp().reshape(shape).cpu().numpy()
        for name, q_z in shown.items()
    }
    caption = (
        f"p(z|x) of {image} on a grid of {len(xs)} x {len(ys)} points (grey), with contours that "
        f"hold 50 % and 95 % of the encoder's q(z|x) and of the best q for this image, {when}"
    )
    exact_grid = exact.reshape(shape).cpu().numpy()
    return figures.plot_posterior_grid(xs.cpu(), ys.cpu(), exact_grid, densities, caption)


def _own_family(model: VAE) -> str:
    [name] = [name for name, family in FAMILIES.items() if type(model.posterior) is family]
    return name


def _window(model: VAE, x: Tensor, approximations: list[Distribution]) -> tuple[Tensor, Tensor]:
    """Values of both latents (NUM_FINE,) that cover p(z|x) and its approximations."""
    prior = model.prior()
    mean, std = prior.mean.flatten(), prior.stddev.flatten()  # p(z|y) has a batch of one
    unit = torch.linspace(-REACH, REACH, NUM_COARSE).to(mean)
    coarse = _grid(mean[0] + std[0] * unit, mean[1] + std[1] * unit)
    log_joint = _log_joint(model, x, coarse)
    points = [coarse[log_joint - log_joint.max() > np.log(NEGLIGIBLE)]]
    for q_z in approximations:
        middle, spread = q_z.mean[0], q_z.stddev[0]
        points.append(torch.stack([middle - 3 * spread, middle + 3 * spread]))
    low, high = torch.cat(points).aminmax(dim=0)
    # A cell of the coarse grid on each side: p(z|x) may lie between its points.
    margin = 2 * REACH / (NUM_COARSE - 1) * std
    edges = torch.stack([low - margin, high + margin])
    return tuple(  # type: ignore[return-value]
        torch.linspace(float(a), float(b), NUM_FINE).to(mean) for a, b in edges.T
    )


def _grid(xs: Tensor, ys: Tensor) -> Tensor:
    """All pairs (len(ys) * len(xs), 2), z0 varying fastest."""
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).flatten(0, 1)


def _log_joint(model: VAE, x: Tensor, z: Tensor) -> Tensor:
    """log p(x, z) of one image (1, C, H, W) at many z (N, 2), (N,)."""
    parts = [
        model.prior().log_prob(part) + model.decode(part[:, None]).log_prob(x)[:, 0]
        for part in z.split(AT_ONCE)
    ]
    return torch.cat(parts)
