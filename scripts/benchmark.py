"""Speed against a plain PyTorch loop: python scripts/benchmark.py (see docs/benchmark.md)."""

from vaelab.cli.hydra_app import benchmark

if __name__ == "__main__":
    benchmark()
