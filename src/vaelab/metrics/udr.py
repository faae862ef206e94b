"""Unsupervised disentanglement ranking of the models of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.distributions import kl_per_latent
from vaelab.errors import UserError, require, require_choice
from vaelab.metrics.base import (
    MultiRunMetric,
    Score,
    bootstrap_interval,
    metric_rng,
    with_code_suffix,
)
from vaelab.metrics.encoded_dataset import CODES, EncodedDataset
from vaelab.metrics.factor_dataset import Rows, require_codes

Floats = NDArray[np.float64]
METHODS = ("lasso", "spearman")


def udr(
    codes: Sequence[ArrayLike],
    kl_latent: Sequence[ArrayLike],
    *,
    method: str = "lasso",
    alpha: float = 0.1,
    kl_threshold: float = 0.01,
    num_bootstrap: int = 200,
    rng: np.random.Generator | None = None,
) -> list[Score]:
    """How well each model's latents agree one to one with those of models of other seeds.

        UDR_i = median_{j != i} 1/2 (mean_a (max_b R_ab)^2 / sum_b R_ab
                                     + mean_b (max_a R_ab)^2 / sum_a R_ab)

    R_ab is the relevance of latent a of model j to latent b of model i: the |coefficient| of a
    Lasso from the standardised codes of j to those of i, or the |Spearman correlation|. Only
    informative latents count, whose mean KL exceeds `kl_threshold` and whose codes vary; the
    agreement of two models without any is 0. Duan et al. 2020, "Unsupervised model selection for
    variational disentangled representation learning", sec. 4, https://arxiv.org/abs/1905.12614, as
    disentanglement_lib averages: rows and columns have the same weight even where the two models
    have different numbers of informative latents.

    Args:
        codes: of each of M models (N, L) on the same N images.
        kl_latent: of each model (L,) the mean KL of its latents in nats.
        method: "lasso" or "spearman"; their scores can't be compared.
        alpha: weight of the Lasso's penalty.
        num_bootstrap: resamples of the partners j for the interval, which is None for M = 2.

    Returns:
        A score in [0, 1] for "spearman", at least 0 for "lasso", of each model.

    Raises:
        UserError: fewer than 2 models, shapes that disagree, or codes not finite.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    require_choice("method", method, METHODS)
    require(
        len(codes) > 1,
        f"codes expects those of at least 2 models of the same settings and different seeds, got "
        f"{len(codes)}; give the folder of a sweep over seeds.",
    )
    tables = [require_codes(table).astype(np.float64) for table in codes]
    kls = [np.asarray(kl) for kl in kl_latent]
    shapes, kl_shapes = [t.shape for t in tables], [kl.shape for kl in kls]
    require(
        len({num for num, _ in shapes}) == 1 and kl_shapes == [(width,) for _, width in shapes],
        "codes and kl_latent expect (N, L) of the same images and (L,) for every model, got codes "
        f"{shapes} and kl_latent {kl_shapes}; encode the same images with each.",
    )
    informative = [
        _standardise(table[:, kl > kl_threshold], method)
        for table, kl in zip(tables, kls, strict=True)
    ]
    details: dict[str, int | float | str] = {
        "num_samples": len(tables[0]),
        "num_models": len(tables),
        "kl_threshold": kl_threshold,
    }
    if method == "lasso":
        details |= {"alpha": alpha, "scikit_learn": version("scikit-learn")}
    scores = []
    for i, target in enumerate(informative):
        partners = [partner for j, partner in enumerate(informative) if j != i]
        relevances = [_relevance(partner, target, method, alpha) for partner in partners]
        agreements = np.array([_agreement(relevance) for relevance in relevances])
        scores.append(_median(agreements, num_bootstrap, rng).with_details(**details))
    return scores


def _standardise(table: Floats, method: str) -> Floats:
    """The columns that vary, as ranks for "spearman", with mean 0 and variance 1."""
    from scipy.stats import rankdata

    table = table[:, np.ptp(table, axis=0) > 0]
    if method == "spearman":
        table = rankdata(table, axis=0)
    return (table - table.mean(axis=0)) / table.std(axis=0)


