"""Arrays -> matplotlib figures and animations; knows no model and no Lightning.

Every picture is as wide as a column of a paper, or as both, and says in its caption what is shown.
"""

from vaelab.figures.against import Line, Panel, against
from vaelab.figures.animation import Animation, animated_traversals
from vaelab.figures.curves import curves, latent_kl_curves
from vaelab.figures.decomposition import elbo_decomposition
from vaelab.figures.grids import (
    PAD,
    image_grid,
    manifold,
    reconstructions,
    samples,
    traversals,
)
from vaelab.figures.heat_map import mutual_information_heat_map, rank_correlation_heat_map
from vaelab.figures.page import CLASS_COLOURS
from vaelab.figures.pixels import to_array
from vaelab.figures.rate_distortion import Trail, rate_distortion
from vaelab.figures.saving import encode, save, save_gif, to_gif, to_png, to_svg, write_encoded
from vaelab.figures.scatter import factor_scatters, latent_scatter
from vaelab.figures.shares import variance_bars

__all__ = [
    "Animation",
    "CLASS_COLOURS",
    "Line",
    "PAD",
    "Panel",
    "Trail",
    "against",
    "animated_traversals",
    "curves",
    "elbo_decomposition",
    "encode",
    "factor_scatters",
    "image_grid",
    "latent_kl_curves",
    "latent_scatter",
    "manifold",
    "mutual_information_heat_map",
    "rank_correlation_heat_map",
    "rate_distortion",
    "reconstructions",
    "samples",
    "save",
    "save_gif",
    "to_array",
    "to_gif",
    "to_png",
    "to_svg",
    "traversals",
    "variance_bars",
    "write_encoded",
]
