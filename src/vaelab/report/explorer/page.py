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

NUM_STARTS = 6
NUM_SAMPLES = 64
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
    plain, weights = pack_layers(layers)
    num = sum(map(count_multiplications, layers))
    _, height, width = run.model.image_shape
    html = render_template(
        "explorer/explorer.html",
        data=prior | {"image_shape": run.model.image_shape, "layers": plain, "starts": starts},
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
    """The centre and scale of the sliders, and samples for the button."""
    if model.image_shape[0] not in (1, 3):
        raise NotPortable(f"its images have {model.image_shape[0]} channels, not 1 or 3")
    prior = model.prior()
    try:
        mean, std = prior.mean, prior.stddev
    except NotImplementedError:
        raise NotPortable(f"the mean of its prior {type(prior).__name__} is not known") from None
    with random_stream("report"), torch.no_grad():
        samples = prior.sample(torch.Size([NUM_SAMPLES]))
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
        means = run.encode(x).mean
    except UserError as reason:
        return [], str(reason)
    return [
        {"image": _encode_bytes(image), "mean": mean.tolist()}
        for image, mean in zip(x, means, strict=True)
    ], ""


def _encode_bytes(image: NDArray[np.float32]) -> str:
    """base64 of values in [0, 1] as bytes."""
    levels = (255 * image.clip(0, 1)).round().astype(np.uint8)
    return base64.b64encode(levels.tobytes()).decode()
