"""A linear Gaussian model whose exact posterior has correlated latents."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from vaelab.likelihoods import Gaussian as GaussianPixels
from vaelab.models import VAE, MLPDecoder, MLPEncoder
from vaelab.priors import StandardNormal

F64 = torch.float64
SIGMA = 0.5


@pytest.fixture
def correlated():
    """posterior -> (model, x, log p(x), mean (B, 2) and covariance of the exact posterior).

    z ~ N(0, I), x = W z + noise, the columns of W at 30 degrees. The encoder is linear, and still
    to be set or trained.
    """

    def build(posterior):
        torch.manual_seed(5)
        model = VAE(
            (1, 2, 2),
            2,
            lambda *shapes: MLPEncoder(*shapes, hidden=()),
            lambda *shapes: MLPDecoder(*shapes, hidden=()),
            posterior,
            StandardNormal,
            GaussianPixels(SIGMA),
        ).double()
        first, second = torch.linalg.qr(torch.randn(4, 2, dtype=F64)).Q.T
        w = torch.stack([first, 0.75**0.5 * first + 0.5 * second], 1)
        with torch.no_grad():
            model.decoder.head.weight.copy_(w)
            model.decoder.head.bias.zero_()
        p_x = MultivariateNormal(torch.zeros(4).double(), w @ w.T + SIGMA**2 * torch.eye(4))
        x = p_x.sample((5,))
        covariance = torch.linalg.inv(torch.eye(2) + w.T @ w / SIGMA**2)
        mean = x @ w @ covariance / SIGMA**2
        gain = covariance @ w.T / SIGMA**2
        return model, x.view(-1, 1, 2, 2), p_x.log_prob(x), mean, covariance, gain

    return build
