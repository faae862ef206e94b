"""Figures of a conditional model, against its verbs given each class."""

import numpy as np
import pytest
import torch

from vaelab.data import Classes, FactorSpace, Images, Splits, Subset
from vaelab.errors import UserError
from vaelab.figures import Animation, make_image_grid
from vaelab.likelihoods import Bernoulli
from vaelab.models import VAE, Condition, MLPDecoder, MLPEncoder
from vaelab.posteriors import Categorical, Delta, Gaussian
from vaelab.priors import Categorical as CategoricalPrior
from vaelab.priors import ConditionalNormal, StandardNormal
from vaelab.seeding import random_stream
from vaelab.visualize.context import FigureSettings
from vaelab.visualize.model import FIGURES, draw_model_figures, figure_names

NUM = 60
OF_CLASSES = {"class_grid", "analogies", "manifolds"}


def build(sizes=(3,), latent_dim=2, posterior=Gaussian, prior=StandardNormal, **condition):
    torch.manual_seed(0)
    model = VAE(
        (1, 4, 4),
        latent_dim,
        lambda *shapes, **dim: MLPEncoder(*shapes, **dim, hidden=(8,)),
        lambda *shapes, **dim: MLPDecoder(*shapes, **dim, hidden=(8,)),
        posterior,
        prior,
        Bernoulli(),
        condition=Condition(sizes, **condition),
    )
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(3)
        if prior is ConditionalNormal:
            model.latent_prior.weight.normal_(0, 0.7)
    return model.eval().requires_grad_(False)


def splits_of(model, names=None):
    generator = torch.Generator().manual_seed(0)
    shades = torch.randint(0, 256, (NUM, 16), generator=generator).byte()
    y = torch.randint(0, model.num_classes, (NUM,), generator=generator)
    data = Subset(Images(shades, (1, 4, 4)), None, y)
    sizes = model.condition.sizes
    titles = ("label",) if len(sizes) == 1 else ("shape", "scale")
    return Splits(data, data, class_names=names, classes=Classes(FactorSpace(titles, sizes), names))


def draw(model, *names, splits=None, **settings):
    splits = splits or splits_of(model)
    options = FigureSettings(**settings)
    return dict(draw_model_figures(model, splits, "step 7", options, names or None))


def shown(figure):
    return figure.axes[0].get_images()[0].get_array()


def pixels(images, num_columns):
    return (255 * make_image_grid(images, num_columns)).round().astype(np.uint8)


def row_names(figure):
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def caption(figure):
    if isinstance(figure, Animation):
        return figure.caption
    (text,) = [t for t in figure.texts if t.get_gid() == "caption"]
    return " ".join(text.get_text().split())


@pytest.mark.parametrize("prior", [StandardNormal, ConditionalNormal])
@pytest.mark.parametrize("sizes", [(3,), (4, 5)])
@pytest.mark.parametrize("sees", [{}, {"encoder": False}, {"decoder": False}])
def test_every_figure_is_drawn_of_a_conditional_model(prior, sizes, sees):
    model = build(sizes, prior=prior, **sees)
    drawn = draw(model, num_values=3)
    assert list(drawn) == figure_names(model)
    differ = "decoder" not in sees or prior is ConditionalNormal
    expected = OF_CLASSES if differ else set()
    expected = expected - {"analogies"} if "decoder" in sees else expected
    assert OF_CLASSES & set(drawn) == expected
    assert set(FIGURES) - set(drawn) - OF_CLASSES == {"components", "pca_manifold"}
    for name, figure in drawn.items():
        assert caption(figure).endswith("step 7"), name
        assert ("p(x|y, z)" in caption(figure)) <= ("decoder" not in sees), name


@pytest.mark.parametrize(
    "parts",
    [
        {"posterior": Categorical, "prior": CategoricalPrior, "latent_dim": 4},
        {"posterior": Delta},
    ],
)
def test_other_kinds_of_latents(parts):
    drawn = draw(build(**parts), num_values=3)
    assert {"class_grid", "analogies"} <= set(drawn)


