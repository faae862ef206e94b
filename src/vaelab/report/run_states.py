"""What became of the runs of a sweep: counted by state, and why some have no numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from vaelab.report.blocks import Block, State, Table, Words, quoted
from vaelab.report.markup import ABSENT
from vaelab.report.run_record import Record
from vaelab.report.settings import differing, settings

MAX_LISTED = 100  # runs without numbers
UNREADABLE = "unreadable"


def states(
    records: Sequence[Record], unreadable: Mapping[str, str], num_groups: int
) -> Iterator[Block]:
    """How many runs are in which state, what they differ in, and those without numbers."""
    counts = Counter(record.state for record in records)
    counts.update({UNREADABLE: len(unreadable)} if unreadable else {})
    total = len(records) + len(unreadable)
    counted = ", ".join(f"{num:,} {state}" for state, num in counts.items())
    varied = differing([settings(record) for record in records])
    names = ", ".join(f"{quoted(name)} ({_values(v)})" for name, v in varied.items())
    same = "All have the same settings." if total > 1 else ""
    yield Words(f"{total:,} runs: {counted}. " + (f"They differ in {names}." if varied else same))
    if not num_groups:
        yield Words("No run has finished, so that there are no numbers yet.", "note")
    elif num_groups > 1:
        yield Words(
            "ELBOs don't compare between data sets, their splits, pixels or likelihoods, so that "
            "each has its own tables and plots."
        )
    rows = [(quoted(name), State(UNREADABLE), quoted(s)) for name, s in unreadable.items()]
    rows += [
        (quoted(record.name), State(record.state), _reason(record))
        for record in sorted(records, key=lambda record: record.state != "failed")
        if record.state != "finished"
    ]
    if rows:
        missing = "1 run is missing" if len(rows) == 1 else f"{len(rows):,} runs are missing"
        yield Words(f"**{missing}** from all that follows:")
        yield Table(("run", "state", "error"), rows[:MAX_LISTED])
    if len(rows) > MAX_LISTED:
        yield Words(f"And {len(rows) - MAX_LISTED:,} more.", "small")


def _values(values: Sequence[object]) -> str:
    """How many different ones, or which where they are few."""
    different = list(dict.fromkeys(ABSENT if value is None else str(value) for value in values))
    return quoted(", ".join(different)) if len(different) <= 6 else f"{len(different):,} values"


def _reason(record: Record) -> str:
    error = record.status.get("error")
    return quoted(error) if error else ABSENT
