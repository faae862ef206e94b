"""The mathematics of the distributions: against torch's twins, quadrature and Monte Carlo."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, StudentT

from vaelab.distributions import (
    ContinuousBernoulli,
    DiagonalNormal,
    DiscretizedLogistic,
    IsotropicNormal,
    kl_divergence,
    kl_per_latent,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def diagonal_normal(batch=5, latent=3):
    mu = torch.randn(batch, latent, dtype=torch.float64)
    return DiagonalNormal(mu, torch.rand_like(mu) + 0.5)


def standard(latent=3):
    return DiagonalNormal(*torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, latent))


def mixture(latent=3):
    means = torch.randn(4, latent, dtype=torch.float64)
    components = Independent(Normal(means, torch.ones_like(means)), 1)
    return MixtureSameFamily(Categorical(torch.ones(4, dtype=torch.float64)), components)


class TestDiagonalNormal:
    def test_equals_torchs_independent_normal(self):
        q = diagonal_normal()
        twin = Independent(Normal(q.mean, q.stddev), 1)
        z = q.rsample((2, 7))
        assert z.shape == (2, 7, 5, 3)
        assert (q.batch_shape, q.event_shape) == ((5,), (3,))
        torch.testing.assert_close(q.log_prob(z), twin.log_prob(z))
        torch.testing.assert_close(q.entropy(), twin.entropy())
        torch.testing.assert_close(q.variance, twin.variance)

    def test_samples_have_the_moments(self):
        q = diagonal_normal()
        z = q.sample((20000,))
        torch.testing.assert_close(z.mean(0), q.mean, atol=0.05, rtol=0)
        torch.testing.assert_close(z.std(0), q.stddev, atol=0.05, rtol=0)

    def test_rsample_has_gradients_and_sample_none(self):
        mu, sigma = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
        q = DiagonalNormal(mu, sigma)
        q.rsample().sum().backward()
        assert mu.grad is not None
        assert sigma.grad is not None
        assert not q.sample().requires_grad

    def test_expand(self):
        q = standard().expand((4,))
        assert isinstance(q, DiagonalNormal)
        assert q.rsample((2,)).shape == (2, 4, 3)


class TestKL:
    def test_closed_form_equals_kingma_and_welling(self):
        q = diagonal_normal()
        mu, var = q.mean.numpy(), q.variance.numpy()
        expected = 0.5 * (mu**2 + var - 1 - np.log(var)).sum(-1)  # appendix B
        np.testing.assert_allclose(kl_divergence(q, standard()).numpy(), expected)

    @pytest.mark.parametrize("p", [standard(), diagonal_normal()])
    def test_closed_form_equals_monte_carlo(self, p):
        q = diagonal_normal()
        z = q.sample((50000,))
        monte_carlo = (q.log_prob(z) - p.log_prob(z)).mean(0)
        torch.testing.assert_close(kl_divergence(q, p), monte_carlo, atol=0.05, rtol=0.05)

    def test_without_a_closed_form_is_the_average_over_the_samples_given(self):
        q, p = diagonal_normal(), mixture()
        z = q.sample((2, 4))
        expected = (q.log_prob(z) - p.log_prob(z)).mean((0, 1))
        torch.testing.assert_close(kl_divergence(q, p, z), expected)
        one = kl_divergence(q, p, z[0, 0])
        torch.testing.assert_close(one, q.log_prob(z[0, 0]) - p.log_prob(z[0, 0]))

    def test_without_samples_draws_one(self):
        q, p = diagonal_normal(), mixture()
        torch.manual_seed(1)
        z = q.rsample()
        torch.manual_seed(1)
        torch.testing.assert_close(kl_divergence(q, p), kl_divergence(q, p, z))

    @pytest.mark.parametrize("p", [standard(), diagonal_normal()])
    def test_latents_sum_to_the_whole(self, p):
        q = diagonal_normal()
        per_latent = kl_per_latent(q, p)
        assert per_latent.shape == (5, 3)
        torch.testing.assert_close(per_latent.sum(-1), kl_divergence(q, p))

    def test_no_latents_where_there_are_none(self):
        q = diagonal_normal()
        student = Independent(StudentT(3.0, q.mean, q.stddev), 1)
        grid = Independent(Normal(torch.zeros(2, 3), torch.ones(2, 3)), 2)
        assert kl_per_latent(q, mixture()) is None
        assert kl_per_latent(student, q) is None  # torch has no KL(StudentT || Normal)
        assert kl_per_latent(grid, grid) is None

    def test_compiles_without_a_graph_break(self):
        def kl(mu, sigma):
            p = DiagonalNormal(torch.zeros_like(mu), torch.ones_like(sigma))
            return kl_divergence(DiagonalNormal(mu, sigma), p)

        mu, sigma = torch.randn(4, 3), torch.rand(4, 3) + 0.1
        compiled = torch.compile(kl, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(mu, sigma), kl(mu, sigma))


class TestContinuousBernoulli:
    # Around zero, around the switch to the series at 0.5, and far out.
    logits = (0.0, 1e-6, -1e-3, 0.01, -0.1, 0.4999, 0.5, -0.5001, 2.0, -5.0, 30.0, -300.0)

    def test_equals_torchs_where_torchs_is_stable(self):
        logits = torch.linspace(-8, 8, 40, dtype=torch.float64)
        x = torch.rand(7, 40, dtype=torch.float64)
        twin = torch.distributions.ContinuousBernoulli(logits=logits)
        ours = ContinuousBernoulli(logits)
        torch.testing.assert_close(ours.log_prob(x), twin.log_prob(x))
        torch.testing.assert_close(ours.mean, twin.mean)

    @pytest.mark.parametrize("logit", logits)
    def test_density_integrates_to_one_and_to_the_mean(self, logit):
        nodes, weights = np.polynomial.legendre.leggauss(400)
        x, weights = torch.tensor((nodes + 1) / 2), torch.tensor(weights / 2)
        p_x = ContinuousBernoulli(torch.tensor(logit, dtype=torch.float64))
        density = p_x.log_prob(x).exp() * weights
        assert density.sum().item() == pytest.approx(1, abs=1e-9)
        assert (density * x).sum().item() == pytest.approx(p_x.mean.item(), abs=1e-9)

    def test_float32_values_and_gradients_are_those_of_float64(self):
        """The gradient in the logits is x - E[x]; torch's own is off by 0.003 near 1/2."""
        logits = torch.tensor([*self.logits, 1e3, -1e3])[:, None].requires_grad_()
        x = torch.tensor([0.0, 0.3, 0.5, 1.0])
        log_prob = ContinuousBernoulli(logits).log_prob(x)
        log_prob.sum().backward()
        exact = ContinuousBernoulli(logits.detach().double())
        torch.testing.assert_close(log_prob.double(), exact.log_prob(x.double()))
        expected = (x.double() - exact.mean).sum(-1, keepdim=True)
        torch.testing.assert_close(logits.grad.double(), expected, atol=2e-6, rtol=0)


