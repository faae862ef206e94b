"""The jobs of a sweep: their settings, their folders, and what has become of each."""

import errno
import fcntl
import itertools
import json
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
from vaelab.files import natural_order, write_atomically, write_json
from vaelab.runs.config import load_config, to_container
from vaelab.runs.config_hash import config_hash, differences, evaluation_hashes
from vaelab.runs.folder import JOB, RunFolder
from vaelab.runs.status import State

log = logging.getLogger(__name__)

LOCK = ".sweep.lock"
LONGEST_LABEL = 100  # characters; file systems allow 255


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        id: the hash of its canonical config.
        path: its run folder.
        words: the overrides that tell it from the others.
    """

    id: str
    path: Path
    words: tuple[str, ...]

    @property
    def label(self) -> str:
        """The words as a reader names the job."""
        return " ".join(self.words) or self.id

    @property
    def folder(self) -> RunFolder:
        """Its run folder."""
        return RunFolder(self.path)

    @property
    def state(self) -> str:
        """planned, running, finished, failed, interrupted, killed or pruned."""
        return str(self.status()["state"])

    def status(self) -> dict[str, Any]:
        """What its status.json says; planned where a kill came before it was written."""
        folder = self.folder
        laid = folder.status_file.exists() and folder.config.exists()
        return folder.status() if laid else {"state": State.PLANNED}

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do: trained and evaluated as its config asks, or pruned."""
        status = self.status()
        if status["state"] != State.FINISHED:
            return bool(status["state"] == State.PRUNED)
        asked = _record(self.path).get("evaluation", {})
        return asked.items() <= status.get("evaluated", {}).items()


def expand(words: Iterable[str]) -> list[list[str]]:
    """Every combination, the last word moving fastest; of a setting named twice the last counts.

    ["seed=0,1", "x=2"] -> [["seed=0", "x=2"], ["seed=1", "x=2"]].

    Raises:
        UserError: an interval, which has no list of values.
    """
    choices = {}
    for override in OverridesParser.create().parse_overrides(list(words)):
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


def configs(combinations: Iterable[Sequence[str]]) -> Iterator[DictConfig]:
    """The config of each combination of words.

    Hydra takes a tenth of a second for one; those that differ in the seed alone are composed once.
    """
    composed: dict[tuple[str, ...], DictConfig] = {}
    for words in combinations:
        seeds = [word for word in words if word.startswith("seed=")]
        rest = tuple(word for word in words if word not in seeds)
        if rest not in composed:
            composed[rest] = compose("train", overrides=list(rest))
        cfg = composed[rest].copy()
        cfg.merge_with_dotlist(seeds)
        yield cfg


class Planned(NamedTuple):
    """A job, all words that make it, and its config."""

    job: Job
    words: list[str]
    cfg: DictConfig


def plan(
    folder: Path,
    combinations: Sequence[Sequence[str]],
    shared: Sequence[str],
    extra: Mapping[str, Any] | None = None,
) -> list[Job]:
    """`composed`, then `lay`; `extra` are further fields of job.json."""
    planned = composed(folder, combinations, shared)
    lay(planned, extra)
    return [one.job for one in planned]


def composed(
    folder: Path, combinations: Sequence[Sequence[str]], shared: Sequence[str]
) -> list[Planned]:
    """Give every combination of words its job in `folder`, where nothing is written yet.

    A job that is there already keeps its folder, whichever words led to it.

    Args:
        folder: of the sweep.
        combinations: the words of each job, Hydra's choices among them.
        shared: the words that all jobs have, which need not be in their names.

    Raises:
        UserError: settings that can't be composed.
    """
    planned: dict[str, tuple[list[str], DictConfig]] = {}
    for words, cfg in zip(combinations, configs(combinations), strict=True):
        identity = config_hash(to_container(cfg))
        if identity in planned:
            log.warning("%s is the same run as %s", " ".join(words), " ".join(planned[identity][0]))
        planned.setdefault(identity, (list(words), cfg))
    there = recorded(folder)
    _warn_of_changes(folder, planned, there)
    found = []
    for identity, (words, cfg) in planned.items():
        own = tuple(word for word in words if word not in shared)
        path = there[identity].path if identity in there else folder / _name(own, identity)
        found.append(Planned(Job(identity, path, own), words, cfg))
    return found


