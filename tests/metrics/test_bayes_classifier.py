"""A conditional VAE as a classifier: exact where p(x|y) is known, and useless without y."""

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from vaelab.bayes import log_posterior
from vaelab.data import Images, Splits, Subset
from vaelab.data.classes import Classes
from vaelab.data.factors import FactorSpace
from vaelab.errors import UserError
from vaelab.likelihoods import Gaussian
from vaelab.metrics import BayesClassifier
from vaelab.metrics.bayes_classifier import ClassTables
from vaelab.metrics.encoded_dataset import EncodedDataset
from vaelab.models import VAE, Condition, MLPDecoder, MLPEncoder
from vaelab.posteriors import Gaussian as GaussianPosterior
from vaelab.priors import StandardNormal
from vaelab.reproduction import classification
from vaelab.visualize.classification import draw_classification_figures

C, L, SHAPE, SIGMA = 3, 2, (1, 2, 3), 0.3


def make_model(decoder_sees_y=True):
    """Linear Gaussian, with orthogonal columns of W, so that the diagonal q can be exact."""
    torch.manual_seed(0)
    parts = (partial(MLPEncoder, hidden=()), partial(MLPDecoder, hidden=()))
    condition = Condition([C], decoder=decoder_sees_y)
    model = VAE(
        SHAPE, L, *parts, GaussianPosterior, StandardNormal, Gaussian(SIGMA), condition=condition
    ).eval()
    w = torch.linalg.qr(torch.randn(6, L))[0] * torch.tensor([0.6, 0.3])
    v, b = 0.2 * torch.randn(6, C), torch.full((6,), 0.5)
    precision = 1 + w.square().sum(0) / SIGMA**2
    gain = (w / SIGMA**2 / precision).T  # (L, 6)
    with torch.no_grad():
        seen = v if decoder_sees_y else torch.zeros_like(v)
        weight = torch.cat([w, v], 1) if decoder_sees_y else w
        model.decoder.head.weight.copy_(weight)
        model.decoder.head.bias.copy_(b)
        of_y, zeros = -gain @ seen, torch.zeros(L, 6 + C)
        model.encoder.head.weight.copy_(torch.cat([torch.cat([gain, of_y], 1), zeros]))
        model.encoder.head.bias.copy_(torch.cat([-gain @ b, -precision.log()]))
    means = b + seen.T
    covariance = w @ w.T + SIGMA**2 * torch.eye(6)
    return model, MultivariateNormal(means[:, None], covariance)


def make_data(model, p_x, num=60):
    torch.manual_seed(1)
    y = torch.arange(num) % C
    x = (
        p_x.loc[y, 0]
        + (torch.linalg.cholesky(p_x.covariance_matrix[0, 0]) @ torch.randn(num, 6, 1))[..., 0]
    )
    subset = Subset(Images(x, SHAPE), None, y)
    return Splits(subset, subset, subset), x, y


def test_bounds_are_exact_where_q_is():
    model, p_x = make_model()
    splits, x, y = make_data(model, p_x)
    encoded = EncodedDataset(model, splits)
    metric = BayesClassifier(num_samples=[1, 5], num_images=None, num_train_steps=0)
    scores = metric(encoded)
    tables = encoded.results[ClassTables]
    exact = p_x.log_prob(x[torch.from_numpy(tables.rows)]).double()
    for bound in tables.bounds.values():
        torch.testing.assert_close(bound, exact, rtol=0, atol=1e-4)
    log_p = log_posterior(p_x.log_prob(x).double(), torch.full((C,), -math.log(C)).double())
    error = float((log_p.argmax(0) != y).double().mean())
    assert 0 < error < 0.6
    assert scores["bayes_error"].value == pytest.approx(error)
    assert scores["bayes_error"].breakdown == {"K=1": error, "K=5": error}
    assert scores["bayes_error"].details["num_samples"] == 5
    own = log_p[y, torch.arange(len(y))].mean()
    assert scores["bayes_log_prob"].value == pytest.approx(float(own), abs=1e-4)
    low, high = scores["bayes_error"].interval
    assert low < error < high
    assert "discriminative_error" not in scores