class TestDiscretizedLogistic:
    @pytest.mark.parametrize(("mean", "log_scale"), [(0.3, -3.0), (1.2, -1.0), (0.5, -12.0)])
    def test_equals_a_difference_of_sigmoids(self, mean, log_scale):
        sigmoid = lambda a: 1 / (1 + np.exp(-np.clip(a, -700, 700)))  # noqa: E731
        levels = np.arange(256)
        upper = sigmoid(((levels + 0.5) / 255 - mean) / np.exp(log_scale))
        lower = sigmoid(((levels - 0.5) / 255 - mean) / np.exp(log_scale))
        upper[-1], lower[0] = 1, 0
        parameters = torch.tensor([mean, log_scale], dtype=torch.float64)
        p_x = DiscretizedLogistic(*parameters)
        probability = p_x.log_prob(torch.tensor(levels / 255)).exp().numpy()
        np.testing.assert_allclose(probability, upper - lower, atol=1e-12)
        assert probability.sum() == pytest.approx(1, abs=1e-12)
        assert p_x.mean.item() == pytest.approx((probability * levels / 255).sum(), abs=1e-12)

    @pytest.mark.parametrize("mean", [-1e3, -0.1, 0.0, 0.5, 1.0, 1e3])
    @pytest.mark.parametrize("log_scale", [-50.0, -7.0, 0.0, 50.0, 1e3])
    def test_finite_in_float32(self, mean, log_scale):
        parameters = torch.tensor([mean, log_scale]).requires_grad_()
        log_prob = DiscretizedLogistic(*parameters).log_prob(torch.arange(256) / 255)
        log_prob.sum().backward()
        assert log_prob.isfinite().all()
        assert (log_prob <= 0).all()
        assert parameters.grad.isfinite().all()

    def test_far_tail_in_float32_is_that_of_float64(self):
        x, mean, log_scale = torch.tensor([0.0, 0.2, 0.9, 1.0]), torch.tensor(0.5), torch.tensor(-6)
        single = DiscretizedLogistic(mean, log_scale.float()).log_prob(x)
        double = DiscretizedLogistic(mean.double(), log_scale.double()).log_prob(x.double())
        assert (double < -30).all()
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=0)

    def test_samples_are_levels(self):
        p_x = DiscretizedLogistic(torch.tensor([0.1, 0.9]), torch.tensor(-1.0), num_levels=4)
        x = p_x.sample((5000,))
        assert x.unique().tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
        torch.testing.assert_close(x.mean(0), p_x.mean, atol=0.03, rtol=0)


def test_isotropic_normal_equals_torchs_independent_normal():
    mean, sigma = torch.randn(4, 2, 3, 5, 5).double(), torch.tensor(0.3).double()
    ours, twin = IsotropicNormal(mean, sigma), Independent(Normal(mean, sigma), 3)
    x = ours.rsample((2,))
    assert x.shape == (2, 4, 2, 3, 5, 5)
    torch.testing.assert_close(ours.log_prob(x), twin.log_prob(x))
    torch.testing.assert_close(ours.variance, twin.variance)
    assert (ours.batch_shape, ours.event_shape) == (twin.batch_shape, twin.event_shape)
