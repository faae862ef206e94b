"""What IWAE, MIWAE, CIWAE and DReG share: their weights, their terms, their bound."""

import math

import pytest
import torch

from vaelab.distributions import effective_sample_size, log_mean_weight
from vaelab.errors import UserError
from vaelab.objectives import CIWAE, IWAE, MIWAE, DReG
from vaelab.objectives.importance_weights import weighted_samples

F64 = torch.float64
SIX = {
    "iwae": lambda: IWAE(6),
    "miwae": lambda: MIWAE(2, 3),
    "ciwae": lambda: CIWAE(0.3, 6),
    "dreg": lambda: DReG(6),
}
each = pytest.mark.parametrize("objective", [build() for build in SIX.values()], ids=SIX)


@pytest.fixture
def x():
    return torch.rand(4, 1, 4, 4, dtype=F64).round()


def run(objective, model, x, seed=1):
    torch.manual_seed(seed)
    model.zero_grad()
    terms = objective(model, x, 0)
    terms["loss"].backward()
    return terms, torch.cat([p.grad.flatten() for p in model.parameters()])


def test_weights_equal_the_densities_written_out(tiny_vae, x):
    model = tiny_vae()
    torch.manual_seed(1)
    samples = weighted_samples(model, x, 5)
    torch.manual_seed(1)
    noise = torch.randn(5, 4, 3, dtype=F64)
    mu, log_variance = model.encoder(x).chunk(2, -1)
    for k, eps in enumerate(noise):
        z = mu + (log_variance / 2).exp() * eps
        log_q = -0.5 * (eps**2 + log_variance + math.log(2 * math.pi)).sum(1)
        log_p_z = -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)
        p = model.decoder(z).sigmoid()
        log_p_x = (x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3))
        expected = log_p_x + log_p_z - log_q
        torch.testing.assert_close(samples.log_weights[k], expected, rtol=0, atol=1e-10)
        torch.testing.assert_close(samples.reconstruction[k], -log_p_x, rtol=0, atol=1e-10)


@each
def test_terms(tiny_vae, x, objective):
    model = tiny_vae()
    terms, _ = run(objective, model, x)
    torch.manual_seed(1)
    log_weights = weighted_samples(model, x, 6).log_weights
    names = {"loss", "bound", "reconstruction", "kl", "elbo", "effective_sample_size"}
    assert set(terms) == names
    assert all(value.shape == () for value in terms.values())
    assert [name for name in names if terms[name].requires_grad] == ["loss"]
    torch.testing.assert_close(terms["elbo"], log_weights.mean())
    torch.testing.assert_close(terms["elbo"], -(terms["reconstruction"] + terms["kl"]))
    if not isinstance(objective, MIWAE):
        torch.testing.assert_close(terms["bound"], log_mean_weight(log_weights, 0).mean())
        size = effective_sample_size(log_weights, 0).mean()
        torch.testing.assert_close(terms["effective_sample_size"], size)


@pytest.mark.parametrize("name", ["iwae", "ciwae", "dreg"])
def test_order_of_the_samples_does_not_matter(tiny_vae, x, fix_noise, name):
    model, noise = tiny_vae(), torch.randn(6, 4, 3, dtype=F64)
    fix_noise(noise)
    terms, gradient = run(SIX[name](), model, x)
    fix_noise(noise[torch.tensor([3, 0, 5, 1, 2, 4])])
    renamed, same = run(SIX[name](), model, x)
    torch.testing.assert_close(renamed, terms, rtol=1e-12, atol=0)
    torch.testing.assert_close(same, gradient, rtol=1e-9, atol=1e-12)


def test_sixteen_bits_leave_weights_in_float32(tiny_vae, x):
    """bfloat16 has 8 bits: weights that differ by less than e^0.06 are equal."""
    model = tiny_vae().float()
    with torch.autocast("cpu", torch.bfloat16):
        assert model.decoder(torch.zeros(1, 3)).dtype == torch.bfloat16
        samples = weighted_samples(model, x.float(), 2)
    assert samples.log_weights.dtype == samples.kl.dtype == torch.float32


@each
def test_the_exact_posterior_makes_the_bound_exact(linear_gaussian, objective):
    model, x, log_p = linear_gaussian
    terms = objective(model, x, 0)
    torch.testing.assert_close(-terms["loss"], log_p.mean(), rtol=0, atol=1e-10)
    assert terms["effective_sample_size"] == pytest.approx(objective.num_samples)


@each
def test_a_wrong_posterior_leaves_the_bound_below_log_p(linear_gaussian, spoil, objective):
    model, x, log_p = linear_gaussian
    spoil(model)
    with torch.no_grad():
        gaps = torch.stack([log_p.mean() + objective(model, x, 0)["loss"] for _ in range(300)])
    assert gaps.mean() > 5 * gaps.std() / 300**0.5


@pytest.mark.parametrize("objective", [IWAE, MIWAE, CIWAE, DReG])
@pytest.mark.parametrize("num", [0, -1, 2.0])
def test_no_samples_are_rejected(objective, num):
    with pytest.raises(UserError, match=r"^num_samples expects an integer of at least 1, got"):
        objective(num_samples=num)
    if objective is MIWAE:
        with pytest.raises(UserError, match=r"^num_bounds expects"):
            objective(num_bounds=num)
