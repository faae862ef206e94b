"""Boosted trees against scikit-learn's."""

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from vaelab.metrics.boosted_trees import BoostedTrees


@pytest.fixture
def data():
    """num classes -> x (400, 4) and y (400,), of which two columns are informative."""

    def draw(num_classes, num=400):
        rng = np.random.default_rng(num_classes)
        x = rng.standard_normal((num, 4)).astype(np.float32)
        signal = x[:, 0] + 0.5 * x[:, 1] ** 2 + 0.5 * rng.standard_normal(num)
        return x, np.digitize(signal, np.quantile(signal, np.linspace(0, 1, num_classes + 1)[1:-1]))

    return draw


@pytest.mark.parametrize("num_classes", [2, 3, 6])
def test_first_stages_are_those_of_scikit_learn(data, num_classes):
    """Few stages, where no two splits are equally good: the same trees up to rounding."""
    x, y = data(num_classes)
    ours = BoostedTrees(num_stages=3, max_depth=2).fit(x, y)
    theirs = GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0).fit(x, y)
    assert ours.importances == pytest.approx(theirs.feature_importances_, abs=1e-9)
    fresh = np.random.default_rng(0).standard_normal((500, 4))
    assert (ours.predict(fresh) == theirs.predict(fresh)).all()
    assert (ours.predict(x) == theirs.predict(x)).all()


@pytest.mark.parametrize("num_classes", [2, 3])
def test_all_stages_differ_as_two_seeds_of_scikit_learn_do(data, num_classes):
    """Small nodes have equally good splits, of which both draw one."""
    x, y = data(num_classes, 600)
    test = np.random.default_rng(0).standard_normal((1000, 4))
    ours = BoostedTrees().fit(x, y)
    first, *others = (GradientBoostingClassifier(random_state=s).fit(x, y) for s in range(3))
    spread = max(np.abs(first.feature_importances_ - o.feature_importances_).max() for o in others)
    agree = min((first.predict(test) == o.predict(test)).mean() for o in others)
    assert np.abs(ours.importances - first.feature_importances_).max() < 3 * spread + 1e-9
    assert (ours.predict(test) == first.predict(test)).mean() > 1 - 3 * (1 - agree) - 1e-9


def test_repeated_values_are_never_parted():
    x = np.repeat(np.arange(5.0), 20)[:, None]
    y = np.repeat([0, 1, 0, 1, 1], 20)
    y[::7] = 2
    ours = BoostedTrees(num_stages=5).fit(x, y)
    theirs = GradientBoostingClassifier(n_estimators=5).fit(x, y)
    assert (ours.predict(x) == theirs.predict(x)).all()
    assert (
        len({tuple(np.unique(part)) for part in np.split(ours.predict(x), 5)} - {(0,), (1,)}) == 0
    )


def test_constant_columns_are_never_split(data):
    x, y = data(3)
    x[:, 2] = 0.3
    assert BoostedTrees(num_stages=10).fit(x, y).importances[2] == 0
    alone = BoostedTrees().fit(x[:, [2]], y)
    assert alone.importances == pytest.approx([0.0])
    assert set(alone.predict(x[:, [2]])) <= {0, 1, 2}


def test_equal_columns_share_their_importance(data):
    x, y = data(3)
    twice = BoostedTrees().fit(np.concatenate([x[:, :1], x[:, :1]], axis=1), y).importances
    # 300 trees, each column drawn for about half of the splits.
    assert twice == pytest.approx([0.5, 0.5], abs=0.15)
    assert twice.sum() == pytest.approx(1)


def test_one_class_is_always_predicted(data):
    x, _ = data(3)
    model = BoostedTrees().fit(x, np.full(400, 7))
    assert (model.predict(x) == 7).all()
    assert not model.importances.any()


def test_same_seed_same_trees(data):
    x, y = data(4)
    one, two = (BoostedTrees(seed=3).fit(x, y) for _ in range(2))
    assert (one.importances == two.importances).all()
