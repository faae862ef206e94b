"""FactorVAE score: oracles on the whole grid, inactive latents left out, an independent form."""

import numpy as np
import pytest

from vaelab.errors import UserError
from vaelab.metrics.factor_vae_score import FactorVAEScore, factor_vae_score

NAMES = ("shape", "scale", "orientation", "posX", "posY")
FEW = {"num_train": 1000, "num_eval": 1000}


# 1,000 votes to score: a standard error of .013. Votes of noise are a maximum over 10 latents of
# 1,000 training votes, hence a little above chance on those, but not on the votes scored.
@pytest.mark.parametrize(
    ("kind", "expected", "tolerance", "active"),
    [("linear", 1.0, 0.0, 5), ("rotated", 0.79, 0.04, 5), ("noise", 0.2, 0.04, 10)],
)
def test_oracles_on_the_whole_grid(encoded_grid, kind, expected, tolerance, active):
    (score,) = FactorVAEScore(num_train=1000, num_eval=1000, num_repeats=2)(
        encoded_grid(kind)
    ).values()
    assert float(score) == pytest.approx(expected, abs=tolerance)
    assert score.details["num_active_latents"] == active
    assert tuple(score.breakdown) == NAMES
    assert score.interval[0] <= score.value <= score.interval[1]


def test_names_say_which_codes(encoded_grid):
    few = {"num_train": 50, "num_eval": 50, "num_repeats": 0}
    assert set(FactorVAEScore(**few)(encoded_grid("linear"))) == {"factor_vae_score"}
    (name,) = FactorVAEScore(**few, codes="sampled")(encoded_grid("linear"))
    assert name == "factor_vae_score_sampled_codes"


def test_an_inactive_latent_is_left_out(small):
    """A latent with a missing factor at an amplitude of 0.01 wins only if it is not left out."""
    codes, factors = small("linear")
    known = codes[:, :4]  # posY is missing
    inactive = 0.01 * codes[:, [4]]
    both = np.concatenate([known, inactive], axis=1)
    pruned = factor_vae_score(both, factors, **FEW)
    unpruned = factor_vae_score(both, factors, min_std=0.0, **FEW)
    assert pruned.details["num_active_latents"] == 4
    assert unpruned.details["num_active_latents"] == 5
    assert float(unpruned) == 1.0
    assert pruned.breakdown["factor 4"] < 0.5
    assert float(pruned) < 0.9
    assert float(pruned) == pytest.approx(float(factor_vae_score(known, factors, **FEW)), abs=0.05)


def test_noise_of_inactive_latents_is_left_out(small):
    codes, factors = small("linear")
    missing = np.delete(codes, 4, axis=1)
    pruned, unpruned = (
        factor_vae_score(missing, factors, min_std=low, **FEW) for low in (0.05, 0.0)
    )
    # Five noise latents take votes of posY that four others would share with their own factors.
    assert float(unpruned) > float(pruned) + 0.05


def test_no_active_latent_is_zero(small):
    codes, factors = small("noise")
    score = factor_vae_score(0.01 * codes, factors, **FEW)
    assert float(score) == 0
    assert score.details["num_active_latents"] == 0
    assert set(score.breakdown.values()) == {0.0}


def test_threshold_is_a_standard_deviation_and_not_a_variance(small):
    codes, factors = small("noise")
    for std, active in ((0.06, 10), (0.04, 0)):
        score = factor_vae_score(std * codes, factors, **FEW)
        assert score.details["num_active_latents"] == active


def test_agrees_with_plain_loops(small):
    codes, factors = small("rotated")
    rng = np.random.default_rng(3)
    total = codes.var(axis=0, ddof=1)
    active = [j for j in range(10) if np.sqrt(total[j]) >= 0.05]

    def vote():
        k = rng.integers(5)
        value = factors[rng.integers(len(factors)), k]
        rows = rng.choice(np.flatnonzero(factors[:, k] == value), 16)
        local = {j: np.var(codes[rows, j], ddof=1) / total[j] for j in active}
        return k, min(local, key=local.get)

    table = np.zeros((5, 10))
    for _ in range(1500):
        table[vote()] += 1
    slow = np.mean([table[:, j].argmax() == k for k, j in (vote() for _ in range(1500))])
    score = factor_vae_score(codes, factors, num_train=1500, num_eval=1500, batch_size=16)
    # Standard error of .011 each, and the choice between posX and posY may fall either way.
    assert float(score) == pytest.approx(slow, abs=4 * 0.011 * np.sqrt(2))


def test_permuted_rescaled_and_constant_codes_change_nothing(small):
    codes, factors = small("rotated")
    reference = factor_vae_score(codes, factors, **FEW)
    rescaled = codes * [2, 4, 8, 2, 16, 1, 1, 1, 1, 1]
    constant = np.concatenate([codes, np.full((len(codes), 2), 7.0)], axis=1)
    for other in (rescaled, constant):
        assert factor_vae_score(other, factors, **FEW) == reference
    permuted = factor_vae_score(codes[:, ::-1], factors, **FEW)
    assert float(permuted) == pytest.approx(float(reference), abs=1e-12)


def test_duplicated_codes_change_nothing(small):
    codes, factors = small("linear")
    assert float(factor_vae_score(np.concatenate([codes, codes], 1), factors, **FEW)) == 1.0


def test_same_generator_same_number(small):
    codes, factors = small("noise")
    one, two, other = (
        factor_vae_score(codes, factors, rng=np.random.default_rng(seed), **FEW)
        for seed in (5, 5, 6)
    )
    assert one == two
    assert one.value != other.value


def test_what_it_rejects(small):
    codes, factors = small("linear")
    broken = codes.copy()
    broken[7, 2] = np.inf
    with pytest.raises(UserError, match="finite numbers, got inf in row 7"):
        factor_vae_score(broken, factors)
    with pytest.raises(UserError, match="columns that vary"):
        factor_vae_score(codes, factors * [1, 1, 0, 1, 1])
    with pytest.raises(UserError, match="at least 2 images of each value of a factor, got 1 of"):
        factor_vae_score(codes[:30], np.stack([np.arange(30), np.arange(30) % 2], 1))
