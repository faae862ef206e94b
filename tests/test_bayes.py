"""Bayes' rule: normals whose error is known, symmetries, mixtures per class and codebooks."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit, logsumexp
from scipy.stats import norm
from sklearn.naive_bayes import BernoulliNB

from vaelab.bayes import (
    ClassMixtures,
    CodebookClassifier,
    fit_class_mixtures,
    fit_codebook_classifier,
    log_posterior,
)
from vaelab.errors import UserError
from vaelab.mixtures import Mixture

F64 = torch.float64


def normals(means, std, prior=(0.5, 0.5)):
    """A class-conditional normal on a line for each mean."""
    one, variance = torch.ones(1, dtype=F64), torch.full((1, 1), std**2, dtype=F64)
    mixtures = [Mixture(one, torch.full((1, 1), m, dtype=F64), variance) for m in means]
    return ClassMixtures(mixtures, torch.tensor(prior, dtype=F64))


@pytest.fixture
def bits():
    """600 images of 8 pixels in three classes, the number of pixels that are mostly white."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=600)
    p = np.where(np.arange(8) < 2 + 2 * y[:, None], 0.8, 0.15)
    return torch.from_numpy((rng.random((600, 8)) < p).astype(float)), torch.from_numpy(y)


@pytest.mark.parametrize(("distance", "std"), [(1.0, 0.5), (2.0, 1.0), (3.0, 0.7)])
def test_bayes_error_of_two_normals(distance, std):
    """The less probable class in every place: Phi(-D / 2s) of equal classes."""
    model = normals((-distance / 2, distance / 2), std)

    def wrong(x):
        at = torch.tensor([[x]], dtype=F64)
        return float((model.log_posterior(at).amin() + model.log_prob(at)).exp())

    error = sum(quad(wrong, *ends, epsabs=1e-10)[0] for ends in ((-15, 0), (0, 15)))
    assert error == pytest.approx(norm.cdf(-distance / (2 * std)), abs=1e-6)


@pytest.mark.parametrize("prior", [(0.5, 0.5), (0.9, 0.1)])
def test_two_normals_give_a_logistic_of_a_linear_function(prior):
    left, right, std = -0.7, 1.5, 0.8
    x = torch.linspace(-6, 6, 201, dtype=F64)[:, None]
    ours = normals((left, right), std, prior).log_posterior(x)[1].exp()
    slope = (right - left) / std**2
    offset = (left**2 - right**2) / (2 * std**2) + math.log(prior[1] / prior[0])
    np.testing.assert_allclose(ours, expit(slope * x[:, 0].numpy() + offset), atol=1e-6)


def test_it_is_the_softmax_of_the_joint_by_hand():
    rng = np.random.default_rng(0)
    likelihood, prior = rng.normal(-500, 40, (4, 6)), rng.dirichlet(np.ones(4))
    ours = log_posterior(torch.from_numpy(likelihood), torch.from_numpy(prior).log())
    joint = likelihood + np.log(prior)[:, None]
    np.testing.assert_allclose(ours, joint - logsumexp(joint, 0), atol=1e-12)
    np.testing.assert_allclose(ours.exp().sum(0), 1)


def test_equal_likelihoods_leave_the_prior():
    prior = torch.tensor([0.2, 0.5, 0.3], dtype=F64)
    found = log_posterior(torch.full((3, 4), -1e4, dtype=F64), prior.log())
    np.testing.assert_allclose(found.exp(), prior[:, None].expand(3, 4), rtol=1e-10)


def test_classes_in_another_order_give_the_posterior_in_that_order():
    order = torch.tensor([2, 0, 3, 1])
    likelihood, prior = torch.randn(4, 6, dtype=F64) * 30, torch.rand(4, dtype=F64).log()
    found = log_posterior(likelihood[order], prior[order])
    assert torch.equal(found.argmax(0), log_posterior(likelihood, prior)[order].argmax(0))
    np.testing.assert_allclose(found, log_posterior(likelihood, prior)[order], rtol=1e-12)


def test_an_impossible_class_keeps_probability_0():
    prior = torch.tensor([0.0, 1.0]).log()
    assert log_posterior(torch.tensor([[5.0], [-90.0]]), prior).exp().flatten().tolist() == [0, 1]


def test_one_component_is_naive_bayes_of_scikit_learn(bits):
    x, y = bits
    ours = fit_class_mixtures(x[:60], y[:60], 3, 1)
    peer = BernoulliNB(alpha=1).fit(x[:60].numpy(), y[:60].numpy())
    np.testing.assert_allclose(ours.log_posterior(x).T, peer.predict_log_proba(x), atol=1e-8)


