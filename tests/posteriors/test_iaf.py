"""Inverse autoregressive flow: its density against inversion and autograd, and its limits."""

import pytest
import torch
from torch.func import jacrev, vmap

from vaelab.distributed import split_over_processes
from vaelab.distributions import kl_divergence
from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.kl_penalties import Constant
from vaelab.objectives import BetaVAE
from vaelab.posteriors import IAF, Gaussian
from vaelab.posteriors.iaf import GatedTransform
from vaelab.priors import Mixture, StandardNormal

F64 = torch.float64


def posterior(latent_dim=3, **options):
    torch.manual_seed(2)
    return IAF(latent_dim, **{"num_transforms": 3, "hidden": (8,), "context_size": 4} | options)


@pytest.fixture(params=[1, 2, 3])
def module(request):
    """With parameters of three times their initial size."""
    module = posterior(request.param).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 3
    return module


def raw_of(module, num=4):
    torch.manual_seed(7)
    return torch.randn(num, module.num_params, dtype=F64)


def test_density_of_a_sample_is_that_by_inversion(module):
    q = module(raw_of(module))
    for shape in ((), (5,), (2, 5)):
        z = q.rsample(shape)
        assert z.shape == (*shape, 4, *q.event_shape)
        kept, inverted = q.log_prob(z), q.log_prob(z.clone())
        assert kept.shape == (*shape, 4)
        assert torch.allclose(kept, inverted, rtol=0, atol=1e-10)


def test_both_densities_of_a_sample_have_the_same_gradients(module):
    gradients = []
    for copy in (lambda z: z, lambda z: z * 1):
        raw = raw_of(module).requires_grad_()
        torch.manual_seed(3)
        q = module(raw)
        z = q.rsample()
        loss = (q.log_prob(copy(z)) + z.square().sum(-1)).sum()
        gradients.append(torch.autograd.grad(loss, [raw, *module.parameters()]))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-7, atol=1e-9)


def test_log_determinant_is_that_of_autograd(module):
    transform = module.steps(raw_of(module, 1)[:, -4:])
    u = torch.randn(6, 1, len(module.points[0]), dtype=F64)
    _, log_determinant = transform.call_and_ladj(u)
    for point, expected in zip(u, log_determinant, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: transform(v[None])[0], point[0])
        assert torch.allclose(
            torch.linalg.slogdet(jacobian).logabsdet, expected[0], rtol=0, atol=1e-10
        )


def test_each_step_is_autoregressive_and_the_order_turns():
    module = posterior().double()
    h = raw_of(module, 1)[0, -4:]
    for number, step in enumerate(module.steps.transforms):
        jacobian = jacrev(lambda u, step=step: step(h)(u))(torch.randn(3, dtype=F64))
        beyond = jacobian.triu(1) if number % 2 == 0 else jacobian.tril(-1)
        before = jacobian.tril(-1) if number % 2 == 0 else jacobian.triu(1)
        assert (beyond == 0).all()
        assert (before != 0).any()


def test_density_integrates_to_one():
    module = posterior(2, gate_bias=1.0).double()
    axis = torch.linspace(-8, 8, 321, dtype=F64)
    grid = torch.cartesian_prod(axis, axis)[:, None]
    with torch.no_grad():
        density = module(raw_of(module, 1)).log_prob(grid).exp()
    # Networks of relu leave kinks, and these the error of the trapezoid rule.
    assert float(density.sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1, abs=1e-3)


def test_samples_have_the_moments_of_the_distribution():
    module, num = posterior(2).double(), 50_000
    with torch.no_grad():
        q = module(raw_of(module))
        torch.manual_seed(0)
        z = q.sample((num,))
    # The error of 32 pairs of points outweighs that of the samples.
    assert ((q.mean - z.mean(0)).abs() < 5 / 32**0.5 * 0.2 * q.stddev).all()
    assert torch.allclose(q.stddev, z.std(0), rtol=0.25)
    assert q.mean.shape == q.variance.shape == (4, 2)


def test_with_open_gates_it_is_the_diagonal_gaussian():
    """sigmoid(s + 100) is 1 in float64: every step is the identity, whatever m."""
    module = posterior(gate_bias=100.0).double()
    raw = raw_of(module)
    q, diagonal = module(raw), Gaussian(3)(raw[:, :6])
    torch.manual_seed(1)
    z = q.rsample((2,))
    torch.manual_seed(1)
    assert torch.allclose(z, diagonal.rsample((2,)), rtol=0, atol=1e-12)
    for value in (z, torch.randn(2, 4, 3, dtype=F64)):
        assert torch.allclose(q.log_prob(value), diagonal.log_prob(value), rtol=0, atol=1e-9)
    assert torch.allclose(q.mean, diagonal.mean, rtol=0, atol=1e-12)
    assert torch.allclose(q.stddev, diagonal.stddev, rtol=1e-6)
    standard = StandardNormal(3, (1, 1, 1)).double()(None)
    kl = kl_divergence(q, standard, q.rsample((20_000,)))
    assert torch.allclose(kl, kl_divergence(diagonal, standard), rtol=0, atol=0.1)


