"""Measure a published number: python scripts/reproduce.py c1 (see docs/reproduction.md)."""

from vaelab.cli.reproduce import main

if __name__ == "__main__":
    main()
