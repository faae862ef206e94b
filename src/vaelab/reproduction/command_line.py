"""The command line of reproduce.py: targets, a scale, and overrides for Hydra."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vaelab.errors import require
from vaelab.reproduction.targets import SCALES, SMOKE, Target, read_targets, select_targets

EPILOG = """examples:
  reproduce.py c1                        train the VAE of C1 and compare it with published losses
  reproduce.py c2 num_threads=1 hydra/launcher=local hydra.launcher.num_jobs=2
                                         the 15 runs of C2, two at a time

The exit code is 0 if no number was missed, 1 if one was missed, 2 if something failed. Numbers
whose expected range is an estimate are printed and decide nothing.
Repeating a command resumes interrupted runs and keeps finished ones.
docs/reproduction.md describes the targets and has the last verdicts.
"""


@dataclass(frozen=True)
class Arguments:
    """The arguments of reproduce.py.

    Attributes:
        targets: all targets by name.
        names: those to run.
        overrides: for Hydra: KEY=VALUE and its own options.
        scale: smoke, cpu, full or None.
        list_targets, record: whether --list and --record were given.
    """

    targets: dict[str, Target]
    names: list[str]
    overrides: list[str]
    scale: str | None
    list_targets: bool
    record: bool

    @property
    def smoke(self) -> bool:
        """Whether runs are made small."""
        return self.scale == "smoke"

    def hydra_arguments(self, name: str) -> list[str]:
        """The command line of one target for Hydra."""
        folder = [f"name={name}{SMOKE}"] if self.smoke else []
        return [f"experiment=reproduce/{name}", *folder, *self.overrides]


def build_parser() -> argparse.ArgumentParser:
    """The parser of reproduce.py; options that it does not know are Hydra's."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s TARGET [TARGET ...] [KEY=VALUE ...] [options]",
        description="Measure published or exact numbers and say whether they are reached.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="TARGET | KEY=VALUE",
        help="targets such as c1, and Hydra overrides for all their runs, such as trainer=gpu",
    )  # fmt: skip
    parser.add_argument(
        "--scale", choices=SCALES,
        help="cpu, full: run the counterpart of each target on that scale, or without targets all "
        "of that scale (full needs a GPU); smoke: run any target with few steps and images, to see "
        "that it works",
    )  # fmt: skip
    parser.add_argument(
        "--list", action="store_true",
        help="print all targets with what they measure, their time, their last verdict, and the "
        "sources of the expected numbers",
    )  # fmt: skip
    parser.add_argument(
        "--record", action="store_true", help="write the verdict into docs/reproduction.md"
    )
    parser.add_argument(
        "--cfg", "-c", metavar="job",
        help="an option of Hydra: print the settings of the targets and run nothing",
    )  # fmt: skip
    parser.add_argument("--multirun", "-m", action="store_true", help=argparse.SUPPRESS)
    return parser


def parse_arguments(typed: Sequence[str], folder: Path) -> Arguments:
    """Parse the command line.

    Args:
        typed: the arguments after the program.
        folder: of the targets, conf/experiment/reproduce.

    Raises:
        UserError: unknown targets, nothing to do, or options that exclude each other.
        SystemExit: --help, or an option that can't be parsed.
    """
    parsed, others = build_parser().parse_known_intermixed_args(list(typed))
    names = [word.lower() for word in parsed.inputs if "=" not in word and word[:1] != "~"]
    overrides = [word for word in parsed.inputs if word.lower() not in names]
    require(
        not parsed.multirun,
        "reproduce expects targets, which define their own runs, got -m; leave it out, and use "
        "hydra/launcher=local to run several at once.",
    )
    require(
        not (parsed.record and parsed.scale == "smoke"),
        "--record expects full-size runs, got --scale smoke; leave one of the two out.",
    )
    known = read_targets(folder)
    require(
        bool(names or parsed.scale or parsed.list),
        f"reproduce expects TARGET [TARGET ...] [KEY=VALUE ...], got no target; use one of "
        f"{', '.join(known)}, or --list to see what each measures.",
    )
    options = [*(["--cfg", parsed.cfg] if parsed.cfg else []), *others]
    return Arguments(
        known, select_targets(known, names, parsed.scale), [*overrides, *options], parsed.scale,
        parsed.list, parsed.record,
    )  # fmt: skip