def test_gate_is_the_formula_and_its_inverse():
    m, s, u = torch.randn(3, 5, dtype=F64)
    gate = GatedTransform(1.5, m, s)
    sigma = 1 / (1 + (-s - 1.5).exp())
    y = gate(u)
    assert torch.allclose(y, sigma * u + (1 - sigma) * m, rtol=0, atol=1e-12)
    assert torch.allclose(gate.inv(y), u, rtol=0, atol=1e-12)
    assert torch.allclose(gate.log_abs_det_jacobian(u, y), sigma.log(), rtol=0, atol=1e-12)


def test_an_image_does_not_depend_on_its_batch(module):
    raw, z = raw_of(module), torch.randn(4, len(module.points[0]), dtype=F64)
    together = module(raw)
    for i in range(4):
        alone = module(raw[i : i + 1])
        assert torch.allclose(alone.log_prob(z[i : i + 1]), together.log_prob(z)[i], atol=1e-10)
        assert torch.allclose(alone.mean[0], together.mean[i], rtol=0, atol=1e-10)


def test_moments_of_many_images_are_those_of_few(monkeypatch):
    module = posterior().double()
    whole = module(raw_of(module))
    mean, variance = whole.mean, whole.variance
    monkeypatch.setattr("vaelab.distributions.transformed_normal.ROWS_AT_ONCE", 12)
    parts = module(raw_of(module))
    assert torch.allclose(parts.mean, mean, rtol=0, atol=1e-12)
    assert torch.allclose(parts.variance, variance, rtol=1e-9)


def test_moments_take_nothing_from_the_generator_and_have_gradients():
    module = posterior().double()
    raw = raw_of(module).requires_grad_()
    before = torch.random.get_rng_state()
    q = module(raw)
    (gradient,) = torch.autograd.grad((q.mean + q.stddev).sum(), raw)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (gradient[:, :6] != 0).all()
    assert torch.equal(module(raw).mean, q.mean)


def test_no_images_have_no_moments():
    module = posterior()
    assert module(torch.zeros(0, module.num_params)).mean.shape == (0, 3)


def test_two_processes_draw_the_noise_of_one():
    module = posterior().double()
    raw = raw_of(module, 6)
    torch.manual_seed(1)
    whole, parts = module(raw).rsample((3,)), []
    for rank in range(2):
        torch.manual_seed(1)
        with split_over_processes(rank, 2):
            parts.append(module(raw.chunk(2)[rank]).rsample((3,)))
    assert torch.allclose(torch.cat(parts, 1), whole, rtol=0, atol=1e-12)


def test_kl_by_samples_is_the_average_image_by_image():
    module = posterior(2).double()
    q, p = module(raw_of(module)), Mixture(2, (1, 1, 1)).double()(None)
    z = q.rsample((6,))
    kl = kl_divergence(q, p, z)
    expected = torch.stack([q.log_prob(one.clone()) - p.log_prob(one) for one in z]).mean(0)
    assert torch.allclose(kl, expected, rtol=0, atol=1e-9)


def test_log_prob_has_a_gradient_in_z():
    module = posterior(2).double()
    q = module(raw_of(module).detach())
    z = torch.randn(4, 2, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(q.log_prob, (z,), atol=1e-6)


def test_densities_are_in_float32_under_autocast():
    module = posterior()
    raw = torch.randn(4, module.num_params)
    outside = module(raw)
    torch.manual_seed(1)
    z = outside.rsample()
    with torch.autocast("cpu", torch.bfloat16):
        inside = module(raw)
        torch.manual_seed(1)
        assert torch.equal(inside.rsample(), z)
        assert torch.equal(inside.log_prob(z.clone()), outside.log_prob(z.clone()))


def test_reaches_a_correlated_posterior_that_a_diagonal_one_misses(correlated):
    """Trained on one linear Gaussian model; the best diagonal normal misses log p(x) by
    -1/2 log(1 - correlation^2) = 0.33 nats."""

    def gap(posterior):
        model, x, log_evidence, _, covariance, _ = correlated(posterior)
        model.decoder.requires_grad_(False)
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer, objective = torch.optim.Adam(parameters, lr=0.02), BetaVAE(1.0, Constant(), 16)
        torch.manual_seed(0)
        for step in range(400):
            optimizer.zero_grad()
            objective(model, x, step)["loss"].backward()
            optimizer.step()
        with torch.no_grad():
            terms = elbo_terms(model, x, 2000)
        normalised = covariance.diag().prod() / covariance.det()  # 1 / (1 - correlation^2)
        missed = (log_evidence + terms.reconstruction + terms.kl).mean()
        return (missed / (0.5 * normalised.log())).item()

    options = {"num_transforms": 2, "hidden": (8,), "context_size": 2}
    assert gap(Gaussian) == pytest.approx(1, abs=0.1)
    assert gap(lambda latent_dim: IAF(latent_dim, **options)) < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_transforms": 0}, "^num_transforms expects an integer of at least 1, got 0"),
        ({"context_size": 0}, "^context_size expects an integer of at least 1, got 0"),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises(UserError, match=message):
        IAF(2, **options)


def test_samples_vary_with_each_part_of_the_raw_output():
    module = posterior().double()

    def sample(raw):
        torch.manual_seed(0)
        return module(raw[None]).rsample()[0]

    jacobian = vmap(torch.abs)(torch.autograd.functional.jacobian(sample, raw_of(module, 1)[0]))
    assert (jacobian.sum(0) > 0).all()
