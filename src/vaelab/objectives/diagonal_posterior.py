"""A check of objectives whose formula has the means and variances of independent latents."""

import torch
from torch.distributions import Independent, Normal

from vaelab.errors import require
from vaelab.models.vae import VAE


def require_diagonal_normal(model: VAE, who: str) -> None:
    """Refuse a model whose q(z|x) is not a normal with independent latents.

    who: the objective that asks, for the message. Raises UserError for other posteriors.
    """
    raw = next(model.encoder.parameters()).new_zeros(1, model.posterior.num_params)
    with torch.no_grad():
        q_z = model.posterior(raw)
    require(
        isinstance(q_z, Independent)
        and isinstance(q_z.base_dist, Normal)
        and q_z.event_shape == (model.latent_dim,),
        f"{who} expects a diagonal normal q(z|x), got the posterior "
        f"{type(model.posterior).__name__}; use posterior=gaussian.",
    )
