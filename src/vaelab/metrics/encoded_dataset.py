"""A model and its data set as metrics see them: every image is encoded at most once."""

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.distributions import Distribution

from vaelab.data.images import Splits, Subset
from vaelab.errors import UserError, require, require_choice
from vaelab.files import write_atomically
from vaelab.metrics.factor_dataset import FactorDataset, Rows, require_codes
from vaelab.models import VAE
from vaelab.seeding import random_stream

# Pixels encoded at once: on a CPU 64 images of 64 x 64, which stay in its cache and take half the
# time per image that 500 do.
PIXELS_AT_ONCE = {"cpu": 2**18, "other": 2**23}
SAVED_EVERY = 100_000  # images encoded between two writes of the cache
CODES = ("mean", "sampled")


class EncodedDataset:
    """Encodes images when first asked for them, in batches, and then looks them up.

    It stores the raw output of the encoder, from which the posterior makes means, samples and
    parameters alike: 59 MB for the means and scales of all of dSprites.

    Args:
        model: in evaluation mode.
        splits: its data. With factors, rows are all images, as the factors count them; without,
            they are the evaluation images.
        cache: a file that stores the encodings; written by `save` and every 100,000 images.
        cache_key: what the encodings depend on (weights, data); a cache of another key is ignored.
        progress: wraps the iterable of batches, as tqdm does.

    Attributes:
        split: "test" where the data has test images, else "val".
        images: the images that rows index.
        evaluation_rows: the rows of the evaluation images, on which likelihoods are measured.
        results: what metrics leave for figures, by its type.
    """

    def __init__(
        self,
        model: VAE,
        splits: Splits,
        cache: Path | None = None,
        cache_key: str = "",
        progress: Callable[[Iterable], Iterable] = iter,
    ):
        self.model, self.splits, self.progress = model, splits, progress
        self.cache, self.cache_key = cache, cache_key
        self._num_unsaved = 0
        self.results: dict[type, Any] = {}
        self.split = "val" if splits.test is None else "test"
        subset = splits.val if splits.test is None else splits.test
        if splits.factors is None:
            self.images = subset
            self.evaluation_rows = np.arange(len(subset))
        else:
            self.images = Subset(subset.images, None, splits.image_labels)
            index = torch.arange(len(subset)) if subset.index is None else subset.index.cpu()
            self.evaluation_rows = index.numpy()

    def given(self, rows: Rows) -> VAE:
        """The model of the images in rows: that of their classes, where it is conditional.

        Raises:
            UserError: an image without a class.
        """
        if self.model.condition is None:
            return self.model
        return self.model.given(self.classes(rows).to(self.device))

    def classes(self, rows: Rows) -> Tensor:
        """The classes of the images in rows: (M,) int64.

        Raises:
            UserError: an image without a class.
        """
        labels = self.images.labels
        y = None if labels is None else labels[torch.from_numpy(rows).to(labels.device)]
        if y is None or bool((y < 0).any()):
            raise UserError(
                "labels expects the class of each image, got images without; use data with labels."
            )
        return y

    @property
    def latent_dim(self) -> int:
        """L."""
        return self.model.latent_dim

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def x(self, rows: Rows) -> Tensor:
        """Images (M, C, H, W) on the model's device."""
        where = self.images.images.storage.device
        return self.images.take(torch.from_numpy(rows).to(where)).to(self.device)

    def posterior(self, rows: Rows) -> Distribution:
        """q(z|x) of the images in rows: batch (M,), event (L,)."""
        return self.model.posterior(torch.from_numpy(self.raw(rows)).to(self.device))

    def means(self, rows: Rows) -> NDArray[np.float32]:
        """Means of q(z|x): (M,) -> (M, L)."""
        return self.posterior(rows).mean.cpu().numpy()

    def samples(self, rows: Rows, rng: np.random.Generator) -> NDArray[np.float32]:
        """One sample of q(z|x) for every entry of rows: (M,) -> (M, L)."""
        with random_stream("codes", int(rng.integers(2**62))):
            return self.posterior(rows).sample().cpu().numpy()

    def codes(self, rows: Rows, codes: str, rng: np.random.Generator) -> NDArray[np.float32]:
        """`means` or `samples`, for `codes` "mean" or "sampled"."""
        require_choice("codes", codes, CODES)
        return self.means(rows) if codes == "mean" else self.samples(rows, rng)

    @cached_property
    def factor_names(self) -> tuple[str, ...]:
        """The names of the factors that vary.

        Raises:
            UserError: the data has no factors.
        """
        space = self.splits.factors
        if space is None:
            raise UserError(
                "this metric expects ground-truth factors of the images, got data without (labels "
                "are none); use data with factors, such as dsprites or your own images with a file "
                "of factors, or a metric that needs none."
            )
        return space.varying

    @cached_property
    def factors(self) -> NDArray[np.integer]:
        """The values of the factors that vary, numbered from 0, of all images: (N, F).

        Raises:
            UserError: the data has no factors, or not those of each image.
        """
        names, space = self.factor_names, self.splits.factors
        assert space is not None
        require(
            len(space) == len(self.images),
            f"factors expects one image for each of their {len(space)} combinations, got "
            f"{len(self.images)} images; give a full grid, or a FactorTable of what there is.",
        )
        index = torch.arange(len(space))
        values = torch.stack([space.values(index, name) for name in names], 1).numpy()
        return values.astype(np.min_scalar_type(max(space.sizes)))

    def factor_dataset(self, codes: str, rng: np.random.Generator) -> FactorDataset:
        """All images with their factors, and `codes` looked up by row.

        Raises:
            UserError: the data has no factors.
        """
        return self._factor_dataset.with_codes_at(
            lambda rows: require_codes(self.codes(rows, codes, rng))
        )

    @cached_property
    def _factor_dataset(self) -> FactorDataset:
        return FactorDataset(self.factors, self.means, self.factor_names)

    def raw(self, rows: Rows) -> NDArray[np.float32]:
        """The encoder's output (M, P) for the images in rows; encodes those not yet encoded."""
        missing = np.unique(rows[~self._known[rows]])
        self._encode(missing)
        return self._table[rows]

    @torch.no_grad()
    def _encode(self, rows: Rows) -> None:
        pixels = PIXELS_AT_ONCE["cpu" if self.device.type == "cpu" else "other"]
        size = max(1, pixels // self.model.num_pixels)
        batches = np.split(rows, range(size, len(rows), size)) if len(rows) else []
        with torch.autocast(self.device.type, enabled=False):
            for batch in self.progress(batches) if len(batches) > 1 else batches:
                raw = self.given(batch).encode_raw(self.x(batch))
                self._table[batch] = raw.float().cpu().numpy()
                self._known[batch] = True
                self._num_unsaved += len(batch)
                if self._num_unsaved >= SAVED_EVERY:
                    self.save()

    def save(self) -> None:
        """Write the encodings to the cache file, if there is one and any are new."""
        if self.cache is None or not self._num_unsaved:
            return
        buffer = io.BytesIO()
        np.savez(buffer, key=np.array(self.cache_key), known=self._known, table=self._table)
        write_atomically(self.cache, lambda file: file.write(buffer.getbuffer()))
        self._num_unsaved = 0

    @cached_property
    def _tables(self) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which rows are encoded, (N,), and the encoder's output, (N, P)."""
        num, width = len(self.images), self.model.posterior.num_params
        if self.cache is not None and self.cache.exists():
            try:
                with self.cache.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                    stored: dict[str, Any] = dict(file)
            except (OSError, ValueError, zipfile.BadZipFile, EOFError):
                stored = {}  # unreadable: encode again
            if stored and str(stored["key"]) == self.cache_key:
                known, table = stored["known"], stored["table"]
                if known.shape == (num,) and table.shape == (num, width):
                    return known, table
        return np.zeros(num, bool), np.zeros((num, width), np.float32)

    @property
    def _known(self) -> NDArray[np.bool_]:
        return self._tables[0]

    @property
    def _table(self) -> NDArray[np.float32]:
        return self._tables[1]


class PrecomputedCodes:
    """Codes (N, L) of N images, and their factors (N, F), for metrics that need no model.

        MIG()(PrecomputedCodes(codes, factors))

    Images are drawn from the N, as they are from a data set.

    Args:
        codes: (N, L), finite; the only ones, whether a metric asks for means or samples.
        factors: (N, F), the value of each factor, of any type; None where there are none.
        names: of the factors.

    Raises:
        UserError: other shapes, codes that are not finite, or a factor that never varies.
    """

    def __init__(
        self, codes: ArrayLike, factors: ArrayLike | None = None, names: Sequence[str] = ()
    ):
        self.table = require_codes(codes)
        self.images = range(len(self.table))
        self._dataset = None if factors is None else FactorDataset.of(self.table, factors, names)

    def codes(self, rows: Rows, codes: str, rng: np.random.Generator) -> NDArray[np.floating]:
        """The codes of the images in rows: (M,) -> (M, L)."""
        return self.table[rows]

    def factor_dataset(self, codes: str, rng: np.random.Generator) -> FactorDataset:
        """All images with their codes and factors.

        Raises:
            UserError: there are no factors.
        """
        if self._dataset is None:
            raise UserError(
                "this metric expects the factors of the images, got none; give "
                "PrecomputedCodes(codes, factors)."
            )
        return self._dataset

    @property
    def factors(self) -> NDArray[np.integer]:
        """The values of the factors, numbered from 0: (N, F)."""
        return self.factor_dataset("mean", np.random.default_rng(0)).factors

    @property
    def factor_names(self) -> tuple[str, ...]:
        """The names of the factors."""
        return self.factor_dataset("mean", np.random.default_rng(0)).names


AnyCodes = EncodedDataset | PrecomputedCodes
