"""Sweeps that no one trained: their numbers move with beta, the latents and the seed."""

import itertools
import json

import numpy as np
import yaml
from omegaconf import OmegaConf
from PIL import Image

SUPERVISED = {
    "mig": ("MIG", (0.05, 0.25)),
    "dci_disentanglement": ("DCI", (0.2, 0.3)),
    "factor_vae_score": ("FactorVAEScore", (0.6, 0.2)),
    "sap": ("SAP", (0.02, 0.05)),
    "modularity": ("Modularity", (0.8, -0.05)),
}
DATA = {"mnist": ("MNIST", 70.0), "fashion_mnist": ("FashionMNIST", 220.0)}


def write_sweep(
    folder, compose, *, data=("mnist",), betas=(1, 2, 4, 8, 16), latents=(10,), seeds=range(5),
    udr=True, figures=True,
):  # fmt: skip
    """A run folder for each combination, all finished; returns their paths."""
    configs = {name: OmegaConf.to_container(compose(f"data={name}"), resolve=True) for name in data}
    paths = []
    for name, beta, latent_dim, seed in itertools.product(data, betas, latents, seeds):
        config = configs[name] | {"latent_dim": latent_dim, "seed": seed}
        config["objective"] = config["objective"] | {"beta": beta}
        path = folder / f"data-{name}_objective.beta-{beta}_latent_dim-{latent_dim}_seed-{seed}"
        (path / "figures").mkdir(parents=True)
        (path / "config.yaml").write_text(yaml.dump(config, Dumper=yaml.CSafeDumper))
        status = {"state": "finished", "time": "2026-01-01T00:00:00+00:00", "pid": 1, "host": "x"}
        (path / "status.json").write_text(json.dumps(status))
        numbers = metrics(DATA[name][1], beta, latent_dim, seed, udr)
        (path / "metrics.json").write_text(json.dumps(numbers))
        if figures:
            rng = np.random.default_rng(seed)
            for figure, shape in (("traversals", (120, 300)), ("reconstructions", (60, 300))):
                image = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
                image.save(path / "figures" / f"{figure}.png")
        paths.append(path)
    return paths


def metrics(cost, beta, latent_dim, seed, udr=True):
    """metrics.json of a run: KL falls with beta, scores rise until 8, seeds add noise."""
    rng = np.random.default_rng([beta, latent_dim, seed])
    kl = 26 / (1 + 0.45 * beta**0.8) + rng.normal(0, 0.3)
    reconstruction = cost + 18 * np.log2(1 + beta) * 0.6 + rng.normal(0, 0.8)
    numbers = {
        "test/elbo": -kl - reconstruction, "test/reconstruction": reconstruction, "test/kl": kl,
        "test/active_units": float(max(1, round(latent_dim * 1.1 - np.log2(beta) * 1.5))),
        "val/elbo": -kl - reconstruction + rng.normal(0, 0.3), "val/kl": kl,
        "val/reconstruction": reconstruction, "num_steps": 1000, "seconds": 75 + rng.normal(),
    }  # fmt: skip
    good = 1 - (np.log2(beta) - 3) ** 2 / 9 + rng.normal(0, 0.35)
    scores, evaluations = {}, {}
    for name, (target, (low, rise)) in SUPERVISED.items():
        value = low + rise * good + rng.normal(0, 0.02)
        numbers[f"metrics/{name}"] = value
        scores[name] = {"interval": [value - 0.01, value + 0.01], "details": {}}
        config = {"_target_": f"vaelab.metrics.{target}"}
        evaluations[name] = {"config": config, "scores": [name]}
    if udr:
        numbers["metrics/udr_lasso"] = 0.4 + 0.2 * good + rng.normal(0, 0.05)
        config = {"_target_": "vaelab.metrics.UDR"}
        evaluations["udr"] = {"config": config, "scores": ["udr_lasso"]}
    return numbers | {"scores": scores, "evaluations": evaluations}
