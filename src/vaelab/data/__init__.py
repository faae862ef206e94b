"""Data sets: each loads to `Splits`, images in memory that are taken by index."""

from vaelab.data.array import Array
from vaelab.data.binarized_mnist import BinarizedMNIST
from vaelab.data.classes import Classes
from vaelab.data.condition import Condition
from vaelab.data.dsprites import DSprites
from vaelab.data.factors import Factors, FactorSpace, FactorTable
from vaelab.data.fashion_mnist import FashionMNIST
from vaelab.data.image_folder import ImageFolder
from vaelab.data.images import Images, Splits, Subset
from vaelab.data.labels import Labels
from vaelab.data.mnist import MNIST

__all__ = [
    "Array",
    "BinarizedMNIST",
    "Classes",
    "Condition",
    "DSprites",
    "FactorSpace",
    "FactorTable",
    "Factors",
    "FashionMNIST",
    "ImageFolder",
    "Images",
    "Labels",
    "MNIST",
    "Splits",
    "Subset",
]
