"""When to save, draw and measure; no arithmetic of models."""

from vaelab.training.callbacks.checkpoints import AtomicCheckpointIO, Checkpoints
from vaelab.training.callbacks.figures import Figures
from vaelab.training.callbacks.metrics import Metrics
from vaelab.training.callbacks.progress import progress_bar
from vaelab.training.callbacks.pruning import Pruning
from vaelab.training.callbacks.stopwatch import Stopwatch

__all__ = [
    "AtomicCheckpointIO",
    "Checkpoints",
    "Figures",
    "Metrics",
    "Pruning",
    "Stopwatch",
    "progress_bar",
]
