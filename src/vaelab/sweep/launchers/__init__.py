"""Where the jobs of a sweep run: in this process, in several, on a cluster."""

from vaelab.sweep.launchers.base import Done, Launcher
from vaelab.sweep.launchers.local import Local
from vaelab.sweep.launchers.ray import Ray
from vaelab.sweep.launchers.serial import Serial

__all__ = ["Done", "Local", "Launcher", "Ray", "Serial"]
