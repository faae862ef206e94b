"""Terms of the ELBO made by hand, without a network."""

import pytest
import torch

from vaelab.distributions import DiagonalNormal, kl_divergence
from vaelab.elbo import ElboTerms

F64 = torch.float64


@pytest.fixture
def gaussian_terms():
    """mu (B, L), sigma (B, L), reconstruction (B,) -> the terms of such a posterior."""

    def terms(mu, sigma, reconstruction=None):
        mu, sigma = torch.as_tensor(mu, dtype=F64), torch.as_tensor(sigma, dtype=F64)
        if reconstruction is None:
            reconstruction = torch.zeros(len(mu), dtype=F64)
        q_z = DiagonalNormal(mu, sigma)
        p_z = DiagonalNormal(torch.zeros(mu.shape[-1], dtype=F64), torch.ones(1, dtype=F64))
        return ElboTerms(reconstruction, kl_divergence(q_z, p_z), q_z, p_z, mu)

    return terms


@pytest.fixture
def measured():
    """(KL, reconstruction) of a batch -> terms that hold them, four images around the two."""

    def terms(kl=0.0, reconstruction=0.0):
        spread = torch.tensor([-1.5, -0.5, 0.5, 1.5], dtype=F64)
        p_z = DiagonalNormal(torch.zeros(2), torch.ones(2))
        return ElboTerms(reconstruction + spread, kl + spread, p_z, p_z, torch.zeros(4, 2))

    return terms
