"""Runs the contestants in turn, each in a process of its own, and takes medians of ratios."""

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

TRAIN = [sys.executable, "-c", "from vaelab.cli.hydra_app import train; train()"]
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


def training(work: str, repeats: int, device: str = "cpu") -> list[Row]:
    """Images per second of the plain loop and of vaelab; ratios to the plain loop of the round."""
    steps = STEPS[work] * (10 if device == "cuda" else 1)
    runs: dict[str, Callable[[], float]] = {
        "plain PyTorch loop": partial(_plain, work, steps, device),
        "the same, allocator and Adam tuned": partial(_plain, work, steps, device, "tuned"),
    }
    for name, words in VARIANTS.items():
        runs[name] = partial(_images_per_second, work, steps, device, words)
    return compare(runs, repeats, higher_is_better=True)


def start(repeats: int, root: str) -> list[Row]:
    """Seconds from process start to the end of the first optimiser step."""
    module = [sys.executable, "-m"]

    def bare() -> float:
        with tempfile.TemporaryDirectory() as folder:
            words = [f"+root={root}", f"+folder={folder}", f"hydra.run.dir={folder}"]
            return _seconds([*module, "vaelab.benchmark.lightning_start", *words])

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            stamp = Path(folder) / "first_step"
            target = "vaelab.benchmark.hooks.FirstStep"
            hook = f"+callbacks.first_step={{_target_: {target}, path: {stamp}}}"
            began = time.time()
            _run([*TRAIN, "data=dsprites", hook, f"hydra.run.dir={folder}/run"])
            return float(stamp.read_text()) - began

    runs = {
        "bare Lightning + Hydra on MNIST": bare,
        "plain PyTorch on MNIST": lambda: _seconds([*module, "vaelab.benchmark.plain_start", root]),
        "vaelab on dSprites, images cached": ours,
    }
    return compare(runs, repeats, higher_is_better=False)


def memory(num_steps: int = 200) -> float:
    """Peak resident memory of a whole training run on the dSprites grid, in GB."""
    with tempfile.TemporaryDirectory() as folder:
        words = [f"num_steps={num_steps}", f"hydra.run.dir={folder}/run"]
        _run([*TRAIN, "data=dsprites", *words])
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9


def gpu_study(num_steps: int = 5000) -> Row:
    """The 300,000-step protocol of Locatello et al. 2019 on a GPU, measured on its first steps."""
    words = ["experiment=locatello/beta_vae", f"val_every_n_steps={num_steps}"]
    hook = "+callbacks.memory={_target_: vaelab.benchmark.hooks.GPUMemory}"
    found = _vaelab("conv", num_steps, "cuda", [*words, hook])
    seconds = 1000 * 64 / found["images_per_second"]
    return {
        "seconds per 1,000 steps": round(seconds, 2),
        "hours for 300,000 steps": round(seconds * 300 / 3600, 3),
        "peak GPU memory, GB": round(found["gpu_memory_gb"], 2),
    }


def compare(
    runs: dict[str, Callable[[], float]], repeats: int, higher_is_better: bool
) -> list[Row]:
    """Rounds of all contestants in turn; every ratio is to the first of the same round."""
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
    words = [work, str(steps), device, *tuned]
    output = _run([sys.executable, "-m", "vaelab.benchmark.plain_loop", *words])
    return json.loads(output.splitlines()[-1])["images_per_second"]


def _vaelab(work: str, steps: int, device: str, words: Sequence[str]) -> Row:
    """A real run from the command line, everything switched on; its metrics.json."""
    with tempfile.TemporaryDirectory() as folder:
        place = [] if device == "cpu" else ["trainer=gpu"]
        _run(
            [
                *TRAIN,
                *WORK[work],
                *place,
                f"num_steps={steps}",
                f"hydra.run.dir={folder}/run",
                *words,
            ]
        )
        return json.loads((Path(folder) / "run" / "metrics.json").read_text())


def _images_per_second(work: str, steps: int, device: str, words: Sequence[str]) -> float:
    return _vaelab(work, steps, device, words)["images_per_second"]


def _seconds(command: Sequence[str]) -> float:
    began = time.time()
    _run(command)
    return time.time() - began


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise UserError(f"{' '.join(command)} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
