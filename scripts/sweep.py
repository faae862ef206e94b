"""The status of a sweep: python scripts/sweep.py status outputs/main/sweep."""

from vaelab.cli.sweep import main

if __name__ == "__main__":
    main()
