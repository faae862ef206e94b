"""Train one model: python scripts/train.py objective.beta=8 data=mnist (see README.md)."""

from vaelab.cli.train import main

if __name__ == "__main__":
    main()
