"""Numbers that judge a model: pure functions of arrays, and configured metrics of a run."""

from vaelab.metrics.ais import AIS, ais_log_likelihood
from vaelab.metrics.base import AnyMetric, Metric, MultiRunMetric, Score, require_applicable
from vaelab.metrics.beta_vae_score import BetaVAEScore, beta_vae_score
from vaelab.metrics.collapse import collapse_verdict
from vaelab.metrics.dci import DCI, dci
from vaelab.metrics.decomposition import Decomposition, elbo_decomposition
from vaelab.metrics.elbo import Elbo
from vaelab.metrics.explicitness import explicitness
from vaelab.metrics.factor_vae_score import FactorVAEScore, factor_vae_score
from vaelab.metrics.importance_weighted import ImportanceWeightedBound, importance_weighted_bound
from vaelab.metrics.irs import IRS, irs
from vaelab.metrics.mig import MIG, mig
from vaelab.metrics.mig_sampled import MIGSampled, mig_sampled
from vaelab.metrics.modularity import Modularity, modularity
from vaelab.metrics.mutual_information import mutual_information_matrix
from vaelab.metrics.reconstruction_error import ReconstructionError, pca_error
from vaelab.metrics.sap import SAP, SAPR2, sap, sap_r2
from vaelab.metrics.udr import UDR, udr
from vaelab.metrics.unsupervised import (
    Unsupervised,
    gaussian_total_correlation,
    pairwise_mutual_information,
    wasserstein_correlation,
)

__all__ = [
    "AIS",
    "AnyMetric",
    "BetaVAEScore",
    "DCI",
    "Decomposition",
    "Elbo",
    "FactorVAEScore",
    "IRS",
    "ImportanceWeightedBound",
    "MIG",
    "MIGSampled",
    "Metric",
    "Modularity",
    "ReconstructionError",
    "SAP",
    "SAPR2",
    "Score",
    "MultiRunMetric",
    "UDR",
    "Unsupervised",
    "ais_log_likelihood",
    "beta_vae_score",
    "collapse_verdict",
    "dci",
    "elbo_decomposition",
    "explicitness",
    "factor_vae_score",
    "gaussian_total_correlation",
    "importance_weighted_bound",
    "irs",
    "mig",
    "mig_sampled",
    "modularity",
    "mutual_information_matrix",
    "pairwise_mutual_information",
    "pca_error",
    "require_applicable",
    "sap",
    "sap_r2",
    "udr",
    "wasserstein_correlation",
]
