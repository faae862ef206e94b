"""The flow prior: its initial density, and that its map is invertible."""

import subprocess
import sys

import pytest
import torch
from torch.distributions import Normal

from vaelab.errors import UserError
from vaelab.priors import Flow

F64 = torch.float64
FLOWS = ("maf", "nsf", "realnvp")


@pytest.fixture(params=FLOWS)
def flow(request):
    return Flow(3, (1, 1, 1), flow=request.param, num_transforms=3, hidden=(8,)).double()


def perturb(flow):
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.15 * torch.randn_like(parameter)
    return flow


def test_starts_as_the_standard_normal(flow):
    z = 3 * torch.randn(20, 3, dtype=F64)
    expected = Normal(0.0, 1.0).log_prob(z).sum(1)
    assert torch.allclose(flow(None).log_prob(z), expected, rtol=0, atol=1e-10)
    assert torch.allclose(flow(None).mean, torch.zeros(3, dtype=F64), atol=1e-12)
    assert torch.allclose(flow(None).stddev, torch.ones(3, dtype=F64), atol=1e-6)


def test_moves_away_from_it_by_gradients(flow):
    """All networks but their last layer start without a gradient, and get one after a step."""
    z = torch.randn(50, 3, dtype=F64) ** 3
    optimizer, losses = torch.optim.Adam(flow.parameters(), lr=0.02), []
    for _ in range(30):
        optimizer.zero_grad()
        loss = -flow(None).log_prob(z).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2
    assert all((p.grad != 0).any() for p in flow.parameters())


def test_density_of_a_kept_sample_is_that_by_inversion(flow):
    p_z = perturb(flow)(None)
    z = p_z.rsample((50,))
    assert torch.allclose(p_z.log_prob(z), p_z.log_prob(z.clone()), rtol=0, atol=1e-9)


def test_log_determinant_is_that_of_autograd(flow):
    inverse = perturb(flow).inverse()
    for z in torch.randn(5, 3, dtype=F64):
        jacobian = torch.autograd.functional.jacobian(inverse, z)
        expected = torch.linalg.slogdet(jacobian).logabsdet
        assert torch.allclose(inverse.call_and_ladj(z)[1], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flow": "glow"}, "^flow expects one of maf, nsf, realnvp, got 'glow'"),
        ({"num_transforms": 0}, "^num_transforms expects an integer of at least 1, got 0"),
        (
            {"flow": "realnvp", "latent_dim": 1},
            "^flow expects maf or nsf for latent_dim=1, got 'realnvp'.* at least 2 latents",
        ),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises(UserError, match=message):
        Flow(**{"latent_dim": 2, "image_shape": (1, 1, 1)} | options)


def test_zuko_is_imported_at_first_need_and_leaves_the_validation_of_torch_on():
    code = (
        "import sys, vaelab.posteriors, vaelab.priors; from torch.distributions import Distribution"
        "; print('zuko' in sys.modules); vaelab.priors.Flow(2, (1, 1, 1))"
        "; print('zuko' in sys.modules, Distribution._validate_args)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]


def test_density_of_a_sample_drawn_without_gradient_still_has_one():
    prior = Flow(3, (1, 4, 4))
    p_z = prior(None)
    z = p_z.sample((5,))
    kept, computed = p_z.log_prob(z), prior(None).log_prob(z)
    assert kept.requires_grad
    assert torch.allclose(kept, computed, atol=1e-5)
