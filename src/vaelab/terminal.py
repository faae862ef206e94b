"""Commands as they are typed in this terminal, for the hints that programs print."""

import os
import sys
from pathlib import Path


def this_program() -> str:
    """How this program was started, to be typed again: a script by its Python, or a command."""
    program = Path(sys.argv[0])
    return f"{beside_python('python')} {program}" if program.suffix == ".py" else program.name


def sibling_program(name: str) -> str:
    """Another program of ours, as this one was started."""
    program = Path(sys.argv[0])
    if program.suffix == ".py":
        return f"{beside_python('python')} {program.with_name(f'{name}.py')}"
    return f"vaelab-{name}"


def beside_python(name: str) -> str:
    """A program of this environment as it is typed here."""
    folder = Path(sys.executable).parent
    if os.environ.get("PATH", "").split(os.pathsep)[0] == str(folder):
        return name
    return str(relative_to_cwd(folder) / name)


def relative_to_cwd(path: Path) -> Path:
    """Relative to the working directory where the path lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
