"""How much memory is free, and how much a process has needed."""

from collections.abc import Iterator
from pathlib import Path

GB = 1e9
ROOT = Path("/")


def available_bytes(root: Path = ROOT) -> float:
    """What processes may still take: the machine's memory, or less in a container or a batch job.

    Memory that only caches files counts as free. Infinite where the system does not say.
    """
    free = _kilobytes(root / "proc/meminfo", "MemAvailable") or float("inf")
    return max(0.0, min([free, *_control_groups(root)]))


def needed_bytes(group: int, root: Path = ROOT) -> float:
    """The most that the processes of a group have held, without the libraries that jobs share."""
    total = 0.0
    for stat in (root / "proc").glob("[0-9]*/stat"):
        try:
            # After the name, which may hold anything: state, parent, process group.
            if int(stat.read_text().rpartition(")")[2].split()[2]) != group:
                continue
        except (OSError, ValueError, IndexError):  # it has just ended
            continue
        status = stat.with_name("status")
        total += max(0.0, _kilobytes(status, "VmHWM") - _kilobytes(status, "RssFile"))
    return total


def _kilobytes(file: Path, name: str) -> float:
    """A line "name: 123 kB" in bytes, 0 where there is none."""
    try:
        for line in file.read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return float(value.split()[0]) * 1024
    except (OSError, ValueError):
        pass
    return 0.0


def _control_groups(root: Path) -> Iterator[float]:
    """What is left of the limit of each control group that this process is in."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # Limits of the groups around it hold as well; in a container its own group is the top.
        inner = Path(path.strip("/"))
        for group in (inner, *inner.parents):
            yield from _left(top / group, *names)


def _left(folder: Path, limit: str, usage: str, cache: str) -> Iterator[float]:
    try:
        most = int((folder / limit).read_text())  # "max" where there is no limit
        used = int((folder / usage).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return
    yield most - used + float(stat.get(cache, 0))
