"""The benchmark's command: python scripts/benchmark.py [training] [start] [metrics] [gpu] ..."""

import argparse
import math
import os
import sys
from datetime import date
from pathlib import Path

from vaelab.benchmark import measure
from vaelab.benchmark.measure import Row

TITLES = {
    "conv": "dSprites, conv net of Locatello et al. 2019, batch 64",
    "mlp": "MNIST, MLP 784-400-20, batch 128",
}


def main() -> None:
    """Measure what the command line names, print the tables and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="training, start, metrics, gpu; all but gpu")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, of which medians are taken")
    parser.add_argument("--peer", type=Path, help="a checkout of disentanglement_lib, for metrics")
    parser.add_argument("--write", type=Path, help="a Markdown file for the tables")
    arguments = parser.parse_args()
    parts = arguments.parts or ["training", "start", "metrics"]
    sections = [heading(arguments.repeats)]
    if "training" in parts:
        for work, title in TITLES.items():
            rows = measure.training(work, arguments.repeats)
            sections.append(table(f"{title}: images per second", rows))
    if "start" in parts:
        rows = measure.start(arguments.repeats, os.environ.get("VAELAB_DATA_DIR", "data"))
        sections.append(table("Process start to first optimiser step: seconds", rows))
        peak = measure.memory()
        sections.append(f"Peak memory of a whole run on the dSprites grid: {peak:.2f} GB.")
    if "metrics" in parts:
        from vaelab.benchmark.scoring import scoring

        title = "Metrics on given codes of dSprites, at the study's sample counts"
        sections.append(scoring_table(title, scoring(arguments.peer, arguments.repeats)))
    if "gpu" in parts:
        for work, title in TITLES.items():
            rows = measure.training(work, arguments.repeats, "cuda")
            sections.append(table(f"{title}, on the GPU: images per second", rows))
        study = measure.gpu_study()
        lines = [f"- {name}: {value}" for name, value in study.items()]
        sections.append("\n".join(["The study's beta-VAE on the GPU:", "", *lines]))
    text = "\n\n".join(sections) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(f"# Benchmark\n\n{text}")


def heading(repeats: int) -> str:
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


def table(title: str, rows: list[Row]) -> str:
    """Markdown."""
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


def scoring_table(title: str, rows: list[Row]) -> str:
    """Markdown: seconds and values of ours, and of the peer's where there is one."""
    lines = [
        f"## {title}",
        "",
        "| | seconds, with intervals | without | disentanglement_lib | value | its value |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        measured = not math.isnan(row["peer_value"])
        cells = (f"{row['peer_seconds']:.2f}", f"{row['peer_value']:.4f}") if measured else ("", "")
        lines.append(
            f"| {row['name']} | {row['seconds']:.2f} | {row['bare_seconds']:.2f} | {cells[0]} | "
            f"{row['value']:.4f} | {cells[1]} |"
        )
    others = sum(row["seconds"] for row in rows if row["name"] != "dci")
    lines += ["", f"All but dci together: {others:.1f} s with intervals."]
    return "\n".join(lines)
