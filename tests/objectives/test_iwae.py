"""IWAE: bounds that rise with K, the ELBO at K = 1, and its gradient by self-normalised weights."""

import pytest
import torch

from vaelab.kl_penalties import Constant
from vaelab.objectives import IWAE, BetaVAE
from vaelab.objectives.importance_weights import weighted_samples

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def loss_and_gradient(objective, model, x, seed=1):
    torch.manual_seed(seed)
    loss = objective(model, x, 0)["loss"]
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return loss, torch.cat([gradient.flatten() for gradient in gradients])


def test_one_sample_is_the_vae_whose_kl_is_estimated(tiny_vae, x, monkeypatch):
    model = tiny_vae()
    iwae = loss_and_gradient(IWAE(1), model, x)
    with_closed_form = loss_and_gradient(BetaVAE(1.0, Constant()), model, x)
    assert abs(iwae[0] - with_closed_form[0]) > 0.1  # the same noise is not enough
    monkeypatch.setattr("vaelab.distributions.divergence._closed_form", lambda q, p: None)
    vae = loss_and_gradient(BetaVAE(1.0, Constant()), model, x)
    torch.testing.assert_close(iwae, vae, rtol=1e-12, atol=1e-12)


def test_one_sample_is_the_vae_in_expectation(tiny_vae, x):
    """Loss and gradients with the closed KL, over noise that both see."""
    model = tiny_vae()
    differences = []
    for seed in range(200):
        iwae = loss_and_gradient(IWAE(1), model, x, seed)
        vae = loss_and_gradient(BetaVAE(1.0, Constant()), model, x, seed)
        differences.append(torch.cat([iwae[0][None] - vae[0], iwae[1] - vae[1]]).detach())
    mean, std = torch.stack(differences).mean(0), torch.stack(differences).std(0)
    moving = std > 1e-12  # the decoder's gradients are the same
    assert 0 < moving.sum() < len(moving)
    assert mean[~moving].abs().max() < 1e-12
    assert (mean[moving].abs() < 5 * std[moving] / 200**0.5).all()


def test_bound_rises_with_the_number_of_samples(linear_gaussian, spoil, fix_noise):
    model, x, log_p = linear_gaussian
    spoil(model)
    x = x.repeat_interleave(400, 0)
    noise = torch.randn(50, len(x), 2, dtype=F64)
    bounds = []
    with torch.no_grad():
        for num in (1, 5, 50):
            # Burda et al., proof of theorem 1: L_50 is above the mean of the L_5 of its parts.
            parts = []
            for part in noise.split(num):
                fix_noise(part)
                parts.append(-IWAE(num)(model, x, 0)["loss"])
            bounds.append(torch.stack(parts).mean())
    one, five, fifty = bounds
    assert one + 0.1 < five < fifty - 0.02
    assert fifty < log_p.mean() < fifty + 0.1


@pytest.mark.parametrize("num_samples", [1, 2, 9])
def test_gradient_is_the_weighted_mean_of_the_gradients_of_log_weights(tiny_vae, x, num_samples):
    """d L_K = sum_k v_k d log w_k, v_k = w_k / sum_j w_j; Burda et al. 2016, sec. 3."""
    model = tiny_vae()
    _, gradient = loss_and_gradient(IWAE(num_samples), model, x)
    torch.manual_seed(1)
    log_weights = weighted_samples(model, x, num_samples).log_weights
    by_hand = 0
    for image in log_weights.T:
        weights = [(w - image.max()).exp().item() for w in image]
        for log_weight, weight in zip(image, weights, strict=True):
            parts = torch.autograd.grad(log_weight, list(model.parameters()), retain_graph=True)
            part = torch.cat([p.flatten() for p in parts])
            by_hand = by_hand - weight / sum(weights) * part / len(x)
    torch.testing.assert_close(gradient, by_hand, rtol=1e-10, atol=1e-12)


def test_the_best_sample_counts_most(tiny_vae, x, fix_noise):
    """As a sample moves away from all others, its weight vanishes, and with it its gradient."""
    model, noise = tiny_vae(), torch.randn(3, 6, 3, dtype=F64)
    noise[2] = 60.0  # p(z) there is exp(-5400); log q too, except for sigma < 1
    with torch.no_grad():
        model.encoder.head.bias[3:] = 1.0
    fix_noise(noise)
    three = loss_and_gradient(IWAE(3), model, x)
    fix_noise(noise[:2])
    two = loss_and_gradient(IWAE(2), model, x)
    log_ratio = torch.tensor(1.5, dtype=F64).log()  # 1/3 of the sum in place of 1/2
    torch.testing.assert_close(three[0], two[0] + log_ratio, rtol=1e-10, atol=0)
    torch.testing.assert_close(three[1], two[1], rtol=1e-9, atol=1e-12)
