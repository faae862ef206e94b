"""Evaluation metrics: pure functions of arrays, and configured classes for the models of runs."""

from vaelab.metrics.ais import AIS, ais_log_likelihood, bidirectional_ais
from vaelab.metrics.base import (
    AnyMetric,
    CodesMetric,
    Metric,
    MultiRunMetric,
    RepeatedMetric,
    Score,
    TrainTestMetric,
    require_applicable,
)
from vaelab.metrics.bayes_classifier import BayesClassifier
from vaelab.metrics.beta_vae_score import BetaVAEScore, beta_vae_score
from vaelab.metrics.collapse import collapse_verdict
from vaelab.metrics.dci import DCI, dci
from vaelab.metrics.decomposition import Decomposition, elbo_decomposition
from vaelab.metrics.elbo import Elbo, pixel_mean_distortion
from vaelab.metrics.encoded_dataset import PrecomputedCodes
from vaelab.metrics.explicitness import explicitness
from vaelab.metrics.factor_vae_score import FactorVAEScore, factor_vae_score
from vaelab.metrics.fit_posterior import fit_posterior
from vaelab.metrics.importance_weighted import ImportanceWeightedBound, importance_weighted_bound
from vaelab.metrics.inference_gap import InferenceGap, inference_gap
from vaelab.metrics.info_mec import InfoMEC, info_mec
from vaelab.metrics.irs import IRS, irs
from vaelab.metrics.mig import MIG, mig
from vaelab.metrics.mig_sampled import MIGSampled, mig_sampled
from vaelab.metrics.modularity import Modularity, modularity
from vaelab.metrics.mutual_information import mutual_information_matrix
from vaelab.metrics.per_image import ImagesMetric
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
    "BayesClassifier",
    "BetaVAEScore",
    "CodesMetric",
    "DCI",
    "Decomposition",
    "Elbo",
    "FactorVAEScore",
    "IRS",
    "ImagesMetric",
    "ImportanceWeightedBound",
    "InferenceGap",
    "InfoMEC",
    "MIG",
    "MIGSampled",
    "Metric",
    "Modularity",
    "MultiRunMetric",
    "PrecomputedCodes",
    "ReconstructionError",
    "RepeatedMetric",
    "SAP",
    "SAPR2",
    "Score",
    "TrainTestMetric",
    "UDR",
    "Unsupervised",
    "ais_log_likelihood",
    "beta_vae_score",
    "bidirectional_ais",
    "collapse_verdict",
    "dci",
    "elbo_decomposition",
    "explicitness",
    "factor_vae_score",
    "fit_posterior",
    "gaussian_total_correlation",
    "importance_weighted_bound",
    "inference_gap",
    "info_mec",
    "irs",
    "mig",
    "mig_sampled",
    "modularity",
    "mutual_information_matrix",
    "pairwise_mutual_information",
    "pca_error",
    "pixel_mean_distortion",
    "require_applicable",
    "sap",
    "sap_r2",
    "udr",
    "wasserstein_correlation",
]
