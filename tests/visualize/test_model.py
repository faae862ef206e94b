"""Figures of a model: which there are, what they show, and that drawing changes nothing."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from vaelab.data import Images, Splits, Subset
from vaelab.data.factors import FactorSpace, FactorTable
from vaelab.errors import UserError
from vaelab.figures import Animation, make_image_grid
from vaelab.posteriors import FullCovariance
from vaelab.priors import Mixture
from vaelab.visualize.context import FigureSettings
from vaelab.visualize.model import (
    NUM_MOMENTS,
    draw_model_figures,
    figure_names,
)
from vaelab.visualize.projection import principal_components

STILLS = ["reconstructions", "samples", "traversals", "traversals_prior"]
POSTERIORS = ["posteriors", "posterior_samples", "interpolations"]
ANIMATED = ["traversals_animated", "traversals_prior_animated"]
NUM = 60


def subset(num=NUM, index=None, labels=None, seed=0):
    shades = torch.randint(0, 256, (num, 16), generator=torch.Generator().manual_seed(seed))
    return Subset(Images(shades.byte(), (1, 4, 4)), index, labels)


@pytest.fixture
def vae(tiny_vae):
    return lambda latent_dim=3: tiny_vae(latent_dim).float()


def draw(model, splits=None, names=None, **settings):
    splits = splits or Splits(train=subset(), val=subset())
    return dict(draw_model_figures(model, splits, "step 7", FigureSettings(**settings), names))


def shown(figure):
    return figure.axes[0].get_images()[0].get_array()


def pixels(images, num_columns):
    return (255 * make_image_grid(images, num_columns)).round().astype(np.uint8)


def caption(figure):
    if isinstance(figure, Animation):
        return figure.caption
    (text,) = [t for t in figure.texts if t.get_gid() == "caption"]
    return " ".join(text.get_text().split())


@pytest.mark.parametrize(
    ("latent_dim", "names"),
    [
        (1, [*STILLS, *POSTERIORS, *ANIMATED]),
        (2, [*STILLS, "manifold", "latent_scatter", *POSTERIORS, *ANIMATED]),
        (3, [*STILLS, "latent_scatter", *POSTERIORS, *ANIMATED]),
    ],
)
def test_which_figures_there_are(latent_dim, names, vae):
    model = vae(latent_dim)
    drawn = draw(model)
    assert list(drawn) == figure_names(model) == names
    assert [name for name, p in drawn.items() if isinstance(p, Animation)] == ANIMATED
    for figure in drawn.values():
        assert caption(figure).endswith("step 7")


def test_only_the_named_figures_are_drawn(vae):
    assert list(draw(vae(), names=["samples", "manifold"])) == ["samples"]
    assert draw(vae(), names=[]) == {}


def test_a_figure_is_the_same_alone_and_among_others(vae):
    model = vae()
    alone = draw(model, names=["samples"])["samples"]
    np.testing.assert_array_equal(shown(alone), shown(draw(model)["samples"]))


def test_drawing_changes_nothing(vae):
    model = vae().train()
    before = torch.random.get_rng_state()
    for _ in draw_model_figures(model, Splits(subset(), subset()), "now"):
        assert model.training
        assert torch.equal(torch.random.get_rng_state(), before)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_a_failing_figure_leaves_the_mode_as_it_was(vae):
    model = vae().train()
    with pytest.raises(UserError):
        draw(model, image=NUM)
    assert model.training


def test_reconstructions_are_of_the_evaluation_set(vae):
    model, test = vae(), subset(seed=1)
    figure = draw(model, Splits(subset(), subset(), test), num_images=4)["reconstructions"]
    assert "Test images" in caption(figure)
    top = shown(figure)[:4]
    known = {tuple(x.flatten().tolist()) for x in (test.take(torch.arange(NUM)) * 255).round()}
    for i in range(4):
        assert tuple(top[:, 6 * i : 6 * i + 4, 0].flatten().tolist()) in known


@pytest.mark.parametrize("name", ["traversals", "traversals_prior"])
def test_traversals_start_where_they_say(name, vae):
    model, data = vae(), subset()
    drawn = draw(model, Splits(data, data), [name], image=5, num_values=3, traversal_range=1.5)
    figure = drawn[name]
    with torch.no_grad():
        mean = model.encode(data.take(torch.tensor([5]))).mean[0]
    start = mean if name == "traversals" else torch.zeros(3)
    values = torch.tensor([-1.5, 0, 1.5])
    order = [int(text.get_text()[1]) for text in figure.axes[0].get_yticklabels()]
    expected = model.traverse(start, order, values).flatten(0, 1)
    np.testing.assert_allclose(shown(figure), pixels(expected, 3), atol=1)
    where = "posterior mean of validation image 5" if name == "traversals" else "prior mean"
    assert where in caption(figure)


def test_rows_are_ordered_by_kl_and_no_more_than_max_latents(vae):
    model = vae(3)
    (figure,) = draw(model, names=["traversals"], max_latents=2).values()
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    kl = [float(name.split()[-1]) for name in names]
    assert len(names) == 2
    assert kl == sorted(kl, reverse=True)


@pytest.mark.parametrize("parts", [{"prior": Mixture}, {"posterior": FullCovariance}])
def test_without_a_kl_of_each_latent_rows_are_ordered_by_the_variance_of_means(parts, vae):
    model, data = vae(), subset()
    if "prior" in parts:
        model.latent_prior = Mixture(3, (1, 4, 4))
    else:
        model.posterior, model.encoder.head = FullCovariance(3), torch.nn.Linear(8, 9)
    drawn = draw(model, Splits(data, data), ["traversals", "traversals_animated"])
    with torch.no_grad():
        variance = model.encode(data.take(torch.arange(NUM))).mean.var(0, correction=0)
    labels = [text.get_text() for text in drawn["traversals"].axes[0].get_yticklabels()]
    order = variance.argsort(descending=True)
    assert labels == [f"z{i}, variance {variance[i]:.2f}" for i in order.tolist()]
    for figure in drawn.values():
        assert "ordered by the variance of the means of q(z|x)" in caption(figure)


def test_traversals_go_by_the_mean_and_deviations_of_a_learned_prior(vae):
    model, data = vae(), subset()
    model.latent_prior = Mixture(3, (1, 4, 4), num_components=2)
    figure = draw(model, Splits(data, data), ["traversals_prior"], num_values=3)
    labels = [text.get_text() for text in figure["traversals_prior"].axes[0].get_yticklabels()]
    with torch.no_grad():
        p_z, images = model.prior(), []
        for latent in [int(label[1]) for label in labels]:
            for number in (-2, 0, 2):
                z = p_z.mean.clone()
                z[latent] += number * p_z.stddev[latent]
                images.append(model.decode(z[None]).mean[0])
    expected = pixels(torch.stack(images), 3)
    np.testing.assert_allclose(shown(figure["traversals_prior"]), expected, atol=1)


def test_animation_reaches_both_ends(vae):
    model = vae()
    (animation,) = draw(model, names=["traversals_prior_animated"]).values()
    (still,) = draw(model, names=["traversals_prior"], num_values=2).values()
    num = len(animation.frames)
    assert num == 2 * NUM_MOMENTS - 2
    latents = [t.get_text() for t in still.axes[0].get_yticklabels()]
    for frame, column in ((0, 0), (NUM_MOMENTS - 1, 1)):
        for row in range(len(latents)):
            cell = shown(still)[6 * row : 6 * row + 4, 6 * column : 6 * column + 4, :1]
            large = cell.repeat(28, axis=0).repeat(28, axis=1)
            assert holds(animation.frames[frame][..., 0], large[..., 0])


def holds(frame, image):
    windows = np.lib.stride_tricks.sliding_window_view(frame, image.shape)
    near = np.abs(windows[..., 0, 0].astype(int) - int(image[0, 0])) <= 1
    return any((np.abs(w.astype(int) - image) <= 1).all() for w in windows[near])


def test_scatter_of_two_latents_is_of_the_means_and_by_label(vae):
    model, labels = vae(2), torch.arange(NUM) % 3
    data = subset(labels=labels)
    (figure,) = draw(model, Splits(data, data), ["latent_scatter"]).values()
    axes = figure.axes[0]
    with torch.no_grad():
        means = model.encode(data.take(torch.arange(NUM))).mean
    points = torch.as_tensor(np.asarray(axes.collections[0].get_offsets()))
    found = torch.cdist(points.double(), means.double()).argmin(1)
    torch.testing.assert_close(points.float(), means[found])
    assert len(found.unique()) == NUM
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$z_0$", "$z_1$")
    assert len(axes.get_legend().get_texts()) == 3
    faces = axes.collections[0].get_facecolors()
    for label in range(3):
        assert len(np.unique(faces[(labels[found] == label).numpy()], axis=0)) == 1


def test_scatter_of_factors_has_a_panel_for_each_that_varies(vae):
    space = FactorSpace(("shape", "scale", "side"), (3, 4, 10))
    index = torch.arange(120)[torch.arange(120) % 10 == 3]  # side is always 3
    data = Subset(subset(120).images, index)
    splits = Splits(data, data, factors=space)
    (figure,) = draw(vae(3), splits, ["latent_scatter"]).values()
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["shape", "scale"]
    assert panels[0].get_ylabel().startswith("PC 2 (")
    assert "principal components" in caption(figure)
    counts = np.unique(panels[1].collections[0].get_array(), return_counts=True)[1]
    np.testing.assert_array_equal(counts, [3, 3, 3, 3])


def test_factor_colours_belong_to_their_points(vae):
    """The point of image i has the factor values of image i."""
    space, model = FactorSpace(("a", "b"), (6, 10)), vae(2)
    data = subset(NUM)
    (figure,) = draw(model, Splits(data, data, factors=space), ["latent_scatter"]).values()
    with torch.no_grad():
        means = model.encode(data.take(torch.arange(NUM))).mean
    points = torch.as_tensor(np.asarray(figure.axes[0].collections[0].get_offsets()))
    image = torch.cdist(points.double(), means.double()).argmin(1)
    for axes, name in zip(figure.axes, "ab", strict=False):
        expected = space.values(image, name).numpy()
        np.testing.assert_array_equal(axes.collections[0].get_array(), expected)


def test_principal_components_are_those_of_sklearn():
    mixing = torch.tensor([[3.0, 0, 0, 0], [1, 2, 0, 0], [0, 1, 1, 0], [0, 0, 0.3, 0.1]])
    x = torch.randn(500, 4) @ mixing + 5
    scores, explained = principal_components(x)
    peer = PCA(2).fit(x.double().numpy())
    expected = peer.transform(x.double().numpy())
    signs = np.sign((expected * scores.numpy()).sum(0))
    np.testing.assert_allclose(scores, expected * signs, atol=1e-9)
    np.testing.assert_allclose(explained, peer.explained_variance_ratio_, rtol=1e-9)
    # The latent with the largest weight on an axis counts positive.
    leading = np.abs(peer.components_).argmax(1)
    turned = signs * peer.components_[[0, 1], leading]
    assert (turned > 0).all()


def test_principal_components_of_collapsed_codes_are_numbers():
    scores, explained = principal_components(torch.ones(10, 4))
    assert torch.equal(scores, torch.zeros(10, 2).double())
    assert explained.tolist() == [0, 0]


def test_scatter_of_factors_of_any_images_has_the_names_of_their_values(vae):
    order = torch.randperm(NUM, generator=torch.Generator().manual_seed(0))
    data = Subset(subset().images, order[:50])
    table = FactorTable({"shape": np.array(["oval", "square"])[np.arange(NUM) % 2]})
    model = vae(2)
    (figure,) = draw(model, Splits(data, data, factors=table), ["latent_scatter"]).values()
    panel, bar = figure.axes
    assert panel.get_title() == "shape"
    assert [text.get_text() for text in bar.get_yticklabels()] == ["oval", "square"]
    points = torch.as_tensor(np.asarray(panel.collections[0].get_offsets()))
    with torch.no_grad():
        means = model.encode(data.images.take(torch.arange(NUM))).mean
    found = torch.cdist(points.double(), means.double()).argmin(1)
    assert sorted(found.tolist()) == sorted(order[:50].tolist())
    np.testing.assert_array_equal(panel.collections[0].get_array(), found % 2)


@pytest.mark.parametrize("image", [-1, NUM])
def test_an_image_outside_the_evaluation_set_is_rejected(image, vae):
    with pytest.raises(UserError, match=rf"^image .* 59 .*60 validation images\), got {image};"):
        draw(vae(), image=image)


def test_scatter_names_the_classes_of_the_data(vae):
    data = subset(labels=torch.arange(NUM) % 2)
    splits = Splits(data, data, class_names=("cat", "dog"))
    (figure,) = draw(vae(2), splits, ["latent_scatter"]).values()
    legend = figure.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in legend] == ["cat", "dog"]
