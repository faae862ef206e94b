"""The progress bar."""

import sys

from pytorch_lightning.callbacks import TQDMProgressBar


def progress_bar(refresh_rate: int = 20, log_rate: int = 500) -> TQDMProgressBar:
    """Lightning's bar, redrawn every `refresh_rate` steps, or `log_rate` where output is a file."""
    return TQDMProgressBar(refresh_rate=refresh_rate if sys.stdout.isatty() else log_rate)
