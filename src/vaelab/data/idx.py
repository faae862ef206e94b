"""Sets in the IDX format, four files each, as MNIST and Fashion-MNIST are."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.cache import checksum
from vaelab.data.images import Images, Splits, Subset
from vaelab.data.splitting import carve
from vaelab.errors import UserError, require

_NUM_SAMPLE = 10_000
_FILES = tuple(f"{p}-{k}-ubyte" for p in ("train", "t10k") for k in ("images-idx3", "labels-idx1"))


def load_idx(root: Path, torchvision_name: str, num_val: int, split_seed: int) -> Splits:
    """The set of that name below `root`, downloaded by torchvision where files are missing.

    Args:
        root: the data folder; the files are in root/<name>/raw, as torchvision has them.
        torchvision_name: of the class in `torchvision.datasets`, and of the folder.
        num_val: images taken off the training part for validation; with 0 all are for training,
            and validation is a sample of them, NOT held out.
        split_seed: which ones.

    Raises:
        UserError: no files and no network, or damaged files.
    """
    folder = root / torchvision_name / "raw"
    if not all((folder / file).is_file() for file in _FILES):
        _download(root, torchvision_name, folder)
    content = [read_idx(folder / file) for file in _FILES]
    train_images, train_labels = _checked(content[0], content[1], folder, "train")
    test_images, test_labels = _checked(content[2], content[3], folder, "t10k")
    everything = torch.arange(len(train_labels))
    if num_val == 0:  # as published runs without a validation part train
        train, (_, val) = everything, carve(everything, _NUM_SAMPLE, split_seed, "data.num_val")
    else:
        train, val = carve(everything, num_val, split_seed, "data.num_val")
    return Splits(
        train=Subset(train_images, train, train_labels[train]),
        val=Subset(train_images, val, train_labels[val]),
        test=Subset(test_images, None, test_labels),
        checksum=checksum(*content),
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An IDX file of bytes: 0, 0, 8 (unsigned byte), D, then D sizes (big-endian int32), then data.

    Raises:
        UserError: another type, or more or fewer bytes than the header says.
    """
    content = path.read_bytes()
    num_dims = content[3] if len(content) >= 4 and content[:3] == b"\x00\x00\x08" else 0
    start = 4 + 4 * num_dims
    if num_dims == 0 or len(content) < start:
        raise _damaged(
            path, "an IDX file of bytes (00 00 08 ..)", content[:4].hex(" ") or "nothing"
        )
    shape = tuple(np.frombuffer(content, ">i4", num_dims, offset=4).tolist())
    if len(content) != start + int(np.prod(shape)):
        expected = f"{start + int(np.prod(shape))} bytes for {shape}"
        raise _damaged(path, expected, f"{len(content)} bytes")
    # Of a bytearray, so that torch may share the memory, which it wants to be writable.
    return np.frombuffer(bytearray(content), np.uint8, offset=start).reshape(shape)


def _checked(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], folder: Path, part: str
) -> tuple[Images, Tensor]:
    require(
        images.ndim == 3 and labels.shape == images.shape[:1],
        f"Expected as many {part} images (N, H, W) as labels (N,) in {folder} but got "
        f"{images.shape} and {labels.shape}. Delete the folder and run again.",
    )
    rows = torch.from_numpy(images.reshape(len(images), -1))
    return Images(rows, (1, *images.shape[1:])), torch.from_numpy(labels).long()


def _download(root: Path, torchvision_name: str, folder: Path) -> None:
    import torchvision.datasets  # takes seconds, and only the first run needs it

    try:
        getattr(torchvision.datasets, torchvision_name)(root, download=True)
    except (OSError, RuntimeError) as error:  # URLError is an OSError
        raise UserError(
            f"Expected {torchvision_name} in {folder} or a network to download it but got: "
            f"{' '.join(str(error).split())}. Put {', '.join(_FILES)} there, or point data_root "
            f"or the environment variable VAELAB_DATA_DIR (now {root}) to where they are."
        ) from error


def _damaged(path: Path, expected: str, got: str) -> UserError:
    return UserError(
        f"Expected {expected} in {path} but got {got}: the file is damaged. Delete it and run "
        "again, it is downloaded anew."
    )
