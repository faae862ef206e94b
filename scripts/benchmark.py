"""Speed against a plain PyTorch loop: python scripts/benchmark.py (see docs/benchmark.md)."""

from vaelab.cli.benchmark import main

if __name__ == "__main__":
    main()
