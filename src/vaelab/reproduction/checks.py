"""Mathematical checks, each a target's `measure`: numbers whose exact or published value is known.

Oracle codes, estimators of the total correlation, importance-weighted bounds, losses and gradients
against a hand-written ELBO, numbers of parameters, and losses without training.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from hydra import compose
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor

from vaelab import build
from vaelab.data.datamodule import ImageDataModule
from vaelab.data.images import Subset
from vaelab.data.rendering import FACTORS, SIZES
from vaelab.distributions import log_mean_weight
from vaelab.errors import require_choice
from vaelab.load import load_run
from vaelab.metrics import (
    MIG,
    SAP,
    BetaVAEScore,
    Elbo,
    FactorVAEScore,
    Modularity,
    PrecomputedCodes,
    RepeatedMetric,
)
from vaelab.metrics.elbo import pixel_mean_distortion
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.models import VAE
from vaelab.objectives import Objective
from vaelab.objectives.importance_weights import weighted_samples
from vaelab.objectives.total_correlation import (
    LOG_WEIGHTS,
    aggregate,
    exact,
    pair_log_densities,
    total_correlation,
)
from vaelab.seeding import random_stream

ORACLE_NOISE = 0.01
ORACLE_METRICS: dict[str, RepeatedMetric] = {
    "beta_vae_score": BetaVAEScore(num_repeats=0),
    "factor_vae_score": FactorVAEScore(num_repeats=0),
    "mig": MIG(num_repeats=0),
    "modularity": Modularity(num_test=1000, num_repeats=0),
    "sap": SAP(num_train=4000, num_test=2000, num_repeats=0),
}
EVAL_BATCH = 1000


def oracle_scores(cfg: DictConfig, scores: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """kind/score -> value, for each kind of `oracle_codes` and its names of `ORACLE_METRICS`."""
    numbers, factors = {}, factor_grid()
    for kind, names in scores.items():
        table = oracle_codes(kind, factors, np.random.default_rng(cfg.seed))
        codes = PrecomputedCodes(table, factors, FACTORS)
        for name in names:
            require_choice("scores", name, ORACLE_METRICS)
            numbers[f"{kind}/{name}"] = float(ORACLE_METRICS[name](codes)[name])
    return numbers


def oracle_codes(kind: str, factors: NDArray[np.integer], rng: np.random.Generator) -> NDArray:
    """Hand-made codes (N, 10) of the factors (N, 5) of dSprites, whose scores are known.

    linear: each factor mapped linearly to [-1, 1], then five latents of noise of std 0.01;
    rotated: the same with posX and posY rotated by 45 degrees;
    noise: ten standard normals.

    Raises:
        UserError: another kind.
    """
    require_choice("kind", kind, ("linear", "rotated", "noise"))
    if kind == "noise":
        return rng.standard_normal((len(factors), 10))
    known = known_factors(factors)
    if kind == "rotated":
        x, y = known[:, 3].copy(), known[:, 4].copy()
        known[:, 3], known[:, 4] = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    return np.concatenate([known, ORACLE_NOISE * rng.standard_normal((len(factors), 5))], axis=1)


def known_factors(factors: NDArray[np.integer]) -> NDArray[np.float64]:
    """The factors of dSprites (N, 5), each mapped linearly to [-1, 1]."""
    return factors / (np.array(SIZES) - 1) * 2.0 - 1


def factor_grid() -> NDArray[np.int64]:
    """All combinations of the factors of dSprites: (737280, 5)."""
    return np.stack(np.unravel_index(np.arange(np.prod(SIZES)), SIZES), axis=1)


def total_correlations(
    cfg: DictConfig,
    num_images: int,
    latent_dim: int,
    batch_size: int,
    num_batches: int,
    sigma: float,
) -> dict[str, float]:
    """Total correlation and mutual information of independent latents, exact and from batches.

    mu ~ N(0, I) for each of num_images images, q(z|x) = N(mu, sigma^2 I). With N images q(z) is a
    mixture of N normals in L dimensions, whose total correlation is small but not 0. In nats.
    """
    numbers: dict[str, list[float]] = {}
    with random_stream("estimators", cfg.seed):
        mu = torch.randn(num_images, latent_dim)
        z = mu + sigma * torch.randn_like(mu)
        batches = torch.randperm(num_images)[: num_batches * batch_size].split(batch_size)
    std = torch.full_like(mu, sigma)
    for rows in batches:
        pairs = pair_log_densities(z[rows], mu[rows], std[rows])
        joints = {
            name: aggregate(pairs, weights(batch_size, num_images, pairs))
            for name, weights in LOG_WEIGHTS.items()
        }
        joints["exact"] = exact(z[rows], mu, std)
        conditional = pairs.diagonal().sum(0).mean()  # log q(z_i|x_i)
        for name, (joint, marginals) in joints.items():
            tc = total_correlation(joint, marginals)
            numbers.setdefault(f"{name}/total_correlation", []).append(float(tc))
            information = conditional - joint.mean()
            numbers.setdefault(f"{name}/mutual_information", []).append(float(information))
    means = {name: sum(values) / len(values) for name, values in numbers.items()}
    for name in ("total_correlation", "mutual_information"):
        means[f"{name} ratio"] = means[f"mss/{name}"] / means[f"exact/{name}"]
    return means


@torch.no_grad()
def importance_weighted_bounds(cfg: DictConfig, num_samples: Sequence[int]) -> dict[str, float]:
    """L_K of a model with its initial weights, by number of samples K, in nats per image.

    The samples of the largest K are divided into groups for the smaller ones, so that the bounds
    differ by the grouping only and not by noise.
    """
    data, model = _build_data_and_model(cfg)
    with random_stream("noise", cfg.seed):
        samples = weighted_samples(model, data.train_batch(0), max(num_samples))
    log_weights = samples.log_weights.double()
    return {
        f"L{k}": float(log_mean_weight(log_weights.unflatten(0, (-1, k)), 1).mean())
        for k in num_samples
    }


def differences_from_elbo(
    cfg: DictConfig, objectives: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Largest difference in loss and gradients between each objective and -ELBO, in float64.

    -ELBO is written out here: Bernoulli cross-entropy plus the closed-form KL of Kingma and
    Welling 2014, app. B, on one batch with the same noise.

    Args:
        cfg: of data and model.
        objectives: name -> overrides for which it equals the plain VAE, such as beta = 1.
    """
    data, model = _build_data_and_model(cfg)
    model, x = model.double(), data.train_batch(0).double()
    reference = _loss_and_gradients(model, partial(_negative_elbo, model, x))
    numbers = {}
    for name, overrides in objectives.items():
        chosen = compose(
            "train",
            overrides=[f"objective={name}", *overrides, f"latent_dim={cfg.latent_dim}"],
        )
        objective = build.build_objective(chosen, len(data.splits.train)).double()
        loss, gradient = _loss_and_gradients(model, partial(_loss, objective, model, x))
        numbers[f"{name}/loss"] = float((loss - reference[0]).abs())
        numbers[f"{name}/gradient"] = float((gradient - reference[1]).abs().max())
    return numbers


