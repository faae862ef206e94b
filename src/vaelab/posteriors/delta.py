"""The posterior of an autoencoder: one code per image."""

from torch import Tensor

from vaelab import distributions
from vaelab.posteriors.base import Posterior


class Delta(Posterior):
    """q(z|x) = delta(z - mu(x)): the encoder gives the code itself.

    It has no density, so there is neither a KL nor an ELBO: only for the objectives of
    autoencoders. Hinton and Salakhutdinov 2006, "Reducing the dimensionality of data with neural
    networks", https://doi.org/10.1126/science.1127647.

    Shapes: raw (B, L) -> batch (B,), event (L,).
    """

    has_density = False

    def __init__(self, latent_dim: int):
        super().__init__()
        self.num_params = latent_dim

    def distribution(self, raw: Tensor) -> distributions.Delta:
        return distributions.Delta(raw)
