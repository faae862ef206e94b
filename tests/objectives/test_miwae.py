"""MIWAE: its two ends, the mean of bounds, and gradients less noisy than those of one bound."""

import pytest
import torch

from vaelab.objectives import IWAE, MIWAE

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64).round()


def run(objective, model, x, seed=1):
    torch.manual_seed(seed)
    terms = objective(model, x, 0)
    gradients = torch.autograd.grad(terms["loss"], list(model.parameters()))
    return terms, torch.cat([gradient.flatten() for gradient in gradients])


def test_one_bound_is_the_iwae(tiny_vae, x):
    model = tiny_vae()
    torch.testing.assert_close(
        run(MIWAE(1, 6), model, x), run(IWAE(6), model, x), rtol=1e-12, atol=0
    )


def test_bounds_of_one_sample_are_the_elbo_of_as_many(tiny_vae, x):
    model = tiny_vae()
    terms, _ = run(MIWAE(6, 1), model, x)
    same, _ = run(IWAE(6), model, x)
    torch.testing.assert_close(-terms["loss"], same["elbo"], rtol=1e-12, atol=0)
    torch.testing.assert_close(terms["bound"], same["elbo"], rtol=1e-12, atol=0)
    assert same["elbo"] < same["bound"] - 0.1
    assert terms["effective_sample_size"] == pytest.approx(1)


def test_loss_is_the_mean_of_independent_iwae_losses(tiny_vae, x, fix_noise):
    model, noise = tiny_vae(), torch.randn(12, 6, 3, dtype=F64)
    fix_noise(noise)
    terms, gradient = run(MIWAE(4, 3), model, x)
    losses, sizes, gradients = [], [], []
    for m in range(4):
        fix_noise(noise[m::4])  # bound m has every fourth sample
        one, its = run(IWAE(3), model, x)
        losses.append(one["loss"])
        sizes.append(one["effective_sample_size"])
        gradients.append(its)
    torch.testing.assert_close(terms["loss"], torch.stack(losses).mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, torch.stack(gradients).mean(0), rtol=1e-9, atol=1e-12)
    size = torch.stack(sizes).mean()
    torch.testing.assert_close(terms["effective_sample_size"], size, rtol=1e-12, atol=0)


def test_more_bounds_make_gradients_less_noisy_and_the_bound_no_other(tiny_vae, x):
    """Var = O(1 / M) at fixed K; Rainforth et al. 2018, theorem 1."""
    model = tiny_vae()
    runs = {}
    for num_bounds in (1, 16):
        all_terms, gradients = zip(
            *(run(MIWAE(num_bounds, 4), model, x, seed) for seed in range(200)), strict=True
        )
        runs[num_bounds] = (
            torch.stack([terms["bound"] for terms in all_terms]),
            torch.stack(gradients).var(0).sum(),
        )
    (one, noisy), (many, quiet) = runs[1], runs[16]
    assert 8 < noisy / quiet < 32  # 16 up to the noise of 200 draws
    assert abs(one.mean() - many.mean()) < 4 * ((one.var() + many.var()) / 200).sqrt()
