"""Fashion-MNIST: 70,000 grey pictures of clothes, 28 x 28."""

from pathlib import Path
from typing import ClassVar

from vaelab.data.idx import load_idx
from vaelab.data.images import Splits


class FashionMNIST:
    """The clothes of Xiao et al. (2017): 60,000 less `num_val` for training, 10,000 for test.

    Args:
        root: the data folder, with the files in FashionMNIST/raw; downloaded where missing.
        num_val: images taken off the training part for validation, never off the test part; 0
            trains on all 60,000, and validation is a sample of them, NOT held out.
        split_seed: which ones.
    """

    name: ClassVar[str] = "fashion_mnist"

    def __init__(self, root: str | Path, num_val: int = 10_000, split_seed: int = 0):
        self.root, self.num_val, self.split_seed = Path(root).expanduser(), num_val, split_seed

    def load(self) -> Splits:
        """Grey images (1, 28, 28) with one of ten classes as label; `UserError` without them."""
        return load_idx(self.root, "FashionMNIST", self.num_val, self.split_seed)
