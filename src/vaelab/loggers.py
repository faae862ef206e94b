"""metrics.csv: every logged number, one a line, and nothing lost when a run is killed."""

import csv
import os
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger

from vaelab.files import refuse_full_disk, write_atomically

HEADER = ("step", "metric", "value")


class MetricsCSV(Logger):
    """Appends (step, metric, value) rows; on resume drops the rows after the checkpoint.

    Lightning's CSVLogger empties its folder when a run is resumed and rewrites the whole file
    when a metric is new; this one does neither.

    Args:
        path: the file.
        first_step: rows from this step on are dropped, because they will be logged again.
    """

    def __init__(self, path: str | os.PathLike, first_step: int = 0):
        super().__init__()
        self.path = Path(path)
        rows = [row for row in _read(self.path) if int(row[0]) < first_step]
        lines = [",".join(row) + "\n" for row in (HEADER, *rows)]
        write_atomically(self.path, lambda file: file.write("".join(lines).encode()))

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        text = "".join(f"{step},{name},{float(value)!r}\n" for name, value in metrics.items())
        try:
            # One write of whole lines: a kill leaves at most one broken line, the last.
            with self.path.open("a") as file:
                file.write(text)
        except OSError as error:
            refuse_full_disk(self.path, error)
            raise

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml has them."""


def _read(path: Path) -> list[list[str]]:
    """The whole rows of the file; a line cut short by a kill is left out."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [row for row in csv.reader(whole[1:]) if len(row) == len(HEADER)]