def parameter_counts(cfg: DictConfig, models: Sequence[str]) -> dict[str, float]:
    """Parameters of the networks and FactorVAE's discriminator, at 64 x 64 x 1 and 10 latents."""
    chosen = compose("train", overrides=["objective=factor_vae", "latent_dim=10"])
    numbers = {"discriminator": _num_parameters(build.build_objective(chosen, num_train=1))}
    for name in models:
        chosen = compose("train", overrides=[f"model={name}", "latent_dim=10"])
        numbers[name] = _num_parameters(build.build_model(chosen, (1, 64, 64)))
    return numbers


def losses_without_training(cfg: DictConfig) -> dict[str, float]:
    """Reconstruction with initial weights, and with every pixel at its mean over the data.

    The latter is `pixel_mean_distortion`, the entropy of independent pixels, in nats.
    """
    data = build.build_data(cfg)
    train = data.splits.train
    with random_stream("init", cfg.seed), torch.no_grad():
        model = build.build_model(cfg, data.image_shape)
        objective = build.build_objective(cfg, len(train))
        terms = objective(model, data.train_batch(0), 0)
    return {
        "initial/reconstruction": float(terms["reconstruction"]),
        "pixel_mean/reconstruction": pixel_mean_distortion(_batches(train)),
    }


def elbo_at_mean(path: Path) -> dict[str, float]:
    """The test ELBO of a run with z at the mean of q(z|x): no bound, but what some code reports."""
    run = load_run(path)
    assert run.data.splits.test is not None
    scores = Elbo(num_bootstrap=0)(EncodedDataset(run.model, run.data.splits))
    return {"test/elbo_at_mean": float(scores["elbo_at_mean"])}


def _build_data_and_model(cfg: DictConfig) -> tuple[ImageDataModule, VAE]:
    data = build.build_data(cfg)
    with random_stream("init", cfg.seed):
        return data, build.build_model(cfg, data.image_shape)


def _num_parameters(module: torch.nn.Module) -> float:
    return float(sum(p.numel() for p in module.parameters()))


def _loss(objective: Objective, model: VAE, x: Tensor) -> Tensor:
    return objective(model, x, 0)["loss"]


def _negative_elbo(model: VAE, x: Tensor) -> Tensor:
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
