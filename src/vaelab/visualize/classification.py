"""Figures of a conditional model as a classifier by Bayes' rule."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab import figures
from vaelab.bayes import log_posterior
from vaelab.metrics.bayes_classifier import ClassTables
from vaelab.metrics.classification import reliability
from vaelab.metrics.encoded_dataset import EncodedDataset

if TYPE_CHECKING:
    from vaelab.figures import Figure

NUM_DOUBTFUL = 16
MAX_CLASSES = 30  # whose bars are wide enough


def draw_classification_figures(
    encoded: EncodedDataset, when: str
) -> Iterator[tuple[str, "Figure"]]:
    """Name and figure of what `BayesClassifier` found in this evaluation.

    reliability: accuracy against confidence, by Bayes' rule and of the discriminative network.
    doubtful_images: the images of the smallest largest p(y|x), with its bars.
    class_bounds: the bounds on log p(x|y) of the most doubtful image, for each class and K.

    Args:
        encoded: the codes of the model, after the metric.
        when: end of every caption, such as "step 2,500".
    """
    tables, condition = encoded.results.get(ClassTables), encoded.model.condition
    if tables is None or condition is None:
        return
    log_prior = condition.log_prior.cpu().double()
    most = max(tables.bounds)
    log_p = log_posterior(tables.bounds[most], log_prior).numpy()
    split = "validation" if encoded.split == "val" else encoded.split
    yield "reliability", _draw_reliability(tables, log_p, f"{split} images", when)
    classes = encoded.splits.classes
    if len(log_p) > MAX_CLASSES or classes is None:
        return
    names = [classes.short_name(c) for c in range(len(log_p))]
    doubtful = np.argsort(log_p.max(0), kind="stable")[:NUM_DOUBTFUL]
    images, labels = encoded.x(tables.rows[doubtful]).cpu(), tables.labels[doubtful].tolist()
    error = 100 * float((log_p.argmax(0) != tables.labels).mean())
    p = np.exp(log_p[:, doubtful]).T
    caption = (
        f"The {split} images whose largest p(y|x) is smallest, by Bayes' rule with K = {most} "
        f"(error {error:.1f} %). The bars are p(y|x), the highest {float(p.max()):.2f}; that of "
        f"the image's own class is blue; {when}"
    )
    yield "doubtful_images", figures.plot_doubtful_images(images, p, labels, names, caption)
    bounds = {
        "ELBO" if k == 1 else f"L_{k}": torch.as_tensor(table[:, int(doubtful[0])])
        for k, table in sorted(tables.bounds.items())
    }
    caption = (
        "The most doubtful of them: bounds on log p(x|y) for each class y, from left to right "
        "tighter in expectation. By Bayes' rule with equal p(y), a difference of one nat is a "
        f"ratio of 2.7 of p(y|x). The image's own class is in bold; {when}"
    )
    drawn = figures.plot_class_log_likelihoods(images[0], bounds, names, labels[0], caption)
    yield "class_bounds", drawn


def _draw_reliability(
    tables: ClassTables, log_p: NDArray[np.float64], images: str, when: str
) -> "Figure":
    """Accuracy against confidence of log p(y|x) (C, N) at the largest K, and of the network."""
    shown = {f"Bayes' rule, K = {max(tables.bounds)}": log_p}
    if tables.discriminative is not None:
        shown["discriminative network"] = tables.discriminative
    bins = {
        name: reliability(one, tables.labels, num_bins=10, equal_width=True)
        for name, one in shown.items()
    }
    caption = (
        f"The share of right decisions among {images} of about the same confidence, with 95 % "
        f"intervals, of {len(tables.labels):,} images. Below the diagonal is overconfidence; {when}"
    )
    return figures.plot_reliability(bins, caption)
