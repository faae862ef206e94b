"""A latent has no gradient below its free nats."""

import math

import pytest
import torch

from vaelab.elbo import ElboTerms, elbo_terms
from vaelab.errors import UserError
from vaelab.kl_penalties import Constant, FreeBits
from vaelab.objectives import BetaVAE

F64 = torch.float64
BETA = torch.tensor(3.0)


def nats(mu, sigma):
    return 0.5 * (mu**2 + sigma**2 - 1) - math.log(sigma)


@pytest.mark.parametrize("floor", [0.0, 0.1, 0.5, 2.0, 50.0])
def test_penalty_is_the_formula(gaussian_terms, floor):
    mu = [[0.1, 2.0, 0.0], [-0.3, -1.0, 0.2]]
    sigma = [[0.9, 0.3, 1.0], [1.1, 0.5, 0.8]]
    means = [sum(nats(mu[i][j], sigma[i][j]) for i in range(2)) / 2 for j in range(3)]
    penalty, state = FreeBits(floor)(BETA, gaussian_terms(mu, sigma), 0)
    assert penalty.item() == pytest.approx(3 * sum(max(floor, kl) for kl in means), rel=1e-6)
    assert float(state["beta"]) == pytest.approx(3 * sum(kl >= floor for kl in means) / 3)


def test_the_mean_over_images_is_inside_the_maximum(gaussian_terms):
    """An image above the floor compensates for one below."""
    terms = gaussian_terms([[0.0], [2.0]], [[1.0], [1.0]])  # 0 and 2 nats
    assert FreeBits(0.75)(BETA, terms, 0)[0] == 3.0  # and not 3 * (0.75 + 2) / 2


def test_gradient_is_that_of_the_kl_above_the_floor_and_zero_below(gaussian_terms):
    mu = torch.tensor([[0.1, 2.0], [0.2, 1.0]], dtype=F64, requires_grad=True)
    terms = gaussian_terms(mu, torch.ones(2, 2))
    penalty, _ = FreeBits(0.5)(BETA, terms, 0)
    (gradient,) = torch.autograd.grad(penalty, mu)
    assert torch.equal(gradient[:, 0], torch.zeros(2, dtype=F64))
    assert torch.allclose(gradient[:, 1], 3 * mu[:, 1] / 2, rtol=1e-12)


def test_no_free_nats_is_beta_times_the_kl_even_at_the_prior(tiny_vae):
    x, model, results = torch.rand(6, 1, 4, 4, dtype=F64).round(), tiny_vae(), []
    with torch.no_grad():  # the first latent's posterior is the prior
        model.encoder.head.weight[[0, 3]] = 0
        model.encoder.head.bias[[0, 3]] = 0
    for kl_penalty in (Constant(), FreeBits(0.0)):
        model.zero_grad()
        torch.manual_seed(1)
        terms = BetaVAE(4.0, kl_penalty)(model, x, 0)
        terms["loss"].backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
        results.append((terms["loss"], terms["beta"], gradient))
    for plain, free in zip(*results, strict=True):
        assert torch.allclose(plain.double(), free.double(), rtol=0, atol=1e-12)


def test_a_step_changes_nothing_and_no_state_is_kept(gaussian_terms):
    kl_penalty, terms = FreeBits(0.5), gaussian_terms([[0.1, 2.0]], [[1.0, 1.0]])
    penalties = {kl_penalty(BETA, terms, step)[0].item() for step in (0, 7, 10**6)}
    assert len(penalties) == 1
    assert dict(kl_penalty.named_buffers()) == {"nats_per_latent": torch.tensor(0.5)}


def test_latents_that_are_not_independent_are_rejected(tiny_vae):
    full = torch.distributions.MultivariateNormal(torch.zeros(4, 2), torch.eye(2))
    terms = elbo_terms(tiny_vae(2), torch.rand(4, 1, 4, 4, dtype=F64).round())
    terms = ElboTerms(terms.reconstruction, terms.kl, full, terms.p_z, terms.z)
    with pytest.raises(UserError, match=r"^FreeBits expects .* got MultivariateNormal"):
        FreeBits(0.5)(BETA, terms, 0)


def test_training_leaves_each_latent_its_free_nats(tiny_vae):
    """Under a weight that switches every latent off, each keeps what is free."""
    x = torch.rand(8, 1, 4, 4, dtype=F64).round()
    for floor in (0.0, 0.4):
        model, objective, kls = tiny_vae(), BetaVAE(20.0, FreeBits(floor)), []
        optimizer = torch.optim.Adam(model.parameters(), 5e-3)
        for step in range(400):
            terms = objective(model, x, step)
            optimizer.zero_grad()
            terms["loss"].backward()
            optimizer.step()
            kls.append(terms["kl"].item())
        assert sum(kls[-100:]) / 100 == pytest.approx(3 * floor, abs=0.1)


@pytest.mark.parametrize("floor", [-0.1, float("nan"), float("inf")])
def test_senseless_floor_is_rejected_by_name(floor):
    with pytest.raises(UserError, match=r"^nats_per_latent expects"):
        FreeBits(floor)
