"""Figures of scores, drawn after an evaluation."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from vaelab import figures
from vaelab.elbo_statistics import kl_order
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.mutual_information import mutual_information_matrix
from vaelab.seeding import derive_seed
from vaelab.visualize.classification import draw_classification_figures
from vaelab.visualize.context import ORDERED_BY, label_latents, latent_activity
from vaelab.visualize.inference import draw_inference_figures

if TYPE_CHECKING:
    from vaelab.figures import Figure

NUM_IMAGES = 10_000
NUM_BINS = 20
KL_PARTS = {
    "distortion": "reconstruction",
    "index_code_mutual_information": "mutual information I(x; z)",
    "total_correlation": "total correlation",
    "dimension_wise_kl": "dimension-wise KL",
}


def draw_score_figures(
    encoded: EncodedDataset, scores: Mapping[str, float], when: str
) -> Iterator[tuple[str, "Figure"]]:
    """Name and figure of what metrics measured.

    mutual_information: of latents and factors, where the data has factors.
    elbo_decomposition: where `scores` has distortion and the parts of the KL.
    and those of `draw_inference_figures` and `draw_classification_figures`.

    Args:
        encoded: the codes of the model.
        scores: name -> value, in nats per image.
        when: end of every caption, such as "step 2,500".
    """
    if encoded.splits.factors is not None:
        yield "mutual_information", _draw_mutual_information(encoded, when)
    if set(KL_PARTS) <= set(scores):
        split = "validation" if encoded.split == "val" else encoded.split
        parts = {label: scores[name] for name, label in KL_PARTS.items()}
        caption = (
            f"Minus the ELBO: reconstruction over the {split} images, and the parts of the KL, in "
            f"which q(z) is the average of q(z|x) over all images, {when}"
        )
        yield "elbo_decomposition", figures.plot_elbo_decomposition(parts, caption)
    yield from draw_inference_figures(encoded, scores, when)
    yield from draw_classification_figures(encoded, when)


def _draw_mutual_information(encoded: EncodedDataset, when: str) -> "Figure":
    rng = np.random.default_rng(derive_seed("figures", "mutual_information"))
    dataset = encoded.factor_dataset("mean", rng)
    rows = dataset.sample(NUM_IMAGES, rng)
    codes, factors = dataset.codes(rows), dataset.factors[rows]
    mi = mutual_information_matrix(codes, factors, NUM_BINS)
    activity, measure = latent_activity(encoded.posterior(rows), encoded.given(rows).prior())
    caption = (
        f"Mutual information of each latent (mean of q(z|x), {NUM_BINS} bins) and factor, "
        f"{NUM_IMAGES:,} images; {ORDERED_BY[measure]}, {when}"
    )
    order, labels = kl_order(activity), label_latents(activity, measure)
    ordered = [labels[latent] for latent in order]
    return figures.plot_mutual_information(mi[order], ordered, dataset.names, caption)
