"""The squared error of reconstructions, beside that of PCA with as many latents."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.data.images import Subset
from vaelab.errors import require
from vaelab.metrics.base import Metric, Score
from vaelab.metrics.encoded_dataset import EncodedDataset, Rows
from vaelab.metrics.per_image import decoded_at_once, evaluation_images, mean_score
from vaelab.seeding import derive_seed

Floats = NDArray[np.floating]
ENCODED_AT_ONCE = 1000


def pca_error(train: Floats, x: Floats, num_latents: int, seed: int = 0) -> NDArray[np.float64]:
    """Squared error |x - m - W W^T (x - m)|^2 of each image: (N, D) of them -> (N,).

    m (D,) is the mean and W (D, L) the orthonormal principal axes of the training images. On these
    no linear encoder and decoder does better, and the average over them is the sum of the D - L
    least eigenvalues of their covariance (divisor M). Pearson 1901; Bourlard and Kamp 1988.

    Args:
        train: (M, D), M at least 2.
        x: (N, D).
        num_latents: L; more than M and D allow are not used.
        seed: of scikit-learn's randomised solver, which it takes for large M and D.
    """
    from sklearn.decomposition import PCA

    num = min(num_latents, *train.shape)
    pca = PCA(n_components=num, random_state=seed).fit(train)
    rest = x - pca.inverse_transform(pca.transform(x))
    return np.square(rest).sum(1, dtype=np.float64)


class ReconstructionError(Metric):
    """Squared error of reconstructions, summed over pixels, and the same of PCA.

        reconstruction_error      E_x |x - x'|^2, x' the mean of p(x|z) at the mean of q(z|x)
        reconstruction_error_pca  the same with x' = `pca_error`'s, fitted to training images

    It compares models of any likelihood and posterior, and says what the networks gain over the
    linear baseline. Training images are as stored: with pixels=dynamic PCA learns from grey ones
    what it then applies to black and white ones.

    Args:
        num_images: how many evaluation images; None for all. The first ones of a seeded order.
        num_train_images: how many training images PCA sees; None for all. A seeded choice.
        seed: of images, PCA and intervals.
        num_bootstrap: resamples for the intervals; 0 for none.

    Settings of the scores: rmse, the root of the mean over images and pixels.
    """

    needs_factors = False
    needs_images = True
    higher_is_better = False

    def __init__(
        self,
        num_images: int | None = None,
        num_train_images: int | None = 10_000,
        seed: int = 0,
        num_bootstrap: int = 200,
    ):
        self.num_images, self.num_train_images = num_images, num_train_images
        self.seed, self.num_bootstrap = seed, num_bootstrap

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        rows = evaluation_images(encoded, self.num_images, self.seed)
        rng = np.random.default_rng(derive_seed("metrics", "reconstruction_error", self.seed))
        train = _some_images(encoded.splits.train, self.num_train_images, rng)
        x = np.concatenate([_flat(encoded.x(part)) for part in _parts(rows, ENCODED_AT_ONCE)])
        seed = derive_seed("metrics", "pca", self.seed) % 2**32
        errors = {
            "reconstruction_error": _model_error(encoded, rows),
            "reconstruction_error_pca": pca_error(train, x, encoded.latent_dim, seed),
        }
        scores = {}
        for name, values in errors.items():
            settings: dict[str, int | float | str] = {
                "split": encoded.split,
                "rmse": math.sqrt(values.mean() / encoded.model.num_pixels),
            }
            if name.endswith("pca"):
                settings["num_train_images"] = len(train)
            scores[name] = mean_score(values, rng, self.num_bootstrap, settings)
        return scores


@torch.no_grad()
def _model_error(encoded: EncodedDataset, rows: Rows) -> NDArray[np.float64]:
    """Squared error of the model on each image in rows."""
    errors = []
    for part in encoded.progress(_parts(rows, decoded_at_once(encoded.model))):
        x = encoded.x(part)
        with torch.autocast(x.device.type, enabled=False):
            x_mean = encoded.model.decode(encoded.posterior(part).mean).mean
        errors.append((x - x_mean).double().square().sum((-3, -2, -1)).cpu().numpy())
    return np.concatenate(errors)


def _some_images(subset: Subset, num: int | None, rng: np.random.Generator) -> Floats:
    """(M, D) of num training images (None: all), a seeded choice."""
    require(
        num is None or num >= 2, f"num_train_images expects at least 2, got {num}; null takes all."
    )
    positions = rng.permutation(len(subset))[:num]
    device = subset.images.storage.device
    parts = _parts(positions, ENCODED_AT_ONCE)
    return np.concatenate([_flat(subset.take(torch.from_numpy(p).to(device))) for p in parts])


def _flat(x: torch.Tensor) -> Floats:
    return x.flatten(1).cpu().numpy()


def _parts(rows: Rows, size: int) -> list[Rows]:
    return np.split(rows, range(size, len(rows), size))
