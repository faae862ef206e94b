"""The exception for mistakes that a user can fix, and the checks that raise it."""

import difflib
import errno
import math
from collections.abc import Iterable, Iterator
from typing import Any

# What the user can do something about: places that can't be written, full or wrong.
PLACE_ERRORS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
}


class UserError(ValueError):
    """A mistake in the input: its message says what was expected, what came and what to do.

    The command line prints the message alone, without a traceback, and exits with code 2.
    """


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what caused it, in turn."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def known_cause(error: BaseException) -> str | None:
    """The sentence for the user that an exception carries, or None if it is a bug."""
    for link in causes(error):
        if isinstance(link, UserError):
            return str(link)
        if isinstance(link, OSError) and link.errno in PLACE_ERRORS and link.filename:
            return (
                f"expected to write or read {link.filename}, got: {link.strerror}; free some "
                "space, or name another place with output_root= or data_root=."
            )
        if _is_out_of_memory(link):
            return (
                "expected memory enough for this run, got none left: "
                f"{' '.join(str(link).split())[:200] or type(link).__name__}; use a smaller "
                "batch_size or eval_batch_size, or run fewer jobs at once."
            )
    return None


def sentence(error: BaseException) -> str:
    """What to record of an exception: the sentence for the user, or its type and text."""
    return known_cause(error) or f"{type(error).__name__}: {error}"


def _is_out_of_memory(error: BaseException) -> bool:
    # By name, since torch is not imported for this; on a CPU torch raises a bare RuntimeError.
    names = {kind.__name__ for kind in type(error).__mro__}
    text = "can't allocate memory"
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or text in str(error)


def nearest(word: str, known: Iterable[str], num: int = 3) -> str:
    """The entries of `known` that `word` may be a misspelling of: "a, b", or "" for none."""
    return ", ".join(difflib.get_close_matches(word, list(known), n=num, cutoff=0.5))


def require(condition: bool, message: str) -> None:
    """Raise `UserError(message)` unless `condition` holds."""
    if not condition:
        raise UserError(message)


def require_range(
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    integer: bool = False,
    unit: str = "",
    example: Any = None,
) -> None:
    """Require a finite number, or an integer, within the bounds given.

    Args:
        name: of the argument, without the path of a config: `build` puts that before it.
        unit: what the number counts or measures, such as "steps" or "nats per image".
        example: a usual value, for the end of the message: "beta expects a number of at least 0,
            got -1; try 4."

    Raises:
        UserError: another type, NaN, an infinity, or a number out of bounds.
    """
    bounds = {"of at least": at_least, "above": above, "of at most": at_most, "below": below}
    ok = isinstance(value, int if integer else int | float) and not isinstance(value, bool)
    ok = ok and math.isfinite(value)
    ok = ok and (at_least is None or value >= at_least) and (above is None or value > above)
    ok = ok and (at_most is None or value <= at_most) and (below is None or value < below)
    if not ok:
        kind = "an integer" if integer else "a number"
        limits = " and ".join(
            f"{word} {bound}" for word, bound in bounds.items() if bound is not None
        )
        expected = " ".join(filter(None, (kind, limits, f"({unit})" if unit else "")))
        raise UserError(f"{name} expects {expected}, got {value!r}; try {example!r}.")


def require_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Require one of `choices`.

    Raises:
        UserError: "estimator expects one of mss, mws, got 'msw'; did you mean mss?"
    """
    known = list(choices)
    if value not in known:
        listed = ", ".join(map(str, known))
        hint = nearest(value, map(str, known), 1) if isinstance(value, str) else ""
        ending = f"did you mean {hint}?" if hint else f"try {known[0]}."
        raise UserError(f"{name} expects one of {listed}, got {value!r}; {ending}")
