"""Score finished runs: python scripts/evaluate.py run=outputs/main/<time> (see README.md)."""

from vaelab.cli.hydra_app import evaluate

if __name__ == "__main__":
    evaluate()
