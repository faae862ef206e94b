"""Annealed importance sampling: schedule, transitions, noise, score."""

import pytest
import torch

from vaelab.data.images import Images, Splits, Subset
from vaelab.metrics.ais import (
    AIS,
    BLOCK,
    _evaluate,
    _transition,
    ais_log_likelihood,
    anneal,
    sigmoidal_schedule,
)
from vaelab.metrics.encoded_dataset import EncodedDataset


@pytest.fixture
def model(tiny_vae):
    return tiny_vae().eval()


def binary(num):
    return (torch.rand(num, 1, 4, 4) < 0.5).double()


def test_the_schedule_goes_from_0_to_1_slowly_at_both_ends():
    betas = torch.tensor(sigmoidal_schedule(10), dtype=torch.float64)
    assert (betas[0], betas[-1], len(betas)) == (0, 1, 11)
    steps = betas.diff()
    assert bool((steps > 0).all())
    torch.testing.assert_close(betas + betas.flip(0), torch.ones(11, dtype=torch.float64))
    logistic = 1 / (1 + torch.exp(-torch.tensor(4 * (2 * 3 / 10 - 1)).double()))
    ends = 1 / (1 + torch.exp(torch.tensor([4.0, -4.0]).double()))
    torch.testing.assert_close(betas[3], (logistic - ends[0]) / (ends[1] - ends[0]))


def test_gradients_are_those_of_the_log_density(model):
    x, z = binary(2), torch.randn(3, 2, 3, dtype=torch.float64)
    point, small = _evaluate(model, model.prior(), x, z), 1e-6
    for j in range(3):
        shift = small * torch.eye(3, dtype=torch.float64)[j]
        up, down = (
            _evaluate(model, model.prior(), x, z + s * shift).log_density(0.3) for s in (1, -1)
        )
        torch.testing.assert_close(
            (up - down) / (2 * small), point.gradient(0.3)[..., j], rtol=1e-6, atol=1e-7
        )


def test_small_steps_conserve_energy_and_are_always_accepted(model):
    x = binary(2)
    start = _evaluate(model, model.prior(), x, torch.randn(50, 2, 3, dtype=torch.float64))
    probabilities = [
        _transition(model, model.prior(), x, start, 1.0, torch.full((2,), step).double())[1].mean()
        for step in (1e-3, 4.0)
    ]
    assert probabilities[0] > 1 - 1e-4
    assert probabilities[1] < 0.5


def test_a_diverged_trajectory_is_rejected(model):
    x = binary(2)
    start = _evaluate(model, model.prior(), x, torch.randn(5, 2, 3, dtype=torch.float64))
    end, probability = _transition(
        model, model.prior(), x, start, 1.0, torch.tensor([1e200, 1e200], dtype=torch.float64)
    )
    assert probability.max() == 0
    assert torch.equal(end.z, start.z)


def test_transitions_keep_the_prior(model):
    """At beta = 0, from draws of the prior: mean 0 and variance 1 remain."""
    x = binary(1)
    point = _evaluate(model, model.prior(), x, torch.randn(4000, 1, 3, dtype=torch.float64))
    for _ in range(5):
        point, _ = _transition(model, model.prior(), x, point, 0.0, torch.tensor([0.4]).double())
    num = point.z.numel()
    assert abs(float(point.z.mean())) < 5 / num**0.5
    assert abs(float(point.z.var()) - 1) < 5 * (2 / num) ** 0.5


def test_blocks_are_apart_and_noise_is_a_function_of_the_seed(model):
    x = binary(BLOCK + 2)
    state = torch.get_rng_state()
    whole = ais_log_likelihood(model, x, 2, 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(whole, ais_log_likelihood(model, x, 2, 4))
    torch.testing.assert_close(ais_log_likelihood(model, x[:BLOCK], 2, 4), whole[:BLOCK])
    assert not torch.equal(whole, ais_log_likelihood(model, x, 2, 4, seed=1))


def test_chunks_change_nothing(model, monkeypatch):
    x = binary(3)
    whole = anneal(model, x, 5, 6, 0, 0).log_weights
    monkeypatch.setattr("vaelab.metrics.ais.decoded_at_once", lambda model: 1)
    torch.testing.assert_close(anneal(model, x, 5, 6, 0, 0).log_weights, whole)


def test_works_without_gradients_around_it(model):
    with torch.no_grad():
        assert not ais_log_likelihood(model, binary(2), 1, 2).requires_grad


def test_score(tiny_vae):
    bytes_ = (torch.rand(20, 16) < 0.5).to(torch.uint8) * 255
    subset = Subset(Images(bytes_, (1, 4, 4)))
    encoded = EncodedDataset(tiny_vae().float().eval(), Splits(subset, subset))
    score = AIS(num_chains=2, num_temperatures=20, num_images=18)(encoded)["ais_log_likelihood"]
    assert score.interval is not None
    assert score.interval[0] < score.value < score.interval[1] < 0
    assert 0.3 < score.details["acceptance"] <= 1
    assert 1 <= score.details["median_effective_chains"] <= 2
    assert (score.details["num_images"], score.details["num_temperatures"]) == (18, 20)
