"""Make a report of a run or a folder of runs: python scripts/report.py outputs/main/<time>."""

from vaelab.cli.report import main

if __name__ == "__main__":
    main()
