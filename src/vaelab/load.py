"""Finished runs from Python: the model on arrays, the config, the data."""

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
from vaelab.runs.folder import RunFolder, find_runs
from vaelab.seeding import random_stream

BATCH_SIZE = 500


class Code(NamedTuple):
    """Mean and standard deviation of q(z|x) of each image, both (N, L)."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]


class Run:
    """A trained model with everything it was trained from.

    Images are arrays (N, C, H, W) in [0, 1], latents (N, L). Nothing here changes the run, and
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

    def encode(self, x: ArrayLike) -> Code:
        """Mean and standard deviation of q(z|x): (N, C, H, W) -> two (N, L)."""
        parts = [self.model.encode(batch) for batch in self._images(x).split(BATCH_SIZE)]
        return Code(_array([q.mean for q in parts]), _array([q.stddev for q in parts]))

    def decode(self, z: ArrayLike) -> NDArray[np.float32]:
        """Mean of p(x|z): (N, L) -> (N, C, H, W)."""
        latents = self._tensor(z)
        if latents.ndim != 2 or latents.shape[1] != self.model.latent_dim:
            raise UserError(
                f"z expects latents of shape (N, {self.model.latent_dim}), got "
                f"{tuple(latents.shape)}; give one row per image."
            )
        return _array([self.model.decode(batch).mean for batch in latents.split(BATCH_SIZE)])

    def reconstruct(self, x: ArrayLike) -> NDArray[np.float32]:
        """Mean of p(x|z) at the mean of q(z|x), or its mode: (N, C, H, W) -> (N, C, H, W)."""
        images = self._images(x)
        return _array([self.model.reconstruct(part) for part in images.split(BATCH_SIZE)])

    def sample(self, num: int, seed: int = 0) -> NDArray[np.float32]:
        """Means of p(x|z) for z drawn from the prior: (num, C, H, W)."""
        with random_stream("sample", seed), torch.no_grad():
            z = self.model.prior().sample(torch.Size([num]))
        return self.decode(z.cpu())

    def traverse(
        self, x: ArrayLike, values: Sequence[float] = (-2, -1, 0, 1, 2), latents: Any = None
    ) -> NDArray[np.float32]:
        """Means of p(x|z), one latent at a time varied, the rest at an image's posterior mean.

        Args:
            x: (C, H, W), the image to start from.
            values: what each latent is set to, in standard deviations of the prior from its mean.
            latents: which latents, counted from 0; all by default.

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
                f"x expects images of shape (N, {shape}), got {tuple(images.shape)}; "
                "reshape or resize them."
            )
        self.model.likelihood.check_support(images)
        return images


def load_run(
    folder: str | os.PathLike,
    checkpoint: str = "last",
    device: str | torch.device = "cpu",
    data_root: str | None = None,
) -> Run:
    """Load a run from its folder or from a checkpoint alone.

    Args:
        folder: what the run printed at its end, such as outputs/main/<time>; or a checkpoint. A
            checkpoint outside a run folder gets a folder beside it for what is computed about it.
        checkpoint: "last", or "best" for the best val/elbo (without one, val/reconstruction).
        device: of the model.
        data_root: where the data is stored now, if it has moved since training.

    Raises:
        UserError: there is no run, or the checkpoint is missing, damaged or of another program.
    """
    run, path = _find_checkpoint(Path(folder), checkpoint)
    content = load_checkpoint(path)
    config = require_current(OmegaConf.create(content["config"]), path)
    state = content["state_dict"]
    with random_stream("load"):
        shape = tuple(content["image_shape"])
        model = build.build_model(config, shape, content["class_sizes"])
    weights = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} expects the weights of its config, got others: {reason}; use another "
            "checkpoint of the run."
        ) from error
    model = model.to(device).eval().requires_grad_(False)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)  # twice as fast, as in training
    return Run(run, config, model, content["global_step"], path, data_root)


def load_runs(
    folder: str | os.PathLike,
    checkpoint: str = "last",
    device: str | torch.device = "cpu",
    data_root: str | None = None,
) -> list[Run]:
    """Load all finished runs below a folder, such as those of a sweep, in order of their names.

    Args: as for `load_run`.

    Raises:
        UserError: there is no finished run, or one that can't be loaded.
    """
    paths = find_finished_runs(folder)
    return [load_run(path, checkpoint, device, data_root) for path in paths]


def find_finished_runs(folder: str | os.PathLike) -> list[Path]:
    """The finished runs below a folder; a run by its own path also if it has not finished.

    Runs that a callback such as EarlyStopping stopped count as finished.

    Raises:
        UserError: there is none.
    """
    runs = find_runs(folder)
    if len(runs) == 1:
        return [runs[0].path]
    finished = [run.path for run in runs if run.state().is_trained]
    if not finished:
        raise UserError(
            f"expected finished runs below {folder}, got {len(runs)} of which none has finished; "
            "resume them with resume=, or name one by its own path."
        )
    return finished


def _find_checkpoint(path: Path, name: str) -> tuple[RunFolder, Path]:
    """The run folder and the checkpoint of a path and a name."""
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
            f"is {' and '.join(there) or 'none yet, resume the run with resume='}."
        )
    return run, file


def _array(parts: Sequence[Tensor]) -> NDArray[np.float32]:
    return torch.cat(list(parts)).detach().cpu().numpy()
