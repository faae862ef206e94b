"""M2: the sum over classes, its bounds, and what labels add."""

import math
from functools import partial

import pytest
import torch

from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.likelihoods import Bernoulli, Gaussian
from vaelab.models import VAE, Condition, MLPDecoder, MLPEncoder
from vaelab.objectives import M2, BetaVAE
from vaelab.objectives.m2 import joint_bound, marginal_bound
from vaelab.posteriors import FullCovariance
from vaelab.posteriors import Gaussian as GaussianPosterior
from vaelab.priors import StandardNormal

SHAPE, L, C, B = (1, 2, 3), 2, 4, 6


def make(classifier=True, posterior=GaussianPosterior, likelihood=None, hidden=(5,), sizes=(C,)):
    torch.manual_seed(0)
    encoder, decoder = partial(MLPEncoder, hidden=hidden), partial(MLPDecoder, hidden=hidden)
    likelihood = likelihood or Bernoulli()
    parts = (posterior, StandardNormal, likelihood)
    condition = Condition(sizes)
    model = VAE(SHAPE, L, encoder, decoder, *parts, condition=condition, classifier=classifier)
    return model.double()


def batch(num_known=2):
    torch.manual_seed(1)
    x = torch.rand(B, *SHAPE, dtype=torch.float64).round()
    y = torch.arange(B) % C
    y[num_known:] = -1
    return x, y


def tables(seed):
    generator = torch.Generator().manual_seed(seed)
    bound = 30 * torch.randn(C, B, generator=generator, dtype=torch.float64)
    log_q = torch.randn(C, B, generator=generator, dtype=torch.float64).log_softmax(0)
    return bound, log_q


@pytest.mark.parametrize("seed", range(5))
def test_gap_to_logsumexp_is_a_kl(seed):
    """-U = logsumexp(-L) - KL(q || softmax(-L)), to 1e-10."""
    bound, log_q = tables(seed)
    best = bound.log_softmax(0)
    kl = (log_q.exp() * (log_q - best)).sum(0)
    expected = bound.logsumexp(0) - kl
    assert (marginal_bound(bound, log_q) - expected).abs().max() < 1e-10
    assert (marginal_bound(bound, best) - bound.logsumexp(0)).abs().max() < 1e-10
    assert (kl >= 0).all()


def test_gradient_of_the_sum_is_that_of_sampled_classes():
    """Against the score function of 10^6 sampled classes, within 4 standard errors."""
    torch.manual_seed(3)
    logits = torch.randn(C, dtype=torch.float64, requires_grad=True)
    bound = torch.tensor([-3.0, -1.0, -2.0, -5.0], dtype=torch.float64)
    log_q = logits.log_softmax(0)
    exact = torch.autograd.grad(marginal_bound(bound[:, None], log_q[:, None])[0], logits)[0]
    y = torch.multinomial(log_q.exp().detach(), 1_000_000, replacement=True)
    score = torch.nn.functional.one_hot(y, C) - log_q.exp().detach()
    terms = score * (bound[y] - log_q[y].detach())[:, None]
    error = terms.std(0) / math.sqrt(len(y))
    assert ((terms.mean(0) - exact).abs() < 4 * error).all()


def test_rows_are_those_of_each_class():
    model, (x, _) = make(), batch()
    torch.manual_seed(5)
    bound = joint_bound(model, x)
    torch.manual_seed(5)
    noise = torch.randn(C, B, L, dtype=torch.float64)
    for c in range(C):
        view = model.given(torch.full((B,), c))
        q_z = view.encode(x)
        z = q_z.mean + q_z.stddev * noise[c]
        reconstruction = -view.decode(z).log_prob(x)
        expected = -reconstruction - elbo_terms(view, x).kl - math.log(C)
        torch.testing.assert_close(bound[c], expected)


def test_linear_gaussian_classes_have_exact_bounds():
    """With q(z|x, y) and q(y|x) exact, -U is log p(x)."""
    sigma = 0.5
    model = make(posterior=FullCovariance, likelihood=Gaussian(sigma), hidden=())
    w, v = model.decoder.head.weight.detach().tensor_split([L], 1)
    b = model.decoder.head.bias.detach()
    x = torch.rand(B, *SHAPE, dtype=torch.float64)
    means = b + v.T  # (C, D)
    marginal = torch.distributions.MultivariateNormal(
        means, w @ w.T + sigma**2 * torch.eye(6, dtype=torch.float64)
    )
    log_p = marginal.log_prob(x.flatten(1)[:, None]).T  # (C, B)
    precision = torch.eye(L, dtype=torch.float64) + w.T @ w / sigma**2
    covariance = precision.inverse()
    view = model.each_class()
    q_z = torch.distributions.MultivariateNormal(
        ((x.flatten(1) - means[:, None]) @ w / sigma**2) @ covariance, covariance
    )
    terms = elbo_terms(view, x, q_z=q_z)
    # One sample: the ELBO has no variance where q is exact only with the KL at the sample.
    z = terms.z
    at_sample = view.decode(z).log_prob(x) + view.prior().log_prob(z) - q_z.log_prob(z)
    torch.testing.assert_close(at_sample, log_p, rtol=0, atol=1e-8)
    bound = at_sample - math.log(C)
    log_px = (log_p - math.log(C)).logsumexp(0)
    torch.testing.assert_close(marginal_bound(bound, bound.log_softmax(0)), log_px)
    other = torch.randn(C, B, dtype=torch.float64).log_softmax(0)
    assert (marginal_bound(bound, other) <= log_px).all()


