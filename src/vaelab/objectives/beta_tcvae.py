"""beta-TCVAE: beta weighs the total correlation of the latents alone."""

import torch
from torch import Tensor

from vaelab.distributed import all_gather_batch, local_shard
from vaelab.elbo import elbo_terms
from vaelab.errors import require_choice, require_range
from vaelab.kl_penalties import Constant, KLPenalty
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_diagonal_normal
from vaelab.objectives.total_correlation import (
    LOG_WEIGHTS,
    aggregate,
    mss,
    pair_log_densities,
    total_correlation,
)


class BetaTCVAE(Objective):
    """The VAE with an additional penalty on the total correlation of the latents.

        loss = E_x [ -E_q(z|x) log p(x|z) + KL(q(z|x) || p(z)) ] + (beta - 1) TC
        TC = KL(q(z) || prod_j q(z_j)),    q(z) = 1/N sum_n q(z|x_n)

    in nats per image. With a prior of independent latents the mean KL is the sum of a mutual
    information, TC and a dimension-wise KL, and the loss is the paper's alpha MI + beta TC +
    gamma DWKL at alpha = gamma = 1. So beta is the whole weight of TC, and beta = 1 is the VAE.

    Chen et al. 2018, "Isolating sources of disentanglement in variational autoencoders", eq. 2
    (equation number not checked) and 4, https://arxiv.org/abs/1802.04942. The loss in this form:
    Locatello et al. 2019, https://arxiv.org/abs/1811.12359.

    Terms: `total_correlation_penalty` is what is minimised, (beta - 1) times the chosen estimate,
    whose level is arbitrary except for `mss`. `total_correlation` is always the `mss` estimate.
    `total_correlation_weight` is the effective weight of TC, d loss / d TC: the effective beta of
    the KL plus beta - 1.

    Args:
        beta: weight of the total correlation, at least 0.
        estimator: of TC, a name in `vaelab.objectives.total_correlation`.
        kl_penalty: weighs the KL, with beta = 1, see `vaelab.kl_penalties`; `Constant` by default.
        num_train: N, the number of training images.
    """

    beta: Tensor

    def __init__(
        self, beta: float, estimator: str, kl_penalty: KLPenalty | None = None, *, num_train: int
    ):
        super().__init__()
        require_range("beta", beta, at_least=0, example=6)
        require_choice("estimator", estimator, LOG_WEIGHTS)
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.kl_penalty = kl_penalty or Constant()
        self.estimator, self.num_train = estimator, num_train

    def check_model(self, model: VAE) -> None:
        super().check_model(model)
        require_diagonal_normal(self, model)

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        terms = elbo_terms(model, x)
        means = terms.means()
        penalty, state = self.kl_penalty(terms.kl.new_ones(()), terms, step)
        # Own samples under the components of all processes: a mean over images, as ddp takes it.
        mu, sigma = all_gather_batch(terms.q_z.mean), all_gather_batch(terms.q_z.stddev)
        pairs = pair_log_densities(terms.z, mu, sigma)

        weights = LOG_WEIGHTS[self.estimator](len(mu), self.num_train, pairs)
        estimate = total_correlation(*aggregate(pairs, local_shard(weights)))
        tc_penalty = (self.beta - 1) * estimate
        with torch.no_grad():
            weights = mss(len(mu), self.num_train, pairs)
            reported = total_correlation(*aggregate(pairs, local_shard(weights)))
        return {
            "loss": means["reconstruction"] + penalty + tc_penalty,
            **means,
            "total_correlation_penalty": tc_penalty,
            "total_correlation": reported,
            "total_correlation_weight": state["beta"] + self.beta - 1,
            **state,
        }
