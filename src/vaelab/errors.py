"""The one exception type for what a user can cause and mend."""

import difflib
from collections.abc import Iterable, Iterator


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
    """The entries of `known` that `word` may have meant, as text: "a, b" or "" for none."""
    return ", ".join(difflib.get_close_matches(word, list(known), n=num, cutoff=0.5))


def require(condition: bool, message: str) -> None:
    """Raise `UserError(message)` unless `condition` holds."""
    if not condition:
        raise UserError(message)