def test_an_unconditional_model_has_none_of_them(tiny_vae):
    assert not OF_CLASSES & set(figure_names(tiny_vae(2)))


@pytest.mark.parametrize("prior", [StandardNormal, ConditionalNormal])
def test_a_column_of_the_class_grid_has_the_same_noise(prior):
    """z = mu(y) + sigma(y) eps, with one eps per column."""
    model = build(prior=prior)
    figure = draw(model, "class_grid")["class_grid"]
    with random_stream("figures", "class_grid", "z"):
        eps = torch.randn(10, 1, 2)[:, 0]
    rows = []
    for y in range(3):
        view = model.given(torch.tensor([y]))
        p_z = view.prior()
        rows.append(view.decode(p_z.mean.flatten() + p_z.stddev.flatten() * eps).mean)
    np.testing.assert_allclose(shown(figure), pixels(torch.cat(rows), 10), atol=1)
    assert row_names(figure) == ["0", "1", "2"]
    assert ("p(z|y)" in caption(figure)) == (prior is ConditionalNormal)


def test_analogies_are_the_mean_of_each_image_given_each_class():
    model = build()
    splits = splits_of(model)
    (figure,) = draw(model, "analogies", splits=splits).values()
    image = shown(figure)[..., 0]
    assert image.shape[0] == 10 * 6 - 2
    names = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert names == ["data", "rec.", "0", "1", "2"]
    known = (splits.val.take(torch.arange(NUM))[:, 0] * 255).round().byte().numpy()
    seen = []
    for row, frame in enumerate(figure.axes[0].patches):
        lines = image[6 * row : 6 * row + 4]
        (position,) = [i for i, x in enumerate(known) if np.array_equal(x, lines[:, :4])]
        y, x = splits.val.labels[[position]], splits.val.take(torch.tensor([position]))
        z = model.given(y).encode(x).mean
        cells = [model.given(y).decode(z).mean]
        cells += [model.given(torch.tensor([c])).decode(z).mean for c in range(3)]
        ticks = figure.axes[0].get_xticks()[1:]
        for centre, expected in zip(ticks, cells, strict=True):
            left = round(centre - 1.5)
            np.testing.assert_allclose(
                lines[:, left : left + 4], pixels(expected, 1)[..., 0], atol=1
            )
        middle = (frame.get_bbox().min[0] + frame.get_bbox().max[0]) / 2
        assert middle == figure.axes[0].get_xticks()[2 + int(y)]
        seen.append(int(y))
    assert seen == sorted(seen)
    assert np.bincount(seen).tolist() == [4, 3, 3]


def test_manifolds_are_those_of_the_classes():
    model = build(prior=ConditionalNormal)
    drawn = draw(model, "manifolds", "manifold", image=4)
    assert [axes.get_title() for axes in drawn["manifolds"].axes] == ["0", "1", "2"]
    quantiles = torch.special.ndtri((torch.arange(8) + 0.5) / 8)
    for y, axes in enumerate(drawn["manifolds"].axes):
        view = model.given(torch.tensor([y]))
        corner = view.prior().mean + view.prior().stddev * quantiles[0]
        cell = axes.get_images()[0].get_array()[-4:, :4]
        np.testing.assert_allclose(cell, pixels(view.decode(corner).mean, 1), atol=1)
    assert f"y = {int(splits_of(model).val.labels[4])}" in caption(drawn["manifold"])


def test_traversals_stay_at_the_class_of_the_image():
    model = build(latent_dim=3)
    splits = splits_of(model, ("cat", "dog", "emu"))
    drawn = draw(model, "traversals", "traversals_prior", splits=splits, image=5, num_values=3)
    y = splits.val.labels[[5]]
    view, x = model.given(y), splits.val.take(torch.tensor([5]))
    for name, start in (
        ("traversals", view.encode(x).mean[0]),
        ("traversals_prior", torch.zeros(3)),
    ):
        order = [int(text[1]) for text in row_names(drawn[name])]
        moved = view.traverse(start, order, torch.tensor([-2.0, 0, 2])).flatten(0, 1)
        np.testing.assert_allclose(shown(drawn[name]), pixels(moved, 3), atol=1)
        assert f"at fixed y = {('cat', 'dog', 'emu')[int(y)]};" in caption(drawn[name])


