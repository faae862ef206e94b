"""What a search may choose, in the words of Hydra's sweeps."""

from collections.abc import Iterable, Mapping
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
    """What is searched and what stays.

    Attributes:
        fixed: the words that all trials have.
        distributions: setting -> what Optuna draws from.
    """

    fixed: tuple[str, ...]
    distributions: "dict[str, BaseDistribution]"

    def words(self, params: Mapping[str, Any]) -> list[str]:
        """What is typed for the settings of a trial."""
        return [f"{key}={params[key]}" for key in self.distributions]

    def example(self) -> dict[str, Any]:
        """One trial: the first choice and the lowest number of each."""
        return {
            key: one.choices[0] if hasattr(one, "choices") else one.low  # type: ignore[attr-defined]
            for key, one in self.distributions.items()
        }


def parse(words: Iterable[str]) -> Space:
    """Words of the command line as a space; of a setting named twice the last counts.

    `a,b` and choice(a,b) are categories. range(2,20,3) are integers, or floats where one of its
    numbers is, without the end. interval(1,16) are floats, and with tag(int, ...) integers, with
    both ends. tag(log, ...) draws the logarithm evenly.

    Raises:
        UserError: nothing to search, or a space that can't be.
    """
    fixed: dict[str, str] = {}
    searched: dict[str, Any] = {}
    for override in OverridesParser.create().parse_overrides(list(words)):
        key = override.get_key_element()
        fixed.pop(key, None)
        searched.pop(key, None)
        if override.is_sweep_override():
            searched[key] = _distribution(key, override)
        else:
            fixed[key] = str(override.input_line)
    require(
        "seed" not in searched,
        "a search expects one seed, got several as something to choose from; set "
        "hydra.sweeper.seeds=[0,1,2], which trains every trial with each and takes the mean.",
    )
    require(bool(searched), f"a search expects settings to choose from, got none; {USUAL}.")
    return Space(tuple(fixed.values()), searched)


def _distribution(key: str, override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value, line = override.value(), override.input_line
    tags = set(getattr(value, "tags", ()))
    allowed = {IntervalSweep: {"log", "int", "float"}, RangeSweep: {"log"}}.get(type(value), set())
    if not isinstance(value, ChoiceSweep | IntervalSweep | RangeSweep):
        raise UserError(f"a search expects values, got {line}; list them as {key}=a,b.")
    require(
        tags <= allowed,
        f"{line}: expected {f'tags among {sorted(allowed)}' if allowed else 'no tags'}, got "
        f"{', '.join(sorted(tags - allowed))}; {USUAL}.",
    )
    log = "log" in tags
    if isinstance(value, ChoiceSweep):
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        low, high = float(value.start), float(value.end)
        _check(line, low, high, log)
        if "int" not in tags:
            return FloatDistribution(low, high, log=log)
        whole = low.is_integer() and high.is_integer()
        require(whole, f"{line}: tag int expects whole numbers as ends, got {low} and {high}.")
        return IntDistribution(int(low), int(high), log=log)
    numbers = list(value.range())
    require(bool(numbers), f"{line}: expected numbers, got an empty range; swap its ends.")
    low, high, step = min(numbers), max(numbers), abs(value.step)
    _check(line, low, high, log)
    integers = all(isinstance(number, int) for number in numbers)
    require(
        not log or (integers and step == 1),
        f"{line}: a logarithmic range expects integers in steps of 1, got a step of {step}; use "
        f"{key}=tag(log, interval({low},{high})).",
    )
    if integers:
        return IntDistribution(int(low), int(high), log=log, step=int(step))
    return FloatDistribution(low, high, step=step)


def _check(line: str | None, low: float, high: float, log: bool) -> None:
    require(low <= high, f"{line}: expected the lower end first, got {low} and {high}; swap them.")
    require(
        not log or low > 0,
        f"{line}: a logarithm expects numbers above 0, got {low}; raise the lower end.",
    )
