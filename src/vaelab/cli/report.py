"""Make an HTML and Markdown report of a run or of a folder of runs: scripts/report.py."""

import sys

from vaelab.cli import program
from vaelab.cli.hydra_app import exit_on_user_error, use_data_of_checkout


@program
def main() -> None:
    """Write the report that the command line asks for."""
    use_data_of_checkout()
    from vaelab.report import main as write

    with exit_on_user_error():
        write(sys.argv[1:])
