"""Measure a published number: python scripts/reproduce.py c1 (see docs/reproduction.md)."""

from vaelab.cli.hydra_app import reproduce

if __name__ == "__main__":
    reproduce()
