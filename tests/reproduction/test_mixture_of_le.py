"""The mixture of Le et al.: its parts, gradients by enumeration, and what is reported."""

import itertools
import math

import pytest
import torch

from vaelab.errors import UserError
from vaelab.reproduction.mixture_of_le import (
    METHODS,
    NUM_COMPONENTS,
    Reinforce,
    Vimco,
    adverse_logits,
    build_mixture,
    compare_methods,
    distances,
    sample,
    train_mixture,
    true_logits,
)


def test_the_density_is_that_of_the_mixture():
    model, x = build_mixture(true_logits()), torch.tensor([3.0, 95.0])[:, None, None, None]
    weights = (torch.arange(NUM_COMPONENTS) + 5.0) / sum(range(5, 25))
    normals = torch.distributions.Normal(10.0 * torch.arange(NUM_COMPONENTS), 5.0)
    expected = (weights * normals.log_prob(x.flatten()[:, None]).exp()).sum(1).log()
    assert torch.allclose(model.log_joint(x).logsumexp(0), expected, atol=1e-5)
    assert not any(p.requires_grad for p in model.decoder.parameters())
    ratios = adverse_logits().softmax(0)[:-1] / adverse_logits().softmax(0)[1:]
    assert torch.allclose(ratios, torch.full_like(ratios, math.e))


def test_points_are_drawn_from_the_mixture():
    torch.manual_seed(0)
    x = sample(build_mixture(true_logits()), 50_000).flatten()
    weights = true_logits().softmax(0)
    mean = (weights * 10 * torch.arange(NUM_COMPONENTS)).sum()
    assert x.mean().item() == pytest.approx(mean.item(), abs=1)


def test_the_true_model_has_no_distance():
    model = build_mixture(true_logits())
    model.encode = lambda x: torch.distributions.OneHotCategorical(logits=model.log_joint(x).T)
    found = distances(model, seed=0)
    assert found["prior"] == pytest.approx(0, abs=1e-6)
    assert found["posterior"] == pytest.approx(0, abs=1e-5)
    assert found["far"] == pytest.approx(true_logits().softmax(0)[13:].sum().item(), rel=1e-5)


def test_baseline_of_vimco_is_the_slow_one():
    log_w = torch.randn(4, 3, dtype=torch.float64)
    found = Vimco(4).baseline(log_w)
    for k, b in itertools.product(range(4), range(3)):
        others = [log_w[j, b].item() for j in range(4) if j != k]
        terms = [math.exp(w) for w in [*others, sum(others) / 3]]
        assert found[k, b].item() == pytest.approx(math.log(sum(terms) / 4), rel=1e-12)


@pytest.mark.parametrize("objective", [Reinforce(2), Vimco(2)], ids=["reinforce", "vimco"])
def test_score_function_gradients_are_unbiased(objective, bernoulli_mixture, gradients_of):
    """Against the gradient of E[L_2] by summing over all pairs of values of z."""
    model, x = bernoulli_mixture, torch.rand(1, 1, 4, 4, dtype=torch.float64).round()
    q = model.encode(x).probs[0]
    log_w = model.log_joint(x)[:, 0] - q.log()
    pairs = list(itertools.product(range(3), repeat=2))
    bound = sum(q[i] * q[j] * (torch.logaddexp(log_w[i], log_w[j]) - math.log(2)) for i, j in pairs)
    expected = gradients_of(model, -bound)
    torch.manual_seed(0)
    draws = [
        gradients_of(model, objective(model, x.expand(2000, 1, 4, 4), 0)["loss"]) for _ in range(40)
    ]
    for name in ("encoder.head.bias", "latent_prior.logits"):
        each = torch.stack([one[name] for one in draws])
        error = each.std(0) / len(each) ** 0.5
        assert ((each.mean(0) - expected[name]).abs() < 4 * error).all(), name
        assert expected[name].abs().max() > 2 * error.max(), name


def test_the_same_seed_gives_the_same_model():
    first, second = (
        train_mixture(METHODS["reweighted_wake_sleep"](2), 3, num_steps=3, batch_size=8)
        for _ in range(2)
    )
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_exact_gradients_bring_the_prior_nearer():
    before, after = (
        distances(train_mixture(METHODS["enumerated"](1), 0, num_steps, 100), 0)
        for num_steps in (1, 300)
    )
    assert after["prior"] < before["prior"] - 1e-3


def test_comparison_counts_the_seeds_that_a_method_wins():
    methods = {"wake_sleep": [2], "defensive": [2]}
    numbers = compare_methods(None, methods, seeds=[0, 1], num_steps=2, batch_size=8)
    pairs = [numbers[f"{a} 2/posterior"].values for a in ("wake_sleep", "defensive")]
    wins = sum(a < b for a, b in zip(*(pair.values() for pair in pairs), strict=True))
    assert numbers["wake_sleep 2 < defensive 2"] == wins
    assert numbers["wake_sleep 2 < defensive 2"] + numbers["defensive 2 < wake_sleep 2"] == 2
    assert list(pairs[0]) == ["seed=0", "seed=1"]


def test_an_unknown_method_is_one_sentence():
    with pytest.raises(UserError, match=r"methods expects one of wake_sleep, .* got 'vimcoo'; did"):
        compare_methods(None, {"vimcoo": [2]}, seeds=[0], num_steps=1)
