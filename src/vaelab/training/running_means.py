"""Means of an objective's terms between two log steps, without reading the GPU at every step."""

from typing import Any

import torch
from torch import Tensor


class RunningMeans:
    """Sums the terms on their device, and remembers where each first was NaN or infinite.

    Args:
        device: where the terms are.
    """

    sums: Tensor
    bad_step: Tensor
    bad_value: Tensor
    count: int

    def __init__(self, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self._start([], torch.zeros(0, device=self.device), 0)

    def update(self, terms: dict[str, Tensor], step: int) -> None:
        """Add the terms of one step, each of shape ()."""
        if not self.names:
            self._start(list(terms), torch.zeros(len(terms), device=self.device), 0)
        values = torch.stack([terms[name].detach().float() for name in self.names])
        self.sums += values
        self.count += 1
        # On a CPU the one question is cheap; on a GPU it would wait for the step to be done.
        self.known_finite &= self.device.type == "cpu" and bool(torch.isfinite(values).all())
        if not self.known_finite:
            first = ~torch.isfinite(values) & (self.bad_step < 0)
            self.bad_step = torch.where(first, float(step), self.bad_step)
            self.bad_value = torch.where(first, values, self.bad_value)

    def first_nonfinite(self) -> tuple[int, str, float] | None:
        """(step, term, value) of the first term that was not finite, or None."""
        if self.known_finite or bool((self.bad_step < 0).all()):
            return None
        rows = zip(self.bad_step.tolist(), self.names, self.bad_value.tolist(), strict=True)
        # At one step the parts of the loss are named before the sums made of them.
        bad = [(s, n in ("loss", "elbo"), n, value) for s, n, value in rows if s >= 0]
        step, _, name, value = min(bad, key=lambda row: row[:2])
        return int(step), name, value

    def compute(self) -> dict[str, float]:
        """The means over the steps since the last call."""
        means = (self.sums / self.count).tolist()
        self.sums, self.count = torch.zeros_like(self.sums), 0
        return dict(zip(self.names, means, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and a tensor."""
        if not self.names:
            return {}
        return {"names": list(self.names), "sums": self.sums.clone(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; an empty state means from the start."""
        if state:
            self._start(list(state["names"]), state["sums"].to(self.device), state["count"])

    def _start(self, names: list[str], sums: Tensor, count: int) -> None:
        self.names, self.sums, self.count = names, sums, count
        self.bad_step = torch.full_like(sums, -1.0)
        self.bad_value = torch.zeros_like(sums)
        self.known_finite = True
