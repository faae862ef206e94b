"""The multiply importance-weighted autoencoder."""

from torch import Tensor

from vaelab.distributions import log_mean_weight
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_samples
from vaelab.objectives.importance_weights import bound_terms, weighted_samples


class MIWAE(Objective):
    """loss = -E_x 1/M sum_m log 1/K sum_k w_mk, in nats per image, with

        w_mk = p(x|z_mk) p(z_mk) / q(z_mk|x),    z_mk ~ q(z|x)

    The mean of M bounds L_K: as tight as L_K, its gradients less noisy. M = 1 is the IWAE, K = 1
    the ELBO with M samples. M * K samples are decoded in one call.
    Rainforth et al. 2018, "Tighter variational bounds are not necessarily better".

    Args:
        num_bounds: M, independent bounds an image, from 1 up.
        num_samples: K, samples of z a bound, from 1 up.
    """

    def __init__(self, num_bounds: int = 8, num_samples: int = 8):
        super().__init__()
        require_samples("num_bounds", num_bounds)
        require_samples("num_samples", num_samples)
        self.num_bounds, self.num_samples = num_bounds, num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        samples = weighted_samples(model, x, self.num_samples * self.num_bounds)
        log_weights = samples.log_weights.unflatten(0, (self.num_samples, self.num_bounds))
        bounds = log_mean_weight(log_weights, 0)
        return bound_terms(-bounds.mean(), bounds, samples)
