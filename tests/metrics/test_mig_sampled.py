"""MIG on samples of q(z|x): known codes, and the information by sums over a grid of z."""

from importlib import import_module

import numpy as np
import pytest
import torch

from vaelab.data.factors import FactorSpace
from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import UserError
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.mig_sampled import MIGSampled, mig_sampled

SIZES = (4, 6)


def grid(repeats=1):
    pairs = np.stack(np.meshgrid(*map(np.arange, SIZES), indexing="ij"), -1).reshape(-1, 2)
    return np.repeat(pairs, repeats, 0)


def codes(factors, std=0.02, noise=2):
    """Each factor linearly in a latent of its own, then latents that say nothing."""
    mean = np.column_stack([factors / 2.0, np.zeros((len(factors), noise))])
    return mean, np.column_stack([np.full(factors.shape, std), np.ones((len(factors), noise))])


def density(z, mean, std):
    return (np.exp(-0.5 * ((z[:, None] - mean) / std) ** 2) / std).mean(1) / np.sqrt(2 * np.pi)


def slow_mig(mean, std, factors):
    """H(z) - H(z|v) by sums over a fine grid of z."""
    z = np.linspace(mean.min() - 6, mean.max() + 6, 6000)
    entropy = lambda q: -(q * np.log(q + 1e-300)).sum() * (z[1] - z[0])  # noqa: E731
    gaps = []
    for values in factors.T:
        shares = {v: (values == v).mean() for v in np.unique(values)}
        information = []
        for m, s in zip(mean.T, std.T, strict=True):
            conditional = sum(
                share * entropy(density(z, m[values == v], s[values == v]))
                for v, share in shares.items()
            )
            information.append(entropy(density(z, m, s)) - conditional)
        largest = np.sort(information)[::-1]
        gaps.append((largest[0] - largest[1]) / -sum(p * np.log(p) for p in shares.values()))
    return gaps


@pytest.fixture
def overlapping():
    """300 images, several of each pair, whose codes mix the factors and overlap."""
    rng = np.random.default_rng(0)
    factors = grid(12)
    mix = np.array([[1.0, 0.2, 0.0], [0.3, 0.5, 0.0]])
    mean = (factors - [1.5, 2.5]) @ mix + 0.3 * rng.standard_normal((len(factors), 3))
    return mean, np.exp(rng.normal(-1, 0.3, mean.shape)), factors


def test_equals_sums_over_a_grid(overlapping):
    score = mig_sampled(*overlapping, num_samples=20000)
    low, high = score.interval
    expected = slow_mig(*overlapping)
    assert high - low < 0.02
    assert score.value == pytest.approx(np.mean(expected), abs=1.25 * (high - low))  # 5 errors
    assert list(score.breakdown.values()) == pytest.approx(expected, abs=2.5 * (high - low))


def test_coarsened_densities_change_it_by_less_than_a_thousandth(monkeypatch):
    rng = np.random.default_rng(1)
    factors = rng.integers([4, 6], size=(40000, 2))
    mean = factors @ np.array([[1.0, 0.2], [0.3, 0.5]]) + 0.3 * rng.standard_normal((40000, 2))
    std = np.exp(rng.normal(-1, 0.3, mean.shape))
    fast = mig_sampled(mean, std, factors, num_samples=500, num_bootstrap=0)

    def exact(mean, std):
        return mean, std, np.full(len(mean), 1 / len(mean))

    # By its name the module is hidden: `vaelab.metrics.mig_sampled` is the function.
    monkeypatch.setattr(import_module(mig_sampled.__module__), "coarsen", exact)
    slow = mig_sampled(mean, std, factors, num_samples=500, num_bootstrap=0)
    assert fast.value == pytest.approx(slow.value, abs=1e-3)
    assert fast.value != slow.value


def test_a_perfect_narrow_code_scores_one():
    score = mig_sampled(*codes(grid(5)), grid(5), num_samples=600)
    assert score.value == pytest.approx(1, abs=1e-3)


