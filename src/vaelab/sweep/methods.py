"""The jobs of a sweep by what a step of theirs takes: learned of finished ones, or timed now."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaelab.runs import config_hash
from vaelab.runs.config import load_config, to_container
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job, overrides_of

MOST_TIMED = 8  # methods; each loads its data, which takes a few seconds
PATIENCE = 120  # seconds for all of them

# Settings beside the classes that a step's time depends on.
DECIDE = ("model.", "data.", "trainer.", "batch_size", "latent_dim", "objective.num_samples")
INCIDENTAL = ("trainer.max_steps", "trainer.val_check_interval", "trainer.log_every_n_steps")


@dataclass(frozen=True)
class Method:
    """Jobs to run whose steps take as long as each other's.

    Attributes:
        name: of the objective.
        num_jobs, num_steps: of all of them together.
        seconds_per_step: None where unknown.
        evaluation_seconds, num_bytes: of one job.
        source: where these are from, in words.
    """

    name: str
    num_jobs: int
    num_steps: int
    source: str
    seconds_per_step: float | None = None
    evaluation_seconds: float = 0.0
    num_bytes: float = 0.0

    @property
    def seconds(self) -> float:
        """Of all jobs one after another; 0 where unknown."""
        if self.seconds_per_step is None:
            return 0.0
        return self.num_steps * self.seconds_per_step + self.num_jobs * self.evaluation_seconds


def methods(jobs: Sequence[Job], num_at_once: int = 1) -> list[Method]:
    """The methods among the jobs that are not finished, timed with their share of the cores."""
    members: dict[str, list[Job]] = defaultdict(list)
    names: dict[str, str] = {}
    num_steps: dict[str, int] = {}
    for group in _but_for_seeds(jobs):
        config = to_container(
            load_config(group[0].folder.config)
        )  # reading all would take a minute
        method = _key(config)
        members[method] += group
        names[method] = config["objective"]["_target_"].rpartition(".")[2]
        num_steps |= {job.id: config["num_steps"] for job in group}
    finished = {
        key: [job for job in all_ if job.state == State.FINISHED] for key, all_ in members.items()
    }
    waiting = {
        k: [job for job in all_ if job.state != State.FINISHED] for k, all_ in members.items()
    }
    unknown = [key for key in members if waiting[key] and not finished[key]][:MOST_TIMED]
    timed = dict(
        zip(unknown, _timed([waiting[key][0] for key in unknown], num_at_once), strict=False)
    )
    found = []
    for key, to_run in waiting.items():
        done = finished[key]
        facts = _learned(done) if done else timed.get(key, {})
        source = f"{len(done)} finished" if done else "timed now" if facts else "not timed"
        steps = sum(num_steps[job.id] for job in to_run)
        if to_run:
            found.append(Method(names[key], len(to_run), steps, source, **facts))
    return found


def _but_for_seeds(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs whose words differ in the seed alone, together."""
    groups = defaultdict(list)
    for job in jobs:
        words = overrides_of(job.path)
        groups[tuple(word for word in words if not word.startswith("seed="))].append(job)
    return list(groups.values())


def _key(config: Mapping[str, Any]) -> str:
    """What jobs have in common whose steps take equally long."""
    settings = {
        name: value
        for name, value in config_hash.canonical(config).items()
        if (name.startswith(DECIDE) or name.endswith("_target_")) and name not in INCIDENTAL
    }
    return config_hash.key(settings)


def _learned(done: Sequence[Job]) -> dict[str, float]:
    """What finished jobs took: the mean of one."""
    metrics = [job.folder.read_metrics() for job in done]
    steps = sum(one["num_steps"] for one in metrics) or 1
    evaluations = [e["seconds"] for one in metrics for e in one.get("evaluations", {}).values()]
    files = [file for job in done for file in job.path.rglob("*") if file.is_file()]
    return {
        "seconds_per_step": sum(one["seconds"] for one in metrics) / steps,
        "evaluation_seconds": sum(evaluations) / len(done),
        "num_bytes": sum(file.stat().st_size for file in files) / len(done),
    }


def _timed(jobs: Sequence[Job], num_at_once: int) -> list[dict[str, float]]:
    """`timing.measure` of each; {} for those that could not be timed here, or not in time.

    In a process of its own, so that nothing of it is left in the one that trains.
    """
    if not jobs:
        return []
    command = [sys.executable, "-m", "vaelab.sweep.timing", *(str(job.path) for job in jobs)]
    num_threads = max(1, len(os.sched_getaffinity(0)) // num_at_once)
    env = {"OMP_NUM_THREADS": str(num_threads)} | os.environ
    try:
        out = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, env=env
        ).stdout
    except subprocess.TimeoutExpired as late:
        out = (late.stdout or b"").decode()
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]
