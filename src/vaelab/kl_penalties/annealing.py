"""Weights that move by the step alone: constant, warm-up, cycles of warm-up."""

from vaelab.errors import require
from vaelab.kl_penalties.base import AnnealedKL


class Constant(AnnealedKL):
    """factor(t) = 1."""

    def multiplier(self, step: int) -> float:
        return 1.0


class Linear(AnnealedKL):
    """Linear warm-up: factor(t) = start + (1 - start) * min(1, t / num_steps).

    Bowman et al. 2016 (KL annealing); with start 0 and num_steps 10,000 the anneal of the
    disentangling-vae repository.
    """

    def __init__(self, num_steps: int, start: float = 0.0):
        super().__init__()
        _check_num_steps(num_steps)
        require(start >= 0, f"kl_penalty.start expects a factor of at least 0, got {start}; try 0.")
        self.num_steps, self.start = num_steps, start

    def multiplier(self, step: int) -> float:
        return self.start + (1 - self.start) * min(1.0, step / self.num_steps)


class Cyclic(AnnealedKL):
    """Cycles of num_steps: a rise from start to 1 over the first `ramp` of each, then 1.

    factor(t) = start + (1 - start) * min(1, (t mod num_steps) / (ramp * num_steps)); from
    `num_cycles` cycles on it stays 1. Fu et al. 2019, eq. 6.
    """

    def __init__(self, num_steps: int, num_cycles: int = 4, ramp: float = 0.5, start: float = 0.0):
        super().__init__()
        _check_num_steps(num_steps)
        require(
            num_cycles >= 1, f"kl_penalty.num_cycles expects at least 1, got {num_cycles}; try 4."
        )
        require(
            0 < ramp <= 1,
            f"kl_penalty.ramp expects the rising part of a cycle, in (0, 1], got {ramp}; try 0.5.",
        )
        require(start >= 0, f"kl_penalty.start expects a factor of at least 0, got {start}; try 0.")
        self.num_steps, self.num_cycles, self.ramp, self.start = num_steps, num_cycles, ramp, start

    def multiplier(self, step: int) -> float:
        if step >= self.num_steps * self.num_cycles:
            return 1.0
        # Not step % num_steps, which torch.compile can't trace for a step that it does not know.
        since_start = step - step // self.num_steps * self.num_steps
        position = since_start / (self.ramp * self.num_steps)
        return self.start + (1 - self.start) * min(1.0, position)


def rise(num_steps: int) -> AnnealedKL:
    """min(1, t / num_steps), and 1 throughout for 0 steps."""
    return Linear(num_steps) if num_steps else Constant()


def _check_num_steps(num_steps: int) -> None:
    require(
        num_steps >= 1,
        f"kl_penalty.num_steps expects a number of steps from 1 up, got {num_steps}; try 10000.",
    )
