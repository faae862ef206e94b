"""What has become of a sweep: python scripts/sweep.py status outputs/main/sweep."""

from vaelab.cli.hydra_app import sweep

if __name__ == "__main__":
    sweep()
