"""Reproduction targets: an experiment, its expected numbers, and whether they were reached."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from hydra import compose
from omegaconf import DictConfig
from torch import Tensor

from vaelab import build
from vaelab.data.images import Subset
from vaelab.load import load_run
from vaelab.metrics import Elbo
from vaelab.metrics.probe import Probe
from vaelab.models import VAE
from vaelab.objectives import Objective
from vaelab.run_folder import RunFolder
from vaelab.seeding import derive_seed, random_stream
from vaelab.train import train

EVAL_BATCH = 1000


@dataclass(frozen=True)
class Verdict:
    """One number beside what was expected of it."""

    name: str
    measured: float
    expected: float
    tolerance: float

    @property
    def reached(self) -> bool:
        """Whether |measured - expected| <= tolerance."""
        return abs(self.measured - self.expected) <= self.tolerance

    def __str__(self) -> str:
        word = "reached" if self.reached else "MISSED"
        return (
            f"  {word:<8} {self.name:<30} {self.measured:>14,.9g}   expected {self.expected:,.10g} "
            f"+- {self.tolerance:g}"
        )


def reproduce(cfg: DictConfig, path: Path, overrides: list[str]) -> list[Verdict]:
    """Measure every number of `cfg.target` and compare.

    Training, where the target asks for it, goes into the run folder `path`, and the verdicts into
    its metrics.json.
    """
    target, folder = cfg.target, RunFolder(path)
    numbers: dict[str, float] = train(cfg, path, overrides) if target.train else {}
    measure = build.build(target.measure, _partial_=True)
    numbers |= measure(path if target.train else cfg)
    verdicts = []
    for row in target.expected:
        name, value = row.number, None
        if "step" in row:
            value = folder.read_curve(name).get(row.step, math.nan)
            name = f"{name} at step {row.step}"
        else:
            value = numbers.get(name, math.nan)
        verdicts.append(Verdict(name, float(value), float(row.value), float(row.tolerance)))
    if target.train:
        folder.add_metrics({"target": {v.name: v.reached for v in verdicts}})
    return verdicts


def report(name: str, verdicts: Sequence[Verdict]) -> str:
    """The verdicts as text, the last line saying whether the target was reached."""
    num = sum(v.reached for v in verdicts)
    word = "reached" if num == len(verdicts) else "NOT reached"
    last = f"{name.upper()} {word}: {num} of {len(verdicts)} numbers"
    return "\n".join([*map(str, verdicts), last])


def test_elbo_at_mean(path: Path) -> dict[str, float]:
    """The test ELBO with z at the mean of q(z|x): not a bound, but what some code reports."""
    run = load_run(path)
    assert run.data.splits.test is not None
    scores = Elbo(num_bootstrap=0)(Probe(run.model, run.data.splits))
    return {"test/elbo_at_mean": float(scores["elbo_at_mean"])}


def differences_from_elbo(cfg: DictConfig, objectives: Sequence[str]) -> dict[str, float]:
    """Largest difference in loss and gradients between each objective at beta = 1 and -ELBO.

    -ELBO is written out here: Bernoulli cross-entropy plus the analytic KL of Kingma and Welling
    2014, app. B, on one batch in float64 with the same noise.
    """
    data = build.build_data(cfg)
    x = data.train_batch(0).double()
    with random_stream("init", cfg.seed):
        model = build.build_model(cfg, data.image_shape).double()
    reference = _loss_and_gradients(model, partial(_minus_elbo, model, x))
    numbers = {}
    for name in objectives:
        chosen = compose("train", overrides=[f"objective={name}", "objective.beta=1"])
        objective = build.build_objective(chosen, len(data.splits.train))
        loss, gradient = _loss_and_gradients(model, partial(_loss, objective, model, x))
        numbers[f"{name}/loss"] = float((loss - reference[0]).abs())
        numbers[f"{name}/gradient"] = float((gradient - reference[1]).abs().max())
    return numbers


def parameter_counts(cfg: DictConfig, models: Sequence[str]) -> dict[str, float]:
    """Parameters of the networks at 64 x 64 x 1 pixels and 10 latents."""
    numbers = {}
    for name in models:
        chosen = compose("train", overrides=[f"model={name}", "latent_dim=10"])
        model = build.build_model(chosen, (1, 64, 64))
        numbers[name] = float(sum(p.numel() for p in model.parameters()))
    return numbers


def losses_without_training(cfg: DictConfig) -> dict[str, float]:
    """Reconstruction before training, and with every pixel at its mean over the training set."""
    data = build.build_data(cfg)
    torch.manual_seed(derive_seed("init", cfg.seed))
    model = build.build_model(cfg, data.image_shape)
    with torch.no_grad():
        objective = build.build_objective(cfg, len(data.splits.train))
        terms = objective(model, data.train_batch(0), 0)
    train = data.splits.train
    total = torch.zeros(data.image_shape, dtype=torch.float64)
    for x in _batches(train):
        total += x.sum(0)
    p = total / len(train)
    entropy = -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).sum()
    return {
        "initial/reconstruction": float(terms["reconstruction"]),
        "pixel_mean/reconstruction": float(entropy),
    }


def _loss(objective: Objective, model: VAE, x: Tensor) -> Tensor:
    return objective(model, x, 0)["loss"]


def _minus_elbo(model: VAE, x: Tensor) -> Tensor:
    mu, log_variance = model.encoder(x).chunk(2, dim=-1)
    z = mu + (0.5 * log_variance).exp() * torch.randn_like(mu)
    logits = model.decoder(z)
    cross_entropy = torch.nn.functional.softplus(logits) - x * logits
    kl = 0.5 * (mu**2 + log_variance.exp() - 1 - log_variance).sum(-1)
    return cross_entropy.sum((-3, -2, -1)).mean() + kl.mean()


def _loss_and_gradients(model: VAE, loss: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    with random_stream("noise"):
        value = loss()
    gradients = torch.autograd.grad(value, list(model.parameters()))
    return value.detach(), torch.cat([g.flatten() for g in gradients])


def _batches(subset: Subset) -> Iterator[Tensor]:
    return (subset.take(part) for part in torch.arange(len(subset)).split(EVAL_BATCH))
