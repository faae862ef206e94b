"""KL annealing: beta that is constant, warms up once, or warms up in cycles."""

from vaelab.errors import require_range
from vaelab.kl_penalties.base import AnnealedKL


class Constant(AnnealedKL):
    """No annealing: multiplier(t) = 1."""

    def multiplier(self, step: int) -> float:
        return 1.0


class Linear(AnnealedKL):
    """Linear warm-up: multiplier(t) = start + (1 - start) * min(1, t / num_steps).

    Bowman et al. 2016, "Generating sentences from a continuous space",
    https://arxiv.org/abs/1511.06349. With start 0 and num_steps 10,000 it is the annealing of the
    disentangling-vae repository.

    Args:
        num_steps: length of the warm-up, at least 1.
        start: the multiplier at step 0, at least 0; above 1 it falls.

    Raises:
        UserError: an argument out of its range.
    """

    def __init__(self, num_steps: int, start: float = 0.0):
        super().__init__()
        require_range("num_steps", num_steps, at_least=1, unit="steps", example=10000)
        require_range("start", start, at_least=0, example=0.0)
        self.num_steps, self.start = num_steps, start

    def multiplier(self, step: int) -> float:
        return self.start + (1 - self.start) * min(1.0, step / self.num_steps)


class Cyclic(AnnealedKL):
    """Cyclical annealing: in each cycle a linear rise from start to 1, then 1.

        multiplier(t) = start + (1 - start) * min(1, (t mod num_steps) / (ramp * num_steps))

    for t < num_cycles * num_steps, and 1 from there on. Fu et al. 2019, "Cyclical annealing
    schedule: a simple approach to mitigating KL vanishing", eq. 6 (equation number not checked),
    https://arxiv.org/abs/1903.10145; ramp is their R, num_cycles their M.

    Args:
        num_steps: length of a cycle, at least 1.
        num_cycles: at least 1.
        ramp: the fraction of a cycle in which the multiplier rises, in (0, 1].
        start: the multiplier at the start of a cycle, at least 0.

    Raises:
        UserError: an argument out of its range.
    """

    def __init__(self, num_steps: int, num_cycles: int = 4, ramp: float = 0.5, start: float = 0.0):
        super().__init__()
        require_range("num_steps", num_steps, at_least=1, unit="steps", example=10000)
        require_range("num_cycles", num_cycles, at_least=1, example=4)
        require_range("ramp", ramp, above=0, at_most=1, unit="fraction of a cycle", example=0.5)
        require_range("start", start, at_least=0, example=0.0)
        self.num_steps, self.num_cycles, self.ramp, self.start = num_steps, num_cycles, ramp, start

    def multiplier(self, step: int) -> float:
        if step >= self.num_steps * self.num_cycles:
            return 1.0
        # Not step % num_steps, which torch.compile can't trace for a step that it does not know.
        since_start = step - step // self.num_steps * self.num_steps
        position = since_start / (self.ramp * self.num_steps)
        return self.start + (1 - self.start) * min(1.0, position)


def linear_rise(num_steps: int) -> AnnealedKL:
    """min(1, t / num_steps), and 1 throughout for 0 steps.

    Raises:
        UserError: num_steps is negative.
    """
    require_range("num_steps", num_steps, at_least=0, unit="steps", example=100000)
    return Linear(num_steps) if num_steps else Constant()