def test_reconstructions_and_means_are_of_the_own_class():
    model = build()
    splits = splits_of(model)
    drawn = draw(model, "reconstructions", "latent_scatter", splits=splits, num_images=NUM)
    x = splits.val.take(torch.arange(NUM))
    own = model.given(splits.val.labels)
    image = shown(drawn["reconstructions"])
    known = [pixels(one[None], 1).tobytes() for one in x]
    x_hat = pixels(own.reconstruct(x), 1)
    for i in range(NUM):
        top, below = (image[r : r + 4, 6 * i : 6 * i + 4] for r in (0, 6))
        position = known.index(top.tobytes())
        np.testing.assert_allclose(below, x_hat[6 * position : 6 * position + 4], atol=1)
    points = torch.as_tensor(
        np.asarray(drawn["latent_scatter"].axes[0].collections[0].get_offsets())
    )
    assert torch.cdist(points.double(), own.encode(x).mean.double()).min(1).values.max() < 1e-5


def test_the_scatter_warns_where_means_are_not_comparable():
    for prior, words in (
        (StandardNormal, "one place means"),
        (ConditionalNormal, "not comparable"),
    ):
        assert words in caption(draw(build(prior=prior), "latent_scatter")["latent_scatter"])


def test_interpolations_stay_in_a_class():
    model = build()
    splits = splits_of(model)
    (figure,) = draw(model, "interpolations", splits=splits, num_values=3).values()
    known = [pixels(one[None], 1).tobytes() for one in splits.val.take(torch.arange(NUM))]
    for row in range(6):
        line = shown(figure)[6 * row : 6 * row + 4]
        ends = [known.index(line[:, c : c + 4].tobytes()) for c in (0, 24)]
        first, last = splits.val.labels[ends]
        assert first == last
        x_hat = model.given(first[None]).reconstruct(splits.val.take(torch.tensor(ends)))
        np.testing.assert_allclose(line[:, 6:10], pixels(x_hat[:1], 1), atol=1)
        np.testing.assert_allclose(line[:, 18:22], pixels(x_hat[1:], 1), atol=1)


def test_of_many_classes_a_choice_is_shown_and_said():
    model = build((4, 5))
    drawn = draw(model, "class_grid", "analogies", "samples", "manifolds")
    for name in ("class_grid", "analogies", "manifolds"):
        assert "(10 of 20, chosen at random)" in caption(drawn[name])
    chosen = row_names(drawn["class_grid"])
    numbers = [5 * int(name[0]) + int(name[3]) for name in chosen]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 10
    assert chosen == [t.get_text() for t in drawn["analogies"].axes[0].get_xticklabels()][2:]
    assert drawn["class_grid"].axes[0].get_ylabel() == "shape, scale"
    assert all(axes.get_title().startswith("shape ") for axes in drawn["manifolds"].axes)
    assert "64 draws of y (shape, scale) from p(y)" in caption(drawn["samples"])
    assert row_names(draw(build((4, 5)), "class_grid")["class_grid"]) == chosen


def test_samples_of_few_classes_have_a_row_each():
    model = build()
    figure = draw(model, "samples")["samples"]
    assert row_names(figure) == ["0", "1", "2"]
    assert shown(figure).shape[:2] == (3 * 6 - 2, 10 * 6 - 2)


def test_images_without_a_class_are_rejected():
    model = build()
    splits = splits_of(model)
    data = Subset(splits.val.images, None, torch.full((NUM,), -1))
    with pytest.raises(UserError, match=r"^a conditional model expects the class of each image"):
        draw(model, splits=Splits(data, data))
