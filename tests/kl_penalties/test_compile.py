"""Every KL penalty goes into the compiled objective as one graph, its state included."""

import pytest
import torch

from vaelab.kl_penalties import Capacity, Cyclic, FreeBits, Geco, Linear, PIControl
from vaelab.objectives import BetaVAE

KL_PENALTIES = {
    "linear": lambda: Linear(10),
    "cyclic": lambda: Cyclic(3, num_cycles=3),
    "capacity": lambda: Capacity(3.0, 10),
    "free_bits": lambda: FreeBits(0.2),
    "geco": lambda: Geco(5.0, rate=0.01),
    "pi_control": lambda: PIControl(1.0, ki=0.1, num_steps=10),
}


@pytest.mark.parametrize("name", KL_PENALTIES)
def test_compiled_is_eager(tiny_vae, name):
    torch.compiler.reset()  # or all penalties together exceed the limit of recompilations
    model, x = tiny_vae(), torch.rand(6, 1, 4, 4, dtype=torch.float64).round()
    eager, compiled = (BetaVAE(4.0, KL_PENALTIES[name]()) for _ in range(2))
    compiled.compile(backend="aot_eager", fullgraph=True)
    for step in (0, 1, 2, 5, 7, 11):
        results = []
        for objective in (eager, compiled):
            model.zero_grad()
            torch.manual_seed(step)
            terms = objective(model, x, step)
            terms["loss"].backward()
            results.append((terms["loss"], terms["beta"], model.encoder.head.weight.grad))
        for a, b in zip(*results, strict=True):
            assert torch.allclose(a, b, rtol=1e-6)
        for a, b in zip(eager.buffers(), compiled.buffers(), strict=True):
            assert torch.allclose(a, b, rtol=1e-6)
