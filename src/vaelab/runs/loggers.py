"""What a run logs: metrics.csv and TensorBoard's event files, both whole after a resume."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import Logger
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from vaelab.figures import Animation, encode, write_encoded
from vaelab.files import not_written, write_atomically
from vaelab.runs.config import OPTION_GROUPS, option_names
from vaelab.runs.config_hash import canonical
from vaelab.runs.folder import RunFolder

if TYPE_CHECKING:
    from vaelab.figures import Figure

# Settings that conf/ interpolates from others, which are shown already.
_COPIED_SETTINGS = ("objective.kl_penalty.", "model.encoder.", "model.decoder.")
HEADER = ("step", "metric", "value")


class MetricsCSV(Logger):
    """Appends (step, metric, value) rows; on resume drops the rows after the checkpoint.

    Lightning's CSVLogger empties its folder when a run is resumed and rewrites the whole file
    when a metric is new; this one does neither.

    Args:
        folder: the run's; rows after its last checkpoint are dropped, since they come again.
    """

    def __init__(self, folder: RunFolder):
        super().__init__()
        self.path, self.require_owner = folder.curves, folder.require_owner
        rows = [row for row in _read(self.path) if int(row[0]) <= folder.last_step]
        self.kept = {(int(step), name) for step, name, _ in rows}
        lines = [",".join(row) + "\n" for row in (HEADER, *rows)]
        write_atomically(self.path, lambda file: file.write("".join(lines).encode()))

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        # A run resumed at its end evaluates again; those rows are there already.
        new = {name: value for name, value in metrics.items() if (step, name) not in self.kept}
        text = "".join(f"{step},{name},{float(value)!r}\n" for name, value in new.items())
        self.require_owner()
        try:
            # One write of whole lines: a kill leaves at most one broken line, the last.
            with self.path.open("a") as file:
                file.write(text)
        except OSError as error:
            raise not_written(self.path, error) from error

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml has them."""


def _read(path: Path) -> list[list[str]]:
    """The whole rows of the file; a line cut short by a kill is left out."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [row for row in csv.reader(whole[1:]) if len(row) == len(HEADER)]


def tensorboard(folder: RunFolder) -> TensorBoardLogger:
    """TensorBoard's event files in the run folder; points after its last checkpoint are purged."""
    return TensorBoardLogger(
        folder.path, name="", version="", default_hp_metric=False, purge_step=folder.last_step + 1
    )


def save_and_log_figure(
    name: str,
    figure: "Figure | Animation",
    folder: RunFolder,
    step: int,
    writers: Sequence[SummaryWriter],
    formats: Sequence[str] = ("png",),
) -> None:
    """Write a figure into figures/ and TensorBoard's Images tab.

    Args:
        name: of its files and tag.
        figure: an animation becomes a GIF, any other files in `formats` ("png", "svg").
        writers: of TensorBoard's events.
    """
    moves = isinstance(figure, Animation)
    files, shown = (("gif",), "gif") if moves else (tuple(formats), "png")
    # Drawn once a format, not once a place.
    encoded = {f: encode(figure, f) for f in {*files, *((shown,) if writers else ())}}
    for format in files:
        write_encoded(encoded[format], folder.figures / f"{name}.{format}")
    for writer in writers:
        log_image(writer, name, encoded[shown], step)


def log_image(writer: SummaryWriter, name: str, encoded: bytes, step: int) -> None:
    """An encoded PNG or GIF in TensorBoard's Images tab, byte for byte, so that a GIF moves.

    torch's add_image would encode pixels once more, and its add_video needs moviepy.
    """
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    with Image.open(io.BytesIO(encoded)) as opened:
        width, height = opened.size
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=encoded)
    summary = Summary(value=[Summary.Value(tag=name, image=image)])
    writer._get_file_writer().add_summary(summary, step)


def log_hparams(
    logger: TensorBoardLogger, settings: Mapping[str, Any], metrics: Mapping[str, float], step: int
) -> None:
    """A row of TensorBoard's HParams tab: the settings of a run beside all its scalars.

    Only the settings are written, and no list of columns, of which TensorBoard would take that of
    the first run for all: without one it shows every scalar of every run, those of a later
    evaluation too, and first the settings that differ between runs.

    Args:
        settings: see `comparable_settings`.
        metrics: final metrics that were not logged in training, which become scalars.
        step: of these metrics.
    """
    with SummaryWriter(logger.log_dir) as writer:  # the logger's is closed when a stage ends
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        _, start, end = hparams(dict(settings), {})
        for summary in (start, end):
            writer.file_writer.add_summary(summary)
    # Lightning leaves this beside the events, empty; the settings are in config.yaml.
    (Path(logger.log_dir) / "hparams.yaml").unlink(missing_ok=True)


def comparable_settings(
    config: Mapping[str, Any], overrides: Sequence[str] = ()
) -> dict[str, float | str]:
    """The settings by which runs are compared, under the names that a command line gives them.

    These are the options of `OPTION_GROUPS` and their settings, the settings of the whole run, and
    whatever else the command line sets.

    Args:
        config: resolved, as plain containers.
        overrides: the command line of the run.
    """
    typed = {override.partition("=")[0].lstrip("+") for override in overrides}
    parts, copied = tuple(f"{group}." for group in OPTION_GROUPS), _COPIED_SETTINGS
    shown = {
        name: value
        for name, value in canonical(config).items()
        if name in typed
        or name == "trainer.precision"
        or (
            not name.endswith(("_target_", "_partial_"))
            and (name.startswith(parts) or "." not in name)
            and not name.startswith(copied)
        )
    }
    return {name: _to_hparam(value) for name, value in shown.items()} | option_names(
        config, overrides
    )


def _to_hparam(value: Any) -> float | str:
    """Numbers as they are, anything else as text, so that a sweep over null shows."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else "null" if value is None else str(value)
