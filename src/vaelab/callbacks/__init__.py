"""When to save, draw and measure; no arithmetic of models."""

from vaelab.callbacks.checkpoints import AtomicCheckpointIO, Checkpoints
from vaelab.callbacks.figures import Figures
from vaelab.callbacks.metrics import Metrics
from vaelab.callbacks.progress import progress_bar
from vaelab.callbacks.pruning import Pruning
from vaelab.callbacks.stopwatch import Stopwatch

__all__ = [
    "AtomicCheckpointIO",
    "Checkpoints",
    "Figures",
    "Metrics",
    "Pruning",
    "Stopwatch",
    "progress_bar",
]
