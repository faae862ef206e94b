"""Run the contestants in turn, each in its own process, and take medians of ratios."""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vaelab.errors import UserError

SCRIPTS = Path(__file__).resolve().parents[1]
TRAIN = [sys.executable, str(SCRIPTS / "train.py")]
STEPS = {"conv": 300, "mlp": 3000}
WORK = {
    "conv": ["data=dsprites", "model=locatello"],
    "mlp": [
        "data=mnist", "model=mlp", "pixels=greyscale", "batch_size=128", "latent_dim=20",
    ],
}  # fmt: skip
VARIANTS: dict[str, list[str]] = {
    "vaelab, float32": [],
    "vaelab, bf16 and compile": ["trainer.precision=bf16-mixed", "compile=true"],
}
Row = dict[str, Any]


def measure_training(work: str, repeats: int, device: str = "cpu") -> list[Row]:
    """Images per second of the plain loop and of vaelab; ratios to the plain loop of each round.

    Args:
        work: a key of `WORK`.
        repeats: rounds.
        device: cpu or cuda.
    """
    steps = STEPS[work] * (10 if device == "cuda" else 1)
    runs: dict[str, Callable[[], float]] = {
        "plain PyTorch loop": partial(_plain, work, steps, device),
        "the same, allocator and Adam tuned": partial(_plain, work, steps, device, "tuned"),
    }
    for name, overrides in VARIANTS.items():
        runs[name] = partial(_images_per_second, work, steps, device, overrides)
    return compare(runs, repeats, higher_is_better=True)


def measure_start(repeats: int, root: str) -> list[Row]:
    """Seconds from process start to the end of the first optimizer step.

    Args:
        repeats: rounds.
        root: the folder that torchvision's MNIST is stored in.
    """
    module = [sys.executable, "-m"]

    def bare() -> float:
        with tempfile.TemporaryDirectory() as folder:
            overrides = [f"+root={root}", f"+folder={folder}", f"hydra.run.dir={folder}"]
            return _seconds([*module, "benchmark.lightning_start", *overrides])

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            stamp = Path(folder) / "first_step"
            target = "benchmark.hooks.FirstStep"
            hook = f"+callbacks.first_step={{_target_: {target}, path: {stamp}}}"
            start = time.time()
            _run([*TRAIN, "data=dsprites", hook, f"hydra.run.dir={folder}/run"])
            return float(stamp.read_text()) - start

    runs = {
        "bare Lightning + Hydra on MNIST": bare,
        "plain PyTorch on MNIST": lambda: _seconds([*module, "benchmark.plain_start", root]),
        "vaelab on dSprites, images cached": ours,
    }
    return compare(runs, repeats, higher_is_better=False)


def measure_memory(num_steps: int = 200) -> float:
    """Peak resident memory of a whole training run on the dSprites grid, in GB."""
    with tempfile.TemporaryDirectory() as folder:
        _run([*TRAIN, "data=dsprites", f"num_steps={num_steps}", f"hydra.run.dir={folder}/run"])
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9


def measure_gpu_study(num_steps: int = 5000) -> Row:
    """Time and memory of a run of Locatello et al. 2019 on a GPU, from its first steps."""
    overrides = [
        "experiment=locatello/beta_vae",
        f"val_every_n_steps={num_steps}",
        "+callbacks.memory={_target_: benchmark.hooks.GPUMemory}",
    ]
    found = _train("conv", num_steps, "cuda", overrides)
    seconds = 1000 * 64 / found["images_per_second"]
    return {
        "seconds per 1,000 steps": round(seconds, 2),
        "hours for 300,000 steps": round(seconds * 300 / 3600, 3),
        "peak GPU memory, GB": round(found["gpu_memory_gb"], 2),
    }


def compare(
    runs: dict[str, Callable[[], float]], repeats: int, higher_is_better: bool
) -> list[Row]:
    """Run all contestants in turn, `repeats` times; ratios are to the first of the same round."""
    measured: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(repeats):
        for name, run in runs.items():
            measured[name].append(run())
            print(f"  round {number + 1}, {name}: {measured[name][-1]:,.4g}", file=sys.stderr)
    base = next(iter(measured.values()))
    rows = []
    for name, values in measured.items():
        ratios = [v / b for v, b in zip(values, base, strict=True)]
        rows.append(
            {
                "name": name,
                "median": statistics.median(values),
                "ratio": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
                "higher_is_better": higher_is_better,
            }
        )
    return rows


def _plain(work: str, steps: int, device: str, *tuned: str) -> float:
    """Images per second of the plain loop."""
    arguments = [work, str(steps), device, *tuned]
    output = _run([sys.executable, "-m", "benchmark.plain_loop", *arguments])
    return json.loads(output.splitlines()[-1])["images_per_second"]


def _images_per_second(work: str, steps: int, device: str, overrides: Sequence[str]) -> float:
    return _train(work, steps, device, overrides)["images_per_second"]


def _train(work: str, steps: int, device: str, overrides: Sequence[str]) -> Row:
    """The metrics.json of a real run of scripts/train.py, with everything switched on."""
    trainer = [] if device == "cpu" else ["trainer=gpu"]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        own = [*trainer, f"num_steps={steps}", f"hydra.run.dir={run}"]
        _run([*TRAIN, *WORK[work], *own, *overrides])
        return json.loads((run / "metrics.json").read_text())


def _seconds(command: Sequence[str]) -> float:
    start = time.time()
    _run(command)
    return time.time() - start


def _run(command: Sequence[str]) -> str:
    """The output of a command that finds this package."""
    known = os.environ.get("PYTHONPATH", "")
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(SCRIPTS), known)))}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise UserError(
            "benchmark expects each contestant to finish, got an error; run it alone to see why: "
            f"{' '.join(command)}\n{done.stderr.strip()[-2000:]}"
        )
    return done.stdout
