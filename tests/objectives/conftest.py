"""A mixture of Bernoulli products whose posterior is exact, for the objectives of a discrete z."""

import pytest
import torch
from torch.nn.functional import softplus

from vaelab.likelihoods import Bernoulli
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.posteriors import Categorical
from vaelab.priors import Categorical as CategoricalPrior


@pytest.fixture
def bernoulli_mixture():
    """3 components over 1 x 4 x 4 images and a linear encoder, in float64."""
    model = VAE(
        (1, 4, 4),
        3,
        lambda *shapes: MLPEncoder(*shapes, hidden=()),
        lambda *shapes: MLPDecoder(*shapes, hidden=()),
        Categorical,
        CategoricalPrior,
        Bernoulli(),
    ).double()
    with torch.no_grad():
        model.latent_prior.logits.copy_(torch.tensor([0.5, -0.2, 0.0]))
        model.decoder.head.weight.mul_(4)
    return model


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
def gradients_of():
    """model, loss -> the gradient of every parameter by name, None where it has none."""

    def gradients(model, loss):
        names, parameters = zip(*model.named_parameters(), strict=True)
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        return dict(zip(names, found, strict=True))

    return gradients


@pytest.fixture
def of_encoder():
    """Gradients by name -> those of encoder and posterior."""
    return lambda gradients: {n: g for n, g in gradients.items() if n.startswith("encoder")}
