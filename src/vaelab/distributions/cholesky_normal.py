"""The normal over a latent vector with any covariance."""

import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, register_kl
from torch.types import _size

from vaelab.distributed import standard_normal_noise


class CholeskyNormal(MultivariateNormal):
    """The normal given by the Cholesky factor C of its covariance, reparameterised.

        p(z) = N(z; mu, C C^T),    z = mu + C epsilon,  epsilon ~ N(0, I)

    torch's `MultivariateNormal`, except that its noise is that of `split_over_processes`.

    loc = mu: (*batch, latent). scale_tril = C: (*batch, latent, latent), lower triangular with a
    positive diagonal. Samples: (*sample, *batch, latent). log_prob, entropy: (*sample, *batch) in
    nats. Kingma and Welling 2019, "An introduction to variational autoencoders", sec. 2.5.1,
    https://arxiv.org/abs/1906.02691.
    """

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        """Draw z (*sample, *batch, latent), differentiable in mu and C."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = standard_normal_noise(shape, batch_dim=-2, like=self.loc)
        # No matrix product, which autocast would do in 16 bits.
        return self.loc + (self.scale_tril * noise[..., None, :]).sum(-1)


@register_kl(MultivariateNormal, Independent)
def _kl_to_diagonal_normal(q: MultivariateNormal, p: Independent) -> Tensor:
    """KL(N(mu, C C^T) || N(m, diag s^2)) in nats, (*batch).

    sum_j [ (sum_k C_jk^2 + (mu_j - m_j)^2) / (2 s_j^2) - 1/2 - log C_jj + log s_j ]
    """
    normal = p.base_dist
    if not isinstance(normal, Normal) or p.reinterpreted_batch_ndims != 1:
        raise NotImplementedError
    variance = q.scale_tril.square().sum(-1)
    squares = (variance + (q.loc - normal.loc).square()) / normal.scale.square()
    log_diagonal = q.scale_tril.diagonal(dim1=-2, dim2=-1).log()
    return (0.5 * (squares - 1) - log_diagonal + normal.scale.log()).sum(-1)
