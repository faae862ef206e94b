"""Metrics of a conditional model are those of its classes, one at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vaelab.build import build_model
from vaelab.data import Condition, DSprites
from vaelab.data.images import Subset
from vaelab.distributions import log_mean_weight
from vaelab.elbo import elbo_terms
from vaelab.errors import UserError
from vaelab.metrics import (
    AIS,
    MIG,
    Decomposition,
    Elbo,
    ImportanceWeightedBound,
    InferenceGap,
    ReconstructionError,
    Unsupervised,
)
from vaelab.metrics.ais import ais_log_likelihood
from vaelab.metrics.elbo import per_image_terms, pixel_mean_distortion
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.metrics.importance_weighted import importance_log_weights
from vaelab.metrics.inference_gap import inference_gap

SIZES = (3, 2, 1, 4, 4)
NUM_VAL = 40


@pytest.fixture
def make(compose, tmp_path):
    """Overrides -> a model of images given two factors, its data, and the two encoded."""

    def build(*overrides, factors=("shape", "posX"), sizes=SIZES, num_val=NUM_VAL):
        cfg = compose("model=mlp", "model.hidden=[16]", "latent_dim=3", "init=pytorch",
                      "condition=factors", *overrides)  # fmt: skip
        condition = Condition(factors)
        sprites = DSprites(tmp_path, image_size=16, factor_sizes=sizes, num_val=num_val)
        splits = condition.label(sprites.load())
        torch.manual_seed(0)
        model = build_model(cfg, (1, 16, 16), condition.classes(splits).sizes).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        return EncodedDataset(model, splits)

    return build


def views(encoded, rows):
    """A view and the image of each row."""
    labels = encoded.splits.image_labels
    return [(encoded.model.given(labels[[row]]), encoded.x(np.array([row]))) for row in rows]


@pytest.mark.parametrize("prior", ["standard_normal", "conditional_normal"])
def test_elbo_is_the_mean_over_images_given_their_classes(make, prior, fix_noise):
    encoded = make(f"prior={prior}")
    fix_noise(torch.zeros(NUM_VAL, 3))
    scores = Elbo(num_bootstrap=0)(encoded)
    fix_noise(torch.zeros(1, 3))
    with torch.no_grad():
        terms = [elbo_terms(*each) for each in views(encoded, encoded.evaluation_rows)]
    kl, reconstruction = (
        torch.cat([getattr(t, name) for t in terms]).double().mean().item()
        for name in ("kl", "reconstruction")
    )
    assert scores["rate"].value == pytest.approx(kl, rel=1e-5)
    assert scores["elbo"].value == pytest.approx(-kl - reconstruction, rel=1e-5)
    at_mean = [per_image_terms(*each, 1)[0, -1].item() for each in views(encoded, [0])]
    assert np.isfinite(at_mean).all()


def test_codes_are_those_of_each_class(make):
    encoded, rows = make(), np.array([0, 17, 95, 17])
    means = np.concatenate(
        [view.encode(x).mean.detach().numpy() for view, x in views(encoded, rows)]
    )
    np.testing.assert_allclose(encoded.means(rows), means, rtol=1e-5, atol=1e-6)


def test_importance_weighted_bound_is_of_the_class(make):
    encoded = make("prior=conditional_normal")
    score = ImportanceWeightedBound(num_samples=50, num_images=None)(encoded)
    rows = ImportanceWeightedBound(num_images=None).rows(encoded)
    each = [
        log_mean_weight(importance_log_weights(view, x, 50, 0, i)).item()
        for i, (view, x) in enumerate(views(encoded, rows))
    ]
    expected = np.mean(each)
    assert score["importance_weighted_bound"].value == pytest.approx(expected, rel=1e-9)


def test_ais_is_of_the_class(make):
    """A block of images with their classes in another order, against L_K of many samples."""
    encoded = make("prior=conditional_normal")
    score = AIS(num_chains=4, num_temperatures=20, num_images=20)(encoded)["ais_log_likelihood"]
    rows = AIS(num_images=20).rows(encoded)
    model, x = encoded.given(rows), encoded.x(rows)
    direct = ais_log_likelihood(model, x, 4, 20)
    assert score.value == pytest.approx(direct.mean().item(), rel=1e-9)
    bounds = ImportanceWeightedBound(num_samples=3000, num_images=20)
    reference = [
        log_mean_weight(importance_log_weights(view, image, bounds.num_samples, 0, i)).item()
        for i, (view, image) in enumerate(views(encoded, rows))
    ]
    assert score.value == pytest.approx(np.mean(reference), abs=0.3)


@pytest.mark.parametrize("start", ["encoder", "prior"])
def test_inference_gap_is_of_the_class(make, start):
    encoded = make("prior=conditional_normal")
    settings = {"num_steps": 3, "num_samples": 2, "num_bound_samples": 40, "start": start}
    scores = InferenceGap(**settings, num_images=20, ais=3)(encoded)
    rows = InferenceGap(num_images=20).rows(encoded)
    with torch.no_grad():
        direct = inference_gap(encoded.given(rows), encoded.x(rows), **settings, ais=3)
    assert scores["log_p"].value == pytest.approx(direct.log_p.mean().item(), rel=1e-9)
    other = encoded.model.given(torch.zeros(20, dtype=torch.int64))
    with torch.no_grad():
        wrong = inference_gap(other, encoded.x(rows), **settings, ais=3)
    assert wrong.log_p.mean() != direct.log_p.mean()


def test_inference_gap_of_a_discrete_z_is_exact_in_parts_of_many_images(make):
    encoded = make(
        *("objective=enumerated", "posterior=categorical", "prior=categorical"),
        sizes=(3, 2, 1, 8, 8),
        num_val=200,
    )
    scores = InferenceGap(num_images=None)(encoded)
    with torch.no_grad():
        each = [
            view.log_joint(x).logsumexp(0).item()
            for view, x in views(encoded, encoded.evaluation_rows)
        ]
    assert scores["log_p"].value == pytest.approx(np.mean(each), rel=1e-6)


def test_reconstruction_error_is_of_the_class(make):
    encoded = make()
    scores = ReconstructionError(num_train_images=50)(encoded)
    errors = [
        (view.reconstruct(x) - x).square().sum().item()
        for view, x in views(encoded, encoded.evaluation_rows)
    ]
    assert scores["reconstruction_error"].value == pytest.approx(np.mean(errors), rel=1e-5)


def test_scores_of_codes_are_finite(make):
    encoded = make()
    for metric in (
        Unsupervised(num_samples=200, num_repeats=0),
        Decomposition(num_samples=50),
        MIG(num_repeats=0),
    ):
        assert all(np.isfinite(score.value) for score in metric(encoded).values())


def test_decomposition_needs_one_prior(make):
    assert not Decomposition().supports(make("prior=conditional_normal").model)
    with pytest.raises(UserError, match="expects a standard normal prior, got ConditionalNormal"):
        Decomposition()(make("prior=conditional_normal"))
    # Also before training, when every class has the standard normal.
    encoded = make("prior=conditional_normal")
    with torch.no_grad():
        encoded.model.latent_prior.weight.zero_()
    assert not Decomposition().supports(encoded.model)


def test_verdict_compares_with_pixels_at_the_mean_of_their_class(make):
    encoded = make(factors=("shape",), sizes=(3, 2, 1, 8, 8), num_val=300)
    verdict = Elbo(num_bootstrap=0)(encoded)["elbo"].details["verdict"]
    rows = encoded.evaluation_rows
    y = encoded.splits.image_labels[torch.from_numpy(rows)].numpy()
    parts = [rows[y == c] for c in range(3)]
    expected = sum(len(p) * pixel_mean_distortion([encoded.x(p)]) for p in parts) / len(rows)
    assert f"with every pixel at its mean {expected:.4g}" in verdict
    assert expected < pixel_mean_distortion([encoded.x(rows)])
    few = make(factors=("shape", "posX", "posY"))
    assert "at its mean" not in Elbo(num_bootstrap=0)(few)["elbo"].details["verdict"]


def test_images_without_a_class_are_rejected(make):
    encoded = make()
    part = encoded.splits.val
    lacking = replace(
        encoded.splits,
        val=Subset(part.images, part.index, None),
        image_labels=torch.full((len(part.images),), -1),
    )
    with pytest.raises(UserError, match="expects the class of each image, got images without"):
        EncodedDataset(encoded.model, lacking).means(np.array([3]))
