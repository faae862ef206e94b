"""Hand-made codes of the factors of dSprites, whose scores are known."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from vaelab.data.rendering import FACTORS, SIZES
from vaelab.metrics import Score, beta_vae_score, factor_vae_score, mig, modularity, sap

NOISE = 0.01
SCORES: dict[str, tuple[Callable[..., Score], dict[str, int]]] = {
    "beta_vae_score": (beta_vae_score, {"num_train": 2000, "num_eval": 1000}),
    "factor_vae_score": (factor_vae_score, {"num_train": 2000, "num_eval": 1000}),
    "mig": (mig, {}),
    "modularity": (modularity, {}),
    "sap": (sap, {}),
}
ROWS = {"sap": 6000}  # 4,000 to fit and 2,000 to test on; 10,000 for the others


def oracle_codes(kind: str, factors: NDArray[np.integer], rng: np.random.Generator) -> NDArray:
    """Codes (N, 10) of factors (N, 5).

    linear: each factor mapped linearly to [-1, 1], then five latents of noise of std 0.01;
    rotated: the same with posX and posY turned by 45 degrees;
    noise: ten standard normals.
    """
    if kind == "noise":
        return rng.standard_normal((len(factors), 10))
    known = factors / (np.array(SIZES) - 1) * 2.0 - 1
    if kind == "rotated":
        x, y = known[:, 3].copy(), known[:, 4].copy()
        known[:, 3], known[:, 4] = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    return np.concatenate([known, NOISE * rng.standard_normal((len(factors), 5))], axis=1)


def grid() -> NDArray[np.int64]:
    """All combinations of the factors of dSprites: (737280, 5)."""
    return np.stack(np.unravel_index(np.arange(np.prod(SIZES)), SIZES), axis=1)


def oracle_scores(cfg: DictConfig, scores: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """kind/score -> value, for each kind of codes the scores that are named."""
    numbers, everything = {}, grid()
    for kind, names in scores.items():
        rng = np.random.default_rng(cfg.seed)
        codes = oracle_codes(kind, everything, rng)
        for name in names:
            score, options = SCORES[name]
            # The votes draw groups of images alike in a factor, hence from the whole grid.
            votes = "num_eval" in options
            rows = slice(None) if votes else rng.integers(len(codes), size=ROWS.get(name, 10_000))
            value = score(codes[rows], everything[rows], rng=rng, num_bootstrap=0, names=FACTORS,
                          **options)  # fmt: skip
            numbers[f"{kind}/{name}"] = float(value)
    return numbers
