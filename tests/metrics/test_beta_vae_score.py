"""BetaVAE score: oracles on the whole grid, an independent slow form, what it rejects."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from vaelab.errors import UserError
from vaelab.metrics.beta_vae_score import BetaVAEScore, beta_vae_score
from vaelab.metrics.factor_dataset import FactorDataset
from vaelab.metrics.fixed_factor import draw_points

NAMES = ("shape", "scale", "orientation", "posX", "posY")
FEW = {"num_train": 1000, "num_eval": 1000}


# 1,000 points to score on: the standard error of .79 is .013, of .2 it is .013.
@pytest.mark.parametrize(
    ("kind", "expected", "tolerance"),
    [("linear", 1.0, 0.0), ("rotated", 0.79, 0.04), ("noise", 0.2, 0.04)],
)
def test_oracles_on_the_whole_grid(encoded_grid, kind, expected, tolerance):
    (score,) = BetaVAEScore(num_train=1000, num_eval=1000, num_repeats=2)(
        encoded_grid(kind)
    ).values()
    assert float(score) == pytest.approx(expected, abs=tolerance)
    assert tuple(score.breakdown) == NAMES
    assert score.interval[0] <= score.value <= score.interval[1]


def test_rotated_positions_are_those_confused(encoded_grid):
    (score,) = BetaVAEScore(num_train=1000, num_eval=1000, num_repeats=0)(
        encoded_grid("rotated")
    ).values()
    assert min(score.breakdown[name] for name in ("shape", "scale", "orientation")) > 0.99
    # Nothing distinguishes the two, whichever is predicted more often.
    both = score.breakdown["posX"] + score.breakdown["posY"]
    assert both / 2 == pytest.approx(0.5, abs=0.08)  # 400 points: a standard error of .025


def test_names_say_which_codes(encoded_grid):
    asked = encoded_grid("linear")
    few = {"num_train": 50, "num_eval": 50, "num_repeats": 0}
    assert set(BetaVAEScore(**few)(asked)) == {"beta_vae_score"}
    scores = BetaVAEScore(**few, codes="sampled")(asked)
    assert set(scores) == {"beta_vae_score_sampled_codes"}
    assert scores["beta_vae_score_sampled_codes"].details["codes"] == "sampled"
    assert asked.asked == ["mean", "sampled"]


def test_agrees_with_plain_loops(small):
    codes, factors = small("rotated")
    rng = np.random.default_rng(3)

    def point():
        k, differences = rng.integers(5), []
        for _ in range(16):
            one = rng.integers(len(codes))
            alike = np.flatnonzero(factors[:, k] == factors[one, k])
            differences.append(np.abs(codes[one] - codes[rng.choice(alike)]))
        return np.mean(differences, axis=0), k

    train, test = [list(zip(*[point() for _ in range(num)], strict=True)) for num in (600, 800)]
    slow = LogisticRegression().fit(*train).score(*test)
    score = beta_vae_score(codes, factors, num_train=600, num_eval=800, batch_size=16)
    # Both have a standard error of .014 from 800 points and as much again from their fits.
    assert float(score) == pytest.approx(slow, abs=3 * 0.028)


def test_pairs_share_the_factor_and_nothing_else(small):
    """Features of the factors themselves: zero for k, and E|a - b| of uniform values elsewhere."""
    _, factors = small("linear")
    seen = []
    dataset = FactorDataset(factors, lambda rows: seen.append(rows) or factors[rows] * 1.0)
    rng = np.random.default_rng(0)

    def difference(factor, num):
        rows = dataset.sample(num * 64, rng).reshape(num, 64)
        others = dataset.sample_given_factor(factor, dataset.factors[rows, factor], rng)
        return np.abs(dataset.codes(rows) - dataset.codes(others)).mean(1)

    features, labels = draw_points(dataset, 2000, 128, difference, rng)
    sizes = np.array([3, 6, 40, 32, 32])
    expected = (sizes**2 - 1) / (3 * sizes)
    for k in range(5):
        mean = features[labels == k].mean(0)
        assert mean[k] == 0
        others = np.arange(5) != k
        assert mean[others] == pytest.approx(expected[others], rel=0.03)


def test_large_draws_come_in_pieces_and_give_all_points():
    dataset = FactorDataset(np.arange(40)[:, None] % [2, 4], lambda rows: rows[:, None] * 1.0)
    sizes = []

    def measure(factor, num):
        sizes.append(num)
        return np.full((num, 1), factor)

    features, labels = draw_points(dataset, 1000, 2**10, measure, np.random.default_rng(0))
    assert max(sizes) == 128
    assert sum(sizes) == 1000
    assert (features[:, 0] == labels).all()


def test_permuted_codes_and_inactive_or_constant_ones_change_little(small):
    codes, factors = small("linear")
    changed = {
        "permuted": codes[:, ::-1],
        "duplicated": np.concatenate([codes, codes], axis=1),
        "constant": np.concatenate([codes, np.ones((len(codes), 3))], axis=1),
    }
    for kind, other in changed.items():
        assert float(beta_vae_score(other, factors, **FEW)) == 1.0, kind


def test_scale_matters_since_nothing_is_standardised(small):
    codes, factors = small("linear")
    tiny = beta_vae_score(codes * 1e-4, factors, **FEW)
    assert float(tiny) < 0.9


def test_fit_that_stops_early_is_in_the_details(small, monkeypatch):
    codes, factors = small("linear")
    assert beta_vae_score(codes, factors, **FEW).details["converged"] == "yes"
    monkeypatch.setattr(LogisticRegression.__init__, "__kwdefaults__", stopped_after(2))
    assert beta_vae_score(codes, factors, **FEW).details["converged"] == "no"


def stopped_after(num):
    return LogisticRegression.__init__.__kwdefaults__ | {"max_iter": num}


def test_same_generator_same_number(small):
    codes, factors = small("rotated")
    one, two, other = (
        beta_vae_score(codes, factors, rng=np.random.default_rng(seed), **FEW) for seed in (5, 5, 6)
    )
    assert one == two
    assert one.value != other.value
    assert beta_vae_score(codes, factors, **FEW) == beta_vae_score(codes, factors, **FEW)


def test_what_it_rejects(small):
    codes, factors = small("linear")
    broken = codes.copy()
    broken[7, 2] = np.nan
    with pytest.raises(UserError, match="finite numbers, got nan in row 7"):
        beta_vae_score(broken, factors)
    with pytest.raises(UserError, match="columns that vary"):
        beta_vae_score(codes, factors * [1, 1, 0, 1, 1])
    with pytest.raises(UserError, match="at least 2 factors"):
        beta_vae_score(codes, factors[:, :1])
    with pytest.raises(UserError, match="at least 2 images of each value of a factor, got 1 of"):
        beta_vae_score(codes[:30], np.stack([np.arange(30), np.arange(30) % 2], 1))
    with pytest.raises(UserError, match="set num_train and num_eval higher"):
        beta_vae_score(codes, factors, num_train=2)
