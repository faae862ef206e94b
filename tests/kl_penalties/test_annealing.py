"""KL annealing is a pure function of the step."""

import pytest

from vaelab.errors import UserError
from vaelab.kl_penalties import Constant, Cyclic, Linear


@pytest.mark.parametrize("step", [0, 1, 10**9])
def test_constant_is_one(step):
    assert Constant().multiplier(step) == 1.0


@pytest.mark.parametrize(
    ("step", "multiplier"), [(0, 0.2), (25, 0.4), (50, 0.6), (99, 0.992), (100, 1.0), (10**9, 1.0)]
)
def test_linear_rises_from_start_to_one(step, multiplier):
    assert Linear(100, start=0.2).multiplier(step) == pytest.approx(multiplier)


def test_linear_starts_at_zero_by_default():
    assert [Linear(4).multiplier(step) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]


def test_linear_from_above_falls():
    assert [Linear(2, start=3).multiplier(step) for step in range(4)] == [3, 2, 1, 1]


def test_cyclic_rises_rests_and_starts_again_then_stays_at_one():
    cycle = [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    multipliers = [Cyclic(8, num_cycles=3).multiplier(step) for step in range(40)]
    assert multipliers == [*cycle * 3, *[1] * 16]


def test_cyclic_with_ramp_one_is_a_saw_tooth_above_start():
    multipliers = [
        Cyclic(4, num_cycles=2, ramp=1.0, start=0.2).multiplier(step) for step in range(9)
    ]
    assert multipliers == pytest.approx([0.2, 0.4, 0.6, 0.8] * 2 + [1.0])


def test_a_single_full_cycle_is_the_linear_warm_up():
    cyclic, linear = Cyclic(10, num_cycles=1, ramp=1.0), Linear(10)
    assert [cyclic.multiplier(t) for t in range(20)] == pytest.approx(
        [linear.multiplier(t) for t in range(20)]
    )


@pytest.mark.parametrize("annealed", [Constant(), Linear(7), Cyclic(7)])
def test_order_of_steps_does_not_matter(annealed):
    forward = [annealed.multiplier(step) for step in range(50)]
    assert [annealed.multiplier(step) for step in reversed(range(50))] == forward[::-1]
    assert not list(annealed.parameters())


@pytest.mark.parametrize(
    ("annealing", "options", "name"),
    [
        (Linear, {"num_steps": 0}, "num_steps"),
        (Linear, {"num_steps": 5, "start": -0.1}, "start"),
        (Cyclic, {"num_steps": 0}, "num_steps"),
        (Cyclic, {"num_steps": 5, "start": -1}, "start"),
        (Cyclic, {"num_steps": 5, "num_cycles": 0}, "num_cycles"),
        (Cyclic, {"num_steps": 5, "ramp": 0}, "ramp"),
        (Cyclic, {"num_steps": 5, "ramp": 1.5}, "ramp"),
    ],
)
def test_senseless_options_are_rejected_by_name(annealing, options, name):
    with pytest.raises(UserError, match=rf"^{name} expects"):
        annealing(**options)
