"""The score of the beta-VAE paper: which factor was held fixed, from differences of codes."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaelab.metrics.base import Score
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.metrics.fixed_factor import FixedFactorMetric, accuracy, draw_points


def beta_vae_score(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    num_train: int = 10_000,
    num_eval: int = 5_000,
    batch_size: int = 64,
    rng: np.random.Generator | None = None,
    names: Sequence[str] = (),
) -> Score:
    """Accuracy of a linear classifier that predicts which factor was held fixed.

    A point is made of a factor k, drawn uniformly, and `batch_size` pairs of images that agree in k
    and are independent in the rest: its features are mean_b |r(x1_b) - r(x2_b)|, (L,), its class is
    k. Chance is 1 / F.

    Higgins et al. 2017, "beta-VAE: learning basic visual concepts with a constrained variational
    framework", sec. 3, https://openreview.net/forum?id=Sy2fzU9gl, with the classifier of Locatello
    et al. 2019, https://arxiv.org/abs/1811.12359: scikit-learn's LogisticRegression() with its
    defaults on features as they are, so the score depends on the scale of the codes. These are the
    defaults of today's scikit-learn, a multinomial model, whereas `explicitness` keeps the
    one-vs-rest models of the scikit-learn of that study.

    Args:
        codes: (N, L). factors: (N, F). Pairs are drawn among these N images.
        num_train, num_eval: points to fit to and to score on.
        names: of the factors.

    Returns:
        The accuracy in [0, 1]; for each factor the accuracy on its own points.

    Raises:
        UserError: codes that are not finite, a factor that never varies, or a value of a factor
            with fewer than two images.
    """
    metric = BetaVAEScore(num_train=num_train, num_eval=num_eval, batch_size=batch_size)
    rng = np.random.default_rng(0) if rng is None else rng
    return metric.score(FactorDataset.of(codes, factors, names), rng)


@dataclass(frozen=True)
class BetaVAEScore(FixedFactorMetric):
    """`beta_vae_score` of a model's codes; score "beta_vae_score"."""

    name = "beta_vae_score"

    def score(self, dataset: FactorDataset, rng: np.random.Generator) -> Score:
        def difference(factor: int, num: int) -> NDArray[np.floating]:
            rows = dataset.sample(num * self.batch_size, rng).reshape(num, self.batch_size)
            others = dataset.sample_given_factor(factor, dataset.factors[rows, factor], rng)
            return np.abs(dataset.codes(rows) - dataset.codes(others)).mean(axis=1)

        size = 2 * self.batch_size
        train, train_factor = draw_points(dataset, self.num_train, size, difference, rng)
        points, factor = draw_points(dataset, self.num_eval, size, difference, rng)
        predicted, converged = _predict_factor(train, train_factor, points)
        return accuracy(predicted, factor, dataset.names).with_details(
            num_train=self.num_train,
            num_eval=self.num_eval,
            batch_size=self.batch_size,
            converged="yes" if converged else "no",
            scikit_learn=version("scikit-learn"),
        )


def _predict_factor(
    train: NDArray, factor: NDArray[np.int64], points: NDArray
) -> tuple[NDArray[np.int64], bool]:
    """Classes predicted for `points` (M, L), and whether the fit converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported in the details of the score
        model.fit(train, factor)
    return model.predict(points), bool(model.n_iter_.max() < model.max_iter)
