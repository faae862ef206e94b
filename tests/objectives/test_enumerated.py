"""A discrete z by enumeration: the bound is tight, its gradient exact, and EM in closed form."""

from functools import partial

import numpy as np
import pytest
import torch

from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, GaussianLearned
from vaelab.mixtures import Mixture, em, m_step, random_start
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.objectives import EM, IWAE, BetaVAE, Enumerated
from vaelab.posteriors import Categorical, Exact
from vaelab.posteriors import Gaussian as GaussianPosterior
from vaelab.priors import Categorical as CategoricalPrior
from vaelab.priors import StandardNormal
from vaelab.seeding import random_stream

K, SHAPE = 3, (1, 2, 3)


def build(posterior=Exact, likelihood=None, hidden=(), num=K, prior=CategoricalPrior):
    torch.manual_seed(0)
    encoder, decoder = partial(MLPEncoder, hidden=()), partial(MLPDecoder, hidden=hidden)
    model = VAE(SHAPE, num, encoder, decoder, posterior, prior, likelihood or Bernoulli())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.7)
    return model.double()


@pytest.fixture
def x():
    return torch.bernoulli(torch.full((40, *SHAPE), 0.4, dtype=torch.float64))


def mixture_of(model):
    z = torch.eye(K, dtype=torch.float64)
    means = torch.sigmoid(model.decoder(z)).flatten(1).detach()
    return Mixture(model.latent_prior.logits.detach().softmax(0), means)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3), ContinuousBernoulli()])
def test_log_joint_is_prior_times_likelihood(x, likelihood):
    model = build(likelihood=likelihood)
    z = torch.eye(K, dtype=torch.float64)
    expected = model.prior().log_prob(z)[:, None] + torch.stack(
        [model.decode(row.expand(len(x), -1)).log_prob(x) for row in z]
    )
    torch.testing.assert_close(model.log_joint(x), expected, rtol=1e-12, atol=1e-10)


def test_the_bound_of_the_exact_posterior_is_log_p(x):
    model = build()
    terms = Enumerated()(model, x, 0)
    log_p = mixture_of(model).log_prob(x.flatten(1)).mean()
    for name in ("elbo", "log_p"):
        assert terms[name].item() == pytest.approx(log_p.item(), abs=1e-10)
    assert terms["gap"].item() == pytest.approx(0, abs=1e-10)
    assert (terms["loss"] + terms["elbo"]).item() == pytest.approx(0, abs=1e-12)
    assert (terms["elbo"] + terms["reconstruction"] + terms["kl"]).item() == pytest.approx(0)


def test_the_gap_of_an_encoder_is_its_divergence_from_the_posterior(x):
    model = build(Categorical)
    terms = Enumerated()(model, x, 0)
    exact = mixture_of(model).responsibilities(x.flatten(1))
    q = model.encode(x).probs
    kl = (q * (q.log() - exact.log())).sum(1).mean()
    assert terms["gap"].item() == pytest.approx(kl.item(), abs=1e-10)
    assert terms["gap"].item() > 0.01


def test_a_linear_encoder_at_the_formula_has_no_gap(x):
    """softmax(x . logit(mu_k) + sum_d ln(1 - mu_kd) + ln pi_k): linear in x."""
    model = build(Categorical)
    mixture = mixture_of(model)
    with torch.no_grad():
        model.encoder.head.weight.copy_(mixture.means.logit())
        model.encoder.head.bias.copy_(torch.log1p(-mixture.means).sum(1) + mixture.weights.log())
    assert Enumerated()(model, x, 0)["gap"].item() < 1e-10


def test_gradient_at_the_exact_posterior_is_that_of_log_p(x):
    """Fisher's identity."""
    model = build()
    parameters = [*model.decoder.parameters(), model.latent_prior.logits]
    ours = torch.autograd.grad(Enumerated()(model, x, 0)["loss"], parameters)
    log_p = torch.logsumexp(model.log_joint(x), 0).mean()
    for mine, direct in zip(ours, torch.autograd.grad(-log_p, parameters), strict=True):
        torch.testing.assert_close(mine, direct, rtol=1e-10, atol=1e-12)


