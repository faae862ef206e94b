"""PCA beside the manifold of an autoencoder, and principal axes, against known answers."""

import re

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from vaelab.data import Images, Splits, Subset
from vaelab.likelihoods import Gaussian as GaussianPixels
from vaelab.metrics.reconstruction_error import pca_error
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.posteriors import Delta
from vaelab.priors import StandardNormal
from vaelab.visualize.autoencoders import NUM_LINES, NUM_POINTS, is_near, latent_lines
from vaelab.visualize.model import draw_model_figures, figure_names
from vaelab.visualize.projection import principal_axes

NUM = 50


@pytest.fixture
def data():
    shades = torch.rand(NUM, 16, generator=torch.Generator().manual_seed(0))
    return Subset(Images(shades, (1, 4, 4)))


def linear_autoencoder(latent_dim):
    return VAE(
        (1, 4, 4),
        latent_dim,
        lambda *shapes: MLPEncoder(*shapes, hidden=()),
        lambda *shapes: MLPDecoder(*shapes, hidden=()),
        Delta,
        StandardNormal,
        GaussianPixels(1.0),
    ).eval()


def set_to_pca(model, x):
    """Make the networks those of PCA fitted to x (N, D)."""
    axes, _ = principal_axes(x, model.latent_dim)
    axes, mean = axes.float(), x.mean(0)
    with torch.no_grad():
        model.encoder.head.weight.copy_(axes.T)
        model.encoder.head.bias.copy_(-mean @ axes)
        model.decoder.head.weight.copy_(axes)
        model.decoder.head.bias.copy_(mean)
    return model


def draw(model, data):
    (figure,) = dict(
        draw_model_figures(model, Splits(data, data), "step 7", names=["pca_manifold"])
    ).values()
    return figure


@pytest.mark.parametrize("shape", [(200, 6), (6, 30), (6, 6)])
def test_principal_axes_are_those_of_sklearn(shape):
    x = torch.randn(shape) * torch.linspace(3, 1, shape[1]) + 5
    axes, explained = principal_axes(x, 3)
    peer = PCA(3, svd_solver="full").fit(x.double().numpy())
    signs = np.sign(peer.components_[range(3), np.abs(peer.components_).argmax(1)])
    np.testing.assert_allclose(axes.T, peer.components_ * signs[:, None], atol=1e-7)
    np.testing.assert_allclose(explained, peer.explained_variance_ratio_, rtol=1e-8)


def test_points_on_a_line_have_it_as_first_axis():
    direction = torch.tensor([0.6, -0.8, 0.0])
    x = 7 + torch.linspace(-1, 1, 9)[:, None] * direction
    axes, explained = principal_axes(x, 1)
    torch.testing.assert_close(
        axes[:, 0].float(), torch.tensor([-0.6, 0.8, 0.0]), atol=1e-5, rtol=0
    )
    assert float(explained) == pytest.approx(1)


def test_points_that_do_not_vary_have_finite_axes():
    assert principal_axes(torch.ones(4, 9), 2)[0].isfinite().all()


@pytest.mark.parametrize(("latent_dim", "has"), [(1, True), (2, True), (3, False)])
def test_autoencoders_of_one_or_two_latents_have_it(latent_dim, has, tiny_vae):
    assert ("pca_manifold" in figure_names(linear_autoencoder(latent_dim))) == has
    assert "pca_manifold" not in figure_names(tiny_vae(latent_dim))


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_the_manifold_of_a_linear_autoencoder_at_its_optimum_is_that_of_pca(latent_dim, data):
    x = data.images.storage
    figure = draw(set_to_pca(linear_autoencoder(latent_dim), x), data)
    panels = [axes for axes in figure.axes if axes.get_xlabel()]
    assert [axes.get_ylabel()[:4] for axes in panels] == ["PC 2", "PC 3"][:latent_dim]
    edge_on = panels[-1]
    pca, *lines = edge_on.lines
    assert np.abs(pca.get_ydata()).max() == 0
    assert len(lines) == (1 if latent_dim == 1 else 2 * NUM_LINES)
    for line in lines:
        assert np.nanmax(np.abs(line.get_ydata()), initial=0) < 1e-5
    points = np.asarray(edge_on.collections[0].get_offsets())
    drawn = np.concatenate([line.get_xdata() for line in lines])
    ends = np.nanmin(drawn), np.nanmax(drawn)
    assert ends == pytest.approx((points[:, 0].min(), points[:, 0].max()), abs=1e-5)


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_the_caption_has_the_errors_of_both(latent_dim, data, caption_of):
    x = data.images.storage
    expected = pca_error(x.numpy(), x.numpy(), latent_dim).mean()
    model = linear_autoencoder(latent_dim)
    with torch.no_grad():
        images = x.view(-1, 1, 4, 4)
        ours = (model.reconstruct(images) - images).square().sum((1, 2, 3)).mean()
    found = re.search(
        r"autoencoder (\S+), PCA with \w+ latents? (\S+),", caption_of(draw(model, data))
    )
    assert [float(n) for n in found.groups()] == pytest.approx([float(ours), expected], rel=0.006)
    best = re.search(
        r"autoencoder (\S+), PCA .* (\S+), step", caption_of(draw(set_to_pca(model, x), data))
    )
    assert best[1] == best[2]


def test_lines_span_the_range_of_the_codes():
    codes = torch.tensor([[1.0, -2.0], [3.0, 5.0], [2.0, 0.0]])
    lines = latent_lines(codes)
    assert lines.shape == (2 * NUM_LINES, NUM_POINTS, 2)
    assert lines.amin((0, 1)).tolist() == [1, -2]
    assert lines.amax((0, 1)).tolist() == [3, 5]
    constant = (lines.diff(dim=1) == 0).all(1)
    assert constant.sum(1).eq(1).all(), "along each line one latent varies"
    middle = lines[constant[:, 1], 0, 1].sort().values[NUM_LINES // 2]
    assert middle == 0, "the median of the codes of z1"
    (line,) = latent_lines(codes[:, :1])
    assert (line[0].item(), line[-1].item()) == (1, 3)


def test_only_points_close_to_a_code_are_near():
    codes = torch.tensor([[0.0, 0.0], [100.0, 1000.0]])
    z = torch.tensor([[2.9, 0.0], [3.1, 0.0], [0.0, 29.0], [0.0, 31.0], [50.0, 500], [102.0, 1000]])
    assert is_near(z, codes).tolist() == [True, False, True, False, False, True]
