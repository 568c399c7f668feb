"""Code that compares: in place where the kinds are what they mostly are, else by `truth`.

Each gives what `COMPARATORS` and `Members` give, which a property test holds it to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.engine.conditions import python
from pdp.engine.conditions.kinds import ValueType
from pdp.engine.conditions.truth import COMPARATORS, EQUATED, ORDERED, Members

if TYPE_CHECKING:
    import ast

    from pdp.engine.conditions.writer import Slot, Writer

_ZERO: Final = 0.0
_EQUALITIES: Final = frozenset({"=", "!="})


def compared(writer: Writer, operator: str, left: Slot, right: Slot) -> Slot:
    """Writes a comparison."""
    slow = writer.call(COMPARATORS[operator], left, right)
    fast = python.compare(left.load, operator, right.load)
    comparable = EQUATED if operator in _EQUALITIES else ORDERED
    if left.kind is right.kind and left.kind in comparable:
        missing = [python.is_(slot.name, None) for slot in (left, right) if slot.nullable]
        if missing:
            fast = python.choice(python.either(*missing), python.constant(None), fast)
        return writer.store(fast, ValueType.BOOLEAN, nullable=bool(missing))
    unsure, sure = (left, right) if left.kind is ValueType.ANY else (right, left)
    if unsure.kind is ValueType.ANY and not sure.nullable:
        if sure.kind is ValueType.NUMBER:
            fast = python.choice(_is_number(writer, unsure), fast, slow)
            return writer.store(fast, ValueType.BOOLEAN)
        if sure.kind is ValueType.TEXT:
            fast = python.choice(_is_text(writer, unsure), fast, slow)
            return writer.store(fast, ValueType.BOOLEAN)
    return writer.store(slow, ValueType.BOOLEAN)


def found(writer: Writer, value: Slot, constants: tuple[object, ...]) -> Slot:
    """Writes the search for a value among constants."""
    members = Members(constants)
    slow = python.call(writer.bind(members.holds), value.load)
    if all(type(constant) is str for constant in constants) and value.kind is ValueType.ANY:
        fast = python.compare(value.load, "in", writer.bind(frozenset(constants)))
        return writer.store(python.choice(_is_text(writer, value), fast, slow), ValueType.BOOLEAN)
    return writer.store(slow, ValueType.BOOLEAN)


def _is_text(writer: Writer, slot: Slot) -> ast.expr:
    return python.compare(python.call(writer.bind(type), slot.load), "is", writer.bind(str))


def _is_number(writer: Writer, slot: Slot) -> ast.expr:
    """A finite float, which is what numbers of documents are, or an integer."""
    kind = writer.store(python.call(writer.bind(type), slot.load))
    is_float = python.compare(kind.load, "is", writer.bind(float))
    # Infinity minus itself is not zero, nor is what is not a number.
    is_finite = python.compare(python.minus(slot.load, slot.load), "=", writer.bind(_ZERO))
    is_int = python.compare(kind.load, "is", writer.bind(int))
    return python.either(python.both(is_float, is_finite), is_int)
