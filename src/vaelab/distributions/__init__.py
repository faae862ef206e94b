"""The distributions torch lacks, one per file, and the Kullback-Leibler divergence."""

from vaelab.distributions.cholesky_normal import CholeskyNormal
from vaelab.distributions.continuous_bernoulli import ContinuousBernoulli
from vaelab.distributions.delta import Delta
from vaelab.distributions.diagonal_normal import DiagonalNormal, is_diagonal_normal
from vaelab.distributions.discretized_logistic import DiscretizedLogistic
from vaelab.distributions.divergence import kl_divergence, kl_per_latent
from vaelab.distributions.finite import is_discrete, one_hot, point_of, states
from vaelab.distributions.isotropic_normal import IsotropicNormal
from vaelab.distributions.log_weights import effective_sample_size, log_mean_weight
from vaelab.distributions.quantized_categorical import QuantizedCategorical
from vaelab.distributions.transformed_normal import (
    TransformedNormal,
    import_zuko,
    normal_points,
)

__all__ = [
    "CholeskyNormal",
    "ContinuousBernoulli",
    "Delta",
    "DiagonalNormal",
    "DiscretizedLogistic",
    "IsotropicNormal",
    "QuantizedCategorical",
    "TransformedNormal",
    "effective_sample_size",
    "import_zuko",
    "is_diagonal_normal",
    "is_discrete",
    "kl_divergence",
    "kl_per_latent",
    "log_mean_weight",
    "normal_points",
    "one_hot",
    "point_of",
    "states",
]
