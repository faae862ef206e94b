"""What holds for every figure: caption, nothing cut off, width of a column, stable bytes."""

import io

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from vaelab import figures
from vaelab.figures.style import WIDE, WIDTH

CAPTION = "What is shown, at step 10, said in so many words that they need more than one line of it"
VALUES = [-2.0, 0.0, 2.0]
LATENTS = [f"z{i}" for i in range(10)]
FACTORS = ["shape", "scale", "orientation", "position x", "position y"]
AXIS = np.linspace(-3, 3, 41)
BELL = np.exp(-np.add.outer(AXIS**2 / 2, AXIS**2))


def grey(*shape):
    return torch.rand(*shape, 1, 6, 6)


def steps_and_kl(num_steps):
    steps = np.arange(1, num_steps + 1) * 1000
    return steps, np.outer(np.sqrt(steps), np.arange(10.0)) / 50


def density(mu, sigma):
    z = np.linspace(mu - 4 * sigma, mu + 4 * sigma)
    return z, np.exp(-0.5 * ((z - mu) / sigma) ** 2) / sigma


def posteriors(num_latents, num_images, size=(6, 6)):
    curves = [[density(i, 0.1 + 0.1 * j) for i in range(num_images)] for j in range(num_latents)]
    priors = [density(0, 1)] * num_latents
    names = [f"z{10 - j}, KL 12.34" for j in range(num_latents)]
    return figures.plot_posteriors(priors, curves, torch.rand(num_images, 3, *size), names, CAPTION)


def analogies(names):
    own = [i % len(names) for i in range(5)]
    decoded = grey(5, len(names))
    return figures.plot_analogies(grey(5), grey(5), decoded, own, names, "label", CAPTION)


def pca_manifold(num_latents):
    rng = np.random.default_rng(0)
    points, lines = rng.normal(size=(50, num_latents + 1)), np.zeros((3, 5, num_latents + 1))
    lines[..., 0] = np.linspace(-2, 2, 5)
    return figures.plot_pca_manifold(points, lines, np.full(num_latents + 1, 0.3), CAPTION)


def panels(num, num_lines, x=(1, 4, 16)):
    x, ones = np.array(x, float), np.ones(len(x))
    lines = [figures.Line(f"a line {i}", x, i * x, i * x - 1, i * ones) for i in range(num_lines)]
    dots = [np.stack([x, i * ones], 1) for i in range(num_lines)]
    return [figures.Panel(f"number {i}", lines, dots) for i in range(num)]


def rate_distortion_curves(num):
    cost = np.array([80.0, 90.0, 110.0])
    labels = ["beta 1", "beta 4", "beta 16"]
    return [
        figures.RateDistortionCurve(f"curve {i}", cost + i, 100 / cost, labels) for i in range(num)
    ]


def fits(shape, num=3):
    names = ["forward fit", "reverse fit"]
    notes = dict.fromkeys(names, "KL(p || q) = 0.724,  KL(q || p) = 2.096")
    x = np.indices(shape).sum(0) / shape[0]
    densities = {name: np.exp(-((3 * x - i) ** 2)) for i, name in enumerate(names, 1)}
    return [figures.FitPanel(f"mixture {i}", np.exp(-(x**2)), densities, notes) for i in range(num)]


