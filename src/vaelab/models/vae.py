"""The latent-variable model: p(z), p(x|z) and q(z|x) made of interchangeable parts."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from vaelab.distributions import point_of, states
from vaelab.errors import UserError, require_range
from vaelab.likelihoods import Likelihood
from vaelab.models.condition import Condition
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

    With a condition it is a family of VAEs, one per class y: p(z|y), p(x|y, z) and q(z|x, y), of
    which `given(y)` is one. Its verbs need no more, so that the ELBO and every bound made of them
    are those of log p(x|y). Sohn et al. 2015, "Learning structured output representation using deep
    conditional generative models",
    https://papers.nips.cc/paper/2015/hash/8d55a249e6baa5c06772297520da2051-Abstract.html.

    Args:
        image_shape: (C, H, W) of x.
        latent_dim: L, the size of z.
        encoder: builds the network (image_shape, num_outputs, num_heads) -> module, with
            condition_dim where it sees the class.
        decoder: builds the network (latent_dim, output_shape) -> module, likewise.
        posterior: builds the map from raw encoder output to q(z|x), from latent_dim.
        prior: builds the module of p(z), from latent_dim and image_shape.
        likelihood: raw decoder output -> p(x|z).
        init: `glorot`, `kaiming` or `pytorch`, see `vaelab.models.initialization`.
        condition: the classes, None for an unconditional model.
        classifier: whether there is a q(y|x), a network of the encoder's shape.

    Raises:
        UserError: latent_dim is not a positive integer, a network rejects the shapes, or the prior
            rejects the posterior or the condition.
    """

    _given: Tensor | None = None  # the classes of a view, as vectors (*lead, B or 1, dim)

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
        condition: Condition | None = None,
        classifier: bool = False,
    ):
        super().__init__()
        require_range("latent_dim", latent_dim, at_least=1, integer=True, example=10)
        self.image_shape = tuple(image_shape)
        self.latent_dim = latent_dim
        self.posterior, self.condition = posterior(latent_dim), condition
        in_encoder = condition.encoder_options if condition else {}
        in_decoder = condition.decoder_options if condition else {}
        if condition:
            condition.check_posterior(self.posterior)
        channels, height, width = image_shape
        output_shape = (channels * likelihood.channels_per_pixel, height, width)
        num_params, num_heads = self.posterior.num_params, self.posterior.num_heads
        self.encoder: nn.Module = nn.Identity()  # where p(z|x) is enumerated
        if not self.posterior.is_exact:
            self.encoder = encoder(self.image_shape, num_params, num_heads, **in_encoder)
        self.decoder = decoder(latent_dim, output_shape, **in_decoder)
        self.latent_prior = prior(latent_dim, self.image_shape)
        self.latent_prior.require_kind(self.posterior)
        self.latent_prior.check_posterior(self.posterior(torch.zeros(1, num_params)))
        self.latent_prior.condition_on(condition.dim if condition else 0, bool(in_encoder))
        self.likelihood = likelihood
        initialize(self.encoder, init)
        initialize(self.decoder, init)
        self._encoder_of, self._init = encoder, init
        self.classifier: nn.Module | None = None
        if classifier:
            self.classifier = self.new_classifier()

    def new_classifier(self) -> nn.Module:
        """A network x -> logits (B, C) of the encoder's shape, with weights of its own.

        Raises:
            UserError: there are no classes.
        """
        if self.condition is None:
            raise UserError(
                "classifier expects a conditional model, got one without classes; use a condition."
            )
        network = self._encoder_of(self.image_shape, self.condition.num_classes, 1)
        initialize(network, self._init)
        return network

    @property
    def num_pixels(self) -> int:
        """C * H * W."""
        return math.prod(self.image_shape)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is learned, as groups of an optimiser: the networks, then what has its own settings.

        The latter are the `parameter_groups` of the likelihood.
        """
        groups = self.likelihood.parameter_groups()
        own = {id(parameter) for group in groups for parameter in group["params"]}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in own]
        return [{"params": rest}, *groups]

    @property
    def num_classes(self) -> int:
        """C, the number of classes of a conditional model, else 0."""
        return self.condition.num_classes if self.condition else 0

    def given(self, y: Tensor) -> "VAE":
        """The model of the classes y, a view with the same parameters and the same verbs.

        Its `encode`, `decode` and `prior` are q(z|x, y), p(x|y, z) and p(z|y), with batch shapes
        that y is broadcast against: y (B,) is for B images, y (1,) for any number of one class, and
        `torch.arange(C)[:, None]` for each image with each class, of which terms are (C, B).

        Args:
            y: (*lead, B or 1) int64, class numbers; or (*lead, B or 1, dim) floating-point vectors
                in place of one-hot ones, such as relaxed samples.
        """
        if self.condition is None:
            raise UserError(
                "given expects a conditional model, got one without classes; use a condition."
            )
        return self._view(y if y.is_floating_point() else self.condition(y))

    def split(self, size: int, num: int) -> Iterator["VAE"]:
        """The views of each `size` of the first `num` images; one class is the same for all."""
        given = self._given
        for start in range(0, num, size):
            view = self
            if given is not None and given.shape[-2] > 1:
                view = self._view(given[..., start : min(start + size, num), :])
            yield view

    def _view(self, vectors: Tensor) -> "VAE":
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view.__dict__["_given"] = vectors
        return view

    def change_classes(self, change: Callable[[Tensor], Tensor]) -> "VAE":
        """The view with changed vectors of classes; an unconditional model is the same."""
        return self if self._given is None else self._view(change(self._given))

    def each_class(self) -> "VAE":
        """The model of every class beside each other: terms (C, B) of B images."""
        y = torch.arange(self.num_classes, device=next(self.parameters()).device)
        return self.given(y[:, None])

    @property
    def _vectors(self) -> Tensor:
        """The classes of a view as vectors.

        Raises:
            UserError: the model is no view.
        """
        if self._given is None:
            raise UserError("a conditional model expects classes, got none; use model.given(y).")
        return self._given

    def classify(self, x: Tensor) -> Categorical:
        """q(y|x) over the classes: x (B, C, H, W) -> batch (B,).

        Raises:
            UserError: the model has no classifier.
        """
        if self.classifier is None:
            raise UserError(
                "classify expects a model with a classifier q(y|x), got one without; train one "
                "with classifier=True, or classify by Bayes' rule."
            )
        logits = self.classifier(x)
        half = logits.dtype in (torch.bfloat16, torch.float16)
        return Categorical(logits=logits.float() if half else logits, validate_args=False)

    def encode_raw(self, x: Tensor) -> Tensor:
        """What the posterior is made of: the encoder's output (B, num_params).

        Of an exact posterior it is log p(x, z) of every value of z, (B, S).
        """
        if self.posterior.is_exact:
            return self.log_joint(x).movedim(0, -1)
        if self.condition is None:
            return self.encoder(x)
        if self.condition.encoder:
            return self.encoder(x, self._vectors)
        raw = self.encoder(x)
        return raw if self._given is None else raw.expand(*self._given.shape[:-2], *raw.shape)

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x): x (B, C, H, W) -> batch (B,), event (L,)."""
        return self.posterior(self.encode_raw(x))

    def prior(self) -> Distribution:
        """p(z): batch (), event (L,); p(z|y) of a conditional prior has the batch shape of y."""
        if self.latent_prior.is_conditional:
            return self.latent_prior(self.encode, self._vectors)
        if self.latent_prior.is_of_posteriors:  # of images without a class
            return self.latent_prior(lambda x: self.posterior(self.encoder(x)))
        return self.latent_prior(self.encode)

    def sample_prior(self, *shape: int) -> Tensor:
        """Draws of z ~ p(z), or of p(z|y) where the last size is that of y: (*shape, L)."""
        p_z = self.prior()
        if not p_z.batch_shape:
            return p_z.sample(shape)
        return p_z.expand(shape[-1:]).sample(shape[:-1])

    @torch.no_grad()
    def distributions(self) -> tuple[Distribution, Distribution]:
        """q(z|x) of an encoder output of zeros, batch (1,), and p(z), for checks of their types."""
        raw = next(self.decoder.parameters()).new_zeros(1, self.posterior.num_params)
        model = self
        if self.condition is not None and self._given is None:
            model = self.given(torch.zeros(1, dtype=torch.int64, device=raw.device))
        return self.posterior(raw), model.prior()

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z): z (*sample, B, L) -> batch (*sample, B), event (C, H, W)."""
        return self.likelihood(self.decode_raw(z))

    def decode_raw(self, z: Tensor) -> Tensor:
        """What the likelihood is made of: z (*sample, B, L) -> (*sample, B, C', H, W)."""
        if self.condition is None or not self.condition.decoder:
            raw = self.decoder(z.flatten(0, -2))
            return raw.unflatten(0, z.shape[:-1]) if z.ndim != 2 else raw
        vectors = self._vectors
        shape = torch.broadcast_shapes(z.shape[:-1], vectors.shape[:-1])
        rows = [part.expand(*shape, -1).flatten(0, -2) for part in (z, vectors)]
        return self.decoder(*rows).unflatten(0, shape)

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, z) of every value of a discrete z: (B, C, H, W) -> (S, *lead, B) in nats.

        Its logsumexp over the S values is log p(x), exactly.

        Raises:
            UserError: z is not discrete, or has too many values.
        """
        p_z = self.prior()
        z = states(p_z)
        if self.condition is None or not self.condition.decoder:
            log_likelihood = self.likelihood.pairwise_log_prob(self.decoder(z), x)
            return p_z.log_prob(z)[:, None] + log_likelihood
        z = z.view(-1, *[1] * (self._vectors.ndim - 1), z.shape[-1])
        return p_z.log_prob(z) + self.decode(z).log_prob(x)

    @torch.no_grad()
    def sample(self, num: int) -> Tensor:
        """`num` means of p(x|z) at z ~ p(z): (num, C, H, W)."""
        return self.decode(self.sample_prior(num)).mean

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
