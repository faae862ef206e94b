"""The KL alone: the codes lose the images, the decoder stays as it was."""

import pytest
import torch

from vaelab.errors import UserError
from vaelab.kl_penalties import Constant
from vaelab.objectives import BetaVAE, KLOnly
from vaelab.posteriors import Delta

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64)


def test_loss_is_the_kl_of_the_vae(tiny_vae, x):
    model, values = tiny_vae(), []
    for objective in (KLOnly(), BetaVAE(1.0, Constant())):
        torch.manual_seed(1)
        values.append(objective(model, x, 0))
    only, vae = values
    assert only["loss"].item() == only["kl"].item()
    for name in ("reconstruction", "kl", "elbo"):
        assert torch.equal(only[name], vae[name])


def test_the_encoder_has_the_gradient_of_the_kl_and_the_decoder_none(tiny_vae, x):
    model = tiny_vae()
    KLOnly()(model, x, 0)["loss"].backward()
    kl = torch.distributions.kl_divergence(model.encode(x), model.prior()).mean()
    expected = torch.autograd.grad(kl, list(model.encoder.parameters()))
    for parameter, gradient in zip(model.encoder.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, rtol=0, atol=1e-14)
    # Zeros and not None: ddp waits for the gradient of every weight.
    assert all(p.grad.abs().max() == 0 for p in model.decoder.parameters())


def test_training_gives_every_image_the_prior(tiny_vae, x):
    model, objective = tiny_vae(), KLOnly()
    decoder = [p.detach().clone() for p in model.decoder.parameters()]
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(500):
        loss = objective(model, x, step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    q_z = model.encode(x)
    assert loss.item() < 1e-3
    assert q_z.mean.abs().max() < 0.05
    assert (q_z.stddev - 1).abs().max() < 0.05
    assert all(torch.equal(a, b) for a, b in zip(decoder, model.decoder.parameters(), strict=True))


def test_a_posterior_without_a_density_is_rejected(tiny_vae):
    model = tiny_vae()
    model.posterior = Delta(3)
    with pytest.raises(UserError, match=r"^KLOnly expects a posterior with a density"):
        KLOnly().check_model(model)
