"""Make one HTML page of a run or a folder of runs: python scripts/report.py outputs/main/<time>."""

from vaelab.cli.hydra_app import report

if __name__ == "__main__":
    report()
