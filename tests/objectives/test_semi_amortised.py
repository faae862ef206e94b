"""SA-VAE: the VAE at no steps, gradients through the steps, the optimum of each image."""

from functools import partial

import pytest
import torch

from vaelab.errors import UserError
from vaelab.likelihoods import Bernoulli
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.objectives import BetaVAE, SemiAmortised
from vaelab.posteriors import IAF, FullCovariance, Gaussian
from vaelab.priors import StandardNormal


def build(posterior):
    """A model of 2 latents with smooth networks, in float64."""
    return VAE(
        (1, 2, 2),
        2,
        partial(MLPEncoder, hidden=(5,), activation="tanh"),
        partial(MLPDecoder, hidden=(5,), activation="tanh"),
        posterior,
        StandardNormal,
        Bernoulli(),
    ).double()


@pytest.fixture
def x():
    return (torch.rand(3, 1, 2, 2) < 0.5).double()


def loss_of(objective, model, x, seed=1):
    torch.manual_seed(seed)
    return objective(model, x, 0)["loss"]


def test_without_steps_it_is_the_vae_bit_for_bit(x):
    model = build(Gaussian)
    losses = [loss_of(one, model, x) for one in (SemiAmortised(0), BetaVAE(1.0))]
    assert torch.equal(*losses)
    both = [torch.autograd.grad(loss, list(model.parameters())) for loss in losses]
    assert all(torch.equal(*pair) for pair in zip(*both, strict=True))


@pytest.mark.parametrize(
    "posterior",
    [Gaussian, FullCovariance, partial(IAF, num_transforms=2, hidden=(4,), context_size=2)],
)
@pytest.mark.parametrize("max_norm", [0.3, 100.0])
def test_gradients_are_those_of_finite_differences(posterior, max_norm, x):
    """max_norm 0.3 clips all gradients here, and 100 none."""
    model = build(posterior)
    objective = SemiAmortised(3, lr=0.3, momentum=0.5, max_norm=max_norm)
    gradients = torch.autograd.grad(loss_of(objective, model, x), list(model.parameters()))
    small = 1e-5
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        flat = parameter.data.view(-1)
        for i in {0, len(flat) // 2, len(flat) - 1}:
            kept, values = flat[i].item(), []
            for sign in (1, -1):
                flat[i] = kept + sign * small
                values.append(loss_of(objective, model, x))
            flat[i] = kept
            expected = (values[0] - values[1]) / (2 * small)
            torch.testing.assert_close(
                gradient.view(-1)[i], expected.detach(), rtol=1e-5, atol=1e-7
            )


def test_the_steps_are_part_of_the_gradient(x):
    """Without second derivatives the gradient of the encoder would be another."""
    model = build(Gaussian)
    (whole,) = torch.autograd.grad(
        loss_of(SemiAmortised(2, lr=0.3), model, x), [model.encoder.head.weight]
    )
    raw = model.encoder(x)
    refined = raw.detach()
    torch.manual_seed(1)
    velocity = 0
    for _ in range(2):
        leaf = refined.requires_grad_()
        q_z = model.posterior(leaf)
        kl = torch.distributions.kl_divergence(q_z, model.prior())
        elbo = model.decode(q_z.rsample()).log_prob(x) - kl
        velocity = 0.5 * velocity + torch.autograd.grad(elbo.sum(), leaf)[0]
        refined = (leaf + 0.3 * velocity).detach()
    q_z = model.posterior(refined + raw - raw.detach())
    loss = torch.distributions.kl_divergence(q_z, model.prior())
    loss = (loss - model.decode(q_z.rsample()).log_prob(x)).mean()
    torch.testing.assert_close(loss, loss_of(SemiAmortised(2, lr=0.3), model, x))
    (first_order,) = torch.autograd.grad(loss, [model.encoder.head.weight])
    assert (whole - first_order).abs().max() > 0.01 * whole.abs().max()


def test_steps_lead_a_wrong_posterior_to_the_exact_one(linear_gaussian, spoil):
    model, x, log_p = linear_gaussian
    spoil(model)
    torch.manual_seed(0)
    terms = [SemiAmortised(80, lr=0.02, max_norm=50.0)(model, x, 0) for _ in range(50)]
    start, end = (sum(float(one[name]) for one in terms) / 50 for name in ("encoder_elbo", "elbo"))
    gap = float(log_p.mean())
    assert gap - start > 0.5
    # One-sample gradients keep the mean off its optimum, by a variance of about lr / 2 per latent.
    assert -0.3 < gap - end < 0.3 * (gap - start)


def test_an_image_does_not_see_its_batch(fix_noise, x):
    model = build(Gaussian)
    fix_noise(torch.zeros(3, 2))
    whole = loss_of(SemiAmortised(3, lr=0.3), model, x)
    fix_noise(torch.zeros(1, 2))
    alone = torch.stack([loss_of(SemiAmortised(3, lr=0.3), model, one[None]) for one in x])
    torch.testing.assert_close(alone.mean(), whole)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_steps": -1}, "num_steps expects an integer of at least 0"),
        ({"lr": 0}, "lr expects a number above 0"),
        ({"momentum": 1}, "momentum expects a number of at least 0 and below 1"),
        ({"max_norm": 0}, "max_norm expects a number above 0"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(UserError, match=message):
        SemiAmortised(**settings)
