"""Averages of the ELBO over a data set, and the count of active units."""

import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, StudentT

from vaelab import likelihoods
from vaelab.distributions import DiagonalNormal
from vaelab.elbo import ElboTerms
from vaelab.elbo_statistics import ElboStatistics, bits_per_dim, kl_order, latent_names

F64 = torch.float64
NUM_PIXELS = 12


def statistics(mu, sigma, reconstruction=None, batches=None, q=DiagonalNormal):
    """The statistics of posteriors N(mu, sigma^2), (N, L), seen in batches of the given sizes."""
    num, latent_dim = mu.shape
    p_z = Independent(Normal(torch.zeros(latent_dim), torch.ones(latent_dim)), 1)
    reconstruction = torch.zeros(num) if reconstruction is None else reconstruction
    kl = 0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log()).sum(1)
    seen = ElboStatistics(latent_dim, NUM_PIXELS)
    for rows in torch.arange(num).split(batches or num):
        q_z = q(mu[rows], sigma[rows])
        seen.update(ElboTerms(reconstruction[rows], kl[rows], q_z, p_z, mu[rows]))
    return seen


@pytest.fixture
def posteriors():
    return torch.randn(10, 3, dtype=F64), torch.rand(10, 3, dtype=F64) + 0.1


@pytest.mark.parametrize("batches", [[10], [7, 3], [1, 9], [1] * 10, [4, 4, 2]])
def test_uneven_batches_average_exactly(posteriors, batches):
    mu, sigma = posteriors
    reconstruction = 100 * torch.rand(10, dtype=F64)
    values = statistics(mu, sigma, reconstruction, batches).compute()
    kl = 0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log())
    assert values["reconstruction"] == pytest.approx(reconstruction.mean().item(), rel=1e-12)
    assert values["kl"] == pytest.approx(kl.sum(1).mean().item(), rel=1e-12)
    assert values["elbo"] == pytest.approx(-values["reconstruction"] - values["kl"], rel=1e-12)
    per_latent = [values[f"kl_latent/{j}"] for j in range(3)]
    assert per_latent == pytest.approx(kl.mean(0).tolist(), rel=1e-12)


def test_a_mean_over_batch_means_would_be_wrong_here(posteriors):
    reconstruction = torch.tensor([0.0] * 9 + [10.0])
    values = statistics(*posteriors, reconstruction, [9, 1]).compute()
    assert values["reconstruction"] == pytest.approx(1.0)


def test_kl_of_the_latents_sums_to_the_kl(posteriors):
    values = statistics(*posteriors, batches=[3, 7]).compute()
    total = sum(value for name, value in values.items() if name.startswith("kl_latent/"))
    assert total == pytest.approx(values["kl"], rel=1e-12)


def test_bits_per_dim_are_nats_over_ln_2_and_pixels(posteriors):
    values = statistics(torch.zeros(4, 2), torch.ones(4, 2), torch.full((4,), 6.0)).compute()
    assert values["elbo"] == -6.0
    assert values["bits_per_dim"] == pytest.approx(6 / math.log(2) / NUM_PIXELS)


def test_one_bit_per_pixel_is_one_bit_per_dim():
    reconstruction = torch.full((4,), NUM_PIXELS * math.log(2), dtype=F64)
    values = statistics(torch.zeros(4, 2), torch.ones(4, 2), reconstruction).compute()
    assert values["bits_per_dim"] == pytest.approx(1.0)


