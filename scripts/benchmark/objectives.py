"""CPU time of a training step of every objective beside the VAE's, in one process."""

import statistics
import time
from collections.abc import Callable

import torch
from hydra import compose, initialize_config_dir

from vaelab import build
from vaelab.cli.hydra_app import CONF, register_resolvers

from .measure import Row

SHAPE, BATCH, NUM_TRAIN, NUM_CLASSES, STEPS = (1, 28, 28), 100, 50_000, 10, 10
SHARED = ("model=mlp", "model.hidden=[400]", "latent_dim=20", "optimizer.lr=1e-3")
MIXTURE = ("prior=categorical", "posterior=categorical")
CLASSES = ("condition=label",)
FEW_LABELS = (*CLASSES, "condition.classifier=true", "objective=m2")
CASES: dict[str, tuple[str, ...]] = {
    "vae": ("objective=vae",),
    **{
        name: (f"objective={name}",)
        for name in (
            *("beta_tcvae", "factor_vae", "dip_vae_i", "dip_vae_ii", "annealed_capacity"),
            *("iwae", "miwae", "ciwae", "dreg", "semi_amortised"),
            *("wake_sleep", "reweighted_wake_sleep", "info_vae", "wae_mmd"),
            *("autoencoder", "denoising_autoencoder", "sparse_autoencoder"),
            "contractive_autoencoder",
        )
    },
    "enumerated, 20 values": ("objective=enumerated", *MIXTURE),
    "vae of a known class": ("objective=vae", *CLASSES),
    "m2, 10 classes summed": FEW_LABELS,
    "m2, one relaxed class": (*FEW_LABELS, "objective.unknown=relax"),
}


def time_objectives(repeats: int) -> list[Row]:
    """Milliseconds of CPU per step, MLP 784-400-20, batches of 100 random images, one thread.

    A tenth of the images of `m2` have labels. Medians of `repeats` rounds of all cases in turn, and
    ratios to the VAE of the same round.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steps = {name: _stepper(words) for name, words in CASES.items()}
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(repeats + 1):
            for name, step in steps.items():
                start = time.process_time()
                for _ in range(STEPS):
                    step()
                times[name].append(1000 * (time.process_time() - start) / STEPS)
    finally:
        torch.set_num_threads(num_threads)
    rows = []
    for name, found in times.items():
        kept = found[1:]  # the first round warms up
        ratios = [a / b for a, b in zip(kept, times["vae"][1:], strict=True)]
        rows.append(
            {
                "name": name,
                "median": statistics.median(kept),
                "ratio": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
            }
        )
    return rows


def _stepper(words: tuple[str, ...]) -> Callable[[], None]:
    """One training step of a config, from images to the moved weights."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*SHARED, *words])
    torch.manual_seed(0)
    model = build.build_model(cfg, SHAPE, (NUM_CLASSES,) if cfg.condition else ())
    objective = build.build_objective(cfg, NUM_TRAIN, NUM_TRAIN // 10)
    groups = [*model.parameter_groups(), *objective.parameter_groups()]
    optimizer = build.build(cfg.optimizer)(groups)
    x = torch.rand(BATCH, *SHAPE).round()
    y = torch.arange(BATCH) % NUM_CLASSES
    view = model.given(y) if cfg.condition else model
    known = torch.where(torch.arange(BATCH) < BATCH // 10, y, -1)

    def step() -> None:
        optimizer.zero_grad()
        arguments = (model, x, 0, known) if objective.needs_labels else (view, x, 0)
        objective(*arguments)["loss"].backward()
        optimizer.step()

    return step
