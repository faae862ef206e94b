"""DIP-VAE-II: the samples of q(z|x) are decorrelated."""

from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributed import all_gather_batch
from vaelab.objectives.dip_vae import DIPVAE, covariance_of_means


class DIPVAEII(DIPVAE):
    """loss = -E_q(z|x) log p(x|z) + KL(q(z|x) || p(z)) + penalty(C) with C = Cov_q(z)[z].

        C = Cov_x[mu(x)] + E_x[diag sigma^2(x)]

    by the law of total covariance: a variance a latent, the mean over the batch, on the diagonal.
    The penalty, its settings and terms: `vaelab.objectives.dip_vae`. Kumar et al. 2018, eq. 7.
    """

    def covariance(self, q_z: Distribution) -> Tensor:
        return covariance_of_means(q_z) + all_gather_batch(q_z.variance).mean(0).diag()
