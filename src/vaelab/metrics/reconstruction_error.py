"""The squared error of reconstructions, beside that of PCA with as many latents."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.data.images import Subset
from vaelab.distributions import point_of
from vaelab.errors import require_range
from vaelab.metrics.base import Score
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.factor_dataset import Rows
from vaelab.metrics.per_image import ImagesMetric, decoded_at_once, split_rows
from vaelab.seeding import derive_seed

Floats = NDArray[np.floating]
ENCODED_AT_ONCE = 1000


def pca_error(train: Floats, x: Floats, num_latents: int, seed: int = 0) -> NDArray[np.float64]:
    """Squared error |x - m - W W^T (x - m)|^2 of each image: (N, D) of them -> (N,).

    m (D,) is the mean and W (D, L) the orthonormal principal axes of the training images. On these
    no linear encoder and decoder does better, and the average over them is the sum of the D - L
    smallest eigenvalues of their covariance (divisor M).

    Pearson 1901, "On lines and planes of closest fit to systems of points in space",
    https://doi.org/10.1080/14786440109462720; Bourlard and Kamp 1988, "Auto-association by
    multilayer perceptrons and singular value decomposition", https://doi.org/10.1007/BF00332918.

    Args:
        train: (M, D), M at least 2.
        x: (N, D).
        num_latents: L; more than M and D allow are not used.
        seed: of scikit-learn's randomised solver, which it uses for large M and D.
    """
    from sklearn.decomposition import PCA

    num = min(num_latents, *train.shape)
    pca = PCA(n_components=num, random_state=seed).fit(train)
    rest = x - pca.inverse_transform(pca.transform(x))
    return np.square(rest).sum(1, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class ReconstructionError(ImagesMetric):
    """Squared error of reconstructions, summed over pixels, and the same of PCA.

        reconstruction_error      E_x |x - x'|^2, x' the mean of p(x|z) at the mean of q(z|x)
        reconstruction_error_pca  the same with x' = `pca_error`'s, fitted to training images

    It compares models of any likelihood and posterior, and says what the networks gain over the
    linear baseline. Training images are as stored: with pixels=dynamic, PCA is fitted to grey
    images and applied to black and white ones.

    Details of the scores: rmse, the root of the mean over images and pixels.

    Args:
        num_train_images: how many training images PCA is fitted to; None for all. A seeded choice.
    """

    name = "reconstruction_error"
    higher_is_better = False

    num_train_images: int | None = 10_000

    def __call__(self, encoded: EncodedDataset) -> dict[str, Score]:
        rows, rng = self.rows(encoded), self.rng()
        train = _some_images(encoded.splits.train, self.num_train_images, rng)
        x = np.concatenate([_flat(encoded.x(part)) for part in split_rows(rows, ENCODED_AT_ONCE)])
        seed = derive_seed("metrics", "pca", self.seed) % 2**32
        errors = _model_error(encoded, rows)
        baseline = pca_error(train, x, encoded.latent_dim, seed)

        def score(errors: NDArray[np.float64], **details: int) -> Score:
            rmse = math.sqrt(errors.mean() / encoded.model.num_pixels)
            return self.mean_score(errors, split=encoded.split, rmse=rmse, **details)

        return {
            "reconstruction_error": score(errors),
            "reconstruction_error_pca": score(baseline, num_train_images=len(train)),
        }


@torch.no_grad()
def _model_error(encoded: EncodedDataset, rows: Rows) -> NDArray[np.float64]:
    """Squared error of the model on each image in rows."""
    errors = []
    for part in encoded.progress(split_rows(rows, decoded_at_once(encoded.model))):
        x = encoded.x(part)
        with torch.autocast(x.device.type, enabled=False):
            x_mean = encoded.given(part).decode(point_of(encoded.posterior(part))).mean
        errors.append((x - x_mean).double().square().sum((-3, -2, -1)).cpu().numpy())
    return np.concatenate(errors)


def _some_images(subset: Subset, num: int | None, rng: np.random.Generator) -> Floats:
    """(M, D) of num training images (None: all), a seeded choice."""
    if num is not None:
        require_range("num_train_images", num, at_least=2, integer=True, example=10_000)
    positions = rng.permutation(len(subset))[:num]
    device = subset.images.storage.device
    parts = split_rows(positions, ENCODED_AT_ONCE)
    return np.concatenate([_flat(subset.take(torch.from_numpy(p).to(device))) for p in parts])


def _flat(x: torch.Tensor) -> Floats:
    return x.flatten(1).cpu().numpy()
