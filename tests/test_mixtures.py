"""EM: known answers, scikit-learn from the same start, the bound after every half step."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from vaelab.errors import UserError
from vaelab.mixtures import Mixture, em, m_step, random_start


@pytest.fixture
def bits():
    """3,000 images of 12 pixels from two components of weights .3 and .7."""
    rng = np.random.default_rng(0)
    means = np.where(np.arange(12) < 6, [[0.9], [0.2]], [[0.1], [0.7]])
    which = rng.random(3000) < 0.7
    return torch.from_numpy(
        (rng.random((3000, 12)) < means[which.astype(int)]).astype(float)
    ), means


def test_log_joint_is_that_of_independent_pixels():
    rng = np.random.default_rng(0)
    weights, means, variances = rng.dirichlet(np.ones(3)), rng.random((3, 4)), rng.random((3, 4))
    x = rng.integers(2, size=(5, 4)).astype(float)
    tensors = [torch.from_numpy(array) for array in (weights, means, variances, x)]
    ours = Mixture(*tensors[:2]).log_joint(tensors[3]).numpy()
    slow = np.log(weights) + (
        x[:, None] * np.log(means) + (1 - x[:, None]) * np.log(1 - means)
    ).sum(2)
    np.testing.assert_allclose(ours, slow, rtol=1e-12)
    gaussian = Mixture(*tensors[:3])
    slow = np.log(weights) + norm.logpdf(x[:, None], means, np.sqrt(variances)).sum(2)
    np.testing.assert_allclose(gaussian.log_joint(tensors[3]).numpy(), slow, rtol=1e-10)
    np.testing.assert_allclose(gaussian.log_prob(tensors[3]).numpy(), logsumexp(slow, 1))
    np.testing.assert_allclose(gaussian.responsibilities(tensors[3]).sum(1).numpy(), 1)


@pytest.mark.parametrize("family", ["bernoulli", "gaussian"])
def test_the_bound_rises_and_is_tight_after_every_e_step(bits, family):
    fit = em(bits[0], 4, family=family, num_iterations=30, tolerance=0, seed=1)
    e_steps, m_steps = fit.history[::2], fit.history[1::2]
    assert {h.step for h in e_steps} == {"E"}
    assert {h.step for h in m_steps} == {"M"}
    for e, m in zip(e_steps, m_steps, strict=True):
        assert e.elbo == e.log_p
        assert m.elbo >= e.elbo - 1e-10
        assert m.kl >= -1e-10
        assert m.log_p == pytest.approx(m.elbo + m.kl, abs=1e-10)
    log_p = [h.log_p for h in fit.history]
    assert min(np.diff(log_p)) >= -1e-10
    assert fit.mixture.log_prob(bits[0]).mean() == pytest.approx(log_p[-1], abs=1e-10)


@pytest.mark.parametrize("smoothing", [0.3, 1.0, 50.0])
def test_with_smoothing_what_rises_is_log_p_with_its_prior(bits, smoothing):
    x = bits[0][:200]
    fit = em(x, 4, num_iterations=30, tolerance=0, seed=1, smoothing=smoothing)
    for e, m in zip(fit.history[::2], fit.history[1::2], strict=True):
        assert m.elbo + m.log_prior >= e.elbo + e.log_prior - 1e-10
        assert m.log_p == pytest.approx(m.elbo + m.kl, abs=1e-10)
    assert min(np.diff([h.log_p + h.log_prior for h in fit.history])) >= -1e-10
    weights, means = fit.mixture.weights.numpy(), fit.mixture.means.numpy()
    prior = np.log(weights).sum() + np.log(means * (1 - means)).sum()
    assert fit.history[-1].log_prior == pytest.approx(smoothing * prior / len(x))


def test_smoothing_stops_where_log_p_with_its_prior_does():
    """A strong prior moves the means towards 1/2: log p falls in the first steps."""
    x = torch.ones(10, 3, dtype=torch.float64)
    fit = em(x, 1, smoothing=100.0, tolerance=1e-6)
    assert fit.history[2].log_p < fit.history[0].log_p
    np.testing.assert_allclose(fit.mixture.means, 110 / 210)


def test_two_known_components_are_recovered(bits):
    x, means = bits
    mixture = em(x, 2, num_iterations=200, tolerance=1e-8).mixture
    order = mixture.weights.argsort()
    # 900 and 2,100 images: standard errors of at most .017.
    np.testing.assert_allclose(mixture.means[order].numpy(), means, atol=0.06)
    np.testing.assert_allclose(mixture.weights[order].numpy(), [0.3, 0.7], atol=0.03)


def test_one_component_is_the_pixel_means(bits):
    fit = em(bits[0], 1)
    np.testing.assert_allclose(fit.mixture.means[0], bits[0].mean(0), rtol=1e-12)
    assert len(fit.history) == 4  # the second pair of steps finds nothing to raise


def test_m_step_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    q = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]], dtype=torch.float64)
    mixture = m_step(q, x)
    assert mixture.weights.tolist() == pytest.approx([1.75 / 3, 1.25 / 3])
    assert mixture.means.flatten().tolist() == pytest.approx(
        [1.25 / 1.75, 0.25 / 1.75, 0.75 / 1.25, 0.75 / 1.25]
    )
    gaussian = m_step(q, x, "gaussian")
    # E x^2 - (E x)^2 of bits is p (1 - p).
    p = gaussian.means
    np.testing.assert_allclose(gaussian.variances, p * (1 - p), rtol=1e-12)


def test_smoothing_is_one_more_white_and_one_more_black_pixel():
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    q = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]], dtype=torch.float64)
    mixture = m_step(q, x, smoothing=1)
    assert mixture.weights.tolist() == pytest.approx([2.75 / 5, 2.25 / 5])
    assert mixture.means.flatten().tolist() == pytest.approx(
        [2.25 / 3.75, 1 / 3.75, 1.75 / 3.25, 1 / 3.25]
    )
    many = m_step(torch.ones(5000, 1, dtype=torch.float64), x[:1].expand(5000, 2), smoothing=1)
    assert many.means.flatten().tolist() == pytest.approx([5001 / 5002, 1 / 5002], rel=1e-12)


def test_smoothing_is_the_best_mixture_under_its_prior(bits):
    """Neither weights nor means nearby have a higher ELBO with the prior, as autograd says."""
    x = bits[0][:50]
    q = torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    q /= q.sum(1, keepdim=True)
    best = m_step(q, x, smoothing=2.0)
    logits = [best.weights.log().requires_grad_(), best.means.logit().requires_grad_()]
    weights, means = logits[0].softmax(0), logits[1].sigmoid()
    prior = weights.log().sum() + (means * (1 - means)).log().sum()
    loss = (q * Mixture(weights, means).log_joint(x)).sum() + 2.0 * prior
    for gradient in torch.autograd.grad(loss, logits):
        assert gradient.abs().max() < 1e-10


def test_agrees_with_scikit_learn_from_the_same_start():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-2, 1, (200, 3)), rng.normal(1, 0.5, (300, 3))])
    start = random_start(torch.from_numpy(x), 3, "gaussian", seed=4)
    peer = GaussianMixture(
        3,
        covariance_type="diag",
        reg_covar=0,
        tol=0,
        max_iter=20,
        weights_init=start.weights.numpy(),
        means_init=start.means.numpy(),
        precisions_init=1 / start.variances.numpy(),
    )
    with pytest.warns(match="did not converge"):
        peer.fit(x)
    fit = em(torch.from_numpy(x), 3, family="gaussian", num_iterations=20, tolerance=0, start=start)
    np.testing.assert_allclose(fit.mixture.means, peer.means_, atol=1e-6)
    np.testing.assert_allclose(fit.mixture.variances, peer.covariances_, atol=1e-6)
    assert fit.mixture.log_prob(torch.from_numpy(x)).mean() == pytest.approx(
        peer.score(x), abs=1e-6
    )


def test_a_start_depends_on_its_seed_and_is_no_saddle(bits):
    one, same, other = (random_start(bits[0], 5, seed=seed).means for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
    assert one.std(0).min() > 0


@pytest.mark.parametrize(
    ("x", "options", "sentence"),
    [
        (torch.zeros(3, 2, 2), {}, r"x expects finite floating-point rows \(N, D\)"),
        (torch.full((30, 2), 3.0), {}, r"x expects values in \[0, 1\] for the family bernoulli"),
        (torch.zeros(30, 2), {"family": "poisson"}, "family expects one of bernoulli, gaussian"),
        (torch.zeros(5, 2), {}, "num_components expects an integer of at least 1 and of at most 5"),
        (torch.zeros(30, 2), {"num_iterations": 0}, "num_iterations expects"),
        (torch.zeros(30, 2), {"smoothing": -1}, "smoothing expects a number of at least 0, got -1"),
        (
            torch.zeros(30, 2),
            {"smoothing": 1, "family": "gaussian"},
            "smoothing expects 0 for the family gaussian, got 1",
        ),
    ],
)
def test_sentences(x, options, sentence):
    with pytest.raises(UserError, match=sentence):
        em(x, 10, **options)


def test_a_component_without_images_ends_in_a_sentence():
    q = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(UserError, match="got 1 of 2 without any after iteration 7"):
        m_step(q, torch.ones(2, 3), iteration=7)
    assert m_step(q, torch.ones(2, 3), smoothing=1).means[1].tolist() == [0.5] * 3
