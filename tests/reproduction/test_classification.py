"""What the targets of classifiers by Bayes' rule measure and draw, on images drawn here."""

import numpy as np
import pytest
import torch

from vaelab.reproduction import classification
from vaelab.reproduction.classification import (
    METHODS,
    Labelled,
    class_mixtures,
    draw_class_mixtures,
    draw_errors_by_labels,
    errors_by_labels,
)


@pytest.fixture
def cfg(compose, monkeypatch):
    """A config of S2a whose data are 4 x 4 images of three classes, two kinds of each."""
    rng = np.random.default_rng(0)
    kinds = rng.random((6, 16))
    kind = rng.integers(6, size=1200)
    x = torch.from_numpy((rng.random((1200, 16)) < kinds[kind]).astype(np.float32))
    y = torch.from_numpy(kind % 3)
    loaded = Labelled(x[:900], y[:900]), Labelled(x[900:], y[900:]), 3
    monkeypatch.setattr(classification, "_load", lambda _: loaded)
    monkeypatch.setattr(classification, "_image_shape", lambda _: (1, 4, 4))
    return compose("experiment=reproduce/s2a")


def test_two_kinds_of_a_class_need_two_components(cfg, caption_words):
    numbers = class_mixtures(cfg, [1, 2])
    for score in ("error", "log_p", "log_posterior", "calibration_error"):
        low, high = numbers[f"1/{score}"].interval
        assert low <= numbers[f"1/{score}"].value <= high
    assert numbers["2/error"].value < numbers["1/error"].value - 0.05
    assert numbers["2/log_p"].value > numbers["1/log_p"].value + 0.3
    drawn = draw_class_mixtures(cfg, numbers, [1, 2])
    assert set(drawn) == {"reliability", "doubtful", "log_likelihoods"}
    assert f"test error {100 * numbers['2/error'].value:.1f} %" in caption_words(drawn["doubtful"])


def test_errors_over_label_seeds_and_their_order(cfg, caption_words):
    numbers = errors_by_labels(
        cfg, [6, 300], num_seeds=3, num_components=6, penalty=0.01, deciding_seeds=2
    )
    for name in METHODS:
        few, many = (numbers[f"{name}/error at {num}"] for num in (6, 300))
        assert few.value > many.value
        assert few.value == pytest.approx(np.mean(list(few.values.values())))
        assert list(few.values) == ["labels.seed=0", "labels.seed=1", "labels.seed=2"]
        assert few.interval[0] < few.value < few.interval[1]
    assert numbers["mixture/error at 300"].value < numbers["naive Bayes/error at 300"].value
    for num in (6, 300):
        ours, theirs = (numbers[f"{n}/error at {num}"].values for n in ("mixture", "logistic"))
        below = [ours[seed] < theirs[seed] for seed in ours]
        assert numbers[f"mixture below logistic at {num}"].value == sum(below[:2])
        assert numbers[f"mixture below logistic at {num}, of all seeds"].value == sum(below)
    drawn = draw_errors_by_labels(cfg, numbers, [6, 300])
    assert set(drawn) == {"errors", "joint_densities"}
    assert "means of 3 choices" in caption_words(drawn["errors"])
    # P(y) .6 and .4 at -1 and 1.2, s.d. 1: the boundary at .284, areas .0597 and .0719.
    assert "in all 13.2 %" in caption_words(drawn["joint_densities"])


@pytest.fixture
def caption_words():
    """A figure -> its caption in one line."""

    def words(figure):
        [caption] = [text for text in figure.texts if text.get_gid() == "caption"]
        return " ".join(caption.get_text().split())

    return words


def test_labelled_images_are_the_smaller_set_within_the_larger(cfg):
    train, _, num_classes = classification._load(cfg)
    few, more = (train.choose(num, 0, num_classes) for num in (6, 60))
    assert few.y.bincount().tolist() == [2, 2, 2]
    rows = {(tuple(x), y) for x, y in zip(more.x.tolist(), more.y.tolist(), strict=True)}
    assert {(tuple(x), y) for x, y in zip(few.x.tolist(), few.y.tolist(), strict=True)} <= rows
