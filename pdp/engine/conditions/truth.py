"""Values compared, calculated with and looked up, by the three-valued logic of SQL.

None stands for null and for unknown, which are one and the same: what comes of a name that is
missing, of values of unlike kinds, or of a division by zero. No function here raises, loops over
anything but its arguments, or takes more than linear time in them.
"""

from __future__ import annotations

from math import fmod, isfinite
from typing import TYPE_CHECKING, Any, Final

from pdp.engine.conditions.kinds import ValueType, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Truth = bool | None
"""True, false, or None for unknown."""

EQUATED: Final = frozenset({ValueType.BOOLEAN, ValueType.NUMBER, ValueType.TEXT})
"""What can be equal."""

ORDERED: Final = frozenset({ValueType.NUMBER, ValueType.TEXT})
"""What can be less or greater; texts by their code points."""


def _like(left: Any, right: Any, kinds: frozenset[ValueType]) -> bool:
    kind = kind_of(left)
    return kind in kinds and kind is kind_of(right)


def equal(left: Any, right: Any) -> Truth:
    """`=`."""
    return bool(left == right) if _like(left, right, EQUATED) else None


def unequal(left: Any, right: Any) -> Truth:
    """`!=`."""
    return bool(left != right) if _like(left, right, EQUATED) else None


def less(left: Any, right: Any) -> Truth:
    """`<`."""
    return bool(left < right) if _like(left, right, ORDERED) else None


def at_most(left: Any, right: Any) -> Truth:
    """`<=`."""
    return bool(left <= right) if _like(left, right, ORDERED) else None


def greater(left: Any, right: Any) -> Truth:
    """`>`."""
    return bool(left > right) if _like(left, right, ORDERED) else None


def at_least(left: Any, right: Any) -> Truth:
    """`>=`."""
    return bool(left >= right) if _like(left, right, ORDERED) else None


COMPARATORS: Final[Mapping[str, Callable[[Any, Any], Truth]]] = {
    "=": equal,
    "!=": unequal,
    "<": less,
    "<=": at_most,
    ">": greater,
    ">=": at_least,
}


def double(value: Any) -> float | None:
    """Returns a number as a double, as all arithmetic is done; None for all else."""
    if kind_of(value) is not ValueType.NUMBER:
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
    "%": _divider(fmod),  # the sign is the first operand's, as in SQL
}


def negative(value: Any) -> float | None:
    """`-` before a number."""
    number = double(value)
    return None if number is None else -number


def truth_of(value: Any) -> Truth:
    """Returns a value as an operand of AND, OR and NOT, which take nothing but booleans."""
    return value if value is True or value is False else None


class Members:
    """What `is_in` looks values up in, for many of them: each takes constant time."""

    __slots__ = ("_keys", "_kinds")

    def __init__(self, values: Iterable[Any]) -> None:
        self._keys: set[tuple[ValueType, Any]] = set()
        self._kinds: set[ValueType] = set()
        for value in values:
            kind = kind_of(value)
            self._kinds.add(kind)
            if kind in EQUATED:
                self._keys.add((kind, value))

    def holds(self, value: Any) -> Truth:
        """What `is_in` comes to for `value` and these."""
        if not self._kinds:
            return False
        kind = kind_of(value)
        if kind not in EQUATED:
            return None
        if (kind, value) in self._keys:
            return True
        return False if self._kinds == {kind} else None


def members_of(value: Any) -> Members | None:
    """Returns the members that a list, or a single value, stands for; None for all else."""
    if type(value) is Members:
        return value
    kind = kind_of(value)
    if kind is ValueType.LIST:
        return Members(value)
    return Members((value,)) if kind in EQUATED else None


def is_in(value: Any, values: Sequence[Any]) -> Truth:
    """What `value = each`, for each of `values` and joined by OR, comes to."""
    if not values:
        return False
    kind = kind_of(value)
    if kind not in EQUATED:
        return None
    is_text = kind is ValueType.TEXT
    unlike = False
    for each in values:
        if (is_text and type(each) is str) or kind_of(each) is kind:
            if each == value:
                return True
        else:
            unlike = True
    return None if unlike else False


def among(value: Any, items: tuple[Any, ...]) -> Truth:
    """`IN`: a list among `items` stands for its own."""
    if len(items) == 1 and kind_of(items[0]) is ValueType.LIST:
        return is_in(value, items[0])
    flat: list[Any] = []
    for item in items:
        if kind_of(item) is ValueType.LIST:
            flat += item
        else:
            flat.append(item)
    return is_in(value, flat)