def test_numbers_of_a_target(monkeypatch, tmp_path):
    model, p_x = make_model()
    splits, *_ = make_data(model, p_x)
    run = SimpleNamespace(encoded_dataset=lambda: EncodedDataset(model, splits))
    monkeypatch.setattr(classification, "load_run", lambda _: run)
    settings = {"num_samples": [1, 5], "num_images": None, "num_train_steps": 5}
    numbers = classification.bayes_errors(tmp_path, **settings)
    for k in (1, 5):
        assert numbers[f"bayes_error/K={k}"].value == numbers["bayes_error"].value  # q is exact
        expected = p_x.log_prob(splits.test.take(torch.arange(60)).flatten(1))
        own = expected[splits.test.labels, torch.arange(60)].mean()
        assert numbers[f"own_bound/K={k}"].value == pytest.approx(float(own), abs=1e-4)
    assert numbers["discriminative_error"].interval is not None


def test_without_y_in_the_decoder_it_returns_the_prior():
    model, p_x = make_model(decoder_sees_y=False)
    splits, _, y = make_data(model, p_x)
    model.condition.set_prior(torch.tensor([0, 0, 0, 0, 1, 2]))
    encoded = EncodedDataset(model, splits)
    scores = BayesClassifier(num_samples=[3], num_images=None, num_train_steps=0)(encoded)
    expected = model.condition.log_prior[y].mean()
    assert scores["bayes_log_prob"].value == pytest.approx(float(expected), abs=1e-4)


def test_discriminative_network_learns_from_the_known_labels_alone():
    model, p_x = make_model()
    splits, _, y = make_data(model, p_x, num=300)
    metric = BayesClassifier(num_samples=[1], num_train_steps=400, num_images=None)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    known = metric(EncodedDataset(model, splits))["discriminative_error"].value
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    wrong = torch.where(torch.arange(300) < 30, y, (y + 1) % C)
    train = Subset(splits.train.images, None, wrong)
    few = Splits(train, splits.val, splits.test, labelled=torch.arange(30))
    all_wrong = Splits(train, splits.val, splits.test)
    hidden = metric(EncodedDataset(model, few))["discriminative_error"].value
    shown = metric(EncodedDataset(model, all_wrong))["discriminative_error"].value
    assert known <= hidden < shown - 0.2
    assert metric(EncodedDataset(model, splits))["discriminative_error"].value == known


def test_figures_show_what_was_found():
    model, p_x = make_model()
    splits, *_ = make_data(model, p_x)
    splits = replace(splits, classes=Classes(FactorSpace(("label",), (C,))))
    encoded = EncodedDataset(model, splits)
    assert list(draw_classification_figures(encoded, "step 1")) == []
    BayesClassifier(num_samples=[1, 2], num_train_steps=10)(encoded)
    drawn = dict(draw_classification_figures(encoded, "step 1"))
    assert list(drawn) == ["reliability", "doubtful_images", "class_bounds"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_samples": []}, "num_samples expects numbers of samples, got an empty list"),
        ({"num_samples": [0]}, "num_samples expects an integer of at least 1, got 0"),
        ({"num_train_steps": -1}, "num_train_steps expects an integer of at least 0, got -1"),
    ],
)
def test_rejects_settings(setting, message):
    with pytest.raises(UserError, match=message):
        BayesClassifier(**setting)


def test_rejects_an_unconditional_model():
    parts = (partial(MLPEncoder, hidden=()), partial(MLPDecoder, hidden=()))
    model = VAE(SHAPE, L, *parts, GaussianPosterior, StandardNormal, Gaussian(SIGMA))
    subset = Subset(Images(torch.rand(4, 6), SHAPE), None, torch.zeros(4, dtype=torch.int64))
    encoded = EncodedDataset(model, Splits(subset, subset))
    assert not BayesClassifier().supports(model)
    with pytest.raises(UserError, match="bayes_classifier expects a conditional model"):
        BayesClassifier()(encoded)
    assert encoded.classes(np.arange(4)).tolist() == [0, 0, 0, 0]
