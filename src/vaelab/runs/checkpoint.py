"""Reading checkpoints without executing anything in them, and telling weights apart."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vaelab.errors import UserError


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content on the CPU; nothing in it is executed.

    Raises:
        UserError: the file is damaged or was not written by vaelab.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, OSError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"expected a vaelab checkpoint, got {path}, which can't be read ({first_line}); use "
            "another checkpoint of the run, or train again."
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "config", "global_step"} <= set(
        checkpoint
    ):
        raise UserError(
            f"expected a vaelab checkpoint (with state_dict, config and global_step), got {path}, "
            "which another program wrote; name a file of a run's checkpoints/ folder."
        )
    return checkpoint


def weights_digest(model: nn.Module) -> str:
    """16 hexadecimal digits that change with any weight or buffer of the model."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
