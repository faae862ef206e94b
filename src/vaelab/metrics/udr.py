"""Unsupervised disentanglement ranking of the models of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.distributions import kl_per_latent
from vaelab.errors import UserError, require, require_choice
from vaelab.metrics.base import MultiRunMetric, Score, metric_rng, with_code_suffix
from vaelab.metrics.encoded_dataset import CODES, EncodedDataset
from vaelab.metrics.factor_dataset import Rows, require_codes
from vaelab.metrics.intervals import LEVEL

Floats = NDArray[np.float64]
METHODS = ("lasso", "spearman")


def udr(
    codes: Sequence[ArrayLike],
    kl_latent: Sequence[ArrayLike],
    *,
    method: str = "lasso",
    alpha: float = 0.1,
    kl_threshold: float = 0.01,
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

    Returns:
        A score in [0, 1] for "spearman", at least 0 for "lasso", of each model. Its interval is
        `median_interval` over the partners j, with the images kept: None for M <= 6.

    Raises:
        UserError: fewer than 2 models, shapes that disagree, or codes not finite.
    """
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
        score = Score(float(np.median(agreements)), median_interval(agreements))
        scores.append(score.with_details(**details, interval=_describe(score, len(agreements))))
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


def median_interval(values: ArrayLike) -> tuple[float, float] | None:
    """95 % interval of the median of the distribution of n independent values, whatever its shape.

        [x_(k), x_(n+1-k)] with the largest k for which P(Binomial(n, 1/2) < k) <= 0.025

    David and Nagaraja 2003, "Order statistics", sec. 7.1. It covers the median with probability
    96.9 % for n = 6, 98.4 % for n = 7 and 97.9 % for n = 10; below 6 the whole range covers it with
    less than 95 %, and there is no interval.
    """
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, np.float64))
    k = int(binom.ppf((1 - LEVEL) / 2, len(ordered), 0.5))
    return (float(ordered[k - 1]), float(ordered[-k])) if k > 0 else None


def _describe(score: Score, num_partners: int) -> str:
    if score.interval is None:
        return f"none: it takes 6 partner models, there are {num_partners}"
    return f"95 %, order statistics of the {num_partners} partner models, images kept"


@dataclass(frozen=True)
class UDR(MultiRunMetric):
    """`udr` of runs of the same settings and different seeds; score "udr_lasso" or "udr_spearman".

    Args:
        num_samples: images drawn with replacement, the same for all runs.
        method: "lasso" or "spearman".
        alpha: weight of the Lasso's penalty.
        kl_threshold: in nats; latents below are left out.
        codes: "mean" of q(z|x), or "sampled" from it: the score's name ends in "_sampled_codes".
        seed: of the drawn images.
    """

    num_samples: int = 1_000
    method: str = "lasso"
    alpha: float = 0.1
    kl_threshold: float = 0.01
    codes: str = "mean"
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
        )
        return [with_code_suffix({f"udr_{self.method}": score}, self.codes) for score in scores]


def _mean_kl(encoded: EncodedDataset, rows: Rows) -> NDArray[np.floating]:
    """Mean KL of each latent over the images in rows, in nats (L,)."""
    kl = kl_per_latent(encoded.posterior(rows), encoded.given(rows).prior())
    if kl is None:
        raise UserError(
            "UDR expects a KL for each latent, got a posterior or prior without independent "
            "latents or closed form; use a Gaussian posterior and a standard normal prior."
        )
    return kl.mean(0).cpu().numpy()
