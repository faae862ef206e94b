"""The figures of a run: those that it saved, and the curves of what it logged."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaelab.report.blocks import Block, Code, Figure, Figures, Paragraph, join
from vaelab.report.run_record import Record

if TYPE_CHECKING:
    from vaelab.figures import Figure as Drawing

Curve = tuple[Sequence[int], Sequence[float]]
Curves = Mapping[str, Curve]
# name -> (title, what to look for); the order is that of the report.
KNOWN = {
    "traversals": (
        "Latent traversals",
        "Each row changes one latent and keeps the others at the posterior mean of one image; "
        "a row that does not change belongs to an inactive latent.",
    ),
    "traversals_prior": (
        "Latent traversals from the prior mean",
        "As above, with the other latents at the mean of the prior.",
    ),
    "traversals_animated": ("Traversals, animated", "All latents run through their range at once."),
    "traversals_prior_animated": ("Traversals from the prior mean, animated", "As above."),
    "reconstructions": ("Reconstructions", "Images above, the mean of p(x|z) below."),
    "components": (
        "Components",
        "The mean of p(x|z) for each value of the discrete latent, the most frequent first.",
    ),
    "samples": ("Samples", "Means of p(x|z) for latents drawn from the prior."),
    "manifold": ("Manifold", "The decoded plane of both latents, over the range of the images."),
    "latent_scatter": (
        "Posterior means",
        "The images in the plane of both latents, or of their first two principal components.",
    ),
    "class_grid": (
        "Classes and latents",
        "A class per row and the same draw of z in each column: where y and z say different "
        "things, a column keeps its style from class to class.",
    ),
    "analogies": (
        "Analogies",
        "The z of an image, decoded given each class: what stays is what z says about it.",
    ),
    "manifolds": (
        "The manifold of each class",
        "The decoded plane of both latents, one per class.",
    ),
    "posteriors": (
        "Posteriors over the prior",
        "q(z_j|x) of a few images: narrow and apart where a latent distinguishes images, "
        "the prior itself where it is inactive.",
    ),
    "posterior_samples": (
        "Decoded samples of the posterior",
        "Codes drawn from one q(z|x) should all decode to its image; where they differ is what "
        "the code leaves open.",
    ),
    "interpolations": (
        "Interpolations",
        "From one image to another through latent space, on a straight line and on a great circle.",
    ),
    "pca_manifold": (
        "PCA and the decoder's manifold",
        "A line or plane for PCA, a curve or surface for the autoencoder, on the principal axes of "
        "the images.",
    ),
    "reliability": (
        "Calibration as a classifier",
        "Accuracy among images of about the same confidence, by Bayes' rule and of a "
        "discriminative network.",
    ),
    "doubtful_images": (
        "The most doubtful images",
        "Those whose largest p(y|x) by Bayes' rule is smallest, with p(y|x) of every class.",
    ),
    "class_bounds": (
        "Bounds of each class",
        "How likely the most doubtful image is given each class: the ELBO and tighter bounds.",
    ),
    "em_bound": (
        "The bound of EM",
        "The M step raises the ELBO at fixed q, the E step closes the gap to log p(x).",
    ),
    "inference_gap": (
        "The inference gap",
        "What the ELBO lacks to log p(x): by the encoder (amortisation), by the family of q.",
    ),
    "inference_traces": (
        "Fits of q(z|x) to one image",
        "The ELBO while the parameters of q are fitted to a single image, from two starts.",
    ),
    "posterior_grid": (
        "The posterior of one image",
        "p(z|x) on a grid, with the encoder's q and the best of its family.",
    ),
    "latent_kl": (
        "KL of each latent",
        "The information that each latent carries, in nats; none at all is posterior collapse.",
    ),
    "mutual_information": (
        "Mutual information of latents and factors",
        "One bright cell per column means that a single latent encodes that factor.",
    ),
    "importance": (
        "Importance of latents for factors",
        "How much a classifier uses each latent to predict each factor.",
    ),
    "elbo_decomposition": (
        "The KL term in parts",
        "Index-code mutual information, total correlation and dimension-wise KL, in nats.",
    ),
    "factor_traversals": ("Traversals of factors", "Each row changes one factor of the data."),
}
START = 0.05  # of training, which is left out where it would flatten the rest
FLATTENED = 5.0  # how many times less high the rest would be
# (title, what to look for, label of the axis, name in the legend -> logged metric)
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
        "The sum over all latents.",
        "nats per image",
        {"train": "train/kl", "validation": "val/kl"},
    ),
)
LATENT = "val/kl_latent/"


def sort_figures(names: Iterable[str]) -> list[str]:
    """Known figures in their order, then the others by name."""
    places = {name: place for place, name in enumerate(KNOWN)}
    return sorted(names, key=lambda name: (places.get(name, len(KNOWN)), name))


class Budget:
    """How many bytes of figures a page may still take."""

    def __init__(self, num_bytes: int):
        self.left = num_bytes

    def take(self, num_bytes: int) -> bool:
        """Whether so many still fit; if so, they are taken."""
        fits = num_bytes <= self.left
        self.left -= num_bytes if fits else 0
        return fits


def show_figures(record: Record, budget: Budget | None = None) -> Iterator[Block]:
    """All figures that the run saved; with a budget, what exceeds it and animations are named."""
    members, left_out = [], []
    for name in sort_figures(record.figures):
        file = record.figures[name]
        content = file.read_bytes()
        if budget and (file.suffix == ".gif" or not budget.take(len(content))):
            left_out.append(Code(file))
            continue
        title, sentence = KNOWN.get(name, (name.replace("_", " ").capitalize(), ""))
        alt = f"{title}, run {record.name}. {sentence}".strip()
        members.append(Figure(name, {file.suffix: content}, title, sentence, alt, file))
    if members:
        yield Figures(members, "gallery")
    if left_out:
        files = join(", ", left_out)
        yield Paragraph(("Left out to keep this page small: ", *files, "."), "small")


def show_curves(record: Record) -> Iterator[Block]:
    """What was logged during training; nothing where nothing was."""
    drawn = list(_draw_curves(record))
    if drawn:
        yield Figures(drawn, "gallery curves")


def _draw_curves(record: Record) -> Iterator[Figure]:
    for title, sentence, label, names in PLOTS:
        curves = {k: record.curves[name] for k, name in names.items() if name in record.curves}
        if curves:
            step = _find_start(curves)
            note = f" From step {step:,} on; earlier values are off the scale." if step else ""
            later = {name: _crop(step, curve) for name, curve in curves.items()}
            yield _draw_plot(record, title, sentence + note, label, later)
    beta = record.curves.get("train/beta")
    if beta and len(set(beta[1])) > 1:
        yield _draw_plot(record, "Beta", "The weight of the KL.", "beta", {"beta": beta})
    latents = {k: v for k, v in record.curves.items() if k.startswith(LATENT)}
    if latents and "latent_kl" not in record.figures:  # which is the same curve
        yield _draw_latent_kl(record, latents)


def _find_start(curves: Curves) -> int:
    """The step from which on to draw: 0, or where the first values would flatten all others."""
    last = max(steps[-1] for steps, _ in curves.values())
    step = int(last * START)
    later = {name: _crop(step, curve) for name, curve in curves.items()}
    if min(len(values) for _, values in later.values()) < 2:
        return 0
    return step if _height(curves) > FLATTENED * _height(later) > 0 else 0


def _crop(step: int, curve: Curve) -> Curve:
    kept = [i for i, value in enumerate(curve[0]) if value >= step]
    return [curve[0][i] for i in kept], [curve[1][i] for i in kept]


def _height(curves: Curves) -> float:
    finite = [v for _, values in curves.values() for v in values if math.isfinite(v)]
    return max(finite) - min(finite) if finite else 0.0


def _draw_latent_kl(record: Record, latents: Curves) -> Figure:
    from vaelab.figures import plot_latent_kl

    steps = sorted(set.intersection(*(set(steps) for steps, _ in latents.values())))
    ordered = sorted(latents, key=lambda name: int(name.removeprefix(LATENT)))
    rows = [dict(zip(*latents[name], strict=True)) for name in ordered]
    kl = np.array([[row[step] for row in rows] for step in steps])
    names = [f"z{name.removeprefix(LATENT)}" for name in ordered]
    last = dict(zip(names, kl[-1], strict=True))
    sentence = "On validation images; a latent near 0 is inactive."
    drawing = plot_latent_kl(steps, kl, names)
    return _save_svg(record, drawing, "KL of each latent", sentence, last)


def _draw_plot(record: Record, title: str, sentence: str, label: str, curves: Curves) -> Figure:
    from vaelab.figures import plot_curves as draw

    last = {name: values[-1] for name, (_, values) in curves.items()}
    return _save_svg(record, draw(curves, label), title, sentence, last)


def _save_svg(
    record: Record, drawing: "Drawing", title: str, sentence: str, last: Mapping[str, float]
) -> Figure:
    from vaelab.figures import to_svg

    values = ", ".join(f"{name} {value:.4g}" for name, value in last.items())
    alt = f"{title} over training steps of run {record.name}; last values: {values}."
    name = title.lower().replace(" ", "_")
    return Figure(name, {".svg": to_svg(drawing).encode()}, title, sentence, alt)
