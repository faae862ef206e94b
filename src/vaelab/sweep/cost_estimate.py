"""What a sweep will cost before it starts: jobs, hours and disk.

Run as python -m vaelab.sweep.cost_estimate FOLDER ..., it times some steps of jobs.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaelab.runs import config_hash
from vaelab.runs.config import load_config, load_current_config, to_container
from vaelab.runs.status import State
from vaelab.sweep.jobs import Job

MANY_JOBS = 20  # with fewer the first finished one soon shows how long they take
MAX_TIMED = 8  # groups; each loads its data, which takes a few seconds
TIMEOUT_SECONDS = 120  # to time all of them

# Settings beside the classes that the time of a step depends on.
TIMING_SETTINGS = (
    *("model.", "data.", "trainer.", "batch_size", "latent_dim", "objective.num_samples"),
)
NOT_TIMING = ("trainer.max_steps", "trainer.val_check_interval", "trainer.log_every_n_steps")

NUM_SKIPPED, NUM_TIMED = 5, 20  # steps
FLOATS_PER_PARAMETER = 3  # in a checkpoint: itself and Adam's two moments
NUM_CHECKPOINTS = 2  # last and best
FLOAT_BYTES = 4


@dataclass(frozen=True)
class TimingGroup:
    """Jobs to run whose steps take equally long.

    Attributes:
        name: of the objective.
        num_jobs, num_steps: of all of them together.
        source: where the numbers below are from, for the reader.
        seconds_per_step: None where unknown.
        evaluation_seconds, num_bytes: of one job.
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


def estimate_cost(jobs: Sequence[Job], num_at_once: int | None) -> str:
    """The cost of a sweep as text: what is finished, and hours and disk of what is not.

    Finished jobs show how long the others of their group take, metrics included; of other groups
    some steps are timed on this machine.

    Args:
        jobs: all of them.
        num_at_once: how many run at once; None if a cluster decides.
    """
    num_done = sum(job.state().is_done for job in jobs)
    head = f"{len(jobs):,} jobs: {num_done:,} finished, {len(jobs) - num_done:,} to run"
    groups = group_by_timing(jobs, num_at_once or 1)
    if not groups:
        return head
    hours = sum(group.seconds for group in groups) / 3600
    num_bytes = sum(group.num_jobs * group.num_bytes for group in groups)
    at_once = "as many at once as the cluster runs"
    if num_at_once:
        at_once = f"{hours / num_at_once:,.1f} hours with {num_at_once} at once"
    caveats = [
        "; without those not timed" * any(g.seconds_per_step is None for g in groups),
        "; plus metrics after training, where no job has finished"
        * any(g.source == "timed now" for g in groups),
    ]
    return "\n".join(
        [
            head,
            f"  {'objective':<28} {'jobs':>6} {'steps each':>11} {'steps/s':>8} {'hours each':>11}",
            *map(_row, groups),
            f"  time  {hours:,.1f} hours one after another, {at_once}{''.join(caveats)}",
            f"  disk  {num_bytes / 1e9:,.1f} GB",
        ]
    )


def _row(group: TimingGroup) -> str:
    num, step = group.num_jobs, group.seconds_per_step
    speed = f"{'?':>8} {'?':>11}"
    if step is not None:
        speed = f"{1 / step:>8,.1f} {group.seconds / num / 3600:>11,.2f}"
    return f"  {group.name:<28} {num:>6,} {group.num_steps // num:>11,} {speed}  {group.source}"


def group_by_timing(jobs: Sequence[Job], num_at_once: int = 1) -> list[TimingGroup]:
    """The groups of jobs that are not finished, timed with their share of the cores."""
    finished: dict[str, list[Job]] = defaultdict(list)
    to_run: dict[str, list[Job]] = defaultdict(list)
    names: dict[str, str] = {}
    num_steps: dict[str, int] = {}
    for same_but_seed in _group_by_all_but_seed(jobs):
        # Reading the configs of all would take a minute.
        config = to_container(load_config(same_but_seed[0].folder.config))
        key = _timing_key(config)
        names[key] = config["objective"]["_target_"].rpartition(".")[2]
        for job in same_but_seed:
            num_steps[job.id] = config["num_steps"]
            state = job.state()
            if state == State.FINISHED:
                finished[key].append(job)
            elif not state.is_done:
                to_run[key].append(job)
    unknown = [key for key in to_run if not finished[key]][:MAX_TIMED]
    times = _time_jobs([to_run[key][0] for key in unknown], num_at_once)
    timed = dict(zip(unknown, times, strict=False))
    groups = []
    for key, members in to_run.items():
        done = finished[key]
        facts = _average(done) if done else timed.get(key, {})
        source = f"{len(done)} finished" if done else "timed now" if facts else "not timed"
        steps = sum(num_steps[job.id] for job in members)
        groups.append(TimingGroup(names[key], len(members), steps, source, **facts))
    return groups


