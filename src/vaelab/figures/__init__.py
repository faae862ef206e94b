"""Arrays -> matplotlib figures and animations; knows neither models nor Lightning.

Every figure is as wide as one column of a paper, or as two, and its caption says what is shown.
"""

from typing import TYPE_CHECKING

from vaelab.figures.animation import Animation, animate_traversals
from vaelab.figures.autoencoders import plot_pca_manifold
from vaelab.figures.bound import plot_em_bound, plot_log_p_estimates
from vaelab.figures.classes import plot_analogies, plot_manifolds
from vaelab.figures.classification import (
    plot_class_log_likelihoods,
    plot_doubtful_images,
    plot_error_by_labels,
    plot_joint_densities,
    plot_reliability,
)
from vaelab.figures.curves import plot_curves, plot_latent_kl
from vaelab.figures.decomposition import plot_elbo_decomposition
from vaelab.figures.divergences import (
    FitPanel,
    plot_contour_fits,
    plot_density_fits,
    plot_divergence_landscape,
)
from vaelab.figures.grids import (
    plot_manifold,
    plot_reconstructions,
    plot_rows,
    plot_samples,
    plot_traversals,
)
from vaelab.figures.heat_map import plot_mutual_information, plot_rank_correlation
from vaelab.figures.inference import (
    plot_inference_gap,
    plot_inference_traces,
    plot_posterior_grid,
)
from vaelab.figures.metric_vs_setting import Line, Panel, plot_metric_vs_setting
from vaelab.figures.pixels import PAD, make_image_grid, to_array
from vaelab.figures.posteriors import Curve, plot_posteriors
from vaelab.figures.rate_distortion import RateDistortionCurve, plot_rate_distortion
from vaelab.figures.saving import encode, to_gif, to_png, to_svg, write_encoded
from vaelab.figures.scatter import plot_factor_scatters, plot_latent_scatter
from vaelab.figures.style import CLASS_COLOURS
from vaelab.figures.variance_bars import plot_variance_bars

if TYPE_CHECKING:  # matplotlib itself is imported only where something is drawn
    from matplotlib.figure import Figure as Figure

__all__ = [
    "Animation",
    "CLASS_COLOURS",
    "Curve",
    "FitPanel",
    "Line",
    "PAD",
    "Panel",
    "RateDistortionCurve",
    "animate_traversals",
    "encode",
    "make_image_grid",
    "plot_analogies",
    "plot_class_log_likelihoods",
    "plot_contour_fits",
    "plot_curves",
    "plot_density_fits",
    "plot_divergence_landscape",
    "plot_doubtful_images",
    "plot_elbo_decomposition",
    "plot_em_bound",
    "plot_error_by_labels",
    "plot_factor_scatters",
    "plot_inference_gap",
    "plot_inference_traces",
    "plot_joint_densities",
    "plot_latent_kl",
    "plot_latent_scatter",
    "plot_log_p_estimates",
    "plot_manifold",
    "plot_manifolds",
    "plot_metric_vs_setting",
    "plot_mutual_information",
    "plot_pca_manifold",
    "plot_posteriors",
    "plot_posterior_grid",
    "plot_rank_correlation",
    "plot_rate_distortion",
    "plot_reconstructions",
    "plot_reliability",
    "plot_rows",
    "plot_samples",
    "plot_traversals",
    "plot_variance_bars",
    "to_array",
    "to_gif",
    "to_png",
    "to_svg",
    "write_encoded",
]