def test_bits_per_dim_of_known_images():
    uniform = likelihoods.Categorical()(torch.zeros(2, 3 * 256, 4, 4))
    bits = bits_per_dim(uniform.log_prob(torch.rand(2, 3, 4, 4)), 3 * 4 * 4)
    torch.testing.assert_close(bits, torch.full((2,), 8.0))
    coin = likelihoods.Bernoulli()(torch.zeros(2, 1, 4, 4))
    bits = bits_per_dim(coin.log_prob(torch.ones(2, 1, 4, 4)), 16)
    torch.testing.assert_close(bits, torch.ones(2))
    flat = likelihoods.ContinuousBernoulli()(torch.zeros(2, 1, 4, 4))
    bits = bits_per_dim(flat.log_prob(torch.ones(2, 1, 4, 4)), 16)
    torch.testing.assert_close(bits, torch.zeros(2))  # a density on [0, 1]: no 8 bits added
    assert bits_per_dim(-math.log(2), 1) == pytest.approx(1, rel=1e-6)


def test_latents_are_named_from_zero():
    assert latent_names(3) == ["z0", "z1", "z2"]


def test_collapsed_posteriors_have_no_active_units():
    values = statistics(torch.zeros(50, 4), torch.ones(50, 4)).compute()
    assert values["active_units"] == 0
    assert values["active_units_kl"] == 0
    assert values["kl"] == 0


def test_units_are_active_by_the_variance_of_their_means_and_by_their_kl():
    # The mean alternates between +a and -a, so that its variance (divisor N) is a^2.
    signs = torch.tensor([1.0, -1.0], dtype=F64).repeat(20)[:, None]
    offset = torch.tensor([0.0, 0.0, 0.0, 5.0], dtype=F64)  # far from the prior, same for all x
    amplitude = torch.tensor([0.5, 0.101, 0.099, 0.0], dtype=F64)
    mu = signs * amplitude + offset
    values = statistics(mu, torch.ones_like(mu), batches=[13, 27]).compute()
    assert values["active_units"] == 2  # 0.25 and 0.010201 exceed 0.01; 0.0098 and 0 do not
    assert values["active_units_kl"] == 2  # a^2 / 2: 0.125, 0.0051, 0.0049; and 12.5


def test_a_narrow_posterior_is_active_by_kl_alone():
    values = statistics(torch.zeros(6, 1), torch.full((6, 1), 0.5)).compute()
    assert (values["active_units"], values["active_units_kl"]) == (0, 1)


@pytest.mark.parametrize(("amplitude", "active"), [(0.2, 1), (0.05, 0)])
def test_variance_far_from_zero_keeps_its_digits(amplitude, active):
    mu = 1000 + amplitude * torch.tensor([1.0, -1.0]).repeat(500)[:, None]
    values = statistics(mu, torch.ones_like(mu), batches=[7] * 142 + [6]).compute()
    assert values["active_units"] == active


def test_sums_of_two_processes_add_up_to_one(posteriors):
    mu, sigma = posteriors
    whole, half = statistics(mu, sigma), statistics(mu[:4], sigma[:4])
    half.sums = half.sums + statistics(mu[4:], sigma[4:]).sums
    assert half.compute() == pytest.approx(whole.compute(), rel=1e-12)


def full_covariance(mu, sigma):
    return MultivariateNormal(mu, torch.diag_embed(sigma**2))


def student_t(mu, sigma):
    """Independent latents whose KL to the normal torch has no closed form for."""
    return Independent(StudentT(3.0, mu, sigma), 1)


@pytest.mark.parametrize("q", [full_covariance, student_t])
def test_without_a_kl_per_latent_there_is_no_count_by_it(posteriors, q):
    mu, sigma = (value.float() for value in posteriors)
    values = statistics(mu, sigma, q=q).compute()
    assert not [name for name in values if name.startswith("kl_latent/") or "_kl" in name]
    assert values["active_units"] == 3


def test_latents_sort_by_number():
    values = statistics(torch.zeros(2, 11), torch.ones(2, 11)).compute()
    names = [name for name in values if name.startswith("kl_latent/")]
    assert names == sorted(names)
    assert names[0] == "kl_latent/00"


def test_kl_order_goes_from_largest_to_smallest_and_keeps_ties():
    assert kl_order(torch.tensor([0.1, 3.0, 0.1, 7.0])) == [3, 1, 0, 2]
