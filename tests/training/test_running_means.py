"""Means of the terms between two logs, and who was first to be NaN."""

import math

import pytest
import torch

from vaelab.training.running_means import RunningMeans


def terms(**values):
    return {name: torch.tensor(float(value)) for name, value in values.items()}


def test_means_are_those_of_the_steps_since_the_last_call():
    means = RunningMeans()
    means.update(terms(loss=1, kl=10), 0)
    means.update(terms(kl=20, loss=2), 1)
    assert means.compute() == {"loss": 1.5, "kl": 15.0}
    means.update(terms(loss=7, kl=8), 2)
    assert means.compute() == {"loss": 7.0, "kl": 8.0}


def test_graph_is_not_kept():
    means = RunningMeans()
    means.update({"loss": torch.ones((), requires_grad=True) * 2}, 0)
    assert not means.sums.requires_grad


def test_finite_terms_are_no_complaint():
    means = RunningMeans()
    assert means.first_nonfinite() is None
    means.update(terms(loss=1e30), 0)
    assert means.first_nonfinite() is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_first_bad_step_is_named_with_its_term_and_value(bad):
    means = RunningMeans()
    means.update(terms(loss=1, kl=2), 7)
    means.update(terms(loss=1, kl=bad), 8)
    means.update(terms(loss=bad, kl=bad), 9)
    step, name, value = means.first_nonfinite()
    assert (step, name) == (8, "kl")
    assert value == bad or (math.isnan(value) and math.isnan(bad))


def test_a_bad_step_is_remembered_after_the_means_were_taken():
    means = RunningMeans()
    means.update(terms(loss=math.nan), 3)
    means.compute()
    means.update(terms(loss=1), 4)
    assert means.first_nonfinite()[:2] == (3, "loss")


def test_parts_are_named_before_the_sums_made_of_them():
    means = RunningMeans()
    means.update(terms(loss=math.nan, elbo=math.nan, reconstruction=5, kl=math.inf), 0)
    assert means.first_nonfinite() == (0, "kl", math.inf)


def test_an_earlier_loss_comes_before_a_later_part():
    means = RunningMeans()
    means.update(terms(loss=math.inf, kl=1), 4)
    means.update(terms(loss=1, kl=math.nan), 5)
    assert means.first_nonfinite() == (4, "loss", math.inf)


def test_state_round_trip_goes_on_as_if_nothing_had_been():
    whole, first, second = RunningMeans(), RunningMeans(), RunningMeans()
    for step in range(5):
        whole.update(terms(loss=step**2, kl=-step), step)
    for step in range(3):
        first.update(terms(loss=step**2, kl=-step), step)
    state = first.state_dict()
    first.update(terms(loss=1e9, kl=1e9), 3)  # after the state was taken: must not reach it
    second.load_state_dict(state)
    for step in range(3, 5):
        second.update(terms(loss=step**2, kl=-step), step)
    assert second.compute() == whole.compute()


def test_state_survives_a_checkpoint_that_executes_nothing(tmp_path):
    means, again = RunningMeans(), RunningMeans()
    means.update(terms(loss=3, kl=4), 0)
    torch.save(means.state_dict(), tmp_path / "state")
    again.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert again.compute() == {"loss": 3.0, "kl": 4.0}


def test_empty_state_means_from_the_start():
    means = RunningMeans()
    means.load_state_dict(RunningMeans().state_dict())
    means.update(terms(loss=2), 0)
    assert means.compute() == {"loss": 2.0}
