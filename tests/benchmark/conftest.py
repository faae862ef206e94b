"""The benchmark is no part of the package: its folder, scripts/, is found as by its script."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