def test_noise_scores_zero():
    factors = grid(5)
    rng = np.random.default_rng(0)
    mean = np.tile(rng.standard_normal((5, 3)), (24, 1))  # the same five codes for each pair
    assert mig_sampled(mean, np.full(mean.shape, 0.3), factors).value < 1e-3


def test_a_duplicated_latent_scores_zero():
    mean, std = codes(grid(5), noise=0)
    twice = mig_sampled(np.tile(mean, 2), np.tile(std, 2), grid(5), num_samples=600)
    assert twice.value == pytest.approx(0, abs=1e-3)


def test_rotation_lowers_it():
    mean, std = codes(grid(5), std=0.1)
    turn = np.eye(4)
    turn[:2, :2] = np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    straight = mig_sampled(mean, std, grid(5), num_samples=2000)
    turned = mig_sampled(mean @ turn, std, grid(5), num_samples=2000)
    assert turned.interval[1] < straight.interval[0] - 0.1


def test_shift_scale_and_order_of_latents_change_nothing_but_noise(overlapping):
    mean, std, factors = overlapping
    score = mig_sampled(mean, std, factors)
    moved = mig_sampled((10 * mean + 3)[:, ::-1], (10 * std)[:, ::-1], factors)
    width = score.interval[1] - score.interval[0]
    assert moved.value == pytest.approx(score.value, abs=2 * width)


def test_wide_posteriors_score_less_at_the_same_means():
    wide = mig_sampled(*codes(grid(5), std=0.5), grid(5), num_samples=2000)
    narrow = mig_sampled(*codes(grid(5), std=0.05), grid(5), num_samples=2000)
    assert wide.interval[1] < narrow.interval[0]


def test_the_same_generator_gives_the_same_number(overlapping):
    one, again, other = (
        mig_sampled(*overlapping, num_samples=50, rng=np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert one == again
    assert one.value != other.value


def test_names_and_details():
    score = mig_sampled(*codes(grid()), grid(), names=("shape", "x"), num_samples=100)
    assert list(score.breakdown) == ["shape", "x"]
    assert score.details["num_images"] == 24
    assert score.details["codes"] == "sampled"


def test_rejects_what_has_no_gap():
    mean, std = codes(grid())
    with pytest.raises(UserError, match="at least 2 latents, got 1"):
        mig_sampled(mean[:, :1], std[:, :1], grid())
    with pytest.raises(UserError, match="columns that vary"):
        mig_sampled(mean, std, np.zeros((24, 1)))
    with pytest.raises(UserError, match="finite numbers"):
        mig_sampled(np.where(mean == 0, np.nan, mean), std, grid())


@pytest.fixture
def encoded(tiny_vae):
    subset = Subset(Images((torch.rand(24, 16) * 255).to(torch.uint8), (1, 4, 4)))
    model = tiny_vae().float().eval()
    return EncodedDataset(model, Splits(subset, subset, factors=FactorSpace(("shape", "x"), SIZES)))


def test_class_equals_the_function_and_chooses_factors(encoded):
    q_z = encoded.posterior(np.arange(24))
    direct = mig_sampled(q_z.mean.numpy(), q_z.stddev.numpy(), grid(), num_samples=3000)
    score = MIGSampled(num_samples=3000)(encoded)["mig_sampled"]
    width = score.interval[1] - score.interval[0]
    assert score.value == pytest.approx(direct.value, abs=2 * width)
    only = MIGSampled(num_samples=3000, factors=["x"], num_bootstrap=0)(encoded)["mig_sampled"]
    assert list(only.breakdown) == ["x"]
    assert only.value == pytest.approx(score.breakdown["x"], rel=1e-9)


def test_class_rejects_an_unknown_factor(encoded):
    with pytest.raises(UserError, match="got 'shap'; did you mean shape"):
        MIGSampled(factors=["shap"])(encoded)
