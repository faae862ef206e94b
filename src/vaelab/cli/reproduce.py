"""Measure targets and say whether they are reached: scripts/reproduce.py, vaelab-reproduce."""

import sys
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vaelab.cli import program
from vaelab.cli.hydra_app import CHECKOUT, CONF, exit_on_user_error, output_dir, run_hydra_app

if TYPE_CHECKING:
    from vaelab.reproduction.command_line import Asked
    from vaelab.reproduction.verdict import Outcome

TARGETS = "experiment/reproduce"
RECORD = CHECKOUT / "docs" / "reproduction.md"


@program
def main() -> None:
    """Measure the targets named on the command line, or list them all."""
    from vaelab.reproduction.command_line import read_command
    from vaelab.reproduction.record import listing, read_table

    with exit_on_user_error():
        asked = read_command(sys.argv[1:], CONF / TARGETS)
    if asked.listing:
        rows = read_table(RECORD.read_text()) if RECORD.exists() else {}
        print(listing(asked.known, rows))
        return
    codes = [_reproduce(name, asked) for name in asked.names]
    if any(codes):
        sys.exit(max(codes))


def _reproduce(name: str, asked: "Asked") -> int:
    """The exit code of one target, which stops no other."""
    sys.argv = [sys.argv[0], *asked.hydra_words(name)]
    codes = [0]  # also where Hydra only shows the settings

    def job(cfg: DictConfig) -> None:
        codes.append(_measure(cfg, asked).exit_code)

    return codes[-1] if run_hydra_app(job, "train") else 2


def _measure(cfg: DictConfig, asked: "Asked") -> "Outcome":
    """One target, its verdict printed and, if asked, recorded."""
    from vaelab.reproduction.record import record, row_of
    from vaelab.reproduction.target import reproduce
    from vaelab.runs.provenance import machine
    from vaelab.sweep.run import build_launcher

    hydra_cfg = HydraConfig.get()
    choice = hydra_cfg.runtime.choices["experiment"]
    words = [word for word in hydra_cfg.overrides.task if not word.startswith("experiment=")]
    launcher = build_launcher(hydra_cfg.launcher)
    outcome = reproduce(cfg, output_dir(), choice, words, launcher, smoke=asked.smoke)
    print(outcome)
    if asked.record:
        command = " ".join(["python scripts/reproduce.py", outcome.name, *asked.words])
        record(RECORD, row_of(outcome, machine(), command))
    return outcome
