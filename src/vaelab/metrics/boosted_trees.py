"""Gradient-boosted classification trees, equal to scikit-learn's defaults but faster.

scikit-learn's GradientBoostingClassifier sorts every column again at every node of every tree. Here
the columns are sorted once and stay sorted while nodes are split; splits and leaves are the same.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Rows = NDArray[np.intp]

SAME_VALUE = 1e-7  # no split between values closer than this, as in scikit-learn
TINY = 1e-150


@dataclass
class Node:
    """x[feature] <= threshold goes to the first child, else to the second; or a leaf: a value."""

    feature: int = -1
    threshold: float = 0.0
    value: float = 0.0
    children: tuple["Node", ...] = ()

    def add_to(self, scores: Values, x: NDArray[np.float32], rows: Rows) -> None:
        """Add the leaves' values of x[rows] to scores[rows]."""
        if not self.children:
            scores[rows] += self.value
            return
        left = x[rows, self.feature] <= self.threshold
        for child, part in zip(self.children, (rows[left], rows[~left]), strict=True):
            child.add_to(scores, x, part)


@dataclass
class BoostedTrees:
    """Trees on the gradient of the multinomial log-likelihood.

    Friedman 2001, "Greedy function approximation: a gradient boosting machine", algorithm 6,
    https://doi.org/10.1214/aos/1013203451. The defaults are those of GradientBoostingClassifier():
    at each of 100 stages a tree of depth 3 for every class. Ties between equally good splits are
    broken at random.

    Attributes:
        importances: (L,), the squared error that the splits on each column remove, over all trees,
            as a share of the sum; zeros where nothing was split.
    """

    num_stages: int = 100
    learning_rate: float = 0.1
    max_depth: int = 3
    seed: int = 0
    importances: Values = field(init=False)

    def fit(self, x: NDArray[np.floating], y: NDArray[np.integer]) -> "BoostedTrees":
        """Fit to x (n, L) and classes y (n,); where y is one class, it is always predicted."""
        self._classes, target = np.unique(y, return_inverse=True)
        hot = np.eye(len(self._classes))[target]
        if len(self._classes) == 2:  # one score is enough: of the second class against the first
            hot = hot[:, 1:]
        prior = hot.mean(axis=0)
        self._start = np.log(prior) - (np.log1p(-prior) if len(self._classes) == 2 else 0)
        grower = _Grower(x, self.learning_rate, self.max_depth, np.random.default_rng(self.seed))
        self._stages: list[list[Node]] = []
        scores = np.tile(self._start[:, None], len(x))
        for _ in range(self.num_stages if len(self._classes) > 1 else 0):
            gradients = hot.T - _probabilities(scores)
            trees = zip(gradients, hot.T, scores, strict=True)
            self._stages.append([grower.tree(*columns, len(self._classes)) for columns in trees])
        total = grower.importances.sum()
        self.importances = grower.importances / (total if total > 0 else 1.0)
        return self

    def predict(self, x: NDArray[np.floating]) -> NDArray[np.integer]:
        """The likeliest class of each row: (m, L) -> (m,)."""
        x32, rows = np.asarray(x, np.float32), np.arange(len(x))
        scores = np.tile(self._start[:, None], len(x))
        for stage in self._stages:
            for score, tree in zip(scores, stage, strict=True):
                tree.add_to(score, x32, rows)
        two = len(self._classes) == 2
        return self._classes[(scores[0] >= 0).astype(int) if two else scores.argmax(axis=0)]


class _Grower:
    """Grows trees on columns x (n, L) that are sorted once; sums up their importances (L,)."""

    def __init__(self, x: NDArray, learning_rate: float, depth: int, rng: np.random.Generator):
        self.x = np.asarray(x, np.float32)
        self.learning_rate, self.depth, self.rng = learning_rate, depth, rng
        self.order = np.argsort(self.x, axis=0, kind="stable").T.copy()
        self.importances = np.zeros(self.x.shape[1])

    def tree(self, gradient: Values, hot: Values, scores: Values, num_classes: int) -> Node:
        """The tree of one class, whose values are added to `scores`; all arguments are (n,)."""
        self.gradient, self.hot, self.scores = gradient, hot, scores
        newton = 1.0 if num_classes == 2 else (num_classes - 1) / num_classes
        self.step = self.learning_rate * newton
        return self._grow(self.order, self.depth)

    def _grow(self, order: Rows, depth: int) -> Node:
        """The node of the rows in `order` (L, m), which each column has in ascending order."""
        rows = order[0]
        centred = self.gradient - self.gradient[rows].mean()
        if depth == 0 or len(rows) < 2 or (centred[rows] ** 2).mean() <= np.finfo(float).eps:
            return self._leaf(rows)
        feature, cut, removed = self._split(order, centred)
        if removed < 0:
            return self._leaf(rows)
        self.importances[feature] += removed
        left, right = order[feature, : cut + 1], order[feature, cut + 1 :]
        low, high = self.x[[left[-1], right[0]], feature].astype(np.float64)
        if depth == 1:  # leaves need no order
            parts = [left[None], right[None]]
        else:
            goes_left = np.zeros(len(self.x), bool)
            goes_left[left] = True
            side = goes_left.take(order).ravel()
            parts = [order.take(np.flatnonzero(s)).reshape(len(order), -1) for s in (side, ~side)]
        children = tuple(self._grow(part, depth - 1) for part in parts)
        return Node(feature, (low + high) / 2, children=children)

    def _leaf(self, rows: Rows) -> Node:
        """One Newton step of the log-likelihood of these rows."""
        gradient = self.gradient[rows]
        p = self.hot[rows] - gradient
        curvature = (p * (1 - p)).mean()
        value = self.step * gradient.mean() / curvature if curvature >= TINY else 0.0
        self.scores[rows] += value
        return Node(value=float(value))

    def _split(self, order: Rows, centred: Values) -> tuple[int, int, float]:
        """Column, last place of the left side, and the squared error removed (-1: no split).

        With S the sum of the centred gradient over the n_l rows of the left side, a split removes
        S^2 (1 / n_l + 1 / n_r).
        """
        num, columns = order.shape[1], np.arange(len(order))
        left = np.arange(1.0, num)
        removed = centred.take(order).cumsum(axis=1)[:, :-1]
        removed *= removed
        removed *= num / (left * (num - left))
        cuts = removed.argmax(axis=1)
        # Few values are equal in most columns, so only the best cut is checked for this.
        for j in columns[self._same(order, columns, cuts)]:
            removed[j, self._same(order, j, np.arange(num - 1))] = -1.0
            cuts[j] = removed[j].argmax()
        best = removed[columns, cuts]
        ties = np.flatnonzero(best == best.max())
        feature = int(ties[0] if len(ties) == 1 else self.rng.choice(ties))
        return feature, int(cuts[feature]), float(best[feature])

    def _same(self, order: Rows, column: NDArray | int, cut: NDArray) -> NDArray[np.bool_]:
        """Whether the values of a column on both sides of a cut are too near to be parted."""
        low, high = (self.x[order[column, place], column] for place in (cut, cut + 1))
        return high <= low.astype(np.float64) + SAME_VALUE


def _probabilities(scores: Values) -> Values:
    """Of each class, (K, n): softmax, or the logistic function of a single score."""
    if len(scores) == 1:
        return 1 / (1 + np.exp(-scores))
    weights = np.exp(scores - scores.max(axis=0))
    return weights / weights.sum(axis=0)
