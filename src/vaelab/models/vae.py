"""The latent-variable model: p(z), p(x|z) and q(z|x) made of interchangeable parts."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.distributions import point_of, states
from vaelab.errors import require, require_range
from vaelab.likelihoods import Likelihood
from vaelab.models.initialization import initialize
from vaelab.posteriors import Posterior
from vaelab.priors import Prior


class VAE(nn.Module):
    """A variational autoencoder: encode, decode and prior, each of which returns a distribution.

    p(z) may depend on the encoder (`Vamp`), so `prior()` is a method that computes it at each call,
    beside the module `latent_prior`, since one name cannot be both a method and a submodule.
    Kingma and Welling 2014, "Auto-encoding variational Bayes", https://arxiv.org/abs/1312.6114;
    Rezende et al. 2014, "Stochastic backpropagation and approximate inference in deep generative
    models", https://arxiv.org/abs/1401.4082.

    Args:
        image_shape: (C, H, W) of x.
        latent_dim: L, the size of z.
        encoder: builds the network (image_shape, num_outputs, num_heads) -> module.
        decoder: builds the network (latent_dim, output_shape) -> module.
        posterior: builds the map from raw encoder output to q(z|x), from latent_dim.
        prior: builds the module of p(z), from latent_dim and image_shape.
        likelihood: raw decoder output -> p(x|z).
        init: `glorot`, `kaiming` or `pytorch`, see `vaelab.models.initialization`.

    Raises:
        UserError: latent_dim is not a positive integer, a network rejects the shapes, or the prior
            rejects the posterior.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        encoder: Callable[..., nn.Module],
        decoder: Callable[..., nn.Module],
        posterior: Callable[[int], Posterior],
        prior: Callable[[int, Sequence[int]], Prior],
        likelihood: Likelihood,
        init: str = "pytorch",
    ):
        super().__init__()
        require_range("latent_dim", latent_dim, at_least=1, integer=True, example=10)
        self.image_shape = tuple(image_shape)
        self.latent_dim = latent_dim
        self.posterior = posterior(latent_dim)
        channels, height, width = image_shape
        output_shape = (channels * likelihood.channels_per_pixel, height, width)
        num_params, num_heads = self.posterior.num_params, self.posterior.num_heads
        self.encoder = (
            LogJoint(self)
            if self.posterior.is_exact
            else encoder(self.image_shape, num_params, num_heads)
        )
        self.decoder = decoder(latent_dim, output_shape)
        self.latent_prior = prior(latent_dim, self.image_shape)
        self._check_kind_of_latents()
        self.latent_prior.check_posterior(self.posterior(torch.zeros(1, num_params)))
        self.likelihood = likelihood
        initialize(self.encoder, init)
        initialize(self.decoder, init)

    @property
    def num_pixels(self) -> int:
        """C * H * W, the number of values in x."""
        return math.prod(self.image_shape)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is learned, as groups of an optimiser: the networks, then what has its own settings.

        The latter are the `parameter_groups` of the likelihood.
        """
        groups = self.likelihood.parameter_groups()
        own = {id(parameter) for group in groups for parameter in group["params"]}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in own]
        return [{"params": rest}, *groups]

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x): x (B, C, H, W) -> batch (B,), event (L,)."""
        return self.posterior(self.encoder(x))

    def prior(self) -> Distribution:
        """p(z): batch (), event (L,)."""
        return self.latent_prior(self.encode)

    @torch.no_grad()
    def distributions(self) -> tuple[Distribution, Distribution]:
        """q(z|x) of an encoder output of zeros, batch (1,), and p(z), for checks of their types."""
        raw = next(self.decoder.parameters()).new_zeros(1, self.posterior.num_params)
        return self.posterior(raw), self.prior()

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z): z (*sample, B, L) -> batch (*sample, B), event (C, H, W)."""
        raw = self.decoder(z.flatten(0, -2))
        return self.likelihood(raw.unflatten(0, z.shape[:-1]) if z.ndim != 2 else raw)

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, z) of every value of a discrete z: (B, C, H, W) -> (S, B) in nats.

        Its logsumexp over the S values is log p(x), exactly.

        Raises:
            UserError: z is not discrete, or has too many values.
        """
        p_z = self.prior()
        z = states(p_z)
        log_likelihood = self.likelihood.pairwise_log_prob(self.decoder(z), x)
        return p_z.log_prob(z)[:, None] + log_likelihood

    def _check_kind_of_latents(self) -> None:
        posterior, prior = self.posterior, self.latent_prior
        kinds = ["discrete" if part.is_discrete else "continuous" for part in (posterior, prior)]
        require(
            kinds[0] == kinds[1],
            f"the posterior {type(posterior).__name__} expects a {kinds[0]} prior, got "
            f"{type(prior).__name__}, which is {kinds[1]}; use another posterior, or the prior "
            f"{'Categorical' if posterior.is_discrete else 'StandardNormal'}.",
        )

    @torch.no_grad()
    def sample(self, num: int) -> Tensor:
        """`num` means of p(x|z) at z ~ p(z): (num, C, H, W)."""
        return self.decode(self.prior().sample((num,))).mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """The mean of p(x|z) at the mean of q(z|x), or its mode: (B, C, H, W) -> (B, C, H, W)."""
        return self.decode(point_of(self.encode(x))).mean

    @torch.no_grad()
    def traverse(self, z: Tensor, latents: Sequence[int], values: Tensor) -> Tensor:
        """Means of p(x|z) while one latent at a time varies and the others keep their value in z.

        Args:
            z: (L,), the starting point.
            latents: which latents vary, counted from 0, one per row.
            values: (V,), the values of each; or (len(latents), V), separate values per latent.

        Returns:
            (len(latents), V, C, H, W).
        """
        rows = values.expand(len(latents), -1)
        grid = z.repeat(*rows.shape, 1)
        for row, latent in enumerate(latents):
            grid[row, :, latent] = rows[row]
        return self.decode(grid.flatten(0, 1)).mean.unflatten(0, grid.shape[:2])


class LogJoint(nn.Module):
    """What an exact posterior has for an encoder: x -> log p(x, z) of every value of z, (B, S)."""

    def __init__(self, model: VAE):
        super().__init__()
        self._model = (model,)  # in a tuple, so that the model is no submodule of its own

    def forward(self, x: Tensor) -> Tensor:
        return self._model[0].log_joint(x).T
