"""One HTML page of a run or a folder of runs that opens from disk, and a CSV of their numbers."""

from vaelab.report.command import main, write_report

__all__ = ["main", "write_report"]