FIGURES = {
    "metric vs setting": lambda: figures.plot_metric_vs_setting("beta", panels(4, 3), CAPTION),
    "one panel": lambda: figures.plot_metric_vs_setting("beta", panels(1, 1), CAPTION),
    "rate and distortion": lambda: figures.plot_rate_distortion(
        rate_distortion_curves(2), np.random.default_rng(0).uniform(80, 90, (9, 2)), CAPTION
    ),
    "rank correlation": lambda: figures.plot_rank_correlation(
        np.eye(3), ["ELBO", "KL", "DCI disentanglement"], CAPTION
    ),
    "wide rank correlation": lambda: figures.plot_rank_correlation(
        np.full((20, 20), np.nan), [f"number {i}" for i in range(20)], CAPTION
    ),
    "variance": lambda: figures.plot_variance_bars(
        ["MIG", "DCI disentanglement"], {"objective.beta": [0.3, -0.1], "seed": [0.7, 1.1]}, CAPTION
    ),
    "reconstructions": lambda: figures.plot_reconstructions(grey(4), grey(4), CAPTION),
    "samples": lambda: figures.plot_samples(grey(7), 3, CAPTION),
    "samples in colour": lambda: figures.plot_samples(torch.rand(4, 3, 6, 8), 2, CAPTION),
    "traversals": lambda: figures.plot_traversals(grey(2, 3), ["z1", "z0"], VALUES, CAPTION),
    "long names": lambda: figures.plot_traversals(
        grey(2, 3), ["z10, KL 12.34", "z9, KL 0.01"], VALUES, CAPTION
    ),
    "manifold": lambda: figures.plot_manifold(grey(3, 3), VALUES, CAPTION),
    "rows": lambda: figures.plot_rows(grey(3, 9), ["", "b", "c"], {0: "data", 8: "1"}, CAPTION),
    "rows of classes": lambda: figures.plot_rows(
        grey(3, 9), ["0, 1", "0, 2", "1, 0"], caption=CAPTION, y_label="shape, scale"
    ),
    "analogies": lambda: analogies(["0", "1", "2"]),
    "analogies of long names": lambda: analogies(["Ankle boot", "T-shirt/top", "Bag"] * 4),
    "manifolds": lambda: figures.plot_manifolds(
        grey(10, 3, 3), [f"shape {i}, scale 3" for i in range(10)], CAPTION
    ),
    "a manifold": lambda: figures.plot_manifolds(grey(1, 3, 3), ["label 0"], CAPTION),
    "posteriors": lambda: posteriors(6, 4),
    "posteriors of one latent": lambda: posteriors(1, 1),
    "posteriors of wide images": lambda: posteriors(4, 4, size=(6, 20)),
    "PCA's line": lambda: pca_manifold(1),
    "PCA's plane": lambda: pca_manifold(2),
    "scatter": lambda: figures.plot_latent_scatter(torch.randn(9, 2), None, caption=CAPTION),
    "scatter of classes": lambda: figures.plot_latent_scatter(
        torch.randn(9, 2), torch.arange(9) % 3, "digit", CAPTION
    ),
    "scatter of a quantity": lambda: figures.plot_latent_scatter(
        torch.randn(9, 2), torch.arange(9), "scale", CAPTION, continuous=True
    ),
    "scatter of factors": lambda: figures.plot_factor_scatters(
        torch.randn(9, 2), {n: torch.arange(9) % (3 + i) for i, n in enumerate(FACTORS)}, CAPTION
    ),
    "heat map": lambda: figures.plot_mutual_information(
        torch.rand(10, 5), LATENTS, FACTORS, CAPTION
    ),
    "wide heat map": lambda: figures.plot_mutual_information(
        torch.rand(2, 12), LATENTS[:2], [f"a factor of number {i}" for i in range(12)], CAPTION
    ),
    "latent KL": lambda: figures.plot_latent_kl(*steps_and_kl(25), LATENTS, CAPTION),
    "latent KL at one step": lambda: figures.plot_latent_kl(*steps_and_kl(1), LATENTS, CAPTION),
    "decomposition": lambda: figures.plot_elbo_decomposition(
        {"reconstruction": 86.4, "mutual information": 9, "total correlation": -1}, CAPTION
    ),
    "inference gap": lambda: figures.plot_inference_gap({"": (-104.2, -101.3, -98.5)}, CAPTION),
    "inference gaps of models": lambda: figures.plot_inference_gap(
        {"gaussian": (-104.2, -101.3, -98.5), "full covariance": (-104, -101, -101)}, CAPTION
    ),
    "traces of a fit": lambda: figures.plot_inference_traces(
        {"from the encoder": [-90.0, -80], "from the prior": [-600.0, -80]},
        {"the encoder's ELBO": -90.0},
        CAPTION,
    ),
    "posterior": lambda: figures.plot_posterior_grid(
        AXIS, AXIS, BELL, {"the encoder's q(z|x)": BELL, "best gaussian": BELL.T**2}, CAPTION
    ),
    "fits of densities": lambda: figures.plot_density_fits(np.arange(50.0), fits((50,)), CAPTION),
    "fits in the plane": lambda: figures.plot_contour_fits(
        np.arange(30.0), np.arange(20.0), fits((20, 30)), CAPTION
    ),
    "landscape": lambda: figures.plot_divergence_landscape(
        np.arange(-3.0, 4),
        np.ones(7),
        {"forward KL(p || q)": np.arange(7.0), "reverse KL(q || p)": np.arange(-3.0, 4) ** 2},
        {"reverse KL(q || p)": [(0, 0.357), (2, 1.204)]},
        CAPTION,
    ),
    "errors by labels": lambda: figures.plot_error_by_labels(
        panels(1, 3, (20, 300, 10_000))[0].lines, CAPTION
    ),
    "bounds of classes": lambda: figures.plot_class_log_likelihoods(
        torch.rand(3, 6, 8),
        {name: -100 - np.arange(10.0) * i for i, name in enumerate(("ELBO", "L_100", "exact"))},
        list("0123456789"),
        4,
        CAPTION,
    ),
    "one bar per class": lambda: figures.plot_class_log_likelihoods(
        torch.rand(1, 6, 6), {"exact": [-3.0, -9.0]}, ["hearts", "squares"], 0, CAPTION
    ),
    "joint densities": lambda: figures.plot_joint_densities(
        AXIS,
        {f"class {c}": np.exp(-((AXIS - c) ** 2)) for c in range(3)},
        CAPTION,
    ),
    "reliability": lambda: figures.plot_reliability(
        {
            name: ([0.5, 0.9], [0.4, 1.0], [20, 30], [[0.2, 0.9], [0.6, 1]])
            for name in ("naive Bayes", "10 components")
        },
        CAPTION,
    ),
    "doubtful images": lambda: figures.plot_doubtful_images(
        grey(9), np.full((9, 10), 0.1), [0, 1, 2] * 3, list("0123456789"), CAPTION
    ),
    "one doubtful image": lambda: figures.plot_doubtful_images(
        grey(1), [[0.6, 0.4]], [1], ["heart", "square"], CAPTION
    ),
    "curves": lambda: figures.plot_curves(
        {"train/elbo": ([1, 2], [-90.0, -80.0]), "val/elbo": ([2], [np.nan])}, "nats", CAPTION
    ),
}
every_figure = pytest.mark.parametrize("name", FIGURES)


