"""The convolutional networks: published sizes, any image size, errors."""

import pytest
import torch

from vaelab.build import build_model
from vaelab.errors import UserError
from vaelab.models import ConvDecoder, ConvEncoder


def num_parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_locatello_has_the_published_number_of_parameters(compose):
    model = build_model(compose("model=locatello"), (1, 64, 64))
    assert num_parameters(model.encoder) == 309_204
    assert num_parameters(model.decoder) == 381_313
    assert num_parameters(model) == 690_517


def test_locatello_has_the_published_layers(compose):
    model = build_model(compose("model=locatello"), (1, 64, 64))
    encoder = [num_parameters(m) for m in model.encoder.modules() if hasattr(m, "weight")]
    decoder = [num_parameters(m) for m in model.decoder.modules() if hasattr(m, "weight")]
    assert encoder == [544, 16_416, 8_256, 16_448, 262_400, 5_140]
    assert decoder == [2_816, 263_168, 65_600, 32_800, 16_416, 513]


def test_burgess_has_the_published_number_of_parameters(compose):
    assert num_parameters(build_model(compose("model=burgess"), (1, 64, 64))) == 502_005


SHAPES = [(1, 16, 16), (3, 17, 23), (1, 28, 28), (3, 64, 48), (1, 31, 16)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("name", ["conv", "locatello", "burgess"])
def test_images_of_any_size_come_back_in_their_shape(compose, name, shape):
    model = build_model(compose(f"model={name}"), shape)
    x = torch.rand(2, *shape)
    assert model.encode(x).batch_shape == (2,)
    assert model.reconstruct(x).shape == x.shape
    assert model.sample(3).shape == (3, *shape)


@pytest.mark.parametrize("kernel", [2, 4, 6])
def test_every_layer_halves_rounding_down(kernel):
    encoder = ConvEncoder((1, 19, 22), 4, channels=[3, 5], kernel_sizes=kernel)
    sizes = [encoder.convolutions[:n](torch.rand(1, 1, 19, 22)).shape[1:] for n in (1, 3)]
    assert sizes == [(3, 9, 11), (5, 4, 5)]
    decoder = ConvDecoder(4, (1, 19, 22), channels=[3, 5], kernel_sizes=kernel)
    assert decoder.start_shape == (5, 4, 5)
    assert decoder(torch.rand(2, 4)).shape == (2, 1, 19, 22)


@pytest.mark.parametrize(
    ("shape", "num_layers", "least"),
    [((1, 15, 64), 2, 16), ((1, 64, 8), 2, 16), ((3, 31, 31), 5, 32)],
)
@pytest.mark.parametrize("network", [ConvEncoder, lambda s, n, **o: ConvDecoder(n, s, **o)])
def test_too_small_images_are_rejected(network, shape, num_layers, least):
    with pytest.raises(UserError, match=rf"at least {least} x {least} .*fewer channels"):
        network(shape, 4, channels=[4] * num_layers)


@pytest.mark.parametrize("override", ["model.kernel_size=3", "model.kernel_size=[4,4]"])
def test_kernels_that_are_odd_or_too_few_are_rejected(compose, override):
    with pytest.raises(
        UserError, match=r"^model\.kernel_size expects even numbers, one for all or one per"
    ):
        build_model(compose("model=conv", override), (1, 32, 32))


def test_no_layers_are_rejected(compose):
    with pytest.raises(UserError, match=r"^model\.channels expects a positive number per layer"):
        build_model(compose("model=conv", "model.channels=[]"), (1, 32, 32))


def test_encoder_sees_every_pixel_and_decoder_reaches_every_pixel():
    x = torch.rand(1, 1, 17, 20, requires_grad=True)
    ConvEncoder((1, 17, 20), 4, channels=[8]).convolutions[0](x).sum().backward()
    assert (x.grad != 0).all()
    decoder = ConvDecoder(3, (1, 17, 20), channels=[8])
    images = decoder(torch.randn(20, 3))
    assert (images.std(0) > 0).all()
