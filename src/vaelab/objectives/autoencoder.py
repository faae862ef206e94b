"""The autoencoder."""

from torch import Tensor

from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_fixed_prior


class Autoencoder(Objective):
    """loss = E_x [ -E_q(z|x) log p(x|z) ], reconstruction alone, in nats per image.

    With posterior=delta the autoencoder: z = mu(x). With likelihood=gaussian it minimises the
    squared error, and with linear networks it spans the subspace of PCA (Bourlard and Kamp 1988;
    Baldi and Hornik 1989). With posterior=gaussian the VAE without its KL, beta = 0: nothing keeps
    the noise from going to zero and the codes from running apart.

    Hinton and Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks".
    """

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        z = model.encode(x).rsample()
        reconstruction = -model.decode(z).log_prob(x).mean()
        return {"loss": reconstruction, "reconstruction": reconstruction}

    def check_model(self, model: VAE) -> None:
        """Any posterior will do, since there is no KL; a prior that learns would not."""
        require_fixed_prior(model, "objective Autoencoder")
