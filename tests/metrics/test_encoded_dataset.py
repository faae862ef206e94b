"""Every image is encoded once, when first asked for, and the same whatever was asked before."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vaelab import build
from vaelab.data import DSprites, Images, Splits, Subset
from vaelab.data.factors import FactorSpace
from vaelab.errors import UserError
from vaelab.metrics import MIG, UDR, BetaVAEScore, Unsupervised
from vaelab.metrics.encoded_dataset import EncodedDataset

SIZES = (3, 2, 1, 4, 4)


@pytest.fixture
def model(compose):
    """A small network for 16 x 16 images that counts what it encodes."""
    cfg = compose("model=mlp", "model.hidden=[16]", "latent_dim=3")
    vae = build.build_model(cfg, (1, 16, 16)).eval()
    vae.num_encoded = 0

    def count(module, args, output):
        vae.num_encoded += len(output)

    vae.encoder.register_forward_hook(count)
    return vae


@pytest.fixture
def splits(tmp_path):
    return DSprites(tmp_path, image_size=16, factor_sizes=SIZES, num_val=10).load()


def test_encodes_once_and_only_what_is_asked(model, splits):
    encoded = EncodedDataset(model, splits)
    rows = np.array([5, 7, 5, 90])
    encoded.means(rows)
    assert model.num_encoded == 3
    encoded.samples(np.array([7, 8]), np.random.default_rng(0))
    assert model.num_encoded == 4


def test_answers_are_those_of_the_model(model, splits):
    rows = np.array([3, 60, 3])
    encoded = EncodedDataset(model, splits)
    encoded.raw(np.arange(40))
    with torch.no_grad():
        q_z = model.encode(splits.train.take(torch.from_numpy(rows)))
    np.testing.assert_allclose(encoded.means(rows), q_z.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoded.posterior(rows).stddev, q_z.stddev, rtol=1e-5)
    torch.testing.assert_close(encoded.x(rows), splits.train.take(torch.from_numpy(rows)))


def test_samples_spread_as_the_posterior_and_follow_the_generator(model, splits):
    encoded, rows = EncodedDataset(model, splits), np.zeros(20_000, dtype=int)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    z = encoded.samples(rows, np.random.default_rng(0))
    assert torch.equal(before, torch.random.get_rng_state())
    q_z = encoded.posterior(rows[:1])
    sigma = q_z.stddev[0].numpy()
    np.testing.assert_allclose(z.mean(0), q_z.mean[0], atol=4 * sigma.max() / np.sqrt(len(z)))
    np.testing.assert_allclose(z.std(0), sigma, rtol=4 / np.sqrt(2 * len(z)))
    np.testing.assert_array_equal(z, encoded.samples(rows, np.random.default_rng(0)))
    assert not np.array_equal(z, encoded.samples(rows, np.random.default_rng(1)))


def test_factor_dataset_has_the_factors_that_vary(model, splits):
    dataset = EncodedDataset(model, splits).factor_dataset("mean", np.random.default_rng(0))
    assert dataset.names == ("shape", "scale", "posX", "posY")
    assert len(dataset) == 96
    index = torch.arange(96)
    for f, name in enumerate(dataset.names):
        np.testing.assert_array_equal(dataset.factors[:, f], splits.factors.values(index, name))
    with pytest.raises(UserError, match="codes expects one of mean, sampled, got 'median'"):
        EncodedDataset(model, splits).factor_dataset("median", np.random.default_rng(0)).codes(
            np.arange(2)
        )


def test_evaluation_rows_are_those_of_the_evaluation_images(model, splits):
    encoded = EncodedDataset(model, splits)
    assert encoded.split == "val"
    torch.testing.assert_close(
        encoded.x(encoded.evaluation_rows), splits.val.take(torch.arange(10))
    )


def test_without_factors_rows_are_test_images(model):
    noise = torch.randint(256, (30, 256), dtype=torch.uint8)
    parts = [Subset(Images(noise, (1, 16, 16)), torch.arange(i, i + 10)) for i in (0, 10, 20)]
    encoded = EncodedDataset(model, Splits(*parts))
    assert (encoded.split, len(encoded.images)) == ("test", 10)
    torch.testing.assert_close(encoded.x(np.array([2])), parts[2].take(torch.tensor([2])))
    with pytest.raises(UserError, match="expects ground-truth factors"):
        encoded.factor_dataset("mean", np.random.default_rng(0))


def test_cache_is_read_again_and_only_for_its_key(model, splits, tmp_path):
    file, rows = tmp_path / "codes" / "last.npz", np.arange(20)
    encoded = EncodedDataset(model, splits, file, "key")
    means = encoded.means(rows)
    encoded.save()
    model.num_encoded = 0
    np.testing.assert_array_equal(EncodedDataset(model, splits, file, "key").means(rows), means)
    assert model.num_encoded == 0
    EncodedDataset(model, splits, file, "key").means(np.arange(25))
    assert model.num_encoded == 5
    EncodedDataset(model, splits, file, "other weights").means(rows)
    assert model.num_encoded == 25
    file.write_bytes(file.read_bytes()[:100])  # cut short: encoded again
    np.testing.assert_array_equal(EncodedDataset(model, splits, file, "key").means(rows), means)


@pytest.mark.parametrize("codes", ["mean", "sampled"])
def test_codes_that_are_not_finite_are_named(model, splits, codes):
    """Whichever way they reach a metric: looked up, or drawn."""
    with torch.no_grad():
        next(model.encoder.parameters()).fill_(float("nan"))
    encoded, rng = EncodedDataset(model, splits), np.random.default_rng(0)
    for ask in (
        lambda: encoded.factor_dataset(codes, rng).codes(np.arange(3)),
        lambda: MIG(30, codes=codes)(encoded),
        lambda: Unsupervised(30, codes=codes)(encoded),
        lambda: UDR(30, codes=codes)([encoded, encoded]),
        lambda: BetaVAEScore(num_train=30, num_eval=30, codes=codes)(encoded),
    ):
        with pytest.raises(UserError, match="finite numbers, got nan in row 0"):
            ask()


def test_metrics_check_their_codes_when_they_are_made():
    for metric in (MIG, Unsupervised, UDR, BetaVAEScore):
        with pytest.raises(UserError, match="got 'sample'; did you mean sampled"):
            metric(codes="sample")


def test_a_grid_with_holes_is_rejected(model, splits):
    holes = replace(splits, factors=FactorSpace(("a", "b"), (10, 10)))
    with pytest.raises(UserError, match="one image for each of their 100 combinations, got 96"):
        MIG(30)(EncodedDataset(model, holes))
