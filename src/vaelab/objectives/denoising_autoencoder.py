"""The denoising autoencoder."""

import torch
from torch import Tensor

from vaelab.distributed import standard_normal_noise, uniform_noise
from vaelab.errors import require_choice, require_range
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_fixed_prior

CORRUPTIONS = ("gaussian", "masking", "salt_and_pepper")


class DenoisingAutoencoder(Objective):
    """The autoencoder that encodes a corrupted image c and decodes the clean image x.

        loss = E_x E_C(c|x) [ -E_q(z|c) log p(x|z) ]

    in nats per image, with one of the corruptions

        gaussian:         c = x + level * epsilon, epsilon ~ N(0, I), not clipped to [0, 1]
        masking:          each value is 0 with probability level, else that of x
        salt_and_pepper:  each value is 0 or 1 with probability level / 2 each, else that of x

    The papers corrupt a fixed number of values; here each value is corrupted independently, so that
    level is the expected fraction. Nothing is corrupted in evaluation.

    Vincent et al. 2008, "Extracting and composing robust features with denoising autoencoders",
    https://doi.org/10.1145/1390156.1390294. Vincent et al. 2010, "Stacked denoising autoencoders:
    Learning useful representations in a deep network with a local denoising criterion", sec. 3.3
    (section number not checked), https://jmlr.org/papers/v11/vincent10a.html.

    Args:
        corruption: one of `CORRUPTIONS`.
        level: standard deviation in units of x in [0, 1] for gaussian, else a probability.
    """

    level: Tensor

    def __init__(self, corruption: str = "masking", level: float = 0.25):
        super().__init__()
        require_choice("corruption", corruption, CORRUPTIONS)
        gaussian = corruption == "gaussian"
        unit = "standard deviation" if gaussian else "probability"
        most = None if gaussian else 1
        require_range("level", level, at_least=0, at_most=most, unit=unit, example=0.25)
        self.corruption = corruption
        self.register_buffer("level", torch.tensor(float(level)))

    def forward(self, model: VAE, x: Tensor, step: int) -> dict[str, Tensor]:
        z = model.encode(self.corrupt(x)).rsample()
        reconstruction = -model.decode(z).log_prob(x).mean()
        return {"loss": reconstruction, "reconstruction": reconstruction}

    def corrupt(self, x: Tensor) -> Tensor:
        """A draw of c: (B, C, H, W) -> (B, C, H, W), the same rows for any number of processes."""
        if self.corruption == "gaussian":
            return x + self.level.to(x) * standard_normal_noise(x.shape, batch_dim=0, like=x)
        noise = uniform_noise(x.shape, batch_dim=0, like=x)
        if self.corruption == "masking":
            return x * (noise >= self.level)
        salt = (noise < self.level / 2).to(x)
        return torch.where(noise < self.level, salt, x)

    def check_model(self, model: VAE) -> None:
        """Accept any posterior, since there is no KL, but no prior with parameters."""
        require_fixed_prior(self, model)
