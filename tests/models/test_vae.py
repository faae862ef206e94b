"""The three verbs and what is made of them."""

import pytest
import torch

from vaelab.build import build_model
from vaelab.errors import UserError

CONV = ("model=conv", "model.channels=[8,8]", "model.hidden=[16]", "latent_dim=4")


@pytest.fixture
def conv_vae(compose):
    return lambda *overrides, shape=(3, 17, 23): build_model(compose(*CONV, *overrides), shape)


def test_verbs_return_distributions_of_the_documented_shapes(conv_vae):
    model = conv_vae()
    q_z, p_z = model.encode(torch.rand(5, 3, 17, 23)), model.prior()
    assert (q_z.batch_shape, q_z.event_shape) == ((5,), (4,))
    assert (p_z.batch_shape, p_z.event_shape) == ((), (4,))
    p_x = model.decode(torch.randn(2, 5, 4))
    assert (p_x.batch_shape, p_x.event_shape) == ((2, 5), (3, 17, 23))
    assert model.num_pixels == 3 * 17 * 23


@pytest.mark.parametrize("sample_shape", [(1,), (3,), (2, 3)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_per_pixel"])
def test_decoding_many_samples_is_decoding_each(conv_vae, sample_shape, likelihood):
    model = conv_vae(f"likelihood={likelihood}").double()
    z = torch.randn(*sample_shape, 5, 4, dtype=torch.float64)
    x = torch.rand(5, 3, 17, 23, dtype=torch.float64).round()
    together = model.decode(z).log_prob(x)
    each = [model.decode(rows).log_prob(x) for rows in z.reshape(-1, 5, 4)]
    assert together.shape == (*sample_shape, 5)
    assert torch.allclose(together, torch.stack(each).view_as(together), rtol=1e-12)


@pytest.mark.parametrize("name", ["conv", "locatello", "mlp"])
def test_channels_last_gives_the_same_numbers(compose, name):
    model = build_model(compose(f"model={name}"), (3, 17, 23)).double()
    x = torch.rand(2, 3, 17, 23, dtype=torch.float64)
    z = torch.randn(2, 10, dtype=torch.float64)
    before = model.encode(x).mean, model.encode(x).stddev, model.decode(z).log_prob(x)
    model.to(memory_format=torch.channels_last)
    after = model.encode(x).mean, model.encode(x).stddev, model.decode(z).log_prob(x)
    for old, new in zip(before, after, strict=True):
        assert torch.allclose(old, new, rtol=1e-10)


def test_channels_last_keeps_the_layout_through_the_decoder(conv_vae):
    model = conv_vae().to(memory_format=torch.channels_last)
    raw = model.decoder(torch.randn(2, 4))
    assert raw.is_contiguous(memory_format=torch.channels_last)


def test_traversal_moves_one_latent_per_row_and_leaves_the_others(tiny_vae):
    model = tiny_vae()
    z = torch.randn(3, dtype=torch.float64)
    values = torch.tensor([-2.0, float(z[1]), 2.0], dtype=torch.float64)
    seen = []
    model.decoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    images = model.traverse(z, [2, 1], values)
    assert images.shape == (2, 3, 1, 4, 4)
    grid = seen[0].view(2, 3, 3)
    for row, latent in enumerate([2, 1]):
        assert torch.equal(grid[row, :, latent], values)
        others = [j for j in range(3) if j != latent]
        assert (grid[row][:, others] == z[others]).all()
    assert torch.allclose(images[1, 1], model.decode(z[None]).mean[0])


def test_traversal_leaves_its_start_as_it_was(tiny_vae):
    z = torch.randn(3, dtype=torch.float64)
    before = z.clone()
    tiny_vae().traverse(z, [0, 1, 2], torch.tensor([5.0, 6.0]))
    assert torch.equal(z, before)


def test_reconstruction_is_the_decoded_posterior_mean(tiny_vae):
    model, x = tiny_vae(), torch.rand(5, 1, 4, 4, dtype=torch.float64)
    mu = model.encoder(x)[:, :3]
    assert torch.allclose(model.reconstruct(x), torch.sigmoid(model.decoder(mu)))


def test_samples_are_decoded_draws_of_the_prior(tiny_vae):
    model = tiny_vae()
    torch.manual_seed(5)
    images = model.sample(4)
    torch.manual_seed(5)
    z = torch.randn(4, 3, dtype=torch.float64)
    assert torch.allclose(images, torch.sigmoid(model.decoder(z)))


@pytest.mark.parametrize("latent_dim", [0, -1, 2.5])
def test_latent_dim_below_one_or_fractional_is_rejected(tiny_vae, latent_dim):
    with pytest.raises(UserError, match=f"latent_dim expects .* got {latent_dim}"):
        tiny_vae(latent_dim=latent_dim)


def test_posterior_parameters_are_mean_then_log_variance(tiny_vae):
    model, x = tiny_vae(), torch.rand(5, 1, 4, 4, dtype=torch.float64)
    mu, log_variance = model.encoder(x).chunk(2, -1)
    assert torch.equal(model.encode(x).mean, mu)
    assert torch.allclose(model.encode(x).variance, log_variance.exp())


def test_each_latent_may_be_traversed_over_separate_values(tiny_vae):
    model, z = tiny_vae(), torch.randn(3, dtype=torch.float64)
    values = torch.randn(2, 4, dtype=torch.float64)
    together = model.traverse(z, [2, 0], values)
    for row, latent in enumerate([2, 0]):
        alone = model.traverse(z, [latent], values[row])
        assert torch.allclose(together[row], alone[0], rtol=0, atol=1e-12)
