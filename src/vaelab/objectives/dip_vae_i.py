"""DIP-VAE-I: the means of q(z|x) are decorrelated."""

from torch import Tensor
from torch.distributions import Distribution

from vaelab.objectives.dip_vae import DIPVAE, covariance_of_means


class DIPVAEI(DIPVAE):
    """loss = -E_q(z|x) log p(x|z) + KL(q(z|x) || p(z)) + penalty(C) with C = Cov_x[mu(x)].

    The penalty, its settings and terms: `vaelab.objectives.dip_vae`. Kumar et al. 2018, eq. 6.
    """

    def covariance(self, q_z: Distribution) -> Tensor:
        return covariance_of_means(q_z)
