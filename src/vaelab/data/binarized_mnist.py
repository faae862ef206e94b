"""The static binarised MNIST of the literature, in the files of Larochelle and Murray."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.data.cache import checksum
from vaelab.data.download import fetch
from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import UserError, require

_URL = (
    "https://raw.githubusercontent.com/mingzhang-yin/ARM-gradient/"
    "9b5f74da4e4009c5556e8d7a87c88c8e291c253d"
)
_PARTS = {  # name: number of images, and the id that git gives the file
    "train": (50_000, "b7ad486e6be0ad5401460540e8cc907443eddd31"),
    "valid": (10_000, "26bb8da3b17459e0bdf9a3fa80cd8f48e43e5077"),
    "test": (10_000, "b57e513e35138c92ca7385c888e788f351dfd549"),
}
SHAPE = (1, 28, 28)


class BinarizedMNIST:
    """Static binarised MNIST: 50,000 images for training, 10,000 for validation, 10,000 for test.

    Every pixel was drawn once, with its grey value as probability, so that likelihoods compare with
    those of papers. The order is not that of MNIST, and there are no labels. Salakhutdinov and
    Murray 2008, "On the quantitative analysis of deep belief networks",
    https://doi.org/10.1145/1390156.1390266; Larochelle and Murray 2011, "The neural autoregressive
    distribution estimator", https://proceedings.mlr.press/v15/larochelle11a.html.

    Args:
        root: the data folder, with the files in BinarizedMNIST; downloaded if missing.
    """

    name: ClassVar[str] = "binarized_mnist"

    def __init__(self, root: str | Path):
        self.folder = Path(root).expanduser() / "BinarizedMNIST"

    def load(self) -> Splits:
        """Black and white images (1, 28, 28).

        Raises:
            UserError: no files and no network, or damaged files.
        """
        parts = []
        for name, (num, blob_id) in _PARTS.items():
            file = f"binarized_mnist_{name}.amat"
            path = fetch(f"{_URL}/{file}", self.folder / file, git_blob_id=blob_id)
            parts.append(read_amat(path, num))
        train, val, test = (Subset(_pack(bits)) for bits in parts)
        return Splits(train=train, val=val, test=test, checksum=checksum(*parts))


def read_amat(path: Path, num: int) -> NDArray[np.uint8]:
    """Bits (num, 784) uint8 of a MATLAB 5 file with a matrix X.

    Raises:
        UserError: another format, shape or values.
    """
    from scipy.io import loadmat  # only this data set needs it
    from scipy.io.matlab import MatReadError

    try:
        bits = np.asarray(loadmat(path, appendmat=False, variable_names=["X"])["X"])
    except (MatReadError, OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path} expects a MATLAB 5 file with a matrix X, got: {reason}; delete it and run "
            "again to download it again."
        ) from error
    require(
        bits.shape == (num, 784) and bool(np.isin(bits, (0, 1)).all()),
        f"{path} expects zeros and ones of shape ({num}, 784), got {bits.dtype} {bits.shape}; "
        "delete it and run again to download it again.",
    )
    return np.ascontiguousarray(bits, np.uint8)


def _pack(bits: NDArray[np.uint8]) -> Images:
    return Images(torch.from_numpy(np.packbits(bits, axis=1)), SHAPE, packed=True)
