"""The functions of conditions: what each takes, what it gives, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.engine.conditions.kinds import ValueType, kind_of
from pdp.engine.conditions.times import UNITS, Clock
from pdp.engine.conditions.truth import is_in, members_of

if TYPE_CHECKING:
    from pdp.engine.conditions.truth import Truth

Implementation = Callable[..., Any]

_TIME: Final = frozenset({ValueType.TIME})
_TEXT: Final = frozenset({ValueType.TEXT})
_LIST: Final = frozenset({ValueType.LIST})
_TEXT_OR_LIST: Final = _TEXT | _LIST
_SCALAR: Final = frozenset({ValueType.TEXT, ValueType.NUMBER, ValueType.BOOLEAN})
WANTED: Final = _SCALAR | _LIST
"""What the items of a list are compared with: one value, or several."""


class Function(NamedTuple):
    """One function.

    Attributes:
        takes: the kinds that each argument may be of; one of another kind, and null, makes the
            result unknown. A time is handed over as its seconds.
        gives: the kind of the result, where it is not unknown.
        of_clock: makes the implementation, given the clock of the policy's time zone.
        optional: how many of the last arguments may be left out.
        names: whether it takes names alone, and asks whether they are there.
        words: the only texts that the last argument may be, where it must be a constant.
    """

    takes: tuple[frozenset[ValueType], ...]
    gives: ValueType
    of_clock: Callable[[Clock], Implementation]
    optional: int = 0
    names: bool = False
    words: tuple[str, ...] = ()

    @property
    def arity(self) -> str:
        """How many arguments it takes, in words."""
        most, least = len(self.takes), len(self.takes) - self.optional
        count = str(most) if least == most else f"{least} or {most}"
        return f"{count} argument{'s' if most > 1 else ''}"


def _pure(implementation: Implementation) -> Callable[[Clock], Implementation]:
    return lambda _: implementation


def _present(value: Any) -> bool:
    return value is not None


def _seconds_between(
    later: float | None, earlier: float | None, unit: str = "seconds"
) -> float | None:
    if later is None or earlier is None:
        return None
    return (later - earlier) / UNITS[unit]


def _length(value: Any) -> int | None:
    return len(value) if kind_of(value) in _TEXT_OR_LIST else None


def _lower(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) else None


def _upper(value: Any) -> str | None:
    return value.upper() if isinstance(value, str) else None


def _starts_with(value: Any, start: Any) -> Truth:
    if isinstance(value, str) and isinstance(start, str):
        return value.startswith(start)
    return None


def _ends_with(value: Any, end: Any) -> Truth:
    if isinstance(value, str) and isinstance(end, str):
        return value.endswith(end)
    return None


def _contains(value: Any, wanted: Any) -> Truth:
    if isinstance(value, str):
        return wanted in value if isinstance(wanted, str) else None
    if kind_of(value) is not ValueType.LIST or kind_of(wanted) not in _SCALAR:
        return None
    return is_in(wanted, value)


def _truths(values: Any, wanted: tuple[Any, ...]) -> list[Any] | None:
    """Returns for each of `values` whether it is wanted; itself where nothing is said to be."""
    if kind_of(values) is not ValueType.LIST:
        return None
    if not wanted:
        return list(values)
    members = members_of(wanted[0])
    return None if members is None else [members.holds(value) for value in values]


def _any(values: Any, *wanted: Any) -> Truth:
    truths = _truths(values, wanted)
    if truths is None:
        return None
    if any(truth is True for truth in truths):
        return True
    return False if all(truth is False for truth in truths) else None


def _all(values: Any, *wanted: Any) -> Truth:
    truths = _truths(values, wanted)
    if truths is None:
        return None
    if any(truth is False for truth in truths):
        return False
    return True if all(truth is True for truth in truths) else None


def _count(values: Any, *wanted: Any) -> int | None:
    truths = _truths(values, wanted)
    if truths is None:
        return None
    return sum(truth is True for truth in truths) if wanted else len(truths)


FUNCTIONS: Final[Mapping[str, Function]] = {
    "hour": Function((_TIME,), ValueType.NUMBER, lambda clock: clock.hour),
    "minute": Function((_TIME,), ValueType.NUMBER, lambda clock: clock.minute),
    "day_of_week": Function((_TIME,), ValueType.NUMBER, lambda clock: clock.day_of_week),
    "date": Function((_TIME,), ValueType.TEXT, lambda clock: clock.date),
    "timestamp_diff": Function(
        (_TIME, _TIME, _TEXT),
        ValueType.NUMBER,
        _pure(_seconds_between),
        optional=1,
        words=tuple(UNITS),
    ),
    "length": Function((_TEXT_OR_LIST,), ValueType.NUMBER, _pure(_length)),
    "lower": Function((_TEXT,), ValueType.TEXT, _pure(_lower)),
    "upper": Function((_TEXT,), ValueType.TEXT, _pure(_upper)),
    "contains": Function((_TEXT_OR_LIST, _SCALAR), ValueType.BOOLEAN, _pure(_contains)),
    "starts_with": Function((_TEXT, _TEXT), ValueType.BOOLEAN, _pure(_starts_with)),
    "ends_with": Function((_TEXT, _TEXT), ValueType.BOOLEAN, _pure(_ends_with)),
    "any": Function((_LIST, WANTED), ValueType.BOOLEAN, _pure(_any), optional=1),
    "all": Function((_LIST, WANTED), ValueType.BOOLEAN, _pure(_all), optional=1),
    "count": Function((_LIST, WANTED), ValueType.NUMBER, _pure(_count), optional=1),
    "has": Function((frozenset({ValueType.ANY}),), ValueType.BOOLEAN, _pure(_present), names=True),
}
