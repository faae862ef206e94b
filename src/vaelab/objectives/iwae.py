"""The importance-weighted autoencoder."""

from torch import Tensor

from vaelab.distributions import log_mean_weight
from vaelab.errors import require_range
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective
from vaelab.objectives.importance_weights import bound_terms, weighted_samples


class IWAE(Objective):
    """The importance-weighted bound L_K on log p(x).

        loss = -E_x L_K(x),    L_K(x) = log 1/K sum_k w_k
        w_k = p(x|z_k) p(z_k) / q(z_k|x),    z_k ~ q(z|x)

    in nats per image. In expectation ELBO = L_1 <= L_K <= log p(x), and L_K rises with K. The
    gradient is the sum of the gradients of log w_k, weighted by w_k / sum_j w_j. The KL enters the
    weights sample by sample, so that L_1 has the loss of the VAE in expectation, but other noise.

    Burda et al. 2016, "Importance weighted autoencoders", eq. 8 and theorem 1,
    https://arxiv.org/abs/1509.00519.

    Args:
        num_samples: K, samples of z per image, at least 1.
    """

    def __init__(self, num_samples: int = 5):
        super().__init__()
        require_range("num_samples", num_samples, at_least=1, integer=True, example=5)
        self.num_samples = num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        samples = weighted_samples(model, x, self.num_samples)
        bound = log_mean_weight(samples.log_weights, 0)
        return bound_terms(-bound.mean(), bound, samples)
