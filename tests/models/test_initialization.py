"""Initial weights: bounds, spreads and biases of each scheme."""

import math

import pytest
import torch

from vaelab.build import build_model
from vaelab.errors import UserError
from vaelab.models import ConvEncoder
from vaelab.models.initialization import initialize

# fan_in + fan_out of each layer of the Locatello net at 1 x 64 x 64, 10 latents; a transposed
# convolution has the two swapped, so their sum is that of the convolution.
FANS = {
    "encoder": [16 * 33, 16 * 64, 4 * 96, 4 * 128, 1024 + 256, 256 + 10],
    "decoder": [10 + 256, 256 + 1024, 16 * 128, 16 * 96, 16 * 64, 16 * 33],
}


def layers(network):
    return [m for m in network.modules() if getattr(m, "weight", None) is not None]


@pytest.fixture
def model(compose):
    return lambda init: build_model(compose("model=locatello", f"init={init}"), (1, 64, 64))


def uniform(weight, bound):
    """Whether the weights look drawn from U(-bound, bound)."""
    spread = 6 * bound / math.sqrt(3 * weight.numel())  # 6 sigma is ample for std and mean alike
    fits = abs(weight.std() - bound / math.sqrt(3)) < spread and abs(weight.mean()) < spread
    return bool(fits and 0.9 * bound < weight.abs().max() <= bound)


@pytest.mark.parametrize("network", ["encoder", "decoder"])
def test_glorot_weights_have_the_glorot_spread_and_biases_are_zero(model, network):
    for layer, fans in zip(layers(getattr(model("glorot"), network)), FANS[network], strict=True):
        assert uniform(layer.weight, math.sqrt(6 / fans)), layer
        assert not layer.bias.any()


def test_glorot_treats_mean_and_log_variance_heads_as_separate_layers(model):
    for head in model("glorot").encoder.head.weight.chunk(2):
        assert uniform(head, math.sqrt(6 / (256 + 10)))
        assert head.abs().max() > math.sqrt(6 / (256 + 20))  # the bound of both as one layer
    joint = torch.nn.Linear(256, 20)
    initialize(joint, "glorot")
    assert joint.weight.abs().max() <= math.sqrt(6 / (256 + 20))


def test_kaiming_weights_have_the_kaiming_spread_and_torch_biases(model):
    for layer in layers(model("kaiming").encoder):
        fan_in = layer.weight[0].numel()
        assert uniform(layer.weight, math.sqrt(6 / fan_in)), layer
        assert 0 < layer.bias.abs().max() <= 1 / math.sqrt(fan_in)


def test_pytorch_init_leaves_the_default_of_torch():
    torch.manual_seed(1)
    network = ConvEncoder((1, 16, 16), 4, 2, channels=[4])
    default = {name: p.clone() for name, p in network.named_parameters()}
    initialize(network, "pytorch")
    torch.manual_seed(1)
    again = ConvEncoder((1, 16, 16), 4, 2, channels=[4])
    for name, p in network.named_parameters():
        assert torch.equal(p, default[name])
        assert torch.equal(p, again.get_parameter(name))


@pytest.mark.parametrize("init", ["glorot", "kaiming", "pytorch"])
def test_same_seed_gives_the_same_weights(tiny_vae, init):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.nn.utils.parameters_to_vector(tiny_vae(init=init).parameters())

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_unknown_init_gives_the_nearest(tiny_vae):
    with pytest.raises(UserError, match=r"got 'gloro'; did you mean glorot"):
        tiny_vae(init="gloro")
    with pytest.raises(UserError, match=r"glorot, kaiming, pytorch, got 'zzz'; try glorot"):
        tiny_vae(init="zzz")