def test_loss_is_the_share_of_each_kind():
    model, (x, y) = make(), batch(2)
    objective = M2(num_train=60, num_labelled=6, alpha=0.7)
    torch.manual_seed(7)
    terms = objective(model, x, 0, y)
    torch.manual_seed(7)
    bound = joint_bound(model, x)
    log_q = model.classify(x).logits.T
    labelled = bound[y[:2], [0, 1]].mean()
    unlabelled = marginal_bound(bound, log_q)[2:].mean()
    cross_entropy = -log_q[y[:2], [0, 1]].mean()
    expected = 0.7 * cross_entropy - 0.1 * labelled - 0.9 * unlabelled
    torch.testing.assert_close(terms["loss"], expected)
    torch.testing.assert_close(terms["labelled_bound"], labelled)
    torch.testing.assert_close(terms["unlabelled_bound"], unlabelled)


def test_order_of_rows_does_not_matter():
    model, (x, y) = make(likelihood=Gaussian(1.0)), batch(3)
    objective = M2(num_train=60, num_labelled=30, alpha=0.1)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        model.encoder.head.weight.zero_()  # q = N(0, e^-40): no noise to be drawn in another order
        model.encoder.head.bias.copy_(torch.tensor([0.0, 0, -40, -40]))
    first = objective(model, x, 0, y)
    second = objective(model, x[order], 0, y[order])
    torch.testing.assert_close(first["loss"], second["loss"], rtol=1e-6, atol=1e-6)


def test_all_labels_known_is_a_conditional_vae_beside_a_classifier():
    model, (x, _) = make(), batch()
    y = torch.arange(B) % C
    torch.manual_seed(2)
    loss = M2(num_train=60, num_labelled=60, alpha=0.3)(model, x, 0, y)["loss"]
    torch.manual_seed(2)
    conditional = BetaVAE(1.0)(model.given(y), x, 0)["loss"]
    cross_entropy = -model.classify(x).log_prob(y).mean()
    torch.testing.assert_close(loss, conditional + math.log(C) + 0.3 * cross_entropy)


@pytest.mark.parametrize("unknown", ["enumerate", "relax"])
def test_every_parameter_learns(unknown):
    model, (x, y) = make(), batch()
    M2(num_train=60, num_labelled=6, unknown=unknown)(model, x, 0, y)["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_classifier_learns_from_unlabelled_images_alone():
    model, (x, y) = make(), batch(num_known=0)
    M2(num_train=60, num_labelled=6, alpha=0)(model, x, 0, y)["loss"].backward()
    assert all(p.grad.abs().sum() > 0 for p in model.classifier.parameters())


def test_relaxed_class_of_a_sure_classifier_is_the_class():
    model, (x, y) = make(), batch(num_known=0)
    with torch.no_grad():
        model.classifier.head.weight.zero_()
        model.classifier.head.bias.copy_(torch.tensor([80.0, 0, 0, 0]))
        model.encoder.head.weight.zero_()
        model.encoder.head.bias.copy_(torch.tensor([0.0, 0, -40, -40]))
    settings = {"num_train": 60, "num_labelled": 6}
    relaxed = M2(**settings, unknown="relax")(model, x, 0, y)["loss"]
    summed = M2(**settings)(model, x, 0, y)["loss"]
    torch.testing.assert_close(relaxed, summed, rtol=1e-6, atol=1e-6)


def test_rejects_models_without_a_classifier():
    with pytest.raises(UserError, match="M2 expects a model with a classifier"):
        M2(60, 6).check_model(make(classifier=False))
    with pytest.raises(UserError, match="BetaVAE expects a model without a classifier"):
        BetaVAE(1.0).check_model(make())
    with pytest.raises(UserError, match="unknown expects enumerate"):
        M2(60, 6, unknown="relax").check_model(make(sizes=(2, 2)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": -1}, "alpha expects a number of at least 0"),
        ({"temperature": 0}, "temperature expects a number above 0"),
        ({"unknown": "sum"}, "unknown expects one of enumerate, relax"),
    ],
)
def test_rejects_settings(setting, message):
    with pytest.raises(UserError, match=message):
        M2(60, 6, **setting)
