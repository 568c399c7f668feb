"""The functions of conditions: their parameters, result types and implementations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.engine.conditions.times import UNITS, Clock
from pdp.engine.conditions.truth import is_in, members_of
from pdp.engine.conditions.value_types import ValueType, type_of

if TYPE_CHECKING:
    from pdp.engine.conditions.truth import Truth

Implementation = Callable[..., Any]

_TIME: Final = frozenset({ValueType.TIME})
_TEXT: Final = frozenset({ValueType.TEXT})
_LIST: Final = frozenset({ValueType.LIST})
_TEXT_OR_LIST: Final = _TEXT | _LIST
_SCALAR: Final = frozenset({ValueType.TEXT, ValueType.NUMBER, ValueType.BOOLEAN})
ITEM_TYPES: Final = _SCALAR | _LIST
"""The types with which the items of a list are compared: one value, or a list of values."""


class Function(NamedTuple):
    """One function.

    Attributes:
        parameters: the types that each argument can have. The result is unknown if an argument has
            another type or is null. A time is passed as its seconds.
        result: the type of the result, unless it is unknown.
        implementation: returns the implementation for the clock of the policy's time zone.
        optional: the number of parameters at the end that can be omitted.
        takes_name: whether the argument must be a name; the result is whether it has a value.
        words: the only values of the last argument, which must then be a constant.
    """

    parameters: tuple[frozenset[ValueType], ...]
    result: ValueType
    implementation: Callable[[Clock], Implementation]
    optional: int = 0
    takes_name: bool = False
    words: tuple[str, ...] = ()

    @property
    def arity(self) -> str:
        """The number of arguments, in words."""
        maximum, minimum = len(self.parameters), len(self.parameters) - self.optional
        count = str(maximum) if minimum == maximum else f"{minimum} or {maximum}"
        return f"{count} argument{'s' if maximum > 1 else ''}"


def _without_clock(implementation: Implementation) -> Callable[[Clock], Implementation]:
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
    return len(value) if type_of(value) in _TEXT_OR_LIST else None


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


def _contains(value: Any, item: Any) -> Truth:
    if isinstance(value, str):
        return item in value if isinstance(item, str) else None
    if type_of(value) is not ValueType.LIST or type_of(item) not in _SCALAR:
        return None
    return is_in(item, value)


def _truths(values: Any, items: tuple[Any, ...]) -> list[Any] | None:
    """Returns for each of `values` whether it is one of the items; itself if there are no items.

    Args:
        values: a list; the result is None for other types.
        items: the second argument of the function, if it has one.
    """
    if type_of(values) is not ValueType.LIST:
        return None
    if not items:
        return list(values)
    members = members_of(items[0])
    return None if members is None else [members.contain(value) for value in values]


def _any(values: Any, *items: Any) -> Truth:
    truths = _truths(values, items)
    if truths is None:
        return None
    if any(truth is True for truth in truths):
        return True
    return False if all(truth is False for truth in truths) else None


def _all(values: Any, *items: Any) -> Truth:
    truths = _truths(values, items)
    if truths is None:
        return None
    if any(truth is False for truth in truths):
        return False
    return True if all(truth is True for truth in truths) else None


def _count(values: Any, *items: Any) -> int | None:
    truths = _truths(values, items)
    if truths is None:
        return None
    return sum(truth is True for truth in truths) if items else len(truths)


FUNCTIONS: Final[Mapping[str, Function]] = {
    "hour": Function((_TIME,), ValueType.NUMBER, lambda clock: clock.hour),
    "minute": Function((_TIME,), ValueType.NUMBER, lambda clock: clock.minute),
    "day_of_week": Function((_TIME,), ValueType.NUMBER, lambda clock: clock.day_of_week),
    "date": Function((_TIME,), ValueType.TEXT, lambda clock: clock.date),
    "timestamp_diff": Function(
        (_TIME, _TIME, _TEXT),
        ValueType.NUMBER,
        _without_clock(_seconds_between),
        optional=1,
        words=tuple(UNITS),
    ),
    "length": Function((_TEXT_OR_LIST,), ValueType.NUMBER, _without_clock(_length)),
    "lower": Function((_TEXT,), ValueType.TEXT, _without_clock(_lower)),
    "upper": Function((_TEXT,), ValueType.TEXT, _without_clock(_upper)),
    "contains": Function((_TEXT_OR_LIST, _SCALAR), ValueType.BOOLEAN, _without_clock(_contains)),
    "starts_with": Function((_TEXT, _TEXT), ValueType.BOOLEAN, _without_clock(_starts_with)),
    "ends_with": Function((_TEXT, _TEXT), ValueType.BOOLEAN, _without_clock(_ends_with)),
    "any": Function((_LIST, ITEM_TYPES), ValueType.BOOLEAN, _without_clock(_any), optional=1),
    "all": Function((_LIST, ITEM_TYPES), ValueType.BOOLEAN, _without_clock(_all), optional=1),
    "count": Function((_LIST, ITEM_TYPES), ValueType.NUMBER, _without_clock(_count), optional=1),
    "has": Function(
        (frozenset({ValueType.ANY}),), ValueType.BOOLEAN, _without_clock(_present), takes_name=True
    ),
}
