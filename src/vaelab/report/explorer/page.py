"""The latent explorer: a slider for each latent and the decoded image at once, in the browser."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.errors import UserError
from vaelab.load import Run, load_run
from vaelab.models import VAE
from vaelab.report.explorer.decoder import decoder_layers, floats_as_text, multiplications, packed
from vaelab.report.explorer.layers import NotPortable
from vaelab.report.markup import MINUS, escape, number, own_text
from vaelab.report.run_record import Record, is_collapsed
from vaelab.seeding import random_stream

NUM_STARTS = 6
NUM_SAMPLES = 64
RANGE = 3  # standard deviations of the prior
SLOW = 50_000_000  # multiplications: more than a frame's time


def explorer(record: Record) -> str:
    """The explorer of a run as HTML, or one sentence on why there is none."""
    try:
        run = load_run(record.folder.path)
        layers = decoder_layers(run.model)
        data = _prior(run.model)
    except (NotPortable, UserError) as reason:
        sentence = escape(reason).rstrip(".")
        return f'<p class="note">There is no latent explorer for this run: {sentence}.</p>'
    starts, missing = _starts(run)
    plain, weights = packed(layers)
    data |= {"image_shape": run.model.image_shape, "layers": plain, "starts": starts}
    order = _order(record, run.model.latent_dim)
    num = sum(multiplications(layer) for layer in layers)
    return "".join(
        [
            _introduction(run, num, bool(record.kl_latent), missing),
            _controls(len(starts), run.model.image_shape),
            _sliders(record, order),
            "</div></div>",
            f'<script type="application/json" id="explorer-data">{_json(data)}</script>',
            f'<script type="text/plain" id="explorer-weights">{weights}</script>',
            f"<script>{own_text('explorer/decoder.js')}</script>",
            f"<script>{own_text('explorer/explorer.js')}</script>",
        ]
    )


def _prior(model: VAE) -> dict[str, Any]:
    """Where sliders start and end, and draws for the button."""
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
        "prior_samples": floats_as_text(samples.cpu().numpy()),
    }


def _starts(run: Run) -> tuple[list[dict[str, Any]], str]:
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
        {"image": _bytes_as_text(image), "mean": mean.tolist()}
        for image, mean in zip(x, means, strict=True)
    ], ""


def _bytes_as_text(image: NDArray[np.float32]) -> str:
    """base64 of values in [0, 1] as bytes."""
    levels = (255 * image.clip(0, 1)).round().astype(np.uint8)
    return base64.b64encode(levels.tobytes()).decode()


def _json(data: Any) -> str:
    """JSON that can't end the script element it stands in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _order(record: Record, latent_dim: int) -> Sequence[int]:
    """Latents by KL, the largest first; as they are where it was not measured."""
    kl = record.kl_latent
    return sorted(range(latent_dim), key=lambda i: -kl.get(i, 0.0))


def _introduction(run: Run, num: int, ordered: bool, missing: str) -> str:
    order = "ordered by KL" if ordered else "in their order, since no KL was measured"
    lines = [
        f"Move a slider to see the mean of p(x|z) change. The latents are {order}; a slider goes "
        f"from {MINUS}{RANGE} to +{RANGE} standard deviations of the prior. The decoder of step "
        f"{run.step:,} runs in this page ({number(num)} multiplications an image)."
    ]
    if num > SLOW:
        lines.append("That is much for a browser: expect a few images a second.")
    if missing:
        lines.append(f"No data images to start from: {escape(missing)}")
    return (
        f"<p>{' '.join(lines)}</p><noscript><p>The explorer needs JavaScript.</p></noscript>"
        '<div class="explorer"><div class="stage">'
    )


def _controls(num_starts: int, image_shape: Sequence[int]) -> str:
    _, height, width = image_shape
    size = f'width="{width}" height="{height}"'
    starts = "".join(
        f'<button type="button" data-start="{i}" aria-label="start from data image {i + 1}">'
        f"<canvas {size}></canvas></button>"
        for i in range(num_starts)
    )
    label = '<span class="small">start from a data image:</span>' if num_starts else ""
    return (
        '<div class="pictures">'
        f'<figure><canvas id="decoding" {size} role="img" aria-label="decoded image"></canvas>'
        "<figcaption>mean of p(x|z)</figcaption></figure>"
        f'<figure hidden><canvas id="data-image" {size} role="img" aria-label="data image">'
        "</canvas><figcaption>data image</figcaption></figure></div>"
        '<div class="buttons"><button type="button" id="to-mean">prior mean</button> '
        '<button type="button" id="to-sample">draw from the prior</button></div>'
        f'<div id="starts">{label}<div class="buttons">{starts}</div></div>'
        '<p class="small" id="explorer-status"></p></div><div id="latents">'
    )


def _sliders(record: Record, order: Sequence[int]) -> str:
    return "".join(_slider(record.kl_latent, i) for i in order)


def _slider(kl_latent: dict[int, float], latent: int) -> str:
    kl = kl_latent.get(latent)
    silent = kl is not None and is_collapsed(kl)
    text = "" if kl is None else f"KL {number(kl, 3) if kl >= 0.001 else '0.00'}"
    return (
        f"<label{' class=silent' if silent else ''}><span><b>z{latent + 1}</b> "
        f'<span class="small">{text}</span></span>'
        f'<input type="range" min="-{RANGE}" max="{RANGE}" step="0.02" value="0" '
        f'data-latent="{latent}"><output>0.00</output></label>'
    )
