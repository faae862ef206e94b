"""Random streams that are pure functions of their names, so that no use of one disturbs another.

Training re-seeds torch's global generator at every step from (seed, "noise", step); everything else
(evaluation, figures, splits) draws inside `random_stream`. Hence looking at a run never changes it,
and a resumed run draws what the uninterrupted one would have drawn, with no generator state saved.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(*names: str | int) -> int:
    """A 63-bit seed from names, such as ("noise", 0, 12); similar names give unrelated seeds."""
    digest = hashlib.blake2b(repr(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A new generator on `device`, seeded from names."""
    return torch.Generator(device).manual_seed(derive_seed(*names))


def seed_device(device: torch.device, *names: str | int) -> None:
    """Seed torch's global generator of one device from names.

    `torch.manual_seed` seeds every backend, and for those not in use records a stack trace each,
    which takes a millisecond.
    """
    seed = derive_seed(*names)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@contextmanager
def random_stream(*names: str | int) -> Iterator[None]:
    """Run the body with torch's global generators seeded from names, then restore their state."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive_seed(*names))
        yield
