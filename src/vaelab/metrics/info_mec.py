"""InfoMEC: modularity, explicitness and compactness by information."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.errors import require_range
from vaelab.metrics.base import CodesMetric, Floats, Score, mean_over_factors
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.metrics.mutual_information import entropy, mutual_information

INACTIVE_RANGE = 1 / 20  # of the largest range of a continuous latent, as in the authors' code


def info_mec(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    discrete: bool = False,
    num_neighbors: int = 10,
    names: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Score]:
    """InfoM, InfoE and InfoC of codes, from the normalised mutual information with the factors.

        NMI_ij = I(v_i; z_j) / H(v_i)
        InfoM = (mean_j max_i NMI_ij / sum_i NMI_ij - 1/F) / (1 - 1/F)        over active latents j
        InfoC = (mean_i max_j NMI_ij / sum_j NMI_ij - 1/A) / (1 - 1/A)        of A active latents
        InfoE = mean_i (ln V_i - H(v_i|z)) / ln V_i

    InfoM says whether a latent is informative about one factor alone, InfoC whether one latent has
    all the information about a factor, InfoE whether a linear classifier finds it: H(v_i|z) is the
    log loss of a multinomial logistic regression without penalty and with balanced weights, on the
    rows that it was fitted to, and V_i the number of values. A latent is active if its range is
    above 1/20 of the largest, a discrete one if it varies.

    Continuous latents: I by nearest neighbours, Ross 2014, "Mutual information between discrete and
    continuous data sets", https://doi.org/10.1371/journal.pone.0087357 (scikit-learn's). Discrete
    ones: plug-in, whose bias raises small entries, so that **the scores depend on N**: perfect
    codes of dSprites have an InfoM of .75 with 1,000 images, .97 with 10,000 and .997 with 100,000.

    Hsu et al. 2023, "Disentanglement via latent quantization", https://arxiv.org/abs/2305.18378.

    Args:
        codes: (N, L).
        factors: (N, F), F >= 2, the value of each factor, of any type.
        discrete: whether each latent takes a few values.
        num_neighbors: of the estimate for continuous latents.
        names: of the factors.
        seed: of the tiny noise by which scikit-learn separates equal values.

    Returns:
        "infom", "infoe" (with that of each factor) and "infoc". With fewer than two active latents
        InfoC has nothing to compare and is 0, as is InfoM without any.

    Raises:
        UserError: a single factor, codes not finite, or a factor that never varies.
    """
    require_range("num_neighbors", num_neighbors, at_least=1, integer=True, example=10)
    dataset = FactorDataset.of(codes, factors, names)
    dataset.require_two_factors()
    table, values = dataset.all_codes(), dataset.factors
    active = _active_latents(table, discrete=discrete)
    levels = _levels(table) if discrete else None
    if levels is not None:
        information = mutual_information(values, levels)
    else:
        information = _nearest_neighbours(table, values, num_neighbors, seed)
    shares = (information / entropy(values)[:, None])[:, active]  # (F, A)
    explicit = [_predictive(table, levels, column) for column in values.T]
    details = {"num_samples": len(dataset), "num_active": int(active.sum())}
    return {
        "infom": Score(_concentration(shares.T)).with_details(**details),
        "infoe": mean_over_factors(np.array(explicit), dataset.names).with_details(**details),
        "infoc": Score(_concentration(shares)).with_details(**details),
    }


def _active_latents(table: Floats, *, discrete: bool) -> NDArray[np.bool_]:
    ranges = np.ptp(table, axis=0)
    return ranges > (0 if discrete else INACTIVE_RANGE * ranges.max())


def _levels(table: Floats) -> NDArray[np.int64]:
    """Each latent's values numbered from 0: (N, L)."""
    return np.stack([np.unique(column, return_inverse=True)[1] for column in table.T], 1)


def _nearest_neighbours(
    table: Floats, values: NDArray[np.integer], num_neighbors: int, seed: int
) -> Floats:
    """I of each factor and each latent, in nats: (F, L)."""
    from sklearn.feature_selection import mutual_info_classif

    spread = table.std(0)
    scaled = (table - table.mean(0)) / np.where(spread > 0, spread, 1)
    settings = {"discrete_features": False, "n_neighbors": num_neighbors, "random_state": seed}
    rows = [mutual_info_classif(scaled, column, **settings) for column in values.T]
    return np.where(spread > 0, np.stack(rows), 0.0)


def _concentration(rows: Floats) -> float:
    """The mean share of the largest entry of each row (R, K), scaled so that equal ones are 0."""
    num = rows.shape[1]
    if num < 2 or not len(rows):
        return 0.0
    total = rows.sum(1)
    share = np.where(total > 0, rows.max(1) / np.where(total > 0, total, 1), 1 / num)
    return float((share.mean() - 1 / num) / (1 - 1 / num))


def _predictive(
    table: Floats, levels: NDArray[np.int64] | None, values: NDArray[np.integer]
) -> float:
    """(ln V - H(v|z)) / ln V of a factor (N,), by logistic regression on these rows."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encoder = StandardScaler() if levels is None else OneHotEncoder()
    x = encoder.fit_transform(table if levels is None else levels)
    classifier = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 100 steps, as in the authors' code
        probabilities = classifier.fit(x, values).predict_proba(x)
    most = math.log(len(classifier.classes_))
    return (most - log_loss(values, probabilities)) / most


@dataclass(frozen=True)
class InfoMEC(CodesMetric):
    """`info_mec` of a model's codes: the scores "infom", "infoe" and "infoc".

    Args:
        discrete, num_neighbors: as there.
    """

    name = "info_mec"
    min_factors = 2
    num_samples: int = 10_000
    num_repeats: int = field(default=4, kw_only=True)
    discrete: bool = False
    num_neighbors: int = 10

    def scores(self, codes: NDArray, factors: NDArray, **options) -> dict[str, Score]:
        return info_mec(
            codes,
            factors,
            discrete=self.discrete,
            num_neighbors=self.num_neighbors,
            names=options["names"],
            seed=int(options["rng"].integers(2**31)),
        )