def test_samples_average_to_the_sum(x):
    model = build(Categorical)
    with random_stream("noise"):
        draws = torch.stack([elbo_terms(model, x).means()["elbo"] for _ in range(3000)])
    error = draws.std().item() / 3000**0.5
    assert draws.mean().item() == pytest.approx(
        Enumerated()(model, x, 0)["elbo"].item(), abs=4 * error
    )


def test_alternating_steps_move_one_part_at_a_time(x):
    model, objective = build(Categorical), Enumerated(encoder_steps=2)
    parts = {"encoder": list(model.encoder.parameters()), "p": [*model.decoder.parameters()]}
    moved = []
    for step in range(6):
        model.zero_grad()
        objective(model, x, step)["loss"].backward()
        [name] = [n for n, ps in parts.items() if any(p.grad is not None for p in ps)]
        moved.append(name)
    assert moved == ["encoder", "encoder", "p"] * 2


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3), GaussianLearned(0.5)])
def test_a_step_of_em_is_the_m_step_of_the_mixture(x, likelihood):
    model, objective = build(likelihood=likelihood), EM(num_train=len(x))
    before = torch.logsumexp(model.log_joint(x), 0).mean()
    q = model.encode(x).probs.detach()
    terms = objective(model, x, 1)
    assert terms["loss"].item() == pytest.approx(-before.item(), abs=1e-12)
    terms["loss"].backward()
    assert all(p.grad is not None and (p.grad == 0).all() for p in model.parameters())
    family = "bernoulli" if isinstance(likelihood, Bernoulli) else "gaussian"
    expected = m_step(q, x.flatten(1), family)
    means = model.decode(torch.eye(K, dtype=torch.float64)).mean.flatten(1).detach()
    np.testing.assert_allclose(means, expected.means, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.prior().probs.detach(), expected.weights, rtol=1e-9)
    after = torch.logsumexp(model.log_joint(x), 0).mean()
    assert after > before


def test_training_by_em_is_em(x):
    model, objective = build(), EM(num_train=len(x))
    with random_stream("noise", 3):
        seed = int(torch.randint(2**31, ()))
    with random_stream("noise", 3):
        losses = [objective(model, x, step)["loss"].item() for step in range(5)]
    start = random_start(x.flatten(1), K, seed=seed)
    fit = em(x.flatten(1), K, num_iterations=5, tolerance=0, start=start)
    expected = [-half.log_p for half in fit.history if half.step == "E"]
    assert losses == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: BetaVAE(1).check_model(build()), "BetaVAE expects a posterior whose samples are"),
        (lambda: IWAE().check_model(build(Categorical)), "IWAE expects a posterior whose samples"),
        (
            lambda: Enumerated().check_model(build(GaussianPosterior, prior=StandardNormal)),
            "enumeration expects a discrete prior",
        ),
        (lambda: Enumerated(2).check_model(build()), "encoder_steps expects 0 for the posterior"),
        (lambda: Enumerated(-1), "encoder_steps expects an integer of at least 0"),
        (lambda: build(GaussianPosterior), "Gaussian expects a continuous prior, got Categorical"),
        (lambda: build(prior=StandardNormal), "Exact expects a discrete prior, got StandardNormal"),
        (
            lambda: Enumerated().check_model(build(Categorical, num=5000)),
            "enumeration expects at most 4,096 values of z, got 5,000",
        ),
        (lambda: EM(4).check_model(build(Categorical)), "EM expects the posterior Exact"),
        (lambda: EM(4).check_model(build(hidden=(5,))), "EM expects a decoder without hidden"),
        (
            lambda: EM(4).check_model(build(likelihood=ContinuousBernoulli())),
            "EM expects a likelihood whose M step has a closed form",
        ),
        (
            lambda: EM(4)(build(), torch.zeros(3, *SHAPE), 0),
            "EM expects all 4 training images in a batch on one process, got 3; set batch_size=4",
        ),
    ],
)
def test_sentences(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()
