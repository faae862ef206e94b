"""The posterior that is a point: samples, gradients, and no finite divergence."""

import pytest
import torch
from torch.distributions import Independent, Normal

from vaelab.distributions import Delta, DiagonalNormal, kl_divergence, kl_per_latent
from vaelab.errors import UserError
from vaelab.posteriors import Delta as DeltaPosterior

F64 = torch.float64


@pytest.fixture
def raw():
    return torch.randn(4, 3, dtype=F64, requires_grad=True)


@pytest.fixture
def p_z():
    return Independent(Normal(torch.zeros(3, dtype=F64), torch.ones(3, dtype=F64)), 1)


def test_the_encoder_gives_the_code(raw):
    posterior = DeltaPosterior(3)
    q_z = posterior(raw)
    assert posterior.num_params == 3
    assert (q_z.batch_shape, q_z.event_shape) == ((4,), (3,))
    assert torch.equal(q_z.mean, raw)
    assert torch.equal(q_z.stddev, torch.zeros(4, 3, dtype=F64))
    assert torch.equal(q_z.variance, torch.zeros(4, 3, dtype=F64))


@pytest.mark.parametrize("sample_shape", [(), (5,), (2, 6)])
def test_every_sample_is_the_point(raw, sample_shape):
    state = torch.get_rng_state()
    q_z = DeltaPosterior(3)(raw)
    z = q_z.rsample(torch.Size(sample_shape))
    assert z.shape == (*sample_shape, 4, 3)
    assert torch.equal(z, raw.expand_as(z))
    assert torch.equal(torch.get_rng_state(), state)
    assert not q_z.sample().requires_grad
    (gradient,) = torch.autograd.grad(z.sum(), raw)
    assert torch.equal(gradient, torch.full_like(raw, z.numel() / raw.numel()))


@pytest.mark.parametrize("num_samples", [None, 1, 7])
def test_its_kl_is_not_a_number(raw, p_z, num_samples):
    q_z = Delta(raw.detach())
    z = None if num_samples is None else q_z.sample((num_samples,))
    kl = kl_divergence(q_z, p_z, z)
    assert kl.shape == (4,)
    assert kl.isnan().all()
    assert kl_per_latent(q_z, p_z) is None


def test_it_is_where_the_kl_of_a_narrowing_normal_diverges(raw, p_z):
    mu = raw.detach()
    narrow = [
        kl_divergence(DiagonalNormal(mu, torch.full_like(mu, 10.0**-k)), p_z) for k in (2, 4, 6)
    ]
    growth = torch.stack(narrow).diff(dim=0)  # of each hundredth part of sigma: L ln 100
    assert torch.allclose(growth, 3 * torch.tensor(100.0, dtype=F64).log(), atol=1e-3)


def test_there_is_no_density(raw, p_z):
    with pytest.raises(NotImplementedError, match="a Delta has no density"):
        Delta(raw).log_prob(raw)
    with pytest.raises(NotImplementedError):
        kl_divergence(p_z, Delta(raw))
    with pytest.raises(
        UserError, match=r"^it expects a posterior with a density.*, or the objective Auto"
    ):
        DeltaPosterior(3).require_density("it")


def test_sixteen_bits_are_cast_up():
    q_z = DeltaPosterior(3)(torch.randn(4, 3, dtype=torch.bfloat16))
    assert q_z.mean.dtype == torch.float32
