"""Fashion-MNIST: 70,000 grey images of clothes, 28 x 28, in the files and splits of MNIST."""

from typing import ClassVar

from vaelab.data.mnist import MNIST


class FashionMNIST(MNIST):
    """Fashion-MNIST: 60,000 images less `num_val` for training, 10,000 for test, ten classes.

    Source: Xiao et al., Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms, 2017, https://arxiv.org/abs/1708.07747

    Args:
        root: the data folder, with the files in FashionMNIST/raw; downloaded if missing.
        num_val: images taken from the training part for validation, never from the test part; 0
            trains on all 60,000, and validation is a sample of them, NOT held out.
        split_seed: seed of the split.
    """

    name: ClassVar[str] = "fashion_mnist"
    torchvision_name: ClassVar[str] = "FashionMNIST"
    class_names: ClassVar[tuple[str, ...] | None] = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