def _relevance(partner: Floats, target: Floats, method: str, alpha: float) -> Floats:
    """R (latents of the partner, latents of the target)."""
    if method == "spearman" or 0 in (partner.shape[1], target.shape[1]):
        return np.abs(partner.T @ target) / len(target)
    from sklearn.linear_model import Lasso

    coefficients = Lasso(alpha=alpha).fit(partner, target).coef_
    return np.abs(coefficients).reshape(target.shape[1], partner.shape[1]).T


def _agreement(relevance: Floats) -> float:
    """Mean over rows and over columns of max^2 / sum, 0 for those without any relevance."""
    if relevance.size == 0:
        return 0.0
    tiny = np.finfo(float).tiny
    means = [
        (relevance.max(axis) ** 2 / np.maximum(relevance.sum(axis), tiny)).mean() for axis in (0, 1)
    ]
    return float(np.mean(means))


def _median(agreements: Floats, num_bootstrap: int, rng: np.random.Generator) -> Score:
    """The score of one model from its agreement with each partner."""
    num = len(agreements)
    resamples = num_bootstrap if num > 1 else 0
    value = float(np.median(agreements))
    interval = bootstrap_interval(
        value,
        lambda counts: float(np.median(np.repeat(agreements, counts))),
        num,
        rng,
        resamples,
        (agreements.min(), agreements.max()),
    )
    how = f"95 %, {resamples} bootstrap resamples of the {num} partner models, images kept"
    return Score(value, interval, {}, {"interval": how})


@dataclass(frozen=True)
class UDR(MultiRunMetric):
    """`udr` of runs of the same settings and different seeds; score "udr_lasso" or "udr_spearman".

    Args:
        num_samples: images drawn with replacement, the same for all runs.
        method: "lasso" or "spearman".
        alpha: weight of the Lasso's penalty.
        kl_threshold: in nats; latents below are left out.
        codes: "mean" of q(z|x), or "sampled" from it: the score's name ends in "_sampled_codes".
        num_bootstrap: resamples of the partner runs for the intervals; 0 for none.
        seed: of the drawn images.
    """

    num_samples: int = 1_000
    method: str = "lasso"
    alpha: float = 0.1
    kl_threshold: float = 0.01
    codes: str = "mean"
    num_bootstrap: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        require_choice("method", self.method, METHODS)
        require_choice("codes", self.codes, CODES)

    def __call__(self, encoded_datasets: Sequence[EncodedDataset]) -> list[dict[str, Score]]:
        """The score of each run.

        Raises:
            UserError: fewer than 2 runs, runs on different images, or without a KL per latent.
        """
        sizes = [len(encoded.images) for encoded in encoded_datasets]
        require(
            len(set(sizes)) <= 1,
            f"UDR expects runs on the same images, got data of {sizes} images; compare runs of "
            "one data set.",
        )
        rng = metric_rng("udr", self.seed)
        rows = rng.integers(sizes[0], size=self.num_samples) if sizes else np.empty(0, np.int64)
        scores = udr(
            [encoded.codes(rows, self.codes, rng) for encoded in encoded_datasets],
            [_mean_kl(encoded, rows) for encoded in encoded_datasets],
            method=self.method,
            alpha=self.alpha,
            kl_threshold=self.kl_threshold,
            num_bootstrap=self.num_bootstrap,
            rng=rng,
        )
        return [with_code_suffix({f"udr_{self.method}": score}, self.codes) for score in scores]


def _mean_kl(encoded: EncodedDataset, rows: Rows) -> NDArray[np.floating]:
    """Mean KL of each latent over the images in rows, in nats (L,)."""
    kl = kl_per_latent(encoded.posterior(rows), encoded.model.prior())
    if kl is None:
        raise UserError(
            "UDR expects a KL for each latent, got a posterior or prior without independent "
            "latents or closed form; use a Gaussian posterior and a standard normal prior."
        )
    return kl.mean(0).cpu().numpy()
