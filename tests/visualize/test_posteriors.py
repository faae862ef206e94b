"""Densities of posteriors, their samples, and the ways between codes, against known answers."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Independent, MixtureSameFamily, MultivariateNormal
from torch.distributions import Normal as TorchNormal

from vaelab.data import Images, Splits, Subset
from vaelab.likelihoods import Bernoulli
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.posteriors import IAF, Categorical, Delta, FullCovariance, Gaussian
from vaelab.priors import Categorical as CategoricalPrior
from vaelab.priors import Flow, Mixture, StandardNormal, Vamp
from vaelab.visualize.context import FigureSettings
from vaelab.visualize.model import draw_model_figures, figure_names
from vaelab.visualize.posteriors import (
    NUM_DRAWS,
    NUM_IMAGES,
    NUM_PAIRS,
    lerp,
    marginal_curves,
    slerp,
)

NUM, F64 = 40, torch.float64
T = torch.tensor([0.0, 0.25, 0.5, 1.0])


def diagonal(mu, sigma):
    return Independent(TorchNormal(torch.tensor(mu), torch.tensor(sigma)), 1)


@pytest.fixture
def data():
    shades = torch.randint(0, 256, (NUM, 16), generator=torch.Generator().manual_seed(0))
    return Subset(Images(shades.byte(), (1, 4, 4)))


@pytest.fixture
def draw(data):
    def drawn(model, *names, splits=None, **settings):
        splits = splits or Splits(data, data)
        found = draw_model_figures(model, splits, "step 7", FigureSettings(**settings), names)
        return dict(found)

    return drawn


def build(posterior=Gaussian, prior=StandardNormal, latent_dim=3):
    return VAE(
        (1, 4, 4),
        latent_dim,
        lambda *shapes: MLPEncoder(*shapes, hidden=(8,)),
        lambda *shapes: MLPDecoder(*shapes, hidden=(8,)),
        posterior,
        prior,
        Bernoulli(),
    ).eval()


def cells(figure, row, num_columns):
    """The images of a row of a grid of 4 x 4 images: (num_columns, 4, 4) in 0 to 255."""
    grid = figure.axes[0].get_images()[0].get_array()[6 * row : 6 * row + 4, :, 0]
    return np.stack([grid[:, 6 * i : 6 * i + 4] for i in range(num_columns)])


def grey(images):
    return 255 * images.detach().squeeze(1).numpy()


# Straight and spherical


def test_both_ways_start_and_end_where_they_should():
    a, b, centre = torch.randn(3, 5, 4, dtype=F64)
    for points in (lerp(a, b, T), slerp(a, b, T, centre[0])):
        torch.testing.assert_close(points[[0, -1]], torch.stack([a, b]))


def test_halfway_along_a_quarter_of_a_circle():
    a, b = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 2.0, 0.0]])
    half = math.sqrt(2)
    torch.testing.assert_close(slerp(a, b, T)[2], torch.tensor([[half, half, 0.0]]))
    torch.testing.assert_close(lerp(a, b, T)[2], torch.tensor([[1.0, 1.0, 0.0]]))
    quarter = 2 * torch.tensor([[math.cos(math.pi / 8), math.sin(math.pi / 8), 0.0]])
    torch.testing.assert_close(slerp(a, b, T)[1], quarter)


def test_between_equally_distant_points_the_distance_and_the_speed_are_constant():
    centre = torch.randn(4, dtype=F64)
    a, b = (centre + 3 * v / v.norm(dim=-1, keepdim=True) for v in torch.randn(2, 6, 4, dtype=F64))
    points = slerp(a, b, torch.linspace(0, 1, 11), centre)
    torch.testing.assert_close((points - centre).norm(dim=-1), torch.full((11, 6), 3.0, dtype=F64))
    steps = points.diff(dim=0).norm(dim=-1)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps), rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", [2.0, -2.0, 1.0])
def test_where_no_circle_is_defined_the_way_is_straight(scale):
    a = torch.randn(3, 4)
    b = scale * a
    torch.testing.assert_close(slerp(a, b, T), lerp(a, b, T))
    assert slerp(torch.zeros(1, 4), a[:1], T).isfinite().all()


@pytest.mark.parametrize("angle", [1e-4, math.pi - 1e-4])
def test_near_the_ends_of_the_range_of_angles_points_stay_on_the_circle(angle):
    a = torch.tensor([[1.0, 0.0]], dtype=F64)
    b = torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=F64)
    points = slerp(a, b, T)
    expected = torch.stack([(angle * T.double()).cos(), (angle * T.double()).sin()], 1)[:, None]
    torch.testing.assert_close(points, expected, rtol=0, atol=1e-9)


# Densities


def area(curve):
    return np.trapezoid(curve[1], curve[0])


DISTRIBUTIONS = {
    "normal": diagonal([[0.0, 1.0], [2.0, -1.0]], [[1.0, 0.1], [0.01, 2.0]]),
    "full covariance": MultivariateNormal(
        torch.tensor([1.0, -2.0]), torch.tensor([[1.0, 0.6], [0.6, 0.5]])
    ),
    "mixture": MixtureSameFamily(
        TorchCategorical(torch.tensor([0.2, 0.8])),
        diagonal([[-3.0, 0.0], [2.0, 0.5]], [[0.1, 1], [1, 0.02]]),
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_curves_have_area_one_and_the_moments_of_the_distribution(name):
    distribution = DISTRIBUTIONS[name]
    mean, variance = (m.reshape(-1, 2) for m in (distribution.mean, distribution.variance))
    curves = marginal_curves(distribution, [1, 0])
    assert len(curves) == len(mean)
    for i, latents in enumerate(curves):
        for latent, (z, density) in zip([1, 0], latents, strict=True):
            assert area((z, density)) == pytest.approx(1, abs=1e-3)
            first = np.trapezoid(z * density, z)
            assert first == pytest.approx(float(mean[i, latent]), abs=2e-3)
            second = np.trapezoid((z - first) ** 2 * density, z)
            assert second == pytest.approx(float(variance[i, latent]), rel=5e-3)


def test_a_curve_is_the_density():
    ((curve,),) = marginal_curves(diagonal([[0.5, 9.0]], [[0.3, 1.0]]), [0])
    z, density = curve
    expected = np.exp(-0.5 * ((z - 0.5) / 0.3) ** 2) / (0.3 * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(density, expected, rtol=1e-6)
    assert z.max() - 0.5 == pytest.approx(0.5 - z.min()) == pytest.approx(4.5 * 0.3, rel=1e-6)


def test_without_a_closed_form_a_curve_is_a_histogram():
    torch.manual_seed(0)
    q_z = build(IAF, latent_dim=2).encode(torch.rand(2, 1, 4, 4))
    curves = marginal_curves(q_z, [0, 1])
    assert [len(of_image) for of_image in curves] == [2, 2]
    samples = q_z.sample((20_000,))
    for i, j in ((0, 0), (1, 1)):
        z, density = curves[i][j]
        assert area((z, density)) == pytest.approx(1)
        middle = (z[1:-1:2] + z[2::2]) / 2
        width = z[2] - z[1]
        mean = (middle * density[1:-1:2]).sum() * width
        assert mean == pytest.approx(float(samples[:, i, j].mean()), abs=0.05)


# Figures


@pytest.mark.parametrize("latent_dim", [1, 3, 8])
@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        (Gaussian, StandardNormal),
        (Gaussian, Vamp),
        (FullCovariance, Mixture),
        (IAF, StandardNormal),
        (Gaussian, Flow),
    ],
)
def test_every_posterior_and_prior_has_the_figures(posterior, prior, latent_dim, draw):
    model = build(posterior, prior, latent_dim)
    drawn = draw(model, "posteriors", "posterior_samples", "interpolations", "pca_manifold")
    assert list(drawn) == ["posteriors", "posterior_samples", "interpolations"]
    panels = [axes for axes in drawn["posteriors"].axes if axes.get_title()]
    assert len(panels) == min(latent_dim, 6)
    assert all(len(axes.lines) == NUM_IMAGES and axes.collections for axes in panels)
    names = [axes.get_title().split(",")[0] for axes in panels]
    assert len(set(names)) == len(names)
    assert set(names) <= {f"z{i}" for i in range(latent_dim)}


def test_an_autoencoder_has_neither_posteriors_nor_their_samples():
    names = figure_names(build(Delta))
    assert "interpolations" in names
    assert not {"posteriors", "posterior_samples"} & set(names)


def test_a_discrete_model_has_none_of_them():
    names = figure_names(build(Categorical, CategoricalPrior))
    assert not {"posteriors", "posterior_samples", "interpolations", "pca_manifold"} & set(names)


def test_lines_are_the_posteriors_of_the_images_in_the_legend(draw, data):
    model = build(Gaussian, latent_dim=2)
    (figure,) = draw(model, "posteriors").values()
    thumbnails = [axes.get_images()[0].get_array() for axes in figure.axes if axes.get_images()]
    x = torch.as_tensor(np.stack(thumbnails)[..., 0]).float()[:, None]
    with torch.no_grad():
        q_z = model.encode(x)
    for axes in (axes for axes in figure.axes if axes.get_title()):
        latent = int(axes.get_title()[1])
        for i, line in enumerate(axes.lines):
            z, density = line.get_data()
            peak = z[density.argmax()]
            assert peak == pytest.approx(float(q_z.mean[i, latent]), abs=1e-4)
            height = 1 / (float(q_z.stddev[i, latent]) * math.sqrt(2 * math.pi))
            assert density.max() == pytest.approx(height, rel=1e-4)


def test_samples_of_a_posterior_that_hardly_varies_are_its_reconstruction(draw):
    model = build()
    with torch.no_grad():
        model.encoder.head.bias[3:] = -60  # log variances
    (figure,) = draw(model, "posterior_samples").values()
    for row in range(NUM_IMAGES):
        x, *samples = cells(figure, row, NUM_DRAWS + 1)
        expected = grey(model.reconstruct(torch.as_tensor(x / 255)[None, None].float()))
        np.testing.assert_allclose(np.stack(samples), expected.repeat(NUM_DRAWS, 0), atol=1)


def test_samples_of_a_wide_posterior_differ(draw):
    (figure,) = draw(build(), "posterior_samples").values()
    _, *samples = cells(figure, 0, NUM_DRAWS + 1)
    assert np.stack(samples).std(0).max() > 1


def test_interpolations_end_at_reconstructions_and_alternate(draw, words):
    model = build()
    (figure,) = draw(model, "interpolations", num_values=5).values()
    names = words(figure.axes[0].get_yticklabels())
    assert names == ["straight", "spherical"] * NUM_PAIRS
    columns = words(figure.axes[0].get_xticklabels())
    assert sorted(columns) == sorted(["data", "data", "0", "0.25", "0.5", "0.75", "1"])
    for row in range(2 * NUM_PAIRS):
        first, start, *between, end, last = cells(figure, row, 7)
        x = torch.as_tensor(np.stack([first, last]) / 255)[:, None].float()
        with torch.no_grad():
            ends = model.encode(x).mean
        np.testing.assert_allclose(np.stack([start, end]), grey(model.reconstruct(x)), atol=1)
        way = (lerp, slerp)[row % 2](ends[:1], ends[1:], torch.tensor([0.25, 0.5, 0.75]))
        expected = grey(model.decode(way[:, 0]).mean)
        np.testing.assert_allclose(np.stack(between), expected, atol=1)


def test_one_latent_has_no_great_circle(draw, words):
    (figure,) = draw(build(latent_dim=1), "interpolations").values()
    assert words(figure.axes[0].get_yticklabels()) == ["straight"] * NUM_PAIRS


@pytest.mark.parametrize("num", [1, 2, 3])
def test_few_images_are_enough(num, draw, data):
    few = Subset(data.images, torch.arange(num))
    drawn = draw(
        build(), "posteriors", "posterior_samples", "interpolations", splits=Splits(data, few)
    )
    assert len(drawn) == 3
