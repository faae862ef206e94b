"""A categorical prior: which of K components."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.distributions import OneHotCategorical

from vaelab.distributions import one_hot
from vaelab.priors.base import Encode, Prior


class Categorical(Prior):
    """p(z = e_k) = pi_k over the K = latent_dim one-hot vectors, with pi learned.

    With a decoder without hidden layers p(x) = sum_k pi_k p(x|e_k) is a mixture of K components,
    the model of EM: Dempster et al. 1977, "Maximum likelihood from incomplete data via the EM
    algorithm", https://doi.org/10.1111/j.2517-6161.1977.tb01600.x. It starts uniform.

    Shapes: event (K,).
    """

    is_discrete = True

    def __init__(self, latent_dim: int, image_shape: Sequence[int]):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(latent_dim))

    def forward(self, encode: Encode) -> OneHotCategorical:
        return one_hot(self.logits)
