"""A finished run from Python: its model on arrays, its config, its data."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from vaelab import build
from vaelab.data.datamodule import ImageDataModule
from vaelab.errors import UserError
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.models import VAE
from vaelab.runs.checkpoint import load_checkpoint, weights_digest
from vaelab.runs.config import require_current
from vaelab.runs.folder import RunFolder
from vaelab.seeding import random_stream

BATCH = 500


class Code(NamedTuple):
    """What q(z|x) says of each image: `mean` and `std`, both (N, L)."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]


class Run:
    """A trained model with everything it was trained from.

    Images are arrays (N, C, H, W) in [0, 1], latents (N, L). Nothing here changes the run, and the
    random numbers are a function of the seeds given, not of what ran before.

    Attributes:
        folder: the run folder.
        config: the resolved config.
        model: the VAE, in evaluation mode.
        step: the step of the checkpoint.
        checkpoint: its file.
    """

    def __init__(
        self, folder: RunFolder, config: DictConfig, model: VAE, step: int, checkpoint: Path
    ):
        self.folder, self.config, self.model, self.step = folder, config, model, step
        self.checkpoint = checkpoint

    @cached_property
    def data(self) -> ImageDataModule:
        """The data module of the run; loads at the first use."""
        return build.build_data(self.config)

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json."""
        return self.folder.read_metrics()

    @cached_property
    def weights_digest(self) -> str:
        """Changes with any weight."""
        return weights_digest(self.model)

    def encoded_dataset(self, **options: Any) -> EncodedDataset:
        """The run as metrics see it; what it encodes is kept in the folder's codes/."""
        cache = self.folder.codes / f"{self.checkpoint.stem}.npz"
        key = f"{self.weights_digest}-{self.data.splits.checksum}-{self.data.pixels}"
        return EncodedDataset(self.model, self.data.splits, cache, key, **options)

    def encode(self, x: ArrayLike) -> Code:
        """Mean and standard deviation of q(z|x): (N, C, H, W) -> two (N, L)."""
        parts = [self.model.encode(batch) for batch in self._images(x).split(BATCH)]
        return Code(_array([q.mean for q in parts]), _array([q.stddev for q in parts]))

    def decode(self, z: ArrayLike) -> NDArray[np.float32]:
        """Mean of p(x|z): (N, L) -> (N, C, H, W)."""
        latents = self._tensor(z)
        if latents.ndim != 2 or latents.shape[1] != self.model.latent_dim:
            raise UserError(
                f"decode expects latents of shape (N, {self.model.latent_dim}), got "
                f"{tuple(latents.shape)}; give one row an image."
            )
        return _array([self.model.decode(batch).mean for batch in latents.split(BATCH)])

    def reconstruct(self, x: ArrayLike) -> NDArray[np.float32]:
        """Mean of p(x|z) at the mean of q(z|x): (N, C, H, W) -> (N, C, H, W)."""
        return self.decode(self.encode(x).mean)

    def sample(self, num: int, seed: int = 0) -> NDArray[np.float32]:
        """Means of p(x|z) for z drawn from the prior: (num, C, H, W)."""
        with random_stream("sample", seed), torch.no_grad():
            z = self.model.prior().sample(torch.Size([num]))
        return self.decode(z.cpu())

    def traverse(
        self, x: ArrayLike, values: Sequence[float] = (-2, -1, 0, 1, 2), latents: Any = None
    ) -> NDArray[np.float32]:
        """One latent at a time moved, the others at the posterior mean of an image.

        Args:
            x: (C, H, W), the image to start from.
            values: what each latent is set to, in standard deviations of the prior from its mean.
            latents: which latents, all by default.

        Returns:
            (latents, values, C, H, W).
        """
        z = torch.from_numpy(self.encode(np.asarray(x)[None]).mean[0])
        chosen = range(self.model.latent_dim) if latents is None else latents
        prior, latents = self.model.prior(), list(chosen)
        center, scale = prior.mean[latents, None], prior.stddev[latents, None]
        rows = center + scale * self._tensor(values)
        moved = self.model.traverse(z.to(self._device), latents, rows)
        return moved.cpu().numpy()

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
                f"this model expects images of shape (N, {shape}), got {tuple(images.shape)}; "
                "reshape or resize them."
            )
        self.model.likelihood.check_support(images)
        return images


def load_run(
    folder: str | os.PathLike, checkpoint: str = "last", device: str | torch.device = "cpu"
) -> Run:
    """Load a run from its folder or a checkpoint alone.

    Args:
        folder: what the run printed at its end, such as outputs/main/<time>; or a checkpoint. One
            that lies outside a run folder gets a folder beside it for what is found out about it.
        checkpoint: "last", or "best" for the best val/elbo (without one, val/reconstruction).
        device: where the model goes.

    Raises:
        UserError: no run lies there, or the checkpoint is missing, damaged or foreign.
    """
    run, path = _checkpoint(Path(folder), checkpoint)
    content = load_checkpoint(path)
    config = require_current(OmegaConf.create(content["config"]), path)
    state = content["state_dict"]
    with random_stream("load"):
        shape = tuple(content["image_shape"])
        model = build.build_model(config, shape)
    weights = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    model.load_state_dict(weights)
    model = model.to(device).eval().requires_grad_(False)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)  # twice as fast, as in training
    return Run(run, config, model, content["global_step"], path)


def _checkpoint(path: Path, name: str) -> tuple[RunFolder, Path]:
    """The run folder and the checkpoint that are meant."""
    if path.is_file():
        above = path.parent.parent
        inside = path.parent.name == "checkpoints" and (above / "status.json").exists()
        return RunFolder(above if inside else path.with_suffix("")), path
    run = RunFolder(path)
    run.status()
    files = {"last": run.last_checkpoint, "best": run.best_checkpoint}
    file = files.get(name)
    if file is None or not file.exists():
        there = [known for known, file in files.items() if file.exists()]
        raise UserError(
            f"expected a checkpoint called last or best in {run.path}, got {name!r}; there "
            f"is {' and '.join(there) or 'none yet, go on with resume='}."
        )
    return run, file


def _array(parts: Sequence[Tensor]) -> NDArray[np.float32]:
    return torch.cat(list(parts)).detach().cpu().numpy()
