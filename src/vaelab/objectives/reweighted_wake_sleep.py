"""Reweighted wake-sleep: q(z|x) learns from its own samples, by their importance weights."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributed import local_shard, rows_of_all, split_over_processes, uniform_noise
from vaelab.distributions import is_discrete, one_hot
from vaelab.errors import require_range
from vaelab.models.vae import VAE
from vaelab.objectives.importance_weights import WeightedSamples, weigh
from vaelab.objectives.wake_sleep import WakeSleepObjective, draw, with_classes_of_all


class ReweightedWakeSleep(WakeSleepObjective):
    """Reweighted wake-sleep, in which both phases are awake: p and q(z|x) learn from data.

        loss = wake_theta + wake_phi
        wake_theta = -E_x log 1/K sum_k w_k,       w_k = p(x, z_k) / q(z_k|x),    z_k ~ q(z|x)
        wake_phi   = -E_x sum_k v_k log q(z_k|x),  v_k = w_k / sum_j w_j, without gradient

    in nats per image, no bound on log p(x). The gradient of wake_phi estimates that of the forward
    divergence E_x KL(p(z|x) || q(z|x)), with a bias that vanishes as K grows, so that q covers
    p(z|x) where the ELBO, KL(q || p), has it seek a mode. At K = 1 the weight is 1 and q merely
    becomes sharper around its own samples.

    With delta > 0 wake_phi has samples of its own from the defensive mixture

        r(z|x) = (1 - delta) q(z|x) + delta u(z),    w_k = p(x, z_k) / r(z_k|x)

    with u uniform over the values of a discrete z, and the prior of a continuous one: q then hears
    of values that it never draws.

    Bornschein and Bengio 2015, "Reweighted wake-sleep", https://arxiv.org/abs/1406.2751; without
    sleep, with delta and eq. 7: Le et al. 2020, "Revisiting reweighted wake-sleep",
    https://arxiv.org/abs/1805.10469. Their published code evaluates r at another sample than the
    one it weights.

    Args:
        num_samples: K, samples of z per image, at least 1.
        delta: weight of u in the mixture that wake_phi draws from, in [0, 1).
    """

    def __init__(self, num_samples: int = 5, delta: float = 0.0):
        super().__init__(num_samples)
        require_range("delta", delta, at_least=0, below=1, example=0.2)
        self.delta = delta

    def posterior_losses(
        self, model: VAE, x: Tensor, q_z: Distribution, log_q: Tensor, samples: WeightedSamples
    ) -> dict[str, Tensor]:
        log_weights = samples.log_weights
        if self.delta > 0:
            log_q, log_weights = self._defensive_samples(model, x, q_z)
        weights = log_weights.detach().softmax(0)
        return {"wake_phi": -(weights * log_q).sum(0).mean()}

    def _uniform_samples(self, model: VAE, u: Distribution, num: int) -> Tensor:
        """z ~ u(z) of this process's `num` images, (K, num, L)."""
        rows, everyone = rows_of_all(num), with_classes_of_all(model)
        with split_over_processes(0, 1):  # every process draws the z of all, then keeps its own
            if u.batch_shape:  # a prior of each class
                z = everyone.sample_prior(self.num_samples, rows).transpose(0, 1)
            else:
                z = u.sample(torch.Size([rows, self.num_samples]))
        return local_shard(z).transpose(0, 1)

    def _defensive_samples(self, model: VAE, x: Tensor, q_z: Distribution) -> tuple[Tensor, Tensor]:
        """log q(z_k|x), with gradient, and log w_k of z_k ~ r(z|x): (K, B)."""
        with torch.no_grad():
            p_z = model.prior()
            u = one_hot(x.new_zeros(p_z.event_shape)) if is_discrete(p_z) else p_z
            z_q = draw(q_z, self.num_samples)
            z_u = self._uniform_samples(model, u, len(x))
            coin = uniform_noise(z_q.shape[:-1], batch_dim=-1, like=z_q)
            z = torch.where((coin < self.delta)[..., None], z_u, z_q)
        log_q = q_z.log_prob(z)
        with torch.no_grad():
            log_r = torch.logaddexp(
                log_q + math.log1p(-self.delta), u.log_prob(z) + math.log(self.delta)
            )
            return log_q, weigh(model, x, z, log_r).log_weights
