"""The command scripts/benchmark.py: what to measure, and the tables in Markdown."""

import argparse
import math
import os
import sys
from datetime import date
from pathlib import Path

from vaelab.errors import UserError, require_choice, require_range

from . import measure
from .measure import SCRIPTS, Row

PARTS = {
    "training": "images per second, beside a plain PyTorch loop",
    "start": "seconds from process start to the first optimizer step, and peak memory of a run",
    "metrics": "seconds per disentanglement metric, on given codes of the size of dSprites",
    "objectives": "CPU time of a training step of every objective beside the VAE's",
    "gpu": "training on a GPU, and the cost of a run of Locatello et al. 2019; only when named",
}
DEFAULT = ("training", "start", "metrics", "objectives")
TITLES = {
    "conv": "dSprites, conv net of Locatello et al. 2019, batch 64",
    "mlp": "MNIST, MLP 784-400-20, batch 128",
}
EPILOG = f"""parts:
{chr(10).join(f"  {name:<12} {text}" for name, text in PARTS.items())}

examples:
  python scripts/benchmark.py --write docs/benchmark.md
  python scripts/benchmark.py metrics --peer ../disentanglement_lib --repeats 1
"""


def main() -> None:
    """Measure what the command line names, print the tables, and write them where asked."""
    os.environ.setdefault("VAELAB_DATA_DIR", str(SCRIPTS.parent / "data"))
    arguments = build_parser().parse_args()
    try:
        text = run(arguments.parts, arguments.repeats, arguments.peer)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(text)
    if arguments.write:
        arguments.write.write_text(f"# Benchmark\n\n{text}")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Measure speed and memory of vaelab beside a hand-written PyTorch loop.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART",
        help=f"what to measure, see below (default: {' '.join(DEFAULT)})",
    )  # fmt: skip
    parser.add_argument(
        "--repeats", type=int, default=3, metavar="N",
        help="rounds in which all contestants run in turn; tables show medians (default: 3)",
    )  # fmt: skip
    parser.add_argument(
        "--peer", type=Path, metavar="FOLDER",
        help="a checkout of disentanglement_lib, whose metrics are timed beside ours",
    )  # fmt: skip
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="also write the tables into this Markdown file"
    )
    return parser


def run(parts: list[str], repeats: int = 3, peer: Path | None = None) -> str:
    """Measure some of `PARTS`, by default `DEFAULT`; returns the tables in Markdown.

    Raises:
        UserError: an unknown part, less than one round, or a contestant that failed.
    """
    for part in parts:
        require_choice("PART", part, PARTS)
    require_range("--repeats", repeats, at_least=1, integer=True, unit="rounds", example=3)
    chosen = parts or DEFAULT
    sections = [describe_machine(repeats)]
    if "training" in chosen:
        for work, title in TITLES.items():
            rows = measure.measure_training(work, repeats)
            sections.append(format_ratios(f"{title}: images per second", rows))
    if "start" in chosen:
        rows = measure.measure_start(repeats, os.environ["VAELAB_DATA_DIR"])
        sections.append(format_ratios("Process start to first optimizer step: seconds", rows))
        peak = measure.measure_memory()
        sections.append(f"Peak memory of a whole run on the dSprites grid: {peak:.2f} GB.")
    if "metrics" in chosen:
        from .metrics import time_metrics

        title = "Metrics on given codes of dSprites, with the sample counts of the study"
        sections.append(format_metric_times(title, time_metrics(peer, repeats)))
    if "objectives" in chosen:
        from .objectives import time_objectives

        title = "A step of each objective in one process, MLP 784-400-20, batch 100: ms of CPU time"
        sections.append(format_ratios(title, time_objectives(repeats)))
    if "gpu" in chosen:
        for work, title in TITLES.items():
            rows = measure.measure_training(work, repeats, "cuda")
            sections.append(format_ratios(f"{title}, on the GPU: images per second", rows))
        study = measure.measure_gpu_study()
        lines = [f"- {name}: {value}" for name, value in study.items()]
        sections.append("\n".join(["A beta-VAE of the study on the GPU:", "", *lines]))
    return "\n\n".join(sections) + "\n"


def describe_machine(repeats: int) -> str:
    """What was measured where, and with which command."""
    from vaelab.runs.provenance import machine, versions

    found = machine()
    used = ", ".join(
        f"{k} {v}" for k, v in versions().items() if k in ("torch", "pytorch-lightning")
    )
    gpus = f", {', '.join(found['gpus'])}" if found["gpus"] else ""
    command = " ".join(["python scripts/benchmark.py", *sys.argv[1:]])
    return (
        f"`{command}`, {date.today()}, {found['cpu']}, {found['num_threads']} threads{gpus}, "
        f"{used}. Each figure is the median of {repeats} rounds in which all contestants ran in "
        "turn, each in a process of its own; ratios are to the first row of the same round, with "
        "their range."
    )


def format_ratios(title: str, rows: list[Row]) -> str:
    """A Markdown table of medians and of ratios to the first row."""
    lines = [
        f"## {title}",
        "",
        "| | median | ratio | range of ratios |",
        "| --- | ---: | ---: | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {row['name']} | {row['median']:,.4g} | **{row['ratio']:.2f}** | "
            f"{row['lowest']:.2f} to {row['highest']:.2f} |"
        )
    return "\n".join(lines)


def format_metric_times(title: str, rows: list[Row]) -> str:
    """A Markdown table of the seconds and values of our metrics and the peer's, if there is one."""
    lines = [
        f"## {title}",
        "",
        "| | seconds, with intervals | without | disentanglement_lib | value | its value |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        measured = not math.isnan(row["peer_value"])
        peer = (f"{row['peer_seconds']:.2f}", f"{row['peer_value']:.4f}") if measured else ("", "")
        lines.append(
            f"| {row['name']} | {row['seconds']:.2f} | {row['bare_seconds']:.2f} | {peer[0]} | "
            f"{row['value']:.4f} | {peer[1]} |"
        )
    others = sum(row["seconds"] for row in rows if row["name"] != "dci")
    lines += ["", f"All except dci together: {others:.1f} s with intervals."]
    return "\n".join(lines)
