"""The space of a search, from Hydra's sweep overrides."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from vaelab.errors import UserError, require

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

USUAL = "use beta=tag(log, interval(1,16)), num=range(2,20) or option=a,b"


@dataclass(frozen=True)
class Space:
    """What is searched and what is fixed.

    Attributes:
        fixed: the overrides that all trials share.
        distributions: setting -> the distribution from which Optuna proposes it.
    """

    fixed: tuple[str, ...]
    distributions: "dict[str, BaseDistribution]"

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """The overrides of one trial."""
        return [f"{key}={params[key]}" for key in self.distributions]

    def example(self) -> dict[str, Any]:
        """One trial: the first choice and the lowest number of each."""
        return {
            key: one.choices[0] if hasattr(one, "choices") else one.low  # type: ignore[attr-defined]
            for key, one in self.distributions.items()
        }


def parse(overrides: Iterable[str]) -> Space:
    """Overrides of the command line as a space; of a setting given twice the last counts.

    `a,b` and choice(a,b) are categories. range(2,20,3) is over integers, or floats if one of its
    numbers is a float, without the end. interval(1,16) is over floats, with tag(int, ...) over
    integers, with both ends. tag(log, ...) is uniform in the logarithm.

    Raises:
        UserError: nothing to search, or an impossible space.
    """
    fixed: dict[str, str] = {}
    searched: dict[str, Any] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.get_key_element()
        fixed.pop(key, None)
        searched.pop(key, None)
        if override.is_sweep_override():
            searched[key] = _distribution(key, override)
        else:
            fixed[key] = str(override.input_line)
    require(
        "seed" not in searched,
        "seed expects one value in a search, got several to choose from; set "
        "hydra.sweeper.seeds=[0,1,2], which trains every trial with each and takes the mean.",
    )
    require(
        "labels.seed" not in searched,
        "labels.seed expects one value in a search, got several to choose from, of which it would "
        "find the easiest labels; set one.",
    )
    require(bool(searched), f"a search expects settings to choose from, got none; {USUAL}.")
    return Space(tuple(fixed.values()), searched)


def _distribution(key: str, override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution

    value, line = override.value(), override.input_line
    tags = set(getattr(value, "tags", ()))
    known = {IntervalSweep: {"log", "int", "float"}, RangeSweep: {"log"}}.get(type(value), set())
    require(
        tags <= known,
        f"{key} expects {f'tags among {sorted(known)}' if known else 'no tags'}, got "
        f"{', '.join(sorted(tags - known))} in {line}; {USUAL}.",
    )
    if isinstance(value, ChoiceSweep):
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    try:
        if isinstance(value, IntervalSweep):
            return _interval(value, tags)
        if isinstance(value, RangeSweep):
            return _range(value, tags)
    except ValueError as error:
        why = str(error).rstrip(".")
        raise UserError(f"{key} expects a valid space, got {line}: {why}; {USUAL}.") from error
    raise UserError(f"{key} expects values, got {line}; list them as {key}=a,b.")


def _interval(value: IntervalSweep, tags: Set[str]) -> "BaseDistribution":
    """Both ends are included."""
    from optuna.distributions import FloatDistribution, IntDistribution

    assert value.start is not None
    assert value.end is not None
    low, high = float(value.start), float(value.end)
    if "int" not in tags:
        return FloatDistribution(low, high, log="log" in tags)
    if not (low.is_integer() and high.is_integer()):
        raise ValueError(f"with tag int the ends must be integers, not {low} and {high}.")
    return IntDistribution(int(low), int(high), log="log" in tags)


def _range(value: RangeSweep, tags: Set[str]) -> "BaseDistribution":
    """The end is excluded, in either direction."""
    from optuna.distributions import FloatDistribution, IntDistribution

    numbers = list(value.range())
    if not numbers:
        raise ValueError("the range is empty; swap its ends.")
    low, high, step = min(numbers), max(numbers), abs(value.step)
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), log="log" in tags, step=int(step))
    return FloatDistribution(low, high, log="log" in tags, step=step)
