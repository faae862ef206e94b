"""The jobs of a sweep: their settings, their folders, and the state of each."""

import itertools
import logging
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from vaelab.errors import UserError
from vaelab.files import locked, natural_order, remove_partial_files, write_atomically, write_json
from vaelab.runs.config import load_config, to_container
from vaelab.runs.config_hash import config_hash, differences, evaluation_hashes
from vaelab.runs.folder import JOB, RunFolder
from vaelab.runs.status import State

log = logging.getLogger(__name__)

LOCK = ".sweep.lock"
MAX_LABEL_LENGTH = 100  # characters; file systems allow 255


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        id: the hash of its canonical config.
        path: its run folder.
        own_overrides: those that distinguish it from the other jobs of its sweep.
    """

    id: str
    path: Path
    own_overrides: tuple[str, ...]

    @property
    def label(self) -> str:
        """The job as messages name it: its own overrides, or its id."""
        return " ".join(self.own_overrides) or self.id

    @property
    def folder(self) -> RunFolder:
        """Its run folder."""
        return RunFolder(self.path)

    def status(self) -> dict[str, Any]:
        """Read status.json; planned where a kill came before all files of the plan were written."""
        folder = self.folder
        is_written = folder.status_file.exists() and folder.config.exists()
        return folder.status() if is_written else {"state": State.PLANNED}

    def state(self) -> State:
        """Read the state of the run."""
        return self.status()["state"]

    def is_complete(self) -> bool:
        """Read whether the run is trained and evaluated as its config asks, or pruned."""
        status = self.status()
        if status["state"] == State.PRUNED:
            return True
        requested = self.folder.read_job().get("evaluation", {})
        return status["state"].is_done and requested.items() <= status.get("evaluated", {}).items()


def read_jobs(folder: Path) -> dict[str, Job]:
    """The jobs stored in a sweep's folder, by their ids."""
    jobs = {}
    for file in sorted(folder.glob(f"*/{JOB}"), key=natural_order):
        record = RunFolder(file.parent).read_job()
        jobs[record["id"]] = Job(record["id"], file.parent, tuple(record["own_overrides"]))
    return jobs


def expand(overrides: Iterable[str]) -> list[list[str]]:
    """Every combination, the last override varying fastest; a setting's last override counts.

    ["seed=0,1", "x=2"] -> [["seed=0", "x=2"], ["seed=1", "x=2"]].

    Raises:
        UserError: an interval, which has no list of values.
    """
    choices = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise UserError(
                f"a grid expects values, got {override.input_line}; list them as {key}=1,2,4, or "
                "search with hydra/sweeper=optuna."
            )
    return [list(combination) for combination in itertools.product(*choices.values())]


def compose_configs(combinations: Iterable[Sequence[str]]) -> Iterator[DictConfig]:
    """Compose the config of each combination of overrides.

    Hydra takes a tenth of a second for one; those that differ in the seed alone are composed once.
    """
    composed: dict[tuple[str, ...], DictConfig] = {}
    for overrides in combinations:
        seeds = [override for override in overrides if override.startswith("seed=")]
        rest = tuple(override for override in overrides if override not in seeds)
        if rest not in composed:
            composed[rest] = compose("train", overrides=list(rest))
        cfg = composed[rest].copy()
        cfg.merge_with_dotlist(seeds)
        yield cfg


class PlannedJob(NamedTuple):
    """A job, all its overrides, and its config."""

    job: Job
    overrides: list[str]
    cfg: DictConfig


def plan(
    folder: Path,
    combinations: Sequence[Sequence[str]],
    shared: Sequence[str],
    extra: Mapping[str, Any] | None = None,
) -> list[Job]:
    """Compose the jobs and write their folders; see `compose_jobs` and `write_job`."""
    planned = compose_jobs(folder, combinations, shared)
    for one in planned:
        write_job(one, extra)
    return [one.job for one in planned]


