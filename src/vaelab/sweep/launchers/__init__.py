"""Where the jobs of a sweep run: in this process, in several, on a cluster."""

from vaelab.sweep.launchers.base import FinishedJob, Launcher
from vaelab.sweep.launchers.local import Local
from vaelab.sweep.launchers.ray import Ray
from vaelab.sweep.launchers.serial import Serial

__all__ = ["FinishedJob", "Launcher", "Local", "Ray", "Serial"]