def test_more_components_describe_two_kinds_of_a_class():
    """Class 0 is all black or all white, class 1 half and half in random places."""
    rng = np.random.default_rng(0)
    kind = rng.random((400, 1)) < 0.5
    zero = kind ^ (rng.random((400, 24)) < 0.05)
    x = torch.from_numpy(np.concatenate([zero, rng.random((400, 24)) < 0.5]).astype(float))
    y = torch.arange(800) // 400
    errors = []
    for num_components in (1, 2):
        model = fit_class_mixtures(x, y, 2, num_components, seed=1)
        errors.append(float((model.log_posterior(x).argmax(0) != y).double().mean()))
    assert errors[0] > 0.3
    assert errors[1] < 0.02


def test_codebook_is_the_joint_by_hand(bits):
    rng = np.random.default_rng(1)
    weights, means, table = rng.dirichlet(np.ones(4)), rng.random((4, 8)), rng.dirichlet([1] * 3, 4)
    mixture = Mixture(torch.from_numpy(weights), torch.from_numpy(means))
    model = CodebookClassifier(mixture, torch.from_numpy(table))
    x = bits[0][:5].numpy()
    pixels = np.where(x[:, None] == 1, means, 1 - means).prod(2)
    joint = np.einsum("k,nk,kc->cn", weights, pixels, table)
    np.testing.assert_allclose(model.log_posterior(bits[0][:5]).exp(), joint / joint.sum(0))
    np.testing.assert_allclose(model.log_prob(bits[0][:5]).exp(), joint.sum(0))
    np.testing.assert_allclose(model.log_prior.exp(), weights @ table)
    conditional = model.log_likelihood(bits[0][:5]).exp()
    np.testing.assert_allclose(conditional, joint / (weights @ table)[:, None])


def test_components_get_the_classes_of_their_labelled_rows():
    """Three components far apart, of which one has no labelled row."""
    means = torch.tensor([[0.99] * 6, [0.01] * 6, [0.99] * 3 + [0.01] * 3], dtype=F64)
    mixture = Mixture(torch.full((3,), 1 / 3, dtype=F64), means)
    x = torch.tensor([[1.0] * 6, [1.0] * 6, [0.0] * 6], dtype=F64)
    model = fit_codebook_classifier(mixture, x, torch.tensor([0, 0, 1]), 2, smoothing=0.5)
    expected = [[(2 + 1 / 3) / 2.5, (1 / 6) / 2.5], [(1 / 3) / 1.5, (1 + 1 / 6) / 1.5]]
    np.testing.assert_allclose(model.class_probabilities[:2], expected, atol=1e-5)
    np.testing.assert_allclose(model.class_probabilities[2], [2 / 3, 1 / 3], atol=1e-4)


def test_where_a_component_has_no_label_the_next_ones_decide():
    """In float32, since p(k|x) of the others is 1e-9 there."""
    means = torch.tensor([[0.99] * 6, [0.01] * 6, [0.99] * 3 + [0.01] * 3])
    mixture = Mixture(torch.tensor([0.5, 0.1, 0.4]), means)
    table = torch.tensor([[0.1, 0.9], [0.9, 0.1], [0.5, 0.5]], dtype=F64)
    found = CodebookClassifier(mixture, table).log_posterior(torch.tensor([[1.0] * 3 + [0.0] * 3]))
    assert found.argmax() == 1
    assert found.dtype == F64


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"y": torch.tensor([0, 1, 3, 1])}, "y expects classes from 0 to 2, got 0 to 3"),
        ({"y": torch.tensor([0, 1, 1, 1])}, "y expects rows of each of 3 classes, got none of"),
        ({"y": torch.tensor([0.0, 1, 2, 1])}, "y expects one int64 per row of x, got torch.float"),
        ({"y": torch.tensor([0, 1, 2])}, "y expects one int64 per row of x"),
        ({"num_components": 2}, "num_components expects at most 1, the number of rows of class 0"),
        ({"smoothing": -1.0}, "smoothing expects a number of at least 0, got -1.0; try 1"),
    ],
)
def test_sentences(change, sentence):
    settings = {"x": torch.eye(4), "y": torch.tensor([0, 1, 2, 1]), "num_components": 1}
    with pytest.raises(UserError, match=sentence):
        fit_class_mixtures(num_classes=3, **{**settings, **change})


def test_sentences_of_the_rule_and_of_the_codebook():
    with pytest.raises(UserError, match=r"log_likelihood expects \(C, N\) beside log_prior"):
        log_posterior(torch.zeros(5, 3), torch.zeros(3))
    mixture = Mixture(torch.ones(1), torch.full((1, 2), 0.5))
    with pytest.raises(UserError, match="smoothing expects a number above 0, got 0; try 1"):
        fit_codebook_classifier(mixture, torch.eye(2), torch.tensor([0, 1]), 2, smoothing=0)
