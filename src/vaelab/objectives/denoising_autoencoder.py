"""The denoising autoencoder."""

import torch
from torch import Tensor

from vaelab.distributed import standard_normal_noise, uniform_noise
from vaelab.errors import nearest, require
from vaelab.models.vae import VAE
from vaelab.objectives.base import Objective, require_fixed_prior

CORRUPTIONS = ("gaussian", "masking", "salt_and_pepper")


class DenoisingAutoencoder(Objective):
    """loss = E_x E_C(c|x) [ -E_q(z|c) log p(x|z) ]: a corrupted c is encoded, the clean x decoded.

    `gaussian`: c = x + level * epsilon, epsilon ~ N(0, I), and not cut to [0, 1].
    `masking`: each value is 0 with probability `level`, else that of x.
    `salt_and_pepper`: each value is 0 or 1, evenly, with probability `level`, else that of x.

    The papers corrupt a fixed number of values; here each is corrupted by itself, so that `level`
    is the expected part of them. In evaluation nothing is corrupted.

    Vincent et al. 2008, "Extracting and composing robust features with denoising autoencoders";
    Vincent et al. 2010, "Stacked denoising autoencoders", sec. 3.3.

    Args:
        corruption: one of `CORRUPTIONS`.
        level: standard deviation in units of x in [0, 1] for gaussian, else a probability.
    """

    level: Tensor

    def __init__(self, corruption: str = "masking", level: float = 0.25):
        super().__init__()
        require(
            corruption in CORRUPTIONS,
            f"objective.corruption expects one of {', '.join(CORRUPTIONS)}, got {corruption!r}; "
            f"nearest: {nearest(str(corruption), CORRUPTIONS) or 'none'}.",
        )
        most = float("inf") if corruption == "gaussian" else 1.0
        require(
            0 <= level <= most,
            f"objective.level expects a {'standard deviation' if most > 1 else 'probability'} from "
            f"0 to {most:g}, got {level}; try 0.25.",
        )
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
        """Any posterior will do, since there is no KL; a prior that learns would not."""
        require_fixed_prior(model, "objective DenoisingAutoencoder")
