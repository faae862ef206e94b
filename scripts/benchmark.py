"""Measure speed and memory: python scripts/benchmark.py --help (see docs/benchmark.md)."""

from benchmark.command import main  # the package scripts/benchmark/, which Python finds first

if __name__ == "__main__":
    main()
