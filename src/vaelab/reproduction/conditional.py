"""What a conditional VAE leaves to its latents, and whose samples it draws (target S1a)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vaelab.data.batches import BatchSampler
from vaelab.data.images import Subset
from vaelab.load import Run, load_run
from vaelab.metrics.per_image import evaluation_images
from vaelab.models import MLPEncoder
from vaelab.reproduction.comparisons import medians
from vaelab.reproduction.runs import TargetRun
from vaelab.reproduction.verdict import Measurement
from vaelab.seeding import random_stream

AT_ONCE = 1000  # images
BATCH_SIZE = 128  # of the classifier's training
HIDDEN = (800,)


def classes_and_codes(
    runs: Sequence[TargetRun],
    group_by: Sequence[str],
    num_images: int,
    num_epochs: int,
    samples_per_class: int,
) -> dict[str, Measurement]:
    """The medians of the runs, and what their codes and their samples say about the class.

    "probe at <setting>": share of test images whose label a linear probe names right, see
    `linear_probe`. Of a conditional run also "samples named right", the share of its
    class-conditional samples that a classifier gives their class, and "classifier", the share of
    test images that this one names right.

    Args:
        runs: all runs of the target.
        group_by: the names that make up a setting, one run each.
        num_images: test images of the probe, half of them to fit it.
        num_epochs: of the classifier's training.
        samples_per_class: images drawn of each class.
    """
    numbers = medians(runs, group_by)
    for one in runs:
        setting = " ".join(one.settings[key] for key in group_by)
        shares = measure_classes(one, setting, num_images, num_epochs, samples_per_class)
        numbers |= {name: Measurement(share) for name, share in shares.items()}
    return numbers


def measure_classes(
    one: TargetRun, setting: str, num_images: int, num_epochs: int, samples_per_class: int
) -> dict[str, float]:
    """The shares of `classes_and_codes` of one run."""
    assert one.path is not None
    run = load_run(one.path)
    shares = {f"probe at {setting}": _probe_run(run, num_images)}
    if run.model.condition is None:
        return shares
    classifier = train_classifier(run, num_epochs)
    test = run.data.splits.test or run.data.splits.val
    x, y = sample_classes(run, samples_per_class)
    return shares | {
        "classifier": _share_right(classifier, _images(test), _y(test)),
        "samples named right": _share_right(classifier, x, y),
    }


def linear_probe(codes: NDArray, labels: NDArray) -> float:
    """Share of the second half of codes (N, L) whose labels a fit to the first half names right.

    The fit is a logistic regression on latents of mean 0 and variance 1, with next to no penalty.
    """
    half = len(codes) // 2
    center, scale = codes[:half].mean(0), codes[:half].std(0)
    standard = (codes - center) / np.where(scale > 0, scale, 1)
    probe = LogisticRegression(C=100.0, max_iter=2000).fit(standard[:half], labels[:half])
    return float(probe.score(standard[half:], labels[half:]))


@torch.no_grad()
def sample_classes(run: Run, samples_per_class: int) -> tuple[Tensor, Tensor]:
    """Means of p(x|y, z) at z ~ p(z|y), and y, as many of each class: (N, C, H, W) and (N,)."""
    y = torch.arange(run.model.num_classes).repeat(samples_per_class)
    with random_stream("class_samples", run.config.seed):
        parts = [run.model.given(part).sample(len(part)) for part in y.split(AT_ONCE)]
    return torch.cat(parts), y


def train_classifier(run: Run, num_epochs: int) -> nn.Module:
    """An MLP 784-800-10 that classifies the images of a run's data, trained by Adam at 1e-3."""
    data = run.data
    train, seed = data.splits.train, int(run.config.seed)
    with random_stream("classifier", seed):
        network = MLPEncoder(data.image_shape, run.model.num_classes, hidden=HIDDEN)
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        sampler = BatchSampler(len(train), BATCH_SIZE, seed)
        labels = _y(train)
        for step in range(num_epochs * len(train) // BATCH_SIZE):
            positions = sampler(step)
            loss = cross_entropy(network(train.take(positions)), labels[positions])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def _probe_run(run: Run, num_images: int) -> float:
    encoded = run.encoded_dataset()
    rows = evaluation_images(encoded, num_images, seed=0)
    rows = np.random.default_rng(0).permutation(rows)
    labels = encoded.images.labels
    assert labels is not None
    return linear_probe(encoded.means(rows), labels[torch.from_numpy(rows)].numpy())


@torch.no_grad()
def _share_right(classifier: nn.Module, x: Tensor, y: Tensor) -> float:
    parts = zip(x.split(AT_ONCE), y.split(AT_ONCE), strict=True)
    right = sum(int((classifier(part).argmax(1) == own).sum()) for part, own in parts)
    return right / len(y)


def _images(subset: Subset) -> Tensor:
    return subset.take(torch.arange(len(subset)))


def _y(subset: Subset) -> Tensor:
    assert subset.labels is not None
    return subset.labels
