"""beta-TCVAE: the total correlation of the latents costs beta, the rest of the KL as in a VAE."""

import torch
from torch import Tensor

from vaelab.distributed import all_gather_batch, local_shard
from vaelab.elbo import elbo_terms
from vaelab.errors import nearest, require
from vaelab.kl_penalties import KLPenalty
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective
from vaelab.objectives.diagonal_posterior import require_diagonal_normal
from vaelab.objectives.total_correlation import (
    LOG_WEIGHTS,
    aggregate,
    mss,
    pair_log_densities,
    total_correlation,
)


class BetaTCVAE(Objective):
    """loss = E_x [ -E_q(z|x) log p(x|z) + KL(q(z|x) || p(z)) ] + (beta - 1) TC, in nats per image.

    TC = KL(q(z) || prod_j q(z_j)) with q(z) = 1/N sum_n q(z|x_n). With a prior of independent
    latents the mean KL is a mutual information, TC and a dimension-wise KL; this is alpha MI +
    beta TC + gamma DWKL at alpha = gamma = 1. So TC costs beta in all, and beta = 1 is the plain
    VAE. Chen et al. 2018, eq. 2 and 4; the loss in this form: Locatello et al. 2019.

    Terms: `penalty` is what is minimised, (beta - 1) times the chosen estimate, whose level is
    arbitrary unless it is `mss`. `total_correlation` is always the `mss` estimate.
    `total_correlation_weight` is the cost of one more nat of TC, beta once the kl_penalty is over.

    Args:
        beta: cost of the total correlation, from 0 up.
        estimator: of TC, a name in `vaelab.objectives.total_correlation`.
        kl_penalty: how the cost of the KL, of weight 1, moves, see `vaelab.kl_penalties`.
        num_train: N, the number of training images.
    """

    beta: Tensor

    def __init__(self, beta: float, estimator: str, kl_penalty: KLPenalty, *, num_train: int):
        super().__init__()
        require(beta >= 0, f"objective.beta expects a weight of at least 0, got {beta}; try 6.")
        require(
            estimator in LOG_WEIGHTS,
            f"objective.estimator expects one of {', '.join(LOG_WEIGHTS)}, got {estimator}; try "
            f"{nearest(str(estimator), LOG_WEIGHTS, 1) or 'constant_free'}.",
        )
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.estimator, self.kl_penalty, self.num_train = estimator, kl_penalty, num_train

    def check_model(self, model: VAE) -> None:
        super().check_model(model)
        require_diagonal_normal(model, f"objective {type(self).__name__}")

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x)
        means = terms.means()
        cost, moved = self.kl_penalty(terms.kl.new_ones(()), terms, step)
        # Own samples under the components of all processes: a mean over images, as ddp takes it.
        mu, sigma = all_gather_batch(terms.q_z.mean), all_gather_batch(terms.q_z.stddev)
        pairs = pair_log_densities(terms.z, mu, sigma)

        weights = LOG_WEIGHTS[self.estimator](len(mu), self.num_train, pairs)
        estimate = total_correlation(*aggregate(pairs, local_shard(weights)))
        penalty = (self.beta - 1) * estimate
        with torch.no_grad():
            weights = mss(len(mu), self.num_train, pairs)
            reported = total_correlation(*aggregate(pairs, local_shard(weights)))
        return {
            "loss": means["reconstruction"] + cost + penalty,
            **means,
            "penalty": penalty,
            "total_correlation": reported,
            "total_correlation_weight": moved["beta"] + self.beta - 1,
            **moved,
        }
