"""Reports of runs: HTML that opens from disk, the same as Markdown, and every number as CSV."""

from vaelab.report.command import main, write_report

__all__ = ["main", "write_report"]