@every_figure
def test_it_has_its_caption_and_no_text_is_cut_off(name, caption_of, cut_off):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert caption_of(figure) == CAPTION
    assert figure.get_figwidth() in (WIDTH, WIDE)
    assert cut_off(figure) == []


@every_figure
def test_its_legend_covers_neither_caption_nor_axes(name):
    figure = FIGURES[name]()
    FigureCanvasAgg(figure).draw()
    (caption,) = [text for text in figure.texts if text.get_gid() == "caption"]
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.y1 <= caption.get_window_extent().y0
        assert max(axes.get_tightbbox().y1 for axes in figure.axes if axes.axison) <= box.y0
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width


@every_figure
def test_it_becomes_a_png_that_shows_something(name):
    with Image.open(io.BytesIO(figures.to_png(FIGURES[name](), dpi=40))) as image:
        assert image.format == "PNG"
        assert min(image.size) > 20
        assert len(np.unique(np.asarray(image))) > 2


@every_figure
def test_the_same_figure_gives_the_same_svg(name):
    first, second = (str_of(name) for _ in range(2))
    assert first == second
    assert first.startswith("<svg")
    assert "<text" in first
    assert "<dc:date>" not in first


def str_of(name):
    torch.manual_seed(0)
    return figures.to_svg(FIGURES[name]())


@every_figure
def test_no_figure_is_left_in_pyplot(name):
    import matplotlib.pyplot as plt

    FIGURES[name]()
    assert plt.get_fignums() == []


def test_without_a_caption_there_is_no_room_for_one():
    tall = figures.plot_samples(grey(4), 2, CAPTION).get_figheight()
    assert figures.plot_samples(grey(4), 2).get_figheight() < tall - 0.1


def test_cut_off_text_would_be_seen(cut_off):
    figure = Figure(figsize=(1, 1))
    figure.text(0.5, 0.5, "far too long for an inch of paper")
    assert cut_off(figure) == ["far too long for an inch of paper"]
