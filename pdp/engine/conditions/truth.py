"""Comparison, arithmetic and membership in the three-valued logic of SQL.

None is both null and unknown. It is the result if a name is missing, if values have different
types, and for a division by zero. No function raises. Each takes at most linear time in the size of
its arguments.
"""

from __future__ import annotations

from math import fmod, isfinite
from typing import TYPE_CHECKING, Any, Final

from pdp.engine.conditions.value_types import ValueType, type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Truth = bool | None
"""True, false, or None for unknown."""

EQUATABLE_TYPES: Final = frozenset({ValueType.BOOLEAN, ValueType.NUMBER, ValueType.TEXT})
"""The types whose values can be equal."""

ORDERED_TYPES: Final = frozenset({ValueType.NUMBER, ValueType.TEXT})
"""The types whose values can be less or greater. Texts are ordered by their code points."""


def _comparable(left: Any, right: Any, types: frozenset[ValueType]) -> bool:
    value_type = type_of(left)
    return value_type in types and value_type is type_of(right)


def equal(left: Any, right: Any) -> Truth:
    """`=`."""
    return bool(left == right) if _comparable(left, right, EQUATABLE_TYPES) else None


def unequal(left: Any, right: Any) -> Truth:
    """`!=`."""
    return bool(left != right) if _comparable(left, right, EQUATABLE_TYPES) else None


def less(left: Any, right: Any) -> Truth:
    """`<`."""
    return bool(left < right) if _comparable(left, right, ORDERED_TYPES) else None


def at_most(left: Any, right: Any) -> Truth:
    """`<=`."""
    return bool(left <= right) if _comparable(left, right, ORDERED_TYPES) else None


def greater(left: Any, right: Any) -> Truth:
    """`>`."""
    return bool(left > right) if _comparable(left, right, ORDERED_TYPES) else None


def at_least(left: Any, right: Any) -> Truth:
    """`>=`."""
    return bool(left >= right) if _comparable(left, right, ORDERED_TYPES) else None


COMPARATORS: Final[Mapping[str, Callable[[Any, Any], Truth]]] = {
    "=": equal,
    "!=": unequal,
    "<": less,
    "<=": at_most,
    ">": greater,
    ">=": at_least,
}


def double(value: Any) -> float | None:
    """Returns a number as a double, for arithmetic; None if the value is not a number."""
    if type_of(value) is not ValueType.NUMBER:
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _calculator(
    operation: Callable[[float, float], float],
) -> Callable[[Any, Any], float | None]:
    def calculate(left: Any, right: Any) -> float | None:
        one, other = double(left), double(right)
        if one is None or other is None:
            return None
        return _finite(operation(one, other))

    return calculate


def _divider(
    operation: Callable[[float, float], float],
) -> Callable[[Any, Any], float | None]:
    def divide(left: Any, right: Any) -> float | None:
        one, other = double(left), double(right)
        if one is None or not other:
            return None
        return _finite(operation(one, other))

    return divide


CALCULATORS: Final[Mapping[str, Callable[[Any, Any], float | None]]] = {
    "+": _calculator(lambda one, other: one + other),
    "-": _calculator(lambda one, other: one - other),
    "*": _calculator(lambda one, other: one * other),
    "/": _divider(lambda one, other: one / other),
    "%": _divider(fmod),  # the result has the sign of the first operand, as in SQL
}


def negative(value: Any) -> float | None:
    """`-` before a number."""
    number = double(value)
    return None if number is None else -number


def truth_of(value: Any) -> Truth:
    """Returns the value as an operand of AND, OR and NOT; None if it is not a boolean."""
    return value if value is True or value is False else None


class Members:
    """An index of values that gives the result of `is_in` in constant time."""

    __slots__ = ("_keys", "_types")

    def __init__(self, values: Iterable[Any]) -> None:
        self._keys: set[tuple[ValueType, Any]] = set()
        self._types: set[ValueType] = set()
        for value in values:
            value_type = type_of(value)
            self._types.add(value_type)
            if value_type in EQUATABLE_TYPES:
                self._keys.add((value_type, value))

    def contain(self, value: Any) -> Truth:
        """Returns the result of `is_in` for `value`."""
        if not self._types:
            return False
        value_type = type_of(value)
        if value_type not in EQUATABLE_TYPES:
            return None
        if (value_type, value) in self._keys:
            return True
        return False if self._types == {value_type} else None


def members_of(value: Any) -> Members | None:
    """Returns the members of a list, or a single value as its own member; None for other types."""
    if type(value) is Members:
        return value
    value_type = type_of(value)
    if value_type is ValueType.LIST:
        return Members(value)
    return Members((value,)) if value_type in EQUATABLE_TYPES else None


def is_in(value: Any, values: Sequence[Any]) -> Truth:
    """Returns the result of `value = each`, for each of `values`, with OR between them."""
    if not values:
        return False
    value_type = type_of(value)
    if value_type not in EQUATABLE_TYPES:
        return None
    is_text = value_type is ValueType.TEXT
    other_types = False
    for each in values:
        if (is_text and type(each) is str) or type_of(each) is value_type:
            if each == value:
                return True
        else:
            other_types = True
    return None if other_types else False


def among(value: Any, items: tuple[Any, ...]) -> Truth:
    """`IN`. A list among `items` means its own items."""
    if len(items) == 1 and type_of(items[0]) is ValueType.LIST:
        return is_in(value, items[0])
    flat: list[Any] = []
    for item in items:
        if type_of(item) is ValueType.LIST:
            flat += item
        else:
            flat.append(item)
    return is_in(value, flat)
