"""A check of objectives whose formula has the means and variances of independent latents."""

from vaelab.distributions import is_diagonal_normal
from vaelab.errors import require
from vaelab.models.vae import VAE


def require_diagonal_normal(model: VAE, who: str) -> None:
    """Refuse a model whose q(z|x) is not a normal with independent latents.

    who: the objective that asks, for the message. Raises UserError for other posteriors.
    """
    q_z, _ = model.distributions()
    require(
        is_diagonal_normal(q_z),
        f"{who} expects a diagonal normal q(z|x), got the posterior "
        f"{type(model.posterior).__name__}; use posterior=gaussian.",
    )
