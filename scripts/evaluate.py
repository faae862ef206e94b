"""Evaluate finished runs: python scripts/evaluate.py run=outputs/main/<time> (see README.md)."""

from vaelab.cli.evaluate import main

if __name__ == "__main__":
    main()
