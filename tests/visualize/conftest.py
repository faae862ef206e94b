"""How tests read a figure: as those of `figures` do."""

from tests.figures.conftest import caption_of, words  # noqa: F401
