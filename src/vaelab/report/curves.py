"""What was logged during training, drawn: loss, ELBO and its two terms, KL of each latent."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vaelab.report.markup import picture
from vaelab.report.run_record import Record

Curve = tuple[Sequence[int], Sequence[float]]
Series = Mapping[str, Curve]
START = 0.05  # of training, which is left out where it would flatten the rest
FLATTENED = 5.0  # times less high
# (title, what to look for, label of the axis, curve by its name in the legend)
PLOTS = (
    ("Loss", "What training minimises.", "nats per image", {"train": "train/loss"}),
    (
        "ELBO",
        "A widening gap between the two is overfitting.",
        "nats per image",
        {"train": "train/elbo", "validation": "val/elbo"},
    ),
    (
        "Reconstruction",
        "Minus the expected log p(x|z).",
        "nats per image",
        {"train": "train/reconstruction", "validation": "val/reconstruction"},
    ),
    (
        "KL",
        "All latents together.",
        "nats per image",
        {"train": "train/kl", "validation": "val/kl"},
    ),
)
LATENT = "val/kl_latent/"


def curves(record: Record) -> str:
    """Figures of the run's curves; nothing where nothing was logged."""
    return "".join(_parts(record))


def _parts(record: Record) -> Iterator[str]:
    for title, sentence, label, names in PLOTS:
        series = {k: record.curves[name] for k, name in names.items() if name in record.curves}
        if series:
            step = _settled(series)
            note = f" From step {step:,} on; what was before is off the scale." if step else ""
            later = {name: _since(step, curve) for name, curve in series.items()}
            yield _plot(record, title, sentence + note, label, later)
    beta = record.curves.get("train/beta")
    if beta and len(set(beta[1])) > 1:
        yield _plot(record, "Beta", "As the kl_penalty had it.", "beta", {"beta": beta})
    latents = {k: v for k, v in record.curves.items() if k.startswith(LATENT)}
    if latents and "latent_kl" not in record.figures:  # which is the same curve
        yield _latents(record, latents)


def _settled(series: Series) -> int:
    """The step from which on to draw: 0, or where the first values would flatten all others."""
    last = max(steps[-1] for steps, _ in series.values())
    step = int(last * START)
    later = {name: _since(step, curve) for name, curve in series.items()}
    if min(len(values) for _, values in later.values()) < 2:
        return 0
    return step if _height(series) > FLATTENED * _height(later) > 0 else 0


def _since(step: int, curve: Curve) -> Curve:
    kept = [i for i, value in enumerate(curve[0]) if value >= step]
    return [curve[0][i] for i in kept], [curve[1][i] for i in kept]


def _height(series: Series) -> float:
    finite = [v for _, values in series.values() for v in values if math.isfinite(v)]
    return max(finite) - min(finite) if finite else 0.0


def _latents(record: Record, latents: Series) -> str:
    from vaelab.figures import plot_latent_kl, to_svg

    steps = sorted(set.intersection(*(set(steps) for steps, _ in latents.values())))
    rows = [dict(zip(*latents[name], strict=True)) for name in sorted(latents)]
    kl = np.array([[row[step] for row in rows] for step in steps])
    names = [f"z{i + 1}" for i in range(len(rows))]
    title, sentence = "KL of each latent", "On validation images; near 0 a latent says nothing."
    last = ", ".join(f"{name} {value:.3g}" for name, value in zip(names, kl[-1], strict=True))
    svg = to_svg(plot_latent_kl(steps, kl, names)).encode()
    alt = f"{title} over training steps of run {record.name}; last values: {last}."
    return picture(svg, ".svg", alt, title, sentence)


def _plot(record: Record, title: str, sentence: str, label: str, series: Series) -> str:
    from vaelab.figures import plot_curves, to_svg

    svg = to_svg(plot_curves(series, label)).encode()
    last = ", ".join(f"{name} {values[-1]:.4g}" for name, (_, values) in series.items())
    alt = f"{title} over training steps of run {record.name}; last values: {last}."
    return picture(svg, ".svg", alt, title, sentence)
