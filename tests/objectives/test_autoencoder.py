"""The autoencoder: squared error, beta = 0, and PCA where the networks are linear."""

import math

import pytest
import torch

from vaelab.build import build_model, build_objective
from vaelab.errors import UserError
from vaelab.kl_penalties import Constant
from vaelab.likelihoods import Gaussian
from vaelab.metrics import pca_error
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.objectives import Autoencoder, BetaVAE
from vaelab.posteriors import Delta
from vaelab.priors import StandardNormal

F64 = torch.float64


@pytest.fixture
def x():
    return torch.rand(6, 1, 4, 4, dtype=F64)


@pytest.fixture
def linear():
    """num_latents -> linear encoder and decoder of images 1 x 2 x 3, without noise, float64."""

    def build(num_latents):
        return VAE(
            (1, 2, 3),
            num_latents,
            lambda *shapes: MLPEncoder(*shapes, hidden=()),
            lambda *shapes: MLPDecoder(*shapes, hidden=()),
            Delta,
            StandardNormal,
            Gaussian(),
        ).double()

    return build


def test_loss_is_half_the_squared_error_and_a_constant(linear):
    model, x = linear(2), torch.rand(5, 1, 2, 3, dtype=F64)
    terms = Autoencoder()(model, x, 0)
    flat = x.flatten(1)
    z = flat @ model.encoder.head.weight.T + model.encoder.head.bias
    error = flat - z @ model.decoder.head.weight.T - model.decoder.head.bias
    expected = 0.5 * error.square().sum(1).mean() + 3 * math.log(2 * math.pi)
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-12)
    assert terms["reconstruction"].item() == terms["loss"].item()
    assert set(terms) == {"loss", "reconstruction"}


def test_with_noise_it_is_the_vae_without_its_kl(tiny_vae, x):
    model, gradients = tiny_vae(), []
    for objective in (Autoencoder(), BetaVAE(0.0, Constant())):
        torch.manual_seed(1)
        loss = objective(model, x, 0)["loss"]
        gradients.append([loss, *torch.autograd.grad(loss, list(model.parameters()))])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("num_latents", [1, 2])
def test_linear_networks_find_the_error_and_the_subspace_of_pca(linear, num_latents):
    """Baldi and Hornik 1989: all minima are global, and span the leading principal axes."""
    scales = torch.tensor([3.0, 2.0, 1.0, 0.3, 0.2, 0.1], dtype=F64)
    axes = torch.linalg.qr(torch.randn(6, 6, dtype=F64))[0]
    data = torch.randn(60, 6, dtype=F64) * scales @ axes.T + torch.randn(6, dtype=F64)
    x, model, objective = data.view(-1, 1, 2, 3), linear(num_latents), Autoencoder()
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=2000, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )

    def closure():
        optimizer.zero_grad()
        loss = objective(model, x, 0)["loss"]
        loss.backward()
        return loss

    optimizer.step(closure)
    error = (model.reconstruct(x) - x).square().sum((1, 2, 3)).mean().item()
    eigenvalues, eigenvectors = torch.linalg.eigh(torch.cov(data.T, correction=0))
    assert error == pytest.approx(eigenvalues[: 6 - num_latents].sum().item(), rel=1e-6)
    pca = pca_error(data.numpy(), data.numpy(), num_latents).mean()
    assert error == pytest.approx(pca, rel=1e-6)
    span = torch.linalg.qr(model.decoder.head.weight.detach())[0]
    cosines = torch.linalg.svdvals(span.T @ eigenvectors[:, 6 - num_latents :])
    assert cosines.min() > 1 - 1e-6


def test_the_objective_chooses_the_posterior_unless_the_user_does(compose):
    names = [
        *("autoencoder", "denoising_autoencoder", "sparse_autoencoder", "contractive_autoencoder"),
    ]
    for name in names:
        for overrides, expected in (([], "Delta"), (["posterior=gaussian"], "Gaussian")):
            cfg = compose(f"objective={name}", *overrides, "model=mlp", "model.hidden=[4]")
            assert cfg.posterior._target_ == f"vaelab.posteriors.{expected}"
            build_objective(cfg, 100).check_model(build_model(cfg, (1, 4, 4)))
    assert compose("objective=vae").posterior._target_ == "vaelab.posteriors.Gaussian"


def test_a_vae_without_a_density_is_rejected(compose):
    cfg = compose("objective=vae", "posterior=delta", "model=mlp")
    with pytest.raises(UserError, match=r"^BetaVAE expects a posterior with a density, got Delta"):
        build_objective(cfg, 100).check_model(build_model(cfg, (1, 4, 4)))
