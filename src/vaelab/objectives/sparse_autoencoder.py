"""The sparse autoencoder."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from vaelab.distributed import all_gather_batch
from vaelab.errors import require_choice, require_range
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_fixed_prior

PENALTIES = ("kl", "l1")


class SparseAutoencoder(Objective):
    """The autoencoder with a sparsity penalty on its latents.

        loss = E_x [ -E_q(z|x) log p(x|z) ] + weight * penalty

    in nats per image, with one of the penalties

        kl:  sum_j KL(Bernoulli(rho) || Bernoulli(rho_j)), rho_j = E_x sigmoid(z_j)
        l1:  E_x sum_j |z_j|

    `kl`: each latent should be active for a fraction rho of the images; rho_j is the mean over the
    batch of all processes. The activation of latent j is sigmoid(z_j), but the decoder sees z, so
    an inactive latent has z far below zero.
    `l1`: most latents are near zero. Only the ratio of the penalty to the scale of the decoder's
    first layer matters, and nothing constrains that scale.

    Ng 2011, "Sparse autoencoder", CS294A lecture notes, sec. 3 (section number not checked),
    https://web.stanford.edu/class/cs294a/sparseAutoencoder.pdf. Lee et al. 2008, "Sparse deep
    belief net model for visual area V2",
    https://papers.nips.cc/paper_files/paper/2007/hash/4daa3db355ef2b0e64b472968cb70f0d-Abstract.html.

    Terms: `sparsity_kl` or `sparsity_l1`, weight * penalty.

    Args:
        penalty: one of `PENALTIES`.
        weight: of the penalty, at least 0.
        rho: target of the mean activation, in (0, 1); used by `kl` alone.
    """

    weight: Tensor
    rho: Tensor

    def __init__(self, penalty: str = "kl", weight: float = 1.0, rho: float = 0.05):
        super().__init__()
        require_choice("penalty", penalty, PENALTIES)
        require_range("weight", weight, at_least=0, example=1)
        require_range("rho", rho, above=0, below=1, unit="mean activation", example=0.05)
        self.penalty = penalty
        self.register_buffer("weight", torch.tensor(float(weight)))
        self.register_buffer("rho", torch.tensor(float(rho)))

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        z = model.encode(x).rsample()
        reconstruction = -model.decode(z).log_prob(x).mean()
        if self.penalty == "kl":
            sparsity = self.weight * activation_kl(all_gather_batch(z), self.rho)
        else:
            sparsity = self.weight * z.abs().sum(-1).mean()
        return {
            "loss": reconstruction + sparsity,
            "reconstruction": reconstruction,
            f"sparsity_{self.penalty}": sparsity,
        }

    def check_model(self, model: VAE) -> None:
        """Accept any posterior, since there is no KL, but no prior with parameters."""
        require_fixed_prior(self, model)


def activation_kl(z: Tensor, rho: Tensor) -> Tensor:
    """sum_j KL(Bernoulli(rho) || Bernoulli(mean_b sigmoid(z_bj))) in nats: (B, L) -> ().

    From the logarithms of the means, which are finite where sigmoid(z) rounds to 0 or 1.
    """
    log_num = math.log(len(z))
    log_active = logsigmoid(z).logsumexp(0) - log_num
    log_inactive = logsigmoid(-z).logsumexp(0) - log_num
    active = rho * (rho.log() - log_active)
    return (active + (1 - rho) * (torch.log1p(-rho) - log_inactive)).sum()
