"""The normal posterior with a full covariance matrix."""

import torch
from torch import Tensor

from vaelab.distributions import CholeskyNormal
from vaelab.posteriors.base import Posterior


class FullCovariance(Posterior):
    """q(z|x) = N(z; mu(x), C(x) C(x)^T), sampled as mu + C eps.

    C is lower triangular with C_jj = sigma_j. The encoder outputs mu, log sigma^2 and then the
    entries of C below its diagonal, row by row: with these at 0 it is the diagonal Gaussian.
    L + L(L+1)/2 numbers per image. The KL to a diagonal normal prior is in closed form.
    Kingma and Welling 2019, "An introduction to variational autoencoders", sec. 2.5.1,
    https://arxiv.org/abs/1906.02691.

    Shapes: raw (B, L + L(L+1)/2) -> batch (B,), event (L,).
    """

    def __init__(self, latent_dim: int):
        super().__init__()
        self.latent_dim = latent_dim
        self.num_params = latent_dim + latent_dim * (latent_dim + 1) // 2

    def distribution(self, raw: Tensor) -> CholeskyNormal:
        num = self.latent_dim
        mu, log_variance, below = raw.split([num, num, self.num_params - 2 * num], -1)
        rows, columns = torch.tril_indices(num, num, -1, device=raw.device)
        cholesky = torch.diag_embed((0.5 * log_variance).exp())
        cholesky[..., rows, columns] = below
        return CholeskyNormal(mu, scale_tril=cholesky, validate_args=False)
