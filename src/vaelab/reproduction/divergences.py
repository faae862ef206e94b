"""Forward and reverse KL, measured and drawn: normals fitted to mixtures, and q at a fixed decoder.

Each function is a target's `measure` or its `figures`.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.distributions import MixtureSameFamily, MultivariateNormal

from vaelab import figures
from vaelab.distributions import effective_sample_size, log_mean_weight
from vaelab.kl_fits import (
    Fit,
    components,
    evaluate,
    fit,
    forward_landscape,
    match_moments,
    normal_mixture,
    reverse_landscape,
    reverse_optima,
)
from vaelab.load import load_run
from vaelab.models import VAE
from vaelab.objectives import BetaVAE, Objective, ReweightedWakeSleep
from vaelab.objectives.importance_weights import weighted_samples
from vaelab.seeding import random_stream

if TYPE_CHECKING:
    from vaelab.figures import Figure

FORWARD, REVERSE, LOCAL = "forward fit", "reverse fit", "reverse, local optimum"
BARS = "\N{DOUBLE VERTICAL LINE}"
ROOM = 4.0  # standard deviations of p that a figure shows to both sides of its mean
NUM_PLACES = 401
# A mixture in the plane, whose components are longer across than up.
WEIGHTS, MEANS, VARIANCES = (0.6, 0.4), ((-2.0, -1.2), (2.0, 1.2)), (0.8, 0.25)

Mixtures = Mapping[str, Mapping[str, Sequence[float]]]


def normal_fits(cfg: DictConfig, mixtures: Mixtures) -> dict[str, float]:
    """Optima of both divergences for mixtures of normals on a line, and both KLs at each.

    "<mixture>/forward mean", "std", "forward KL", "reverse KL"; "<mixture>/reverse ..." of the best
    reverse optimum, "<mixture>/local ..." of the next; "<mixture>/gradient" is how far the forward
    optimum found by gradient is from that of matched moments, in mean and standard deviation.

    Args:
        cfg: unused, but what every measure gets.
        mixtures: name -> weights, means and stds of the components.
    """
    numbers: dict[str, float] = {}
    for name, setting in mixtures.items():
        p = line_mixture(**setting)
        forward, optima = evaluate(p, match_moments(p)), reverse_optima(p)
        found = dict(zip(("forward", "reverse", "local"), (forward, *optima), strict=False))
        for kind, one in found.items():
            numbers[f"{name}/{kind} mean"] = one.q.loc.item()
            numbers[f"{name}/{kind} std"] = one.q.stddev.item()
            numbers[f"{name}/{kind} forward KL"] = one.forward
            numbers[f"{name}/{kind} reverse KL"] = one.reverse
        numbers[f"{name}/num reverse optima"] = float(len(optima))
        q = fit("forward", p, start=optima[0].q).q
        gap = torch.cat([q.loc - forward.q.loc, q.stddev - forward.q.stddev])
        numbers[f"{name}/gradient"] = float(gap.abs().max())
    return numbers


def line_mixture(
    weights: Sequence[float], means: Sequence[float], stds: Sequence[float]
) -> MixtureSameFamily:
    """A mixture of normals in one dimension."""
    columns = (torch.tensor(list(v), dtype=torch.float64)[:, None] for v in (means, stds))
    loc, std = columns
    return normal_mixture(torch.tensor(list(weights), dtype=torch.float64), loc, std.square())


def draw_normal_fits(
    cfg: DictConfig, numbers: Mapping[str, float], mixtures: Mixtures
) -> "dict[str, Figure]":
    """The fits of `normal_fits`, the divergences over the mean of q, and fits in the plane."""
    line = {name: line_mixture(**setting) for name, setting in mixtures.items()}
    return {
        "fits": _draw_line(line),
        "landscape": _draw_landscape(next(iter(line.values()))),
        "contours": _draw_plane(),
    }


def posteriors_at_fixed_decoder(
    path: Path,
    num_steps: int,
    num_samples: int,
    batch_size: int,
    lr: float,
    num_images: int,
    num_eval_samples: int,
) -> dict[str, float]:
    """q(z|x) of a trained VAE, its encoder trained further by either KL with p held fixed.

    "reverse/..." is by the ELBO, KL(q || p(z|x)), and "forward/..." by the wake phase of q,
    KL(p(z|x) || q), from the same encoder and on the same batches. Of each on test images: the mean
    "entropy" of q, "elbo", "bound" (L_K with num_eval_samples samples) and
    "effective_sample_size" of these, from 1 to num_eval_samples; "difference of ..." is forward
    minus reverse.

    Args:
        path: of the run.
        num_steps, batch_size, lr: of Adam for the encoder.
        num_samples: K of the wake phase of q, and the samples of the ELBO.
        num_images: test images that are evaluated.
        num_eval_samples: samples of q(z|x) for each.
    """
    run = load_run(path)
    assert run.data.splits.test is not None
    images = run.data.splits.test.take(torch.arange(num_images))
    train = run.data.splits.train
    objectives: dict[str, Objective] = {
        "reverse": BetaVAE(1.0, num_samples=num_samples),
        "forward": ReweightedWakeSleep(num_samples),
    }
    numbers: dict[str, float] = {}
    for name, objective in objectives.items():
        model = copy.deepcopy(run.model).requires_grad_(False)
        parts = (model.encoder.requires_grad_(), model.posterior.requires_grad_())
        learned = [parameter for part in parts for parameter in part.parameters()]
        optimizer = torch.optim.Adam(learned, lr=lr)
        with random_stream("fixed decoder", int(run.config.seed)):
            for step in range(num_steps):
                x = train.take(torch.randint(len(train), (batch_size,)))
                loss = objective(model, x, step)["loss"]
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            found = _evaluate_posterior(model, images, num_eval_samples)
        numbers |= {f"{name}/{key}": value for key, value in found.items()}
    for key in found:
        numbers[f"difference of {key}"] = numbers[f"forward/{key}"] - numbers[f"reverse/{key}"]
    return numbers


@torch.no_grad()
def _evaluate_posterior(model: VAE, images: Tensor, num_samples: int) -> dict[str, float]:
    parts = []
    for x in images.split(50):
        log_weights = weighted_samples(model, x, num_samples).log_weights
        parts.append(
            {
                "entropy": model.encode(x).entropy(),
                "elbo": log_weights.mean(0),
                "bound": log_mean_weight(log_weights, 0),
                "effective_sample_size": effective_sample_size(log_weights, 0),
            }
        )
    return {key: float(torch.cat([part[key] for part in parts]).mean()) for key in parts[0]}


def _draw_line(mixtures: Mapping[str, MixtureSameFamily]) -> "Figure":
    reach = max(_reach(p) for p in mixtures.values())
    x = torch.linspace(-reach, reach, NUM_PLACES, dtype=torch.float64)
    panels = []
    for name, p in mixtures.items():
        found = _fits(p)
        panels.append(
            figures.FitPanel(
                name,
                _density(p, x[:, None]),
                {kind: _density(one.q, x[:, None]) for kind, one in found.items()},
                {kind: _note(one) for kind, one in found.items()},
            )
        )
    return figures.plot_density_fits(
        x,
        panels,
        f"Normals q fitted to mixtures p of normals N(mean, s.d.) by forward KL(p {BARS} q), which "
        f"matches the moments of p and covers all of it, and by reverse KL(q {BARS} p), the "
        "divergence of the ELBO, which seeks a mode. In nats.",
    )


def _draw_landscape(p: MixtureSameFamily) -> "Figure":
    reach = _reach(p)
    means = torch.linspace(-reach, reach, NUM_PLACES // 2 + 1, dtype=torch.float64)
    std = float(components(p).stddev.min())
    free, fixed = (reverse_landscape(p, means, each)[0] for each in (None, std))
    forward, _ = forward_landscape(p, means)
    best = evaluate(p, match_moments(p))
    names = [
        f"forward KL(p {BARS} q)",
        f"reverse KL(q {BARS} p)",
        f"reverse, s.d. {std:g}",
    ]
    return figures.plot_divergence_landscape(
        means,
        _density(p, means[:, None]),
        dict(zip(names, (forward, free, fixed), strict=True)),
        {
            names[0]: [(best.q.loc.item(), best.forward)],
            names[1]: [(one.q.loc.item(), one.reverse) for one in reverse_optima(p)],
        },
        "Divergences between a normal q and the mixture p over the mean of q, at the standard "
        "deviation that is best for each mean, or at a fixed one. The forward KL has a single "
        "minimum, between the modes; the reverse KL has one at each mode, and gradient descent "
        "finds the one it starts near.",
    )


def _draw_plane() -> "Figure":
    p = normal_mixture(
        torch.tensor(WEIGHTS, dtype=torch.float64),
        torch.tensor(MEANS),
        torch.tensor(VARIANCES).expand(2, 2),
    )
    x, y = (torch.linspace(-r, r, 161, dtype=torch.float64) for r in (5.0, 3.2))
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    target = _density(p, grid)
    panels = [
        figures.FitPanel(kind, target, {kind: _density(one.q, grid)}, {kind: _note(one)})
        for kind, one in _fits(p).items()
    ]
    return figures.plot_contour_fits(
        x,
        y,
        panels,
        "Normals q with any covariance, contours at 1 and 2 standard deviations, fitted to a "
        "mixture p of two. Forward KL puts mass where p has almost none; reverse KL chooses one "
        "mode, at either of which the descent may end.",
    )


def _fits(p: MixtureSameFamily) -> dict[str, Fit]:
    optima = dict(zip((REVERSE, LOCAL), reverse_optima(p), strict=False))
    return {FORWARD: evaluate(p, match_moments(p)), **optima}


def _note(one: Fit) -> str:
    return f"KL(p {BARS} q) = {one.forward:.3f},  KL(q {BARS} p) = {one.reverse:.3f}"


def _density(p: MixtureSameFamily | MultivariateNormal, x: Tensor) -> Tensor:
    return p.log_prob(x).exp()


def _reach(p: MixtureSameFamily) -> float:
    normals = components(p)
    return float((normals.loc.abs() + ROOM * normals.stddev).max())
