"""Estimators on toys whose answer is known: total correlations from a batch, rising bounds."""

from collections.abc import Sequence

import torch
from omegaconf import DictConfig

from vaelab import build
from vaelab.distributions import log_mean_weight
from vaelab.objectives.importance_weights import weighted_samples
from vaelab.objectives.total_correlation import (
    LOG_WEIGHTS,
    aggregate,
    exact,
    pair_log_densities,
    total_correlation,
)
from vaelab.seeding import random_stream


def total_correlations(
    cfg: DictConfig,
    num_images: int,
    latent_dim: int,
    batch_size: int,
    num_batches: int,
    sigma: float,
) -> dict[str, float]:
    """TC and mutual information of independent latents, over all images and from batches, in nats.

    mu ~ N(0, I) for each of num_images images, q(z|x) = N(mu, sigma^2 I). With N images q(z) is a
    mixture of N normals in L dimensions, whose TC is not 0 but what chance makes of it.
    """
    numbers: dict[str, list[float]] = {}
    with random_stream("estimators", cfg.seed):
        mu = torch.randn(num_images, latent_dim)
        z = mu + sigma * torch.randn_like(mu)
        batches = torch.randperm(num_images)[: num_batches * batch_size].split(batch_size)
    std = torch.full_like(mu, sigma)
    for rows in batches:
        own = pair_log_densities(z[rows], mu[rows], std[rows])
        joints = {
            name: aggregate(own, weights(batch_size, num_images, own))
            for name, weights in LOG_WEIGHTS.items()
        }
        joints["exact"] = exact(z[rows], mu, std)
        conditional = own.diagonal().sum(0).mean()  # log q(z_i|x_i)
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
def bounds(cfg: DictConfig, num_samples: Sequence[int]) -> dict[str, float]:
    """L_K of a model with its initial weights, by number of samples K, in nats per image.

    The samples of the largest K are shared out among the groups of the smaller ones, so that the
    bounds differ by what grouping does and not by noise.
    """
    data = build.build_data(cfg)
    with random_stream("init", cfg.seed):
        model = build.build_model(cfg, data.image_shape)
    with random_stream("noise", cfg.seed):
        samples = weighted_samples(model, data.train_batch(0), max(num_samples))
    log_weights = samples.log_weights.double()
    return {
        f"L{k}": float(log_mean_weight(log_weights.unflatten(0, (-1, k)), 1).mean())
        for k in num_samples
    }
