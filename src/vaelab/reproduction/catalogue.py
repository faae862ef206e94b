"""Which targets there are, what their headers say, and at which scale they run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from vaelab.errors import nearest, require
from vaelab.files import natural_order
from vaelab.reproduction.scale import SCALES


@dataclass(frozen=True)
class Target:
    """A target as its file says.

    Attributes:
        name: such as c1.
        scale: cpu or full.
        counterpart: the target of the other scale that measures the like, or None.
        what: what it measures, the first line of its header.
        facts: Source, Command, Expected and Time of its header.
    """

    name: str
    scale: str
    counterpart: str | None
    what: str
    facts: dict[str, str]


def targets(folder: Path) -> dict[str, Target]:
    """All targets by name, c2 before c10.

    Args:
        folder: conf/experiment/reproduce.
    """
    files = sorted(folder.glob("*.yaml"), key=lambda file: natural_order(file.stem))
    return {file.stem: _read(file) for file in files}


def chosen(known: dict[str, Target], names: Sequence[str], scale: str | None) -> list[str]:
    """The targets to run at a scale, in order: those named, or their counterparts; or all of it.

    Raises:
        UserError: a name that is none, or a target without a counterpart.
    """
    for name in names:
        hint = nearest(name, known)
        require(
            name in known,
            f"reproduce expects one of {', '.join(known)}, got {name}"
            + (f"; did you mean {hint}?" if hint else "; --list says what each measures."),
        )
    if not names:
        return [name for name, one in known.items() if scale in (one.scale, "smoke")]
    if scale in (None, "smoke"):
        return list(names)
    return list(dict.fromkeys(other for name in names for other in _at(known, name, str(scale))))


def _at(known: dict[str, Target], name: str, scale: str) -> list[str]:
    """The target itself, or those of the other scale that are its counterparts."""
    target = known[name]
    if target.scale == scale:
        return [name]
    named_by = [other.name for other in known.values() if other.counterpart == name]
    others = [target.counterpart] if target.counterpart else named_by
    require(
        bool(others),
        f"--scale {scale} expects a target that has a counterpart of that scale, got {name}, which "
        f"runs at {target.scale} alone; leave --scale out, or take smoke.",
    )
    return others


def _read(file: Path) -> Target:
    lines = [line.removeprefix("#") for line in file.read_text().splitlines() if line[:1] == "#"]
    comment = "\n".join(line for line in lines if "@package" not in line)
    what = comment.strip().partition("\n\n")[0].partition("\n")[0]
    found = re.findall(r"^ ([A-Z]\w+) {2,}(\S.*(?:\n {4,}\S.*)*)", comment, re.MULTILINE)
    facts = {name: " ".join(text.split()) for name, text in found}
    target = OmegaConf.load(file).target
    require(
        target.get("scale") in SCALES[1:],
        f"{file} expects target.scale: cpu or full, got {target.get('scale')}; add it.",
    )
    return Target(
        file.stem, target.scale, target.get("counterpart"), what.partition(": ")[2], facts
    )
