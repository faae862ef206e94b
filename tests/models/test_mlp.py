"""The fully connected networks."""

import pytest
import torch

from vaelab.build import build_model
from vaelab.errors import UserError
from vaelab.models import MLPDecoder, MLPEncoder


def test_higgins_has_the_published_number_of_parameters(compose):
    model = build_model(compose("model=higgins"), (1, 64, 64))
    assert sum(p.numel() for p in model.parameters()) == 14_196_516


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 17, 23), (1, 28, 28), (2, 5, 3)])
def test_images_of_any_size_come_back_in_their_shape(compose, shape):
    model = build_model(compose("model=mlp", "model.hidden=[7,5]"), shape)
    x = torch.rand(2, *shape)
    assert model.reconstruct(x).shape == x.shape


def test_gated_layer_is_a_product_of_a_linear_map_and_a_gate():
    decoder = MLPDecoder(3, (2, 4, 5), hidden=[6], activation="glu")
    z, both, last = torch.randn(7, 3), decoder.layers[0], decoder.head
    value, gate = (z @ both.weight.T + both.bias).chunk(2, dim=-1)
    by_hand = (value * torch.sigmoid(gate)) @ last.weight.T + last.bias
    assert torch.allclose(decoder(z), by_hand.view(7, 2, 4, 5), atol=1e-6)


def test_gated_layers_start_as_two_layers_side_by_side(compose):
    """Each half as wide as Glorot gives a layer of that width, not one twice as wide."""
    overrides = ("model=mlp", "model.hidden=[300]", "model.activation=glu", "init=glorot")
    model = build_model(compose(*overrides), (1, 28, 28))
    limit = (6 / (784 + 300)) ** 0.5
    largest = model.encoder.layers[1].weight.abs().max().item()
    assert largest == pytest.approx(limit, rel=1e-3)


def test_no_hidden_layers_make_an_affine_map():
    encoder = MLPEncoder((1, 3, 3), 4, hidden=()).double()
    x, y = torch.rand(2, 5, 1, 3, 3, dtype=torch.float64)
    mean = encoder(0.3 * x + 0.7 * y)
    assert torch.allclose(mean, 0.3 * encoder(x) + 0.7 * encoder(y), atol=1e-12)


@pytest.mark.parametrize(
    ("activation", "function"),
    [("relu", torch.relu), ("tanh", torch.tanh), ("silu", torch.nn.functional.silu)],
)
def test_decoder_is_linear_activation_linear(activation, function):
    decoder = MLPDecoder(3, (2, 4, 5), hidden=[6], activation=activation)
    z, first, last = torch.randn(7, 3), decoder.layers[0], decoder.head
    by_hand = function(z @ first.weight.T + first.bias) @ last.weight.T + last.bias
    assert torch.allclose(decoder(z), by_hand.view(7, 2, 4, 5), atol=1e-6)


def test_unknown_activation_gives_the_nearest():
    with pytest.raises(UserError, match=r"got 'rellu'; did you mean relu"):
        MLPEncoder((1, 4, 4), 4, activation="rellu")


@pytest.mark.parametrize("network", [MLPEncoder, lambda s, n, **o: MLPDecoder(n, s, **o)])
def test_widths_below_one_are_rejected(network):
    with pytest.raises(UserError, match=r"^hidden expects positive widths, got \[8, 0\]"):
        network((1, 4, 4), 4, hidden=[8, 0])
