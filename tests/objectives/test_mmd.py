"""MMD^2: against loops, closed forms of Gaussians, and that it doesn't lean to one side."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from vaelab.distributed import split_over_processes
from vaelab.distributions import DiagonalNormal
from vaelab.errors import UserError
from vaelab.objectives.mmd import Kernel, squared_mmd, squared_mmd_to_prior

F64 = torch.float64
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
KERNELS = pytest.mark.parametrize("name", ["imq", "rbf"])


def slow_kernel(name, a, b):
    distance = sum((a_j - b_j) ** 2 for a_j, b_j in zip(a.tolist(), b.tolist(), strict=True))
    total = 0.0
    for scale in SCALES:
        c = 2 * len(a) * scale
        h = math.sqrt(c / 2)
        total += {"imq": c / (c + distance), "rbf": math.exp(-distance / (2 * h**2))}[name]
    return total


@KERNELS
def test_equals_double_loops(name):
    a, b = torch.randn(5, 3, dtype=F64), torch.randn(4, 3, dtype=F64) + 0.5
    expected = -2 * sum(slow_kernel(name, p, q) for p in a for q in b) / 20
    for points in (a, b):
        n = len(points)
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
        same = sum(slow_kernel(name, points[i], points[j]) for i, j in pairs)
        expected += same / (n * (n - 1))
    assert squared_mmd(a, b, Kernel(name, SCALES)).item() == pytest.approx(expected, rel=1e-12)


def draws(kernel, shift, num=2000):
    return torch.stack(
        [
            squared_mmd(torch.randn(8, 2, dtype=F64), torch.randn(8, 2, dtype=F64) + shift, kernel)
            for _ in range(num)
        ]
    )


@KERNELS
def test_unbiased_for_equal_distributions(name):
    values = draws(Kernel(name, SCALES), 0.0)
    standard_error = values.std() / math.sqrt(len(values))
    assert abs(values.mean()) < 4 * standard_error
    # With the diagonal, whose entries are the number of scales, it would be off by far more.
    self_pairs = 2 * (len(SCALES) - 0.8 * len(SCALES)) / 8
    assert self_pairs > 20 * standard_error
    assert 0.4 < (values < 0).double().mean() < 0.8


def closed_form(mu, nu, variance, other, h):
    """MMD^2 of N(mu, variance) and N(nu, other) under exp(-d^2 / (2 h^2)), latents independent."""

    def mean_kernel(m, v):
        width = h**2 + v
        return ((h**2 / width).sqrt() * (-(m**2) / (2 * width)).exp()).prod()

    zero = torch.zeros_like(mu)
    within = mean_kernel(zero, 2 * variance) + mean_kernel(zero, 2 * other)
    return within - 2 * mean_kernel(mu - nu, variance + other)


@pytest.mark.parametrize("scale", [0.2, 1.0])
def test_mean_is_the_closed_form_of_gaussians(scale):
    mu, nu = torch.tensor([0.5, -1.0], dtype=F64), torch.zeros(2, dtype=F64)
    variance, other = torch.tensor([0.3, 2.0], dtype=F64), torch.ones(2, dtype=F64)
    values = torch.stack(
        [
            squared_mmd(
                mu + variance.sqrt() * torch.randn(64, 2, dtype=F64),
                nu + other.sqrt() * torch.randn(64, 2, dtype=F64),
                Kernel("rbf", [scale]),
            )
            for _ in range(400)
        ]
    )
    exact = closed_form(mu, nu, variance, other, h=math.sqrt(2 * scale))
    standard_error = values.std() / 20
    assert abs(values.mean() - exact) < 4 * standard_error
    assert standard_error < exact / 20


@KERNELS
def test_order_of_images_and_of_latents_does_not_matter(name):
    kernel = Kernel(name, SCALES)
    a, b = torch.randn(7, 4, dtype=F64), torch.randn(6, 4, dtype=F64)
    before = squared_mmd(a, b, kernel)
    latents = torch.tensor([2, 0, 3, 1])
    after = squared_mmd(a[torch.randperm(7)][:, latents], b[torch.randperm(6)][:, latents], kernel)
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(squared_mmd(b, a, kernel), before, rtol=1e-12, atol=1e-12)


@KERNELS
def test_kernel_at_no_distance_counts_the_scales_with_a_finite_gradient(name):
    a = torch.zeros(3, 2, dtype=F64, requires_grad=True)
    k = Kernel(name, SCALES)(a, a)
    assert (k == len(SCALES)).all()
    k.sum().backward()
    assert (a.grad == 0).all()


@KERNELS
def test_mean_squared_distance_of_the_prior_is_the_width_at_scale_1(name):
    a, b = torch.randn(2, 1000, 10, dtype=F64)
    distance = torch.cdist(a, b).square().mean().item()
    assert distance == pytest.approx(20, rel=0.05)
    step = torch.zeros(1, 10, dtype=F64), torch.full((1, 10), math.sqrt(2), dtype=F64)
    expected = {"imq": 0.5, "rbf": math.exp(-1)}[name]
    assert Kernel(name, [1.0])(*step).item() == pytest.approx(expected, rel=1e-12)


@KERNELS
def test_descent_brings_samples_to_the_prior(name):
    prior = DiagonalNormal(torch.zeros(2), torch.ones(2))
    mu = torch.tensor([1.5, -1.0], requires_grad=True)
    log_sigma = torch.tensor([-1.0, 0.7], requires_grad=True)
    optimizer = torch.optim.Adam([mu, log_sigma], 0.02)
    for _ in range(400):
        z = mu + log_sigma.exp() * torch.randn(128, 2)
        loss = squared_mmd_to_prior(z, prior, Kernel(name, SCALES))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert mu.abs().max() < 0.15
    assert log_sigma.abs().max() < 0.2


def test_prior_with_reparameterised_samples_gets_a_gradient():
    sigma = torch.ones(2, requires_grad=True)
    prior = DiagonalNormal(torch.zeros(2), sigma)
    squared_mmd_to_prior(3 * torch.randn(200, 2), prior, Kernel("imq", [1.0])).backward()
    assert (sigma.grad < 0).all()  # a wider prior is nearer to the z


@pytest.mark.parametrize(
    "prior",
    [
        DiagonalNormal(torch.zeros(2), torch.ones(2)),
        Independent(Normal(torch.zeros(2), torch.ones(2)), 1),
    ],
    ids=["cuts_its_noise", "torch"],
)
def test_processes_have_the_value_and_gradient_of_one(monkeypatch, prior):
    kernel, whole = Kernel("imq", SCALES), torch.randn(6, 2)
    one = whole.clone().requires_grad_()
    torch.manual_seed(3)
    expected = squared_mmd_to_prior(one, prior, kernel)
    expected.backward()
    for rank in range(2):
        own = slice(3 * rank, 3 * rank + 3)
        mine = whole[own].clone().requires_grad_()
        rows = [mine, whole[3:]] if rank == 0 else [whole[:3], mine]
        monkeypatch.setattr(
            "vaelab.objectives.mmd.all_gather_batch", lambda z, rows=rows: torch.cat(rows)
        )
        torch.manual_seed(3)
        with split_over_processes(rank, 2):
            value = squared_mmd_to_prior(mine, prior, kernel)
        value.backward()
        assert torch.equal(value, expected)
        assert torch.equal(mine.grad, one.grad[own])


def test_single_image_is_rejected():
    prior = DiagonalNormal(torch.zeros(2), torch.ones(2))
    with pytest.raises(UserError, match=r"^batch_size of an MMD expects at least 2 images, got 1"):
        squared_mmd_to_prior(torch.zeros(1, 2), prior, Kernel("imq", SCALES))


def test_unknown_kernel_and_bad_scales_are_rejected():
    with pytest.raises(
        UserError, match=r"^kernel expects one of imq, rbf, got 'rbg'; did you mean rbf\?"
    ):
        Kernel("rbg", SCALES)
    for scales in ([], [1.0, 0.0]):
        with pytest.raises(UserError, match=r"^scales expects"):
            Kernel("imq", scales)
