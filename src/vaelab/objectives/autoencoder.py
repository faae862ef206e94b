"""The autoencoder."""

from torch import Tensor

from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_fixed_prior


class Autoencoder(Objective):
    """The autoencoder: reconstruction alone.

        loss = E_x [ -E_q(z|x) log p(x|z) ]

    in nats per image. With the posterior Delta, z = mu(x), it is the classical autoencoder; with a
    Gaussian likelihood it then minimises the squared error, and with linear networks it spans the
    subspace of PCA. With the posterior Gaussian it is the VAE without its KL, beta = 0: nothing
    keeps the noise from vanishing and the codes from spreading without bound.

    Hinton and Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks",
    https://doi.org/10.1126/science.1127647. Linear: Bourlard and Kamp 1988, "Auto-association by
    multilayer perceptrons and singular value decomposition", https://doi.org/10.1007/BF00332918;
    Baldi and Hornik 1989, "Neural networks and principal component analysis: Learning from examples
    without local minima", https://doi.org/10.1016/0893-6080(89)90014-2.
    """

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        z = model.encode(x).rsample()
        reconstruction = -model.decode(z).log_prob(x).mean()
        return {"loss": reconstruction, "reconstruction": reconstruction}

    def check_model(self, model: VAE) -> None:
        """Accept any posterior, since there is no KL, but no prior with parameters."""
        require_fixed_prior(self, model)
