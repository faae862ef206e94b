"""Numbers that need no training, or one run: losses, gradients, parameters."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.models import VAE
from vaelab.objectives import Objective
from vaelab.seeding import derive_seed, random_stream

EVAL_BATCH = 1000


def test_elbo_at_mean(path: Path) -> dict[str, float]:
    """The test ELBO with z at the mean of q(z|x): not a bound, but what some code reports."""
    run = load_run(path)
    assert run.data.splits.test is not None
    scores = Elbo(num_bootstrap=0)(EncodedDataset(run.model, run.data.splits))
    return {"test/elbo_at_mean": float(scores["elbo_at_mean"])}


def differences_from_elbo(
    cfg: DictConfig, objectives: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Largest difference in loss and gradients between each objective and -ELBO.

    -ELBO is written out here: Bernoulli cross-entropy plus the analytic KL of Kingma and Welling
    2014, app. B, on one batch in float64 with the same noise.

    Args:
        cfg: of data and model.
        objectives: name -> overrides at which it should be the plain VAE, such as beta = 1.
    """
    data = build.build_data(cfg)
    x = data.train_batch(0).double()
    with random_stream("init", cfg.seed):
        model = build.build_model(cfg, data.image_shape).double()
    reference = _loss_and_gradients(model, partial(_minus_elbo, model, x))
    numbers = {}
    for name, overrides in objectives.items():
        words = [f"objective={name}", *overrides, f"latent_dim={cfg.latent_dim}"]
        chosen = compose("train", overrides=words)
        objective = build.build_objective(chosen, len(data.splits.train)).double()
        loss, gradient = _loss_and_gradients(model, partial(_loss, objective, model, x))
        numbers[f"{name}/loss"] = float((loss - reference[0]).abs())
        numbers[f"{name}/gradient"] = float((gradient - reference[1]).abs().max())
    return numbers


def parameter_counts(cfg: DictConfig, models: Sequence[str]) -> dict[str, float]:
    """Parameters of the networks and FactorVAE's discriminator, at 64 x 64 x 1 and 10 latents."""
    chosen = compose("train", overrides=["objective=factor_vae", "latent_dim=10"])
    discriminator = build.build_objective(chosen, num_train=1)
    numbers = {"discriminator": float(sum(p.numel() for p in discriminator.parameters()))}
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
