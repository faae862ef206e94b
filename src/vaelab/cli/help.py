"""`--help`: every setting and option with a line of its own, read from conf/ and docstrings."""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vaelab.errors import require_choice
from vaelab.terminal import this_program

SOURCE = Path(__file__).parents[1]
FLAGS = ("--help", "-h")
WIDTH = 98
USAGE = {
    "train": """\
usage: {program} [-m] [GROUP=OPTION ...] [SETTING=VALUE ...]

Train one model; with -m train one for every combination of the values given.

  {program} data=mnist model=mlp latent_dim=2 objective.beta=4
  {program} -m objective.beta=1,4,16 seed='range(5)' hydra/launcher=local
  {program} resume=outputs/main/<time>
""",
    "evaluate": """\
usage: {program} run=FOLDER [GROUP=OPTION ...] [SETTING=VALUE ...]

Compute evaluation metrics of a finished run, of every run below a folder, or of a checkpoint.

  {program} run=outputs/main/<time>
  {program} run=outputs/mine/sweep 'metrics=[mig,dci]' figures=false
""",
}
MORE = """\
--help GROUP describes the options of a group, --help GROUP=OPTION the settings of an option, such
as {example}. --cfg job prints the whole config, and --cfg job -p PART a part.
"""


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether --help or -h is among the arguments."""
    return any(flag in arguments for flag in FLAGS)


def help_text(conf: Path, config_name: str, arguments: Sequence[str]) -> str:
    """What `--help` prints: the overview, or a group or option if one is named beside it.

    Raises:
        UserError: the named group or option does not exist.
    """
    named = [word for word in arguments if word not in FLAGS and not word.startswith("-")]
    if not named:
        return _overview(conf, config_name)
    group, _, option = named[0].partition("=")
    folders = [path for path in conf.rglob("*") if path.is_dir() and any(path.glob("*.yaml"))]
    require_choice("--help", group, sorted(str(path.relative_to(conf)) for path in folders))
    if not option:
        return _rows(group, [(file.stem, summary(file)) for file in _options(conf, group)])
    require_choice(group, option, [file.stem for file in _options(conf, group)])
    file = conf / group / f"{option}.yaml"
    return f"{summary(file)}\n\n" + _rows("settings", list(settings(file, group)))


def summary(file: Path) -> str:
    """The comment at the top of a YAML file, as one line."""
    lines = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return " ".join(line for line in lines if not line.startswith("@package"))


def settings(file: Path, group: str = "") -> Iterator[tuple[str, str]]:
    """(name and default, description) of the settings of a YAML file.

    The description is the comment behind a setting, or else what the docstring of its class says.
    """
    comments = dict(re.findall(r"^ *(\w+):[^#\n]*# *(.+)$", file.read_text(), re.MULTILINE))
    prefix = "" if not group or is_global(file) else f"{group}."
    for name, value, target in _leaves(OmegaConf.to_container(OmegaConf.load(file)), ""):
        last = name.rpartition(".")[2]
        text = comments.get(last) or (describe_arguments(target).get(last, "") if target else "")
        shown = "null" if value is None else str(value).lower() if value in (True, False) else value
        yield f"{prefix}{name}={shown}", text


def is_global(file: Path) -> bool:
    """Whether the file says that its settings belong at the top level."""
    return "@package _global_" in file.read_text().partition("\n_target_")[0]


def describe_arguments(target: str) -> dict[str, str]:
    """{argument: description} from the docstring of a class or function, without importing it."""
    package, _, name = target.rpartition(".")
    folder = SOURCE / Path(*package.split(".")[1:])
    files = sorted(folder.glob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    for file in files if target.startswith("vaelab.") else []:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                return _args_section(ast.get_docstring(node) or "")
    return {}


def _args_section(docstring: str) -> dict[str, str]:
    section = re.search(r"^Args:\n((?:(?: +.*)?\n?)*)", docstring, re.MULTILINE)
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \w)", "\n" + section[1]) if section else []:
        names, _, text = entry.partition(":")
        for name in names.split(","):
            found[name.strip()] = " ".join(text.split())
    return found


def _leaves(tree: Any, prefix: str, target: str = "") -> Iterator[tuple[str, Any, str]]:
    """(dotted name, value, class that takes it) of every setting that is not structure."""
    target = str(tree.get("_target_", target))
    for name, value in tree.items():
        if str(name).startswith("_") or name in ("defaults", "hydra"):
            continue
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.", target)
        else:
            yield f"{prefix}{name}", value, target


def _overview(conf: Path, config_name: str) -> str:
    file = conf / f"{config_name}.yaml"
    config = OmegaConf.load(file)
    usage = USAGE[config_name].format(program=this_program())
    own = [(name, text) for name, text in settings(file) if not name.endswith("={}")]
    groups: list[tuple[str, str]] = []
    for entry in config.defaults:
        group, default = next(iter(entry.items())) if hasattr(entry, "items") else (None, None)
        group = str(group).removeprefix("override ").partition("@")[0]
        if group in [name for name, _ in groups] or not (conf / group).is_dir():
            continue
        chosen = default if isinstance(default, str) else ""
        options = [f"{o.stem}*" if o.stem == chosen else o.stem for o in _options(conf, group)]
        inner = sorted(p.name for p in (conf / group).iterdir() if p.is_dir())
        options += [f"{one}/..." for one in inner]
        groups.append((group, ", ".join(options)))
    example = "--help objective=beta_tcvae" if config_name == "train" else "--help metrics=mig"
    return "\n".join(
        [
            usage,
            _rows("settings, with their defaults", own),
            _rows("groups and their options (* is the default)", groups),
            MORE.format(example=example),
        ]
    )


def _options(conf: Path, group: str) -> list[Path]:
    return sorted((conf / group).glob("*.yaml"))


def _rows(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Two columns, the second wrapped."""
    first = min(max((len(name) for name, _ in rows), default=0) + 2, 36)
    lines = [title]
    for name, text in rows:
        if len(name) > first - 2 and text:
            lines.append(f"  {name}")
            name = ""
        wrapped = textwrap.wrap(text, WIDTH - first) or [""]
        lines.append(f"  {name:<{first}}{wrapped[0]}".rstrip())
        lines += [" " * (first + 2) + rest for rest in wrapped[1:]]
    return "\n".join(lines) + "\n"
