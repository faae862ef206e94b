"""MNIST: 70,000 grey images of handwritten digits, 28 x 28, from files in the IDX format."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.cache import checksum
from vaelab.data.images import Images, Splits, Subset
from vaelab.data.splitting import split_off
from vaelab.errors import UserError, require

_NUM_SAMPLE = 10_000
_FILES = tuple(f"{p}-{k}-ubyte" for p in ("train", "t10k") for k in ("images-idx3", "labels-idx1"))


class MNIST:
    """MNIST: 60,000 images less `num_val` for training, 10,000 for test; labels are the digits.

    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998,
    https://doi.org/10.1109/5.726791

    Args:
        root: the data folder, with the files in MNIST/raw; downloaded if missing.
        num_val: images taken from the training part for validation, never from the test part; 0
            trains on all 60,000, and validation is a sample of them, NOT held out.
        split_seed: seed of the split.
    """

    name: ClassVar[str] = "mnist"
    torchvision_name: ClassVar[str] = "MNIST"  # of the class in torchvision.datasets and its folder
    class_names: ClassVar[tuple[str, ...] | None] = None

    def __init__(self, root: str | Path, num_val: int = 10_000, split_seed: int = 0):
        self.root, self.num_val, self.split_seed = Path(root).expanduser(), num_val, split_seed

    def load(self) -> Splits:
        """Grey images (1, 28, 28) with one of ten classes as label.

        Raises:
            UserError: no files and no network, or damaged files.
        """
        folder = self.root / self.torchvision_name / "raw"
        if not all((folder / file).is_file() for file in _FILES):
            self._download(folder)
        content = [read_idx(folder / file) for file in _FILES]
        train_images, train_labels = _to_tensors(content[0], content[1], folder, "train")
        test_images, test_labels = _to_tensors(content[2], content[3], folder, "t10k")
        everything = torch.arange(len(train_labels))
        num = self.num_val or _NUM_SAMPLE
        train, val = split_off(everything, num, self.split_seed, "num_val")
        if self.num_val == 0:  # as published runs without a validation part train
            train = everything
        return Splits(
            train=Subset(train_images, train, train_labels[train]),
            val=Subset(train_images, val, train_labels[val]),
            test=Subset(test_images, None, test_labels),
            checksum=checksum(*content),
            class_names=self.class_names,
        )

    def _download(self, folder: Path) -> None:
        import torchvision.datasets  # takes seconds, and only the first run needs it

        try:
            getattr(torchvision.datasets, self.torchvision_name)(self.root, download=True)
        except (OSError, RuntimeError) as error:  # URLError is an OSError
            raise UserError(
                f"root expects {self.torchvision_name} in {folder} or a network to download it, "
                f"got: {' '.join(str(error).split())}; put {', '.join(_FILES)} there, or set "
                f"data_root or the environment variable VAELAB_DATA_DIR (now {self.root}) to the "
                "folder that has them."
            ) from error


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An IDX file of bytes: 0, 0, 8 (unsigned byte), D, then D sizes (big-endian int32), then data.

    Raises:
        UserError: another type, or more or fewer bytes than the header says.
    """
    content = path.read_bytes()
    num_dims = content[3] if len(content) >= 4 and content[:3] == b"\x00\x00\x08" else 0
    start = 4 + 4 * num_dims
    if num_dims == 0 or len(content) < start:
        raise _damage(path, "an IDX file of bytes (00 00 08 ..)", content[:4].hex(" ") or "nothing")
    shape = tuple(np.frombuffer(content, ">i4", num_dims, offset=4).tolist())
    if len(content) != start + int(np.prod(shape)):
        expected = f"{start + int(np.prod(shape))} bytes for {shape}"
        raise _damage(path, expected, f"{len(content)} bytes")
    # Of a bytearray, so that torch may share the memory, which it wants to be writable.
    return np.frombuffer(bytearray(content), np.uint8, offset=start).reshape(shape)


def _to_tensors(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], folder: Path, part: str
) -> tuple[Images, Tensor]:
    require(
        images.ndim == 3 and labels.shape == images.shape[:1],
        f"{folder} expects as many {part} images (N, H, W) as labels (N,), got {images.shape} and "
        f"{labels.shape}; delete the folder and run again.",
    )
    rows = torch.from_numpy(images.reshape(len(images), -1))
    return Images(rows, (1, *images.shape[1:])), torch.from_numpy(labels).long()


def _damage(path: Path, expected: str, got: str) -> UserError:
    return UserError(
        f"{path} expects {expected}, got {got}: the file is damaged; delete it and run again to "
        "download it again."
    )