def lay(planned: Iterable[Planned], extra: Mapping[str, Any] | None = None) -> None:
    """Write the folders of jobs that are new, and what has changed in those of others."""
    for job, words, cfg in planned:
        _lay(job, words, cfg, extra or {})


def recorded(folder: Path) -> dict[str, Job]:
    """The jobs that lie in a sweep's folder by their ids."""
    jobs = {}
    for record in sorted(folder.glob(f"*/{JOB}"), key=natural_order):
        facts = _record(record.parent)
        jobs[facts["id"]] = Job(facts["id"], record.parent, tuple(facts["words"]))
    return jobs


def overrides_of(path: Path) -> list[str]:
    """All words that a job was made from."""
    return list(_record(path)["overrides"])


def id_of(path: Path) -> str:
    """The id that a job was planned with."""
    return str(_record(path)["id"])


def command_of(path: Path) -> str:
    """What was typed when the job was planned last."""
    return str(_record(path).get("command", ""))


def _record(path: Path) -> dict[str, Any]:
    return json.loads((path / JOB).read_text())


def _lay(job: Job, words: Sequence[str], cfg: DictConfig, extra: Mapping[str, Any]) -> None:
    """Write what the job needs; of one that has begun only the settings of the machine change."""
    folder = job.folder
    begun = folder.status_file.exists()
    if begun and job.state == State.RUNNING:
        return
    text = OmegaConf.to_yaml(cfg, resolve=True)
    record = {
        "id": job.id,
        "words": list(job.words),
        "overrides": list(words),
        "evaluation": evaluation_hashes(to_container(cfg)),
        "command": shlex.join(w for w in sys.argv if not w.startswith("hydra.sweeper.plan_only")),
        **extra,
    }
    same = begun and folder.config.exists() and folder.config.read_text() == text
    if same and (job.is_complete or _record(job.path) == record):
        return
    write_json(job.path / JOB, record)
    # Settings last: a kill in between leaves them different, and the next plan writes both.
    if not same:
        write_atomically(folder.config, lambda file: file.write(text.encode()))
    if not begun:
        folder.set_status(State.PLANNED)


def _name(words: Sequence[str], identity: str) -> str:
    # Without "=" and ",", which Hydra would read as its own in resume=<path>.
    label = "_".join(re.sub(r"[^\w.+-]+", "-", word).strip("-") for word in words)
    return f"{label[:LONGEST_LABEL]}-{identity}" if label else identity


def _warn_of_changes(
    folder: Path, planned: dict[str, tuple[list[str], DictConfig]], there: dict[str, Job]
) -> None:
    """Say so where the same words now make other runs than those that lie there."""
    before = {tuple(overrides_of(job.path)): job for job in there.values()}
    changed: dict[str, list[str]] = {}
    for identity, (words, cfg) in planned.items():
        old = before.get(tuple(words))
        if old is None or identity in there or not old.folder.config.exists():
            continue
        saved = to_container(load_config(old.folder.config))
        rows = [f"{k}: {a} -> {b}" for k, (a, b) in differences(saved, to_container(cfg)).items()]
        changed.setdefault("; ".join(rows), []).append(old.path.name)
    for change, names in changed.items():
        log.warning(
            "the settings of this sweep have changed since it was begun (%s): %d jobs are run "
            "anew, and what lies in %s, such as %s, stays as it is",
            change, len(names), folder, names[0],
        )  # fmt: skip


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the folder of a sweep; the system lets go of it when this process ends, however it does.

    Raises:
        UserError: another sweep has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                log.warning("%s has no locks: see that no other sweep works there", folder)
                yield
                return
            file.seek(0)
            raise UserError(
                f"a sweep expects a folder to itself, got {folder}, on which process "
                f"{file.read().strip() or 'unknown'} is working; wait for it, or choose another "
                "name=."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
