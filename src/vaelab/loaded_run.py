"""A finished run from Python: its model on arrays, its config, its data."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from omegaconf import DictConfig
from torch import Tensor

from vaelab import build
from vaelab.bayes import log_posterior
from vaelab.data.classes import Classes
from vaelab.data.datamodule import ImageDataModule
from vaelab.data.factors import FactorSpace
from vaelab.errors import UserError, require, require_range
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.importance_weighted import class_log_likelihoods
from vaelab.models import VAE
from vaelab.runs.checkpoint import weights_digest
from vaelab.runs.folder import RunFolder
from vaelab.seeding import random_stream

BATCH_SIZE = 500


class Code(NamedTuple):
    """Mean and standard deviation of q(z|x) of each image, both (N, L)."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]


class Run:
    """A trained model with everything it was trained from.

    Images are arrays (N, C, H, W) in [0, 1], latents (N, L). The classes y of a conditional model
    are the number or the name of one class, the values of its factors such as
    {"shape": 2, "scale": 0}, or an array of class numbers (N,). Nothing here changes the run, and
    random numbers depend only on the seeds given.

    Attributes:
        folder: the run folder.
        config: the resolved config.
        model: the VAE, in evaluation mode.
        step: the step of the checkpoint.
        checkpoint: its file.
        data_root: where the data is stored now, if it has moved since training.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: DictConfig,
        model: VAE,
        step: int,
        checkpoint: Path,
        data_root: str | None = None,
    ):
        self.folder, self.config, self.model, self.step = folder, config, model, step
        self.checkpoint, self.data_root = checkpoint, data_root

    def __repr__(self) -> str:
        objective, data = (self.config[part]._target_ for part in ("objective", "data"))
        parts = f"{objective.rpartition('.')[2]} on {data.rpartition('.')[2]}"
        return f"<Run {self.folder.path}: {parts}, {self.checkpoint.name} at step {self.step:,}>"

    @cached_property
    def data(self) -> ImageDataModule:
        """The data module of the run; loaded at first use."""
        config = self.config
        if self.data_root is not None and "root" in config.data:
            config = config.copy()
            config.data.root = self.data_root
        return build.build_data(config)

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json."""
        return self.folder.read_metrics()

    @cached_property
    def weights_digest(self) -> str:
        """A hash of all weights."""
        return weights_digest(self.model)

    def encoded_dataset(self, **options: Any) -> EncodedDataset:
        """The model and its data as metrics see them; encodings are stored in codes/."""
        cache = self.folder.codes / f"{self.checkpoint.stem}.npz"
        key = f"{self.weights_digest}-{self.data.splits.checksum}-{self.data.pixels}"
        return EncodedDataset(self.model, self.data.splits, cache, key, **options)

    def classes(self, *, with_names: bool = True) -> Classes | None:
        """The classes of a conditional model; None of another. Their names need the data."""
        condition = self.model.condition
        if condition is None:
            return None
        space = FactorSpace(tuple(self.config.condition.factors or ["label"]), condition.sizes)
        return Classes(space, self.data.splits.class_names if with_names else None)

    def encode(self, x: ArrayLike, y: Any = None) -> Code:
        """Mean and standard deviation of q(z|x), or q(z|x, y): (N, C, H, W) -> two (N, L).

        Raises:
            UserError: the classes are missing, or are none of the model's.
        """
        images = self._images(x)
        condition, exact = self.model.condition, self.model.posterior.is_exact
        model = self._given(y, len(images), needed=exact or bool(condition and condition.encoder))
        parts = [view.encode(part) for view, part in _batches(model, images)]
        return Code(_array([q.mean for q in parts]), _array([q.stddev for q in parts]))

    def decode(self, z: ArrayLike, y: Any = None) -> NDArray[np.float32]:
        """Mean of p(x|z), or p(x|y, z): (N, L) -> (N, C, H, W).

        Raises:
            UserError: the classes are missing, or are none of the model's.
        """
        latents = self._tensor(z)
        if latents.ndim != 2 or latents.shape[1] != self.model.latent_dim:
            raise UserError(
                f"z expects latents of shape (N, {self.model.latent_dim}), got "
                f"{tuple(latents.shape)}; give one row per image."
            )
        condition = self.model.condition
        model = self._given(y, len(latents), needed=bool(condition and condition.decoder))
        return _array([view.decode(part).mean for view, part in _batches(model, latents)])

    def reconstruct(self, x: ArrayLike, y: Any = None) -> NDArray[np.float32]:
        """Mean of p(x|z) at the mean of q(z|x), or its mode: (N, C, H, W) -> (N, C, H, W).

        Raises:
            UserError: the classes are missing, or are none of the model's.
        """
        images = self._images(x)
        model = self._given(y, len(images), needed=True)
        return _array([view.reconstruct(part) for view, part in _batches(model, images)])

    def sample(self, num: int, seed: int = 0, y: Any = None) -> NDArray[np.float32]:
        """Means of p(x|z) for z drawn from the prior: (num, C, H, W).

        Those of a conditional model without y are of classes drawn from its p(y). The same seed
        draws the same z, or the same noise of it, for any y.

        Raises:
            UserError: y is no class of the model.
        """
        condition = self.model.condition
        if condition is not None and y is None:
            with random_stream("sample", "classes", seed):
                y = torch.multinomial(condition.log_prior.exp(), num, replacement=True).cpu()
        model = self._given(y, num, needed=True)
        with random_stream("sample", seed), torch.no_grad():
            z = model.sample_prior(num)
        return self.decode(z.cpu(), y)

    def traverse(
        self,
        x: ArrayLike,
        values: Sequence[float] = (-2, -1, 0, 1, 2),
        latents: Any = None,
        y: Any = None,
    ) -> NDArray[np.float32]:
        """Means of p(x|z), one latent at a time varied, the rest at an image's posterior mean.

        Args:
            x: (C, H, W), the image to start from.
            values: what each latent is set to, in standard deviations of the prior from its mean.
            latents: which latents, counted from 0; all by default.
            y: the class, at which all images of a conditional model stay.

        Returns:
            (latents, values, C, H, W).

        Raises:
            UserError: the class is missing, or is none of the model's.
        """
        model = self._given(y, 1, needed=True)
        z = torch.from_numpy(self.encode(np.asarray(x)[None], y).mean[0])
        chosen = range(self.model.latent_dim) if latents is None else latents
        prior, latents = model.prior(), list(chosen)
        center, scale = (v.flatten()[latents, None] for v in (prior.mean, prior.stddev))
        rows = center + scale * self._tensor(values)
        moved = model.traverse(z.to(self._device), latents, rows)
        return moved.cpu().numpy()

    def classify(self, x: ArrayLike, num_samples: int = 100, seed: int = 0) -> NDArray[np.float64]:
        """Probabilities of the classes given each image: (N, C, H, W) -> (N, classes).

        Those of the classifier q(y|x), where the model has one, else by Bayes' rule

            p(y|x) ~ p(y) exp L_K(x|y)

        with the bound L_K on log p(x|y) by K = num_samples samples of q(z|x, y), 100 by default,
        see `class_log_likelihoods`. The bound is loosest for wrong classes, so that fewer samples
        make for surer answers; report K with a result.

        Raises:
            UserError: the model has no classes, or its posterior no density.
        """
        images, condition = self._images(x), self.model.condition
        if self.model.classifier is not None:
            parts = [self.model.classify(part).probs for part in images.split(BATCH_SIZE)]
            return _array(parts).astype(np.float64)
        if condition is None:
            raise UserError(
                "classify expects a conditional model, got one without classes; train one with "
                "condition=label."
            )
        if not self.model.posterior.has_density:
            raise UserError(
                "classify expects a posterior with a density, got "
                f"{type(self.model.posterior).__name__}; train with a posterior such as gaussian."
            )
        require_range("num_samples", num_samples, at_least=1, integer=True, example=100)
        bounds = class_log_likelihoods(self.model, images, num_samples, seed)
        return log_posterior(bounds, condition.log_prior.double()).exp().T.cpu().numpy()

    def _given(self, y: Any, num: int, *, needed: bool) -> VAE:
        """The model of the classes of `num` images; the model itself if it has none."""
        classes = self.classes(with_names=isinstance(y, str))
        if classes is None:
            require(
                y is None,
                "y expects a conditional model, got classes for one without; leave it out.",
            )
            return self.model
        if y is not None:
            return self.model.given(classes.numbers(y, num).to(self._device))
        require(
            not needed,
            f"y expects the class ({classes.title}) of each image of this conditional model, got "
            "none; give y=0, or an array with one number per image.",
        )
        return self.model

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _tensor(self, values: ArrayLike) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self._device)

    def _images(self, x: ArrayLike) -> Tensor:
        images = self._tensor(x)
        if tuple(images.shape[1:]) != self.model.image_shape:
            shape = ", ".join(map(str, self.model.image_shape))
            raise UserError(
                f"x expects images of shape (N, {shape}), got {tuple(images.shape)}; "
                "reshape or resize them."
            )
        self.model.likelihood.check_support(images)
        return images


def _batches(model: VAE, rows: Tensor) -> Iterator[tuple[VAE, Tensor]]:
    """Parts of images or latents, each with the model of its classes."""
    return zip(model.split(BATCH_SIZE, max(1, len(rows))), rows.split(BATCH_SIZE), strict=True)


def _array(parts: Sequence[Tensor]) -> NDArray[np.float32]:
    return torch.cat(list(parts)).detach().cpu().numpy()
