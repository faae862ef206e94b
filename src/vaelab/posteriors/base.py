"""What every posterior does."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.errors import UserError


class Posterior(nn.Module, ABC):
    """The map from raw encoder output to q(z|x), a distribution over the latent_dim latents.

        raw (B, num_params)  ->  q(z|x), batch (B,), event (L,)

    Built from latent_dim. Raw output in 16 bits is converted to float32.

    Attributes:
        num_params: numbers that the encoder outputs per image.
        num_heads: how many layers of equal size would output these in a paper (2 for mean and log
            variance), for the initial weights.
        has_density: whether q(z|x) has a density, and so a KL.
        is_discrete: whether z is one of finitely many values, which can't be reparameterised.
        is_exact: whether raw is log p(x, z) of every value of z, in place of an encoder's output.
    """

    num_params: int
    num_heads: int = 1
    has_density: bool = True
    is_discrete: bool = False
    is_exact: bool = False

    def forward(self, raw: Tensor, z: Tensor | None = None) -> Distribution | Tensor:
        """q(z|x) from raw (B, num_params); with z (*sample, B, L) its log density at z.

        The log density, (*sample, B) in nats, is evaluated within the call, so that
        `torch.func.functional_call` replaces the parameters of a lazy distribution as well.
        """
        if raw.dtype in (torch.bfloat16, torch.float16):
            raw = raw.float()
        q_z = self.distribution(raw)
        return q_z if z is None else q_z.log_prob(z)

    @abstractmethod
    def distribution(self, raw: Tensor) -> Distribution:
        """q(z|x) from raw (B, num_params), at least float32."""

    def require_density(self, who: str) -> None:
        """Require that q(z|x) has a density, on behalf of `who`, the subject of the message.

        Raises:
            UserError: there is none.
        """
        if not self.has_density:
            raise UserError(
                f"{who} expects a posterior with a density, got {type(self).__name__}, whose KL is "
                "infinite; use the posterior Gaussian, or the objective Autoencoder."
            )
