"""The latent explorer in a report: a slider per latent and the decoded image, in the browser."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.errors import UserError
from vaelab.load import load_run
from vaelab.loaded_run import Run
from vaelab.models import VAE
from vaelab.report.blocks import Block, Paragraph, RawHTML
from vaelab.report.explorer.decoder import (
    count_multiplications,
    encode_floats,
    export_decoder,
    pack_layers,
)
from vaelab.report.explorer.layers import NotPortable
from vaelab.report.formatting import MINUS, format_number
from vaelab.report.render import render_template
from vaelab.report.run_record import Record, is_collapsed
from vaelab.seeding import random_stream
from vaelab.visualize.context import class_numbers

NUM_STARTS = 6
NUM_SAMPLES = 64
MAX_OF_CLASSES = 200_000  # means of priors of classes
RANGE = 3  # standard deviations of the prior
SLOW = 50_000_000  # multiplications, which take longer than a frame


def show_explorer(record: Record) -> Block:
    """The explorer of a run, or one sentence on why there is none."""
    try:
        run = load_run(record.folder.path)
        layers = export_decoder(run.model)
        prior = _describe_prior(run.model)
    except (NotPortable, UserError) as reason:
        sentence = str(reason).rstrip(".")
        return Paragraph(f"There is no latent explorer for this run: {sentence}.", "note")
    starts, missing = _choose_starts(run)
    selects, condition = _list_classes(run), run.model.condition
    plain, weights = pack_layers(layers)
    num = sum(map(count_multiplications, layers))
    _, height, width = run.model.image_shape
    html = render_template(
        "explorer/explorer.html",
        data=prior
        | {"image_shape": run.model.image_shape, "layers": plain, "starts": starts}
        | {"class_sizes": [len(values) for _, values in selects]},
        selects=selects,
        p_name="p(x|y, z)" if condition and condition.decoder else "p(x|z)",
        prior_of_class=run.model.latent_prior.is_conditional,
        weights=weights,
        kl_latent={i: _format_kl(kl) for i, kl in record.kl_latent.items()},
        inactive=[i for i, kl in record.kl_latent.items() if is_collapsed(kl)],
        order=_sort_latents(record, run.model.latent_dim),
        starts=starts,
        missing=missing,
        step=run.step,
        multiplications=format_number(num),
        slow=num > SLOW,
        range=RANGE,
        minus=MINUS,
        height=height,
        width=width,
    )
    return RawHTML(html)


def _format_kl(kl: float) -> str:
    return format_number(kl, 3) if kl >= 0.001 else "0.00"


def _sort_latents(record: Record, latent_dim: int) -> Sequence[int]:
    """Latents by KL, the largest first; in their order where it was not measured."""
    kl = record.kl_latent
    return sorted(range(latent_dim), key=lambda i: -kl.get(i, 0.0))


def _describe_prior(model: VAE) -> dict[str, Any]:
    """Means and deviations of the prior, one row or one per class, and samples in units of them."""
    if model.image_shape[0] not in (1, 3):
        raise NotPortable(f"its images have {model.image_shape[0]} channels, not 1 or 3")
    num = model.num_classes if model.latent_prior.is_conditional else 1
    if num * model.latent_dim > MAX_OF_CLASSES:
        raise NotPortable(f"it has {num:,} classes, each with a prior of its own")
    if model.condition is not None:
        y = torch.arange(num, device=next(model.parameters()).device)
        model = model.given(y)
    prior = model.prior()
    try:
        mean, std = (value.view(num, -1) for value in (prior.mean, prior.stddev))
    except NotImplementedError:
        raise NotPortable(f"the mean of its prior {type(prior).__name__} is not known") from None
    with random_stream("report"), torch.no_grad():
        samples = (model.sample_prior(NUM_SAMPLES, num)[:, 0] - mean[0]) / std[0]
    return {
        "prior_mean": mean.tolist(),
        "prior_std": std.tolist(),
        "prior_samples": encode_floats(samples.cpu().numpy()),
    }


def _choose_starts(run: Run) -> tuple[list[dict[str, Any]], str]:
    """Some data images as bytes with their posterior means, or none and the reason."""
    try:
        splits = run.data.splits
        subset = splits.test or splits.val
        with random_stream("report"):
            chosen = torch.randperm(len(subset))[:NUM_STARTS]
        x = subset.take(chosen).cpu().numpy()
        y = None if run.model.condition is None else class_numbers(splits, chosen)
        means = run.encode(x, y).mean
    except UserError as reason:
        return [], str(reason)
    values: list[list[int]] = [[] for _ in x]
    if y is not None and run.model.condition is not None:
        values = torch.stack(torch.unravel_index(y, run.model.condition.sizes), 1).tolist()
    return [
        {"image": _encode_bytes(image), "mean": mean.tolist(), "class_values": of_class}
        for image, mean, of_class in zip(x, means, values, strict=True)
    ], ""


def _list_classes(run: Run) -> list[tuple[str, list[str]]]:
    """Name and values of each factor of the class; none where images don't depend on it."""
    model = run.model
    if model.condition is None:
        return []
    if not model.condition.decoder and not model.latent_prior.is_conditional:
        return []
    try:
        classes = run.classes()
    except UserError:  # no data
        classes = run.classes(with_names=False)
    assert classes is not None
    if classes.label_names is not None:
        return [(classes.title, list(classes.label_names))]
    space = classes.space
    return [
        (name, [str(value) for value in range(size)])
        for name, size in zip(space.names, space.sizes, strict=True)
    ]


def _encode_bytes(image: NDArray[np.float32]) -> str:
    """base64 of values in [0, 1] as bytes."""
    levels = (255 * image.clip(0, 1)).round().astype(np.uint8)
    return base64.b64encode(levels.tobytes()).decode()
