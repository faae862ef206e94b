"""Running one job from its folder: python -m vaelab.sweep.job FOLDER."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaelab.errors import known_cause, require, sentence
from vaelab.files import remove_partial_files
from vaelab.run import evaluate_run, train_and_evaluate
from vaelab.runs.config import load_current_config, to_container
from vaelab.runs.config_hash import config_hash
from vaelab.runs.folder import RunFolder
from vaelab.runs.status import State
from vaelab.sweep.parent_watchdog import terminate_with_parent

log = logging.getLogger(__name__)

FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")


def run_job(path: str | os.PathLike) -> dict[str, Any]:
    """Train what the job's config.yaml says, or resume it, and evaluate if it asks for that.

    Returns:
        The run's final metrics.

    Raises:
        UserError: the config is not the one that was planned, or can't be trained; status.json then
            says failed.
    """
    folder = RunFolder(path)
    state = folder.state()
    cfg = load_current_config(folder.config)
    with _log_to(folder.path / "train.log"):
        if state.is_done:
            remove_partial_files(folder.path)  # of a killed evaluation; training removes its own
            return evaluate_run(folder, cfg)
        record = folder.read_job()
        require(
            config_hash(to_container(cfg)) == record["id"],
            f"a job expects the config it was planned with, got {folder.config}, which was "
            "changed since; type the command of the sweep again, which plans what is new.",
        )
        cfg.resume = None if state == State.PLANNED else str(folder.path)
        return train_and_evaluate(cfg, folder.path, record["overrides"])


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Write what is logged to `path` too."""
    handler = logging.FileHandler(path)
    handler.setFormatter(FORMAT)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def log_to_terminal() -> None:
    """Write what is logged to standard error, for a job that is a process."""
    console = logging.StreamHandler()
    console.setFormatter(FORMAT)
    logging.basicConfig(level=logging.INFO, handlers=[console])


def log_error(error: Exception) -> None:
    """Log a failure: as a sentence where the user can fix it, else with its traceback."""
    log.error(sentence(error), exc_info=None if known_cause(error) else error)


def main() -> None:
    """Run a job in this process."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m vaelab.sweep.job FOLDER")
    log_to_terminal()
    os.environ.setdefault("POSSIBLE_USER_WARNINGS", "off")
    try:
        terminate_with_parent()
        run_job(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        log_error(error)
        sys.exit(2)


if __name__ == "__main__":
    main()