def _group_by_all_but_seed(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs whose overrides differ in the seed alone, together."""
    groups = defaultdict(list)
    for job in jobs:
        overrides = job.folder.read_job()["overrides"]
        groups[tuple(one for one in overrides if not one.startswith("seed="))].append(job)
    return list(groups.values())


def _timing_key(config: Mapping[str, Any]) -> str:
    """The settings that jobs share whose steps take equally long."""
    settings = {
        name: value
        for name, value in config_hash.canonical(config).items()
        if (name.startswith(TIMING_SETTINGS) or name.endswith("_target_"))
        and name not in NOT_TIMING
    }
    return config_hash.key(settings)


def _average(finished: Sequence[Job]) -> dict[str, float]:
    """What one finished job took on average."""
    metrics = [job.folder.read_metrics() for job in finished]
    steps = sum(one["num_steps"] for one in metrics) or 1
    evaluations = [e["seconds"] for one in metrics for e in one.get("evaluations", {}).values()]
    files = [file for job in finished for file in job.path.rglob("*") if file.is_file()]
    return {
        "seconds_per_step": sum(one["seconds"] for one in metrics) / steps,
        "evaluation_seconds": sum(evaluations) / len(finished),
        "num_bytes": sum(file.stat().st_size for file in files) / len(finished),
    }


def _time_jobs(jobs: Sequence[Job], num_at_once: int) -> list[dict[str, float]]:
    """`time_steps` of each; {} for those that could not be timed here, or not in time.

    In a separate process, so that nothing of it is left in the one that trains.
    """
    if not jobs:
        return []
    command = [sys.executable, "-m", "vaelab.sweep.cost_estimate", *(str(job.path) for job in jobs)]
    num_threads = max(1, len(os.sched_getaffinity(0)) // num_at_once)
    env = {"OMP_NUM_THREADS": str(num_threads)} | os.environ
    try:
        out = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=env
        ).stdout
    except subprocess.TimeoutExpired as late:
        out = (late.stdout or b"").decode()
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def time_steps(folder: Path) -> dict[str, float]:
    """Seconds per training step of the job in `folder`, and the bytes it will leave there.

    Nothing is written. A compiled job is timed uncompiled: compiling would take a minute.

    Returns:
        seconds_per_step; num_bytes of checkpoints and, where it is evaluated, of codes.
    """
    import torch  # here, since planning a sweep does without

    from vaelab import build
    from vaelab.runs.process import tune_malloc
    from vaelab.training.callbacks import Stopwatch

    cfg = load_current_config(folder / "config.yaml")
    cfg.compile = False
    cfg.trainer.max_steps = NUM_SKIPPED + NUM_TIMED
    cfg.trainer.limit_val_batches, cfg.trainer.enable_progress_bar = 0, False
    tune_malloc()
    if cfg.num_threads:
        torch.set_num_threads(cfg.num_threads)
    run = build.build_run(cfg)
    stopwatch = Stopwatch(skip=NUM_SKIPPED)
    build.build_trainer(cfg, [stopwatch], []).fit(run.module, datamodule=run.data)
    num_parameters = sum(p.numel() for p in run.module.parameters())
    num_bytes = num_parameters * FLOATS_PER_PARAMETER * NUM_CHECKPOINTS * FLOAT_BYTES
    if cfg.get("evaluation"):
        num_bytes += len(run.data.splits.train) * run.model.posterior.num_params * FLOAT_BYTES
    return {"seconds_per_step": 1 / stopwatch.steps_per_second, "num_bytes": num_bytes}


def main() -> None:
    """Print one line of JSON per folder; {} for one that can't be trained here."""
    for path in sys.argv[1:]:
        facts: dict[str, Any] = {}
        try:
            facts = time_steps(Path(path))
        except Exception as error:
            print(f"{path}: {error}", file=sys.stderr)
        print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
