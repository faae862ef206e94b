"""What was typed after reproduce.py: targets, a scale, and words for Hydra."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vaelab.errors import require
from vaelab.reproduction.catalogue import Target, chosen, targets
from vaelab.reproduction.scale import SCALES, SMOKE


@dataclass(frozen=True)
class Asked:
    """A command line.

    Attributes:
        known: all targets by name.
        names: those to run.
        words: for Hydra: KEY=VALUE and its own options.
        scale: smoke, cpu, full or None.
        listing, record: whether --list and --record were typed.
    """

    known: dict[str, Target]
    names: list[str]
    words: list[str]
    scale: str | None
    listing: bool
    record: bool

    @property
    def smoke(self) -> bool:
        """Whether runs are made small."""
        return self.scale == "smoke"

    def hydra_words(self, name: str) -> list[str]:
        """The command line of one target for Hydra."""
        named = [f"name={name}{SMOKE}"] if self.smoke else []
        return [f"experiment=reproduce/{name}", *named, *self.words]


def read_command(typed: Sequence[str], folder: Path) -> Asked:
    """Read the command line.

    Args:
        typed: its words.
        folder: of the targets, conf/experiment/reproduce.

    Raises:
        UserError: unknown targets, nothing to do, or options that don't go together.
        SystemExit: --help, or an option that can't be read.
    """
    parser = argparse.ArgumentParser(
        description="Measure published numbers and say whether they are reached.",
        epilog="Exit code 1 where a number was missed, 2 where something failed.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "words", nargs="*", metavar="TARGET or KEY=VALUE", help="such as c1 num_threads=1"
    )
    parser.add_argument(
        "--scale", choices=SCALES, help="smoke: any target, made small; cpu, full: its counterpart"
    )
    parser.add_argument("--list", action="store_true", help="what targets there are")
    parser.add_argument(
        "--record", action="store_true", help="write the verdict into docs/reproduction.md"
    )
    parser.add_argument("--cfg", "-c", help="of Hydra: job shows the settings")
    parser.add_argument("--multirun", "-m", action="store_true", help=argparse.SUPPRESS)
    read, others = parser.parse_known_intermixed_args(list(typed))
    names = [word.lower() for word in read.words if "=" not in word and word[:1] != "~"]
    words = [word for word in read.words if word.lower() not in names]
    require(
        not read.multirun,
        "reproduce expects targets, which have their own runs, got -m; leave it out, and choose "
        "where they run by hydra/launcher=local.",
    )
    require(
        not (read.record and read.scale == "smoke"),
        "--record expects a run that is judged, got --scale smoke; leave one out.",
    )
    known = targets(folder)
    require(
        bool(names or read.scale or read.list),
        f"reproduce expects TARGET [TARGET ...] [KEY=VALUE ...], got no target; choose of "
        f"{', '.join(known)}. --list says what each measures.",
    )
    options = [*(["--cfg", read.cfg] if read.cfg else []), *others]
    return Asked(
        known, chosen(known, names, read.scale), [*words, *options], read.scale, read.list,
        read.record,
    )  # fmt: skip
