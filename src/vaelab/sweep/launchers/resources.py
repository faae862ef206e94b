"""How many cores and how much memory jobs may use, and how much memory a job has needed."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

GB = 1e9
ROOT = Path("/")


def num_cores(root: Path = ROOT) -> int:
    """The cores that this process may use, or fewer by the quota of a container."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([own, *_core_quotas(root)])))


def available_bytes(root: Path = ROOT) -> float:
    """What processes may still take: the machine's memory, or less in a container or a batch job.

    Memory that only caches files counts as free. Infinite where the system does not say.
    """
    free = _kilobytes(root / "proc/meminfo", "MemAvailable") or float("inf")
    return max(0.0, min([free, *_memory_left(root)]))


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


def _core_quotas(root: Path) -> Iterator[float]:
    """The cores that each control group of this process allows, where it has a limit."""
    for folder, version in _control_groups("cpu", root):
        try:
            if version == 2:
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota, period = (
                    (folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
                )
            if int(quota) > 0:  # "max" or -1 where there is no limit
                yield int(quota) / int(period)
        except (OSError, ValueError):
            continue


def _memory_left(root: Path) -> Iterator[float]:
    """What is left of the limit of each control group of this process, where it has a limit."""
    for folder, version in _control_groups("memory", root):
        limit, usage, cache = {
            1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            2: ("memory.max", "memory.current", "inactive_file"),
        }[version]
        try:
            most = int((folder / limit).read_text())  # "max" where there is no limit
            used = int((folder / usage).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        yield most - used + float(stat.get(cache, 0))


def _control_groups(controller: str, root: Path) -> Iterator[tuple[Path, int]]:
    """The folder and the version (1 or 2) of each control group that limits this process."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, version = root / "sys/fs/cgroup", 2
        elif controller in controllers.split(","):
            top, version = root / "sys/fs/cgroup" / controller, 1
        else:
            continue
        # Limits of the groups around it hold as well; in a container its own group is the top.
        inner = Path(path.strip("/"))
        for group in (inner, *inner.parents):
            yield top / group, version
