"""Checkpoints that are whole or rejected: written atomically with a digest of their content.

Reading executes nothing that a file contains.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vaelab.errors import UserError
from vaelab.files import write_atomically
from vaelab.runs.status import require_owner

DIGEST = "digest"  # the key under which a checkpoint holds the digest of all else in it
REQUIRED = {"state_dict", "config", "global_step", DIGEST}


def save_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint of a run folder's checkpoints/, atomically, with its digest.

    Raises:
        UserError: the disk is full; the file that was there is still whole.
        LostRun: another process has resumed the run.
    """
    buffer = io.BytesIO()  # since torch.save answers a full disk with an error about positions
    torch.save(checkpoint | {DIGEST: content_digest(checkpoint)}, buffer)
    status = path.parent.parent / "status.json"
    write_atomically(
        path,
        lambda file: file.write(buffer.getbuffer()),
        before_replacing=lambda: require_owner(status),
    )


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content on the CPU, checked against its digest; nothing in it is executed.

    Torch's reader does not look at the checksums of its file format, so that a changed byte would
    give other weights without a word.

    Raises:
        UserError: the file is damaged or was not written by vaelab.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged bytes make torch's reader raise all kinds
        # Not torch's own words, which advise to execute what the file contains.
        raise UserError(_damaged(path, "it can't be read")) from error
    if not isinstance(checkpoint, dict) or not set(checkpoint) >= REQUIRED:
        raise UserError(
            f"expected a vaelab checkpoint (with {', '.join(sorted(REQUIRED))}), got {path}, which "
            "is damaged or was written by another program; name a file of a run's checkpoints/."
        )
    if content_digest({k: v for k, v in checkpoint.items() if k != DIGEST}) != checkpoint[DIGEST]:
        raise UserError(_damaged(path, "its content does not match its digest"))
    return checkpoint


def _damaged(path: Path, reason: str) -> str:
    others = sorted(file.name for file in path.parent.glob("*.ckpt") if file != path)
    left = f"{' and '.join(others)} beside it may be whole" if others else "there is no other"
    advice = "move it away to resume from previous.ckpt" if "previous.ckpt" in others else ""
    advice = advice or ("evaluate checkpoint=best" if "best.ckpt" in others else "train again")
    return f"expected a whole checkpoint, got {path}, which is damaged: {reason}; {left}; {advice}."


def content_digest(content: Any) -> str:
    """The BLAKE2b digest of nested containers of tensors and plain values, as hexadecimal text."""
    digest = hashlib.blake2b(digest_size=16)
    _update(digest, content)
    return digest.hexdigest()


def _update(digest: Any, content: Any) -> None:
    """Feed types, lengths and values, so that no two different contents feed the same bytes."""
    if isinstance(content, Tensor):
        digest.update(f"{content.dtype}{tuple(content.shape)}".encode())
        flat = content.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    elif isinstance(content, dict):
        digest.update(f"dict{len(content)}".encode())
        for key, value in content.items():
            _update(digest, key)
            _update(digest, value)
        _update(digest, getattr(content, "_metadata", None))  # of a state_dict
    elif isinstance(content, list | tuple):
        digest.update(f"{type(content).__name__}{len(content)}".encode())
        for value in content:
            _update(digest, value)
    else:
        text = repr(content).encode()
        digest.update(f"{type(content).__name__}{len(text)}:".encode() + text)


def weights_digest(model: nn.Module) -> str:
    """16 hexadecimal digits that change with any weight or buffer of the model."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
