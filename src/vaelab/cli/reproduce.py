"""Measure targets and say whether they are reached: scripts/reproduce.py, vaelab-reproduce."""

import sys
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vaelab.cli import program
from vaelab.cli.hydra_app import CHECKOUT, CONF, exit_on_user_error, output_dir, run_hydra_app

if TYPE_CHECKING:
    from vaelab.reproduction.command_line import Arguments
    from vaelab.reproduction.verdict import Outcome

TARGETS = "experiment/reproduce"
RECORD = CHECKOUT / "docs" / "reproduction.md"


@program
def main() -> None:
    """Measure the targets named on the command line, or list them all."""
    from vaelab.reproduction.command_line import parse_arguments
    from vaelab.reproduction.record import format_list, read_table

    with exit_on_user_error():
        arguments = parse_arguments(sys.argv[1:], CONF / TARGETS)
    if arguments.list_targets:
        rows = read_table(RECORD.read_text()) if RECORD.exists() else {}
        print(format_list(arguments.targets, rows))
        return
    codes = [_reproduce(name, arguments) for name in arguments.names]
    if any(codes):
        sys.exit(max(codes))


def _reproduce(name: str, arguments: "Arguments") -> int:
    """The exit code of one target, which stops no other."""
    sys.argv = [sys.argv[0], *arguments.hydra_arguments(name)]
    codes = [0]  # also where Hydra only shows the settings

    def job(cfg: DictConfig) -> None:
        codes.append(_measure(cfg, arguments).exit_code)

    return codes[-1] if run_hydra_app(job, "train") else 2


def _measure(cfg: DictConfig, arguments: "Arguments") -> "Outcome":
    """One target, its verdict printed and, if asked, recorded."""
    from vaelab.reproduction.record import make_row, replace_row
    from vaelab.reproduction.reproduce import reproduce
    from vaelab.runs.provenance import machine
    from vaelab.sweep.run import build_launcher

    hydra_cfg = HydraConfig.get()
    experiment = hydra_cfg.runtime.choices["experiment"]
    overrides = [one for one in hydra_cfg.overrides.task if not one.startswith("experiment=")]
    launcher = build_launcher(hydra_cfg.launcher)
    outcome = reproduce(cfg, output_dir(), experiment, overrides, launcher, smoke=arguments.smoke)
    print(outcome)
    if arguments.record:
        command = " ".join(["python scripts/reproduce.py", outcome.name, *arguments.overrides])
        replace_row(RECORD, make_row(outcome, machine(), command))
    return outcome
