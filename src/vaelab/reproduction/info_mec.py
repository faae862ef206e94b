"""InfoMEC of codes whose scores are known (target B1)."""

from collections.abc import Sequence

import numpy as np
from omegaconf import DictConfig

from vaelab.data.rendering import SIZES
from vaelab.metrics import info_mec
from vaelab.seeding import derive_seed


def scores_of_known_codes(cfg: DictConfig, num_images: Sequence[int]) -> dict[str, float]:
    """InfoM and InfoC, plug-in, of codes made of the factors of dSprites, drawn at random.

    "perfect, <N>": the factors themselves, for each number of images. With the last of these also
    "quantised", ten values a latent; "noise", ten latents of ten values; and "with noise", the
    factors and five such latents.
    """
    rng = np.random.default_rng(derive_seed("b1", cfg.seed))
    codes, factors = {}, np.empty((0, len(SIZES)), int)
    numbers: dict[str, float] = {}
    for num in num_images:
        factors = rng.integers(SIZES, size=(num, len(SIZES)))
        codes = {f"perfect, {num}": factors}
        if num == num_images[-1]:
            noise = rng.integers(10, size=(num, 10))
            codes |= {
                "quantised": factors * 10 // np.array(SIZES),
                "noise": noise,
                "with noise": np.concatenate([factors, noise[:, :5]], 1),
            }
        for name, table in codes.items():
            scores = info_mec(table, factors, discrete=True)
            numbers |= {f"{name}/{one}": float(scores[one]) for one in ("infom", "infoc")}
    return numbers
