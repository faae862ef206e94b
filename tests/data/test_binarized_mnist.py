"""The files of the static binarised MNIST: their format, and what is rejected."""

import numpy as np
import pytest
import torch
from scipy.io import savemat

from vaelab.data import BinarizedMNIST, binarized_mnist
from vaelab.data.download import blob_id
from vaelab.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Small files of the true format, and what they hold by part."""
    folder, parts, bits = tmp_path / "BinarizedMNIST", {}, {}
    folder.mkdir()
    for i, (name, num) in enumerate([("train", 9), ("valid", 4), ("test", 5)]):
        bits[name] = np.random.default_rng(i).integers(2, size=(num, 784)).astype(float)
        path = folder / f"binarized_mnist_{name}.amat"
        savemat(path, {"X": bits[name]}, appendmat=False, do_compression=True)
        parts[name] = (num, blob_id(path))
    monkeypatch.setattr(binarized_mnist, "_PARTS", parts)
    return tmp_path, bits


def test_three_parts_upright_and_black_and_white(folder):
    root, bits = folder
    splits = BinarizedMNIST(root).load()
    for subset, name in ((splits.train, "train"), (splits.val, "valid"), (splits.test, "test")):
        x = subset.take(torch.arange(len(subset)))
        np.testing.assert_array_equal(x.flatten(1).numpy(), bits[name])
        assert x.shape[1:] == (1, 28, 28)
    assert len(splits.checksum) == 64


def test_another_file_is_rejected(folder):
    root, _ = folder
    path = root / "BinarizedMNIST" / "binarized_mnist_valid.amat"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="expects git blob id"):
        BinarizedMNIST(root).load()


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "MATLAB 5 file with a matrix X"),
        (b"text", "MATLAB 5 file with a matrix X"),
        ({"Y": np.ones((2, 784))}, "MATLAB 5 file with a matrix X"),
        ({"X": np.ones((2, 783))}, r"zeros and ones of shape \(2, 784\), got .* \(2, 783\)"),
        ({"X": np.full((2, 784), 2.0)}, "zeros and ones"),
    ],
)
def test_other_content_is_rejected(tmp_path, content, got):
    path = tmp_path / "x.amat"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        savemat(path, content, appendmat=False)
    with pytest.raises(UserError, match=got):
        binarized_mnist.read_amat(path, 2)
