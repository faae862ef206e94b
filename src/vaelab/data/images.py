"""Images in memory: the storage that all data sets share, and their splits."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaelab.data.classes import Classes
from vaelab.data.factors import Factors


class Images:
    """N images of one shape, stored as bytes, packed to one bit per pixel, or as floats.

    Args:
        storage: (N, C * H * W) uint8 bytes with 255 for white, or (N, C * H * W / 8) uint8 packed
            bits, the first pixel in the highest bit (as `numpy.packbits` does), or (N, C * H * W)
            float32 for images that bytes can't represent.
        shape: (C, H, W).
        packed: whether storage holds bits.
        deviations: standard deviations, as storage, of the noise that training draws again at each
            step; None for images that are the same at each.

    Raises:
        ValueError: storage of another type or shape.
    """

    def __init__(
        self,
        storage: Tensor,
        shape: tuple[int, int, int],
        *,
        packed: bool = False,
        deviations: Tensor | None = None,
    ):
        num_pixels = shape[0] * shape[1] * shape[2]
        width = num_pixels // 8 if packed else num_pixels
        dtypes = (torch.uint8,) if packed else (torch.uint8, torch.float32)
        if storage.dtype not in dtypes or storage.ndim != 2 or storage.shape[1] != width:
            raise ValueError(
                f"storage expects {' or '.join(map(str, dtypes))} of shape (N, {width}), got "
                f"{storage.dtype} {tuple(storage.shape)}"
            )
        self.storage, self.shape, self.packed = storage, shape, packed
        self.deviations = deviations
        self._table = _unpack_table(storage.device) if packed else None

    def __len__(self) -> int:
        return len(self.storage)

    def to(self, device: torch.device) -> "Images":
        """The same images on another device."""
        if self.storage.device == device:
            return self
        deviations = None if self.deviations is None else self.deviations.to(device)
        storage = self.storage.to(device)
        return Images(storage, self.shape, packed=self.packed, deviations=deviations)

    def take(self, index: Tensor) -> Tensor:
        """Images by index: (B,) -> float32 (B, C, H, W) in [0, 1]."""
        rows = self.storage[index]
        if self._table is not None:
            # A 256 x 8 table: one gather instead of eight shifts and masks.
            x = self._table.index_select(0, rows.flatten().int())
        elif rows.dtype == torch.uint8:
            x = rows.float().div_(255)
        else:
            x = rows
        return x.view(-1, *self.shape)


def _unpack_table(device: torch.device) -> Tensor:
    """(256, 8) float32: the bits of every byte, highest first."""
    byte = torch.arange(256, device=device)[:, None]
    return (byte >> torch.arange(7, -1, -1, device=device) & 1).float()


@dataclass(frozen=True)
class Subset:
    """Some of the images: `index` (M,) int64 into `images`, or None for all, in order.

    `labels` are (M,) int64 classes, numbered from 0, where the data has them.
    """

    images: Images
    index: Tensor | None = None
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images) if self.index is None else len(self.index)

    def take_deviations(self, position: Tensor) -> Tensor | None:
        """Standard deviations (B, C, H, W) of the noise of images by their position, or None."""
        deviations = self.images.deviations
        if deviations is None:
            return None
        rows = position if self.index is None else self.index[position]
        return deviations[rows].view(-1, *self.images.shape)

    def take(self, position: Tensor) -> Tensor:
        """Images by their position in this subset: (B,) -> float32 (B, C, H, W) in [0, 1]."""
        return self.images.take(position if self.index is None else self.index[position])


@dataclass(frozen=True)
class Splits:
    """What a data set loads to.

    Attributes:
        train: what training draws from.
        val: what `val/` metrics are computed on.
        test: held out, or None where the protocol holds nothing out.
        factors: the ground-truth factors; image i of the storage shows `factors.unravel(i)`.
        checksum: digest of the stored images, and of the files of factors and labels beside a
            user's own: scores are kept for it.
        class_names: what figures call the labels 0, 1, ...; None for their numbers.
        labelled: positions in train of the images whose label is known in training; None for all.
        image_labels: (N,) labels of all images of the storage, -1 of those without; for a
            conditional model of data with factors.
        classes: what the labels number for a conditional model; None without a condition.
    """

    train: Subset
    val: Subset
    test: Subset | None = None
    factors: Factors | None = None
    checksum: str = ""
    class_names: tuple[str, ...] | None = None
    labelled: Tensor | None = None
    image_labels: Tensor | None = None
    classes: Classes | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.train.images.shape

    @property
    def num_classes(self) -> int:
        """The number of classes: of their names, else of the labels of all parts; 0 without."""
        if self.class_names is not None:
            return len(self.class_names)
        parts = [part.labels for part in (self.train, self.val, self.test) if part is not None]
        return max((int(labels.max()) + 1 for labels in parts if labels is not None), default=0)

    def to(self, device: torch.device) -> "Splits":
        """The same splits on another device; storage that splits share is moved once."""
        moved: dict[int, Images] = {}

        def move(subset: Subset) -> Subset:
            images = moved.setdefault(id(subset.images), subset.images.to(device))
            index = None if subset.index is None else subset.index.to(device)
            labels = None if subset.labels is None else subset.labels.to(device)
            return Subset(images, index, labels)

        test = None if self.test is None else move(self.test)
        return replace(self, train=move(self.train), val=move(self.val), test=test)
