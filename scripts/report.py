"""Make one HTML page of a run or a folder of runs: python scripts/report.py outputs/main/<time>."""

from vaelab.commands import report

if __name__ == "__main__":
    report()
