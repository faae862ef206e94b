"""What the programs share: Hydra around a job, and errors as one sentence.

Torch is imported inside the jobs, so that --help and typos are answered at once.
"""

import functools
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vaelab.cli.error_messages import error_message
from vaelab.cli.help import asks_for_help, help_text
from vaelab.errors import UserError
from vaelab.runs.config import CHECKOUT, CONF
from vaelab.terminal import relative_to_cwd

log = logging.getLogger(__name__)

STARTED = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """A mistake ends the program with its sentence and exit code 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def use_data_of_checkout() -> None:
    """Data is stored in $VAELAB_DATA_DIR, else in the checkout's data/, whatever the directory."""
    if (CHECKOUT / "conf").is_dir():
        os.environ.setdefault("VAELAB_DATA_DIR", str(CHECKOUT / "data"))


def run_hydra_app(job: Callable[[DictConfig], Any], config_name: str) -> bool:
    """Hydra's main around a job, its errors printed as sentences; whether there were none."""
    if asks_for_help(sys.argv[1:]):
        with exit_on_user_error():
            print(help_text(CONF, config_name, sys.argv[1:]))
        return True
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra then raises instead of printing its own trace
    os.environ.setdefault("POSSIBLE_USER_WARNINGS", "off")  # Lightning's hints, which don't apply
    use_data_of_checkout()
    failures: list[str] = []

    @functools.wraps(job)
    def run_job(cfg: DictConfig) -> Any:
        # What the user can fix is printed here and not raised: hydra would print the whole
        # command before the sentence, and a sweep continues with its next job.
        try:
            return job(cfg)
        except Exception as error:
            message = error_message(error, CONF, config_name)
            if message is None:
                raise
            log.error(message)  # on the terminal and in the run folder's train.log
            failures.append(message)
            return float("nan")

    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(run_job)()
    except Exception as error:
        message = error_message(error, CONF, config_name)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return False
    return not failures


def register_resolvers() -> None:
    """Make `${run_folder:...}` known to OmegaConf."""
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)


@functools.cache  # hydra asks more than once
def run_folder(resume: str | None, output_root: str, name: str) -> str:
    """The run to resume, or a new folder, <output_root>/<name>/<time>, made for this process."""
    if resume is not None:
        # Here, because hydra makes the folder before the job gets to look at it.
        if not (Path(resume) / "status.json").exists():
            raise UserError(
                f"resume expects the folder of a run, got {resume}, which holds none; name the "
                "folder that the run printed, such as outputs/main/<time>."
            )
        return resume
    for number in itertools.count(1):
        folder = Path(output_root) / name / (STARTED if number == 1 else f"{STARTED}-{number}")
        if not folder.exists() and (shows_config() or _reserve(folder)):
            return str(folder)
    raise AssertionError


def _reserve(folder: Path) -> bool:
    """Make the folder; whether no other process that started in this second was faster."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def shows_config() -> bool:
    """Whether the command line asks hydra to print the config and not to run."""
    return any(one.startswith(("--cfg", "--info", "-c", "-i")) for one in sys.argv[1:])


def output_dir() -> Path:
    """The folder hydra made for this job."""
    return relative_to_cwd(Path(HydraConfig.get().runtime.output_dir))
