"""Likelihoods p(x|z), one per file: raw decoder output -> a distribution over images."""

from vaelab.likelihoods.base import Likelihood
from vaelab.likelihoods.bernoulli import Bernoulli
from vaelab.likelihoods.categorical import Categorical
from vaelab.likelihoods.continuous_bernoulli import ContinuousBernoulli
from vaelab.likelihoods.discretized_logistic import DiscretizedLogistic
from vaelab.likelihoods.gaussian import Gaussian
from vaelab.likelihoods.gaussian_learned import GaussianLearned
from vaelab.likelihoods.gaussian_optimal import GaussianOptimal
from vaelab.likelihoods.gaussian_per_pixel import GaussianPerPixel

__all__ = [
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "Gaussian",
    "GaussianLearned",
    "GaussianOptimal",
    "GaussianPerPixel",
    "Likelihood",
]