def compose_jobs(
    folder: Path, combinations: Sequence[Sequence[str]], shared: Sequence[str]
) -> list[PlannedJob]:
    """Give every combination of overrides its job in `folder`, without writing anything.

    A job that exists already keeps its folder, whichever overrides led to it.

    Args:
        folder: of the sweep.
        combinations: the overrides of each job, Hydra's choices among them.
        shared: the overrides that all jobs have, which are left out of their names.

    Raises:
        UserError: settings that can't be composed.
    """
    planned: dict[str, tuple[list[str], DictConfig]] = {}
    for overrides, cfg in zip(combinations, compose_configs(combinations), strict=True):
        id = config_hash(to_container(cfg))
        if id in planned:
            log.warning("%s is the same run as %s", " ".join(overrides), " ".join(planned[id][0]))
        planned.setdefault(id, (list(overrides), cfg))
    known = read_jobs(folder)
    _warn_of_changes(folder, planned, known)
    found = []
    for id, (overrides, cfg) in planned.items():
        own = tuple(override for override in overrides if override not in shared)
        path = known[id].path if id in known else folder / _folder_name(own, id)
        found.append(PlannedJob(Job(id, path, own), overrides, cfg))
    return found


def write_job(planned: PlannedJob, extra: Mapping[str, Any] | None = None) -> None:
    """Write the folder of a new job; of one that has started, update only what may change.

    What may change are the settings that are not part of its id, such as its evaluation. job.json
    has the id; overrides, all of them; own_overrides; evaluation, the metrics to compute, each
    with the hash of its settings; command, which planned the job last.

    Args:
        extra: further fields of job.json, such as those of a search.
    """
    job, overrides, cfg = planned
    folder = job.folder
    is_new = not folder.status_file.exists()
    if not is_new and job.state() == State.RUNNING:
        return
    text = OmegaConf.to_yaml(cfg, resolve=True)
    record = {
        "id": job.id,
        "own_overrides": list(job.own_overrides),
        "overrides": list(overrides),
        "evaluation": evaluation_hashes(to_container(cfg)),
        "command": shlex.join(a for a in sys.argv if not a.startswith("hydra.sweeper.plan_only")),
        **(extra or {}),
    }
    has_config = not is_new and folder.config.exists() and folder.config.read_text() == text
    if has_config and (job.is_complete() or folder.read_job() == record):
        return
    if not is_new and job.is_complete():
        remove_partial_files(folder.path)  # of a killed plan; no process works here any more
    write_json(folder.job, record)
    # The config last: a kill in between leaves it different, and the next plan writes both.
    if not has_config:
        write_atomically(folder.config, lambda file: file.write(text.encode()))
    if is_new:
        folder.set_status(State.PLANNED)


def _folder_name(overrides: Sequence[str], id: str) -> str:
    # Without "=" and ",", which Hydra would read as its own in resume=<path>.
    label = "_".join(re.sub(r"[^\w.+-]+", "-", override).strip("-") for override in overrides)
    return f"{label[:MAX_LABEL_LENGTH]}-{id}" if label else id


def _warn_of_changes(
    folder: Path, planned: dict[str, tuple[list[str], DictConfig]], known: dict[str, Job]
) -> None:
    """Warn where the same overrides now make other runs than those stored in the folder."""
    before = {tuple(job.folder.read_job()["overrides"]): job for job in known.values()}
    changed: dict[str, list[str]] = {}
    for id, (overrides, cfg) in planned.items():
        old = before.get(tuple(overrides))
        if old is None or id in known or not old.folder.config.exists():
            continue
        saved = to_container(load_config(old.folder.config))
        rows = [f"{k}: {a} -> {b}" for k, (a, b) in differences(saved, to_container(cfg)).items()]
        changed.setdefault("; ".join(rows), []).append(old.path.name)
    for change, names in changed.items():
        log.warning(
            "the settings of this sweep have changed since it was started (%s): %d jobs are run "
            "again, and the runs stored in %s, such as %s, stay as they are",
            change, len(names), folder, names[0],
        )  # fmt: skip


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock the folder of a sweep; the system releases it when this process ends, however it does.

    Raises:
        UserError: another sweep holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK) as held:
        if not held:
            owner = (folder / LOCK).read_text().strip() or "unknown"
            raise UserError(
                f"a sweep expects a folder to itself, got {folder}, on which process {owner} is "
                "working; wait for it, or choose another name=."
            )
        try:
            (folder / LOCK).write_text(str(os.getpid()))
        except OSError:  # a full disk, of which the first job tells; here the lock is what counts
            os.truncate(folder / LOCK, 0)
        yield
