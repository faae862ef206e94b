"""Print the status of the jobs of a sweep: scripts/sweep.py, vaelab-sweep."""

import sys

from vaelab.cli import program
from vaelab.cli.hydra_app import exit_on_user_error


@program
def main() -> None:
    """Print the status of a sweep; exit code 0 where all jobs are complete."""
    from vaelab.sweep.status import main as print_status

    with exit_on_user_error():
        sys.exit(print_status(sys.argv[1:]))
