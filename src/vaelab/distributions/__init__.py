"""The distributions torch lacks, one a file, and the Kullback-Leibler divergence."""

from vaelab.distributions.continuous_bernoulli import ContinuousBernoulli
from vaelab.distributions.diagonal_normal import DiagonalNormal
from vaelab.distributions.discretized_logistic import DiscretizedLogistic
from vaelab.distributions.divergence import kl_divergence, kl_per_latent
from vaelab.distributions.global_batch import (
    global_batch,
    own_rows,
    standard_normal_noise,
    whole_batch,
)
from vaelab.distributions.isotropic_normal import IsotropicNormal
from vaelab.distributions.quantized_categorical import QuantizedCategorical

__all__ = [
    "ContinuousBernoulli",
    "DiagonalNormal",
    "DiscretizedLogistic",
    "IsotropicNormal",
    "QuantizedCategorical",
    "global_batch",
    "kl_divergence",
    "kl_per_latent",
    "own_rows",
    "standard_normal_noise",
    "whole_batch",
]
