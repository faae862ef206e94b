"""The multiply importance-weighted autoencoder."""

from torch import Tensor

from vaelab.distributions import log_mean_weight
from vaelab.errors import require_range
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective
from vaelab.objectives.importance_weights import bound_terms, weighted_samples


class MIWAE(Objective):
    """The mean of M importance-weighted bounds L_K.

        loss = -E_x 1/M sum_m log 1/K sum_k w_mk
        w_mk = p(x|z_mk) p(z_mk) / q(z_mk|x),    z_mk ~ q(z|x)

    in nats per image: a bound as tight as L_K, with less noise in its gradients. M = 1 is the IWAE,
    K = 1 the ELBO with M samples. M * K samples are decoded in one call.

    Rainforth et al. 2018, "Tighter variational bounds are not necessarily better",
    https://arxiv.org/abs/1802.04537.

    Args:
        num_bounds: M, independent bounds per image, at least 1.
        num_samples: K, samples of z per bound, at least 1.
    """

    def __init__(self, num_bounds: int = 8, num_samples: int = 8):
        super().__init__()
        require_range("num_bounds", num_bounds, at_least=1, integer=True, example=8)
        require_range("num_samples", num_samples, at_least=1, integer=True, example=8)
        self.num_bounds, self.num_samples = num_bounds, num_samples

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        samples = weighted_samples(model, x, self.num_samples * self.num_bounds)
        log_weights = samples.log_weights.unflatten(0, (self.num_samples, self.num_bounds))
        bounds = log_mean_weight(log_weights, 0)
        return bound_terms(-bounds.mean(), bounds, samples)
