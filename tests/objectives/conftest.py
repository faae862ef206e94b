"""What tests of objectives share: images, gradients, an exact encoder."""

import pytest
import torch
from torch.nn.functional import softplus


@pytest.fixture
def x():
    """Eight black and white images of 8 x 8 pixels."""
    return torch.rand(8, 1, 8, 8, dtype=torch.float64).round()


def gradients_of_all(model, objective, loss):
    """The gradient of every parameter of model and objective, None where it has none."""
    parameters = {**dict(model.named_parameters()), **dict(objective.named_parameters())}
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return dict(zip(parameters, gradients, strict=True))


@pytest.fixture
def make_exact():
    """Gives a linear encoder the weights with which q(z|x) = p(z|x) for every x."""

    def change(model):
        table = model.decoder.head
        logits = (table.weight + table.bias[:, None]).detach()  # (D, K)
        log_pi = model.latent_prior.logits.detach().log_softmax(0)
        with torch.no_grad():
            model.encoder.head.weight.copy_(logits.T)
            model.encoder.head.bias.copy_(log_pi - softplus(logits).sum(0))

    return change


@pytest.fixture
def of_encoder():
    """Gradients by name -> those of encoder and posterior."""
    return lambda gradients: {n: g for n, g in gradients.items() if n.startswith("encoder")}
