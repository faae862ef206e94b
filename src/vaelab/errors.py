"""The one exception type for what a user can cause and mend."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in the input: its message says what was expected, what came and what to do.

    The command line prints the message alone, without a traceback, and exits with code 2.
    """


def nearest(word: str, known: Iterable[str], num: int = 3) -> str:
    """The entries of `known` that `word` may have meant, as text: "a, b" or "" for none."""
    return ", ".join(difflib.get_close_matches(word, list(known), n=num, cutoff=0.5))


def require(condition: bool, message: str) -> None:
    """Raise `UserError(message)` unless `condition` holds."""
    if not condition:
        raise UserError(message)
