"""Measure speed: scripts/benchmark.py."""

from vaelab.cli import program
from vaelab.cli.hydra_app import exit_on_user_error, use_data_of_checkout


@program
def main() -> None:
    """Measure speed against a plain PyTorch loop: scripts/benchmark.py, vaelab-benchmark."""
    use_data_of_checkout()
    from vaelab.benchmark.table import main as measure

    with exit_on_user_error():
        measure()
