"""The squared error of reconstructions, and PCA's, against formulas written out."""

import numpy as np
import pytest
import torch

from vaelab.data.images import Images, Splits, Subset
from vaelab.errors import UserError
from vaelab.metrics import ReconstructionError, pca_error
from vaelab.metrics.encoded_dataset import EncodedDataset

NAMES = ["reconstruction_error", "reconstruction_error_pca"]


@pytest.fixture
def data():
    """(M, D) points of decaying variance in turned axes, off the origin."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    return rng.normal(size=(300, 8)) * 0.6 ** np.arange(8) @ axes.T + rng.normal(size=8)


@pytest.fixture
def encoded(tiny_vae):
    images = Images(torch.randint(256, (90, 16), dtype=torch.uint8), (1, 4, 4))
    train, val = Subset(images, torch.arange(50)), Subset(images, torch.arange(50, 90))
    return EncodedDataset(tiny_vae().float().eval(), Splits(train, val))


@pytest.mark.parametrize("num_latents", [1, 3, 7])
def test_pca_error_is_the_sum_of_the_discarded_eigenvalues(data, num_latents):
    eigenvalues = np.linalg.eigvalsh(np.cov(data.T, bias=True))
    error = pca_error(data, data, num_latents).mean()
    assert error == pytest.approx(eigenvalues[: 8 - num_latents].sum(), rel=1e-9)


@pytest.mark.parametrize("num_latents", [8, 20])
def test_as_many_latents_as_values_lose_nothing(data, num_latents):
    assert pca_error(data, data, num_latents).max() < 1e-20


def test_other_images_are_projected_on_the_axes_of_training(data):
    train, x = data[:200], data[200:]
    mean = train.mean(0)
    axes = np.linalg.eigh(np.cov(train.T))[1][:, -3:]
    expected = np.square((x - mean) - (x - mean) @ axes @ axes.T).sum(1)
    assert pca_error(train, x, 3) == pytest.approx(expected, rel=1e-9)


def test_randomised_solver_of_large_data_is_near_the_best():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(1200, 1100)) * 0.9 ** np.arange(1100)).astype(np.float32)
    best = np.linalg.eigvalsh(np.cov(x.T, bias=True))[:-10].sum()
    assert best <= pca_error(x, x, 10).mean() * (1 + 1e-5) < best * 1.001


def test_scores_are_the_formulas_written_out(encoded):
    scores = ReconstructionError()(encoded)
    assert list(scores) == NAMES
    x, train = encoded.x(np.arange(40)), encoded.splits.train.take(torch.arange(50)).flatten(1)
    model = (encoded.model.reconstruct(x) - x).double().square().sum((1, 2, 3))
    pca = pca_error(train.numpy(), x.flatten(1).numpy(), 3)
    for name, errors in zip(NAMES, (model.numpy(), pca), strict=True):
        score = scores[name]
        assert score.value == pytest.approx(errors.mean(), rel=1e-5)
        assert score.details["rmse"] == pytest.approx((errors.mean() / 16) ** 0.5, rel=1e-5)
        width = 2 * 1.96 * errors.std() / 40**0.5
        assert score.interval[1] - score.interval[0] == pytest.approx(width, rel=0.25)
    assert scores[NAMES[1]].details["num_train_images"] == 50


def test_some_images(encoded):
    scores = ReconstructionError(num_images=7, num_train_images=20)(encoded)
    assert scores[NAMES[0]].details["num_images"] == 7
    assert scores[NAMES[1]].details["num_train_images"] == 20
    with pytest.raises(UserError, match="num_train_images expects an integer of at least 2, got 1"):
        ReconstructionError(num_train_images=1)(encoded)


def test_a_function_of_the_seed(encoded):
    few = {"num_images": 7, "num_train_images": 20}
    one, again, other = (ReconstructionError(seed=s, **few)(encoded) for s in (1, 1, 2))
    assert one == again
    assert all(one[name].value != other[name].value for name in NAMES)
