"""Writes comparisons that run inline for the usual types, and call `truth` for all others.

The results are those of `COMPARATORS` and `Members`. A property test checks this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.engine.conditions import python_ast
from pdp.engine.conditions.truth import COMPARATORS, EQUATABLE_TYPES, ORDERED_TYPES, Members
from pdp.engine.conditions.value_types import ValueType

if TYPE_CHECKING:
    import ast

    from pdp.engine.conditions.code_writer import CodeWriter, Slot

_ZERO: Final = 0.0
_EQUALITIES: Final = frozenset({"=", "!="})


def write_comparison(writer: CodeWriter, operator: str, left: Slot, right: Slot) -> Slot:
    """Writes the comparison of two values."""
    slow = writer.call(COMPARATORS[operator], left, right)
    fast = python_ast.compare(left.load, operator, right.load)
    comparable = EQUATABLE_TYPES if operator in _EQUALITIES else ORDERED_TYPES
    if left.type is right.type and left.type in comparable:
        missing = [python_ast.is_(slot.name, None) for slot in (left, right) if slot.nullable]
        if missing:
            either_missing = python_ast.either(*missing)
            fast = python_ast.choice(either_missing, python_ast.constant(None), fast)
        return writer.store(fast, ValueType.BOOLEAN, nullable=bool(missing))
    dynamic, static = (left, right) if left.type is ValueType.ANY else (right, left)
    if dynamic.type is ValueType.ANY and not static.nullable:
        if static.type is ValueType.NUMBER:
            fast = python_ast.choice(_is_number(writer, dynamic), fast, slow)
            return writer.store(fast, ValueType.BOOLEAN)
        if static.type is ValueType.TEXT:
            fast = python_ast.choice(_is_text(writer, dynamic), fast, slow)
            return writer.store(fast, ValueType.BOOLEAN)
    return writer.store(slow, ValueType.BOOLEAN)


def write_membership(writer: CodeWriter, value: Slot, constants: tuple[object, ...]) -> Slot:
    """Writes the test whether a value is one of `constants`."""
    members = Members(constants)
    slow = python_ast.call(writer.bind(members.contain), value.load)
    only_texts = all(type(constant) is str for constant in constants)
    if only_texts and value.type is ValueType.ANY:
        fast = python_ast.compare(value.load, "in", writer.bind(frozenset(constants)))
        either = python_ast.choice(_is_text(writer, value), fast, slow)
        return writer.store(either, ValueType.BOOLEAN)
    return writer.store(slow, ValueType.BOOLEAN)


def _is_text(writer: CodeWriter, slot: Slot) -> ast.expr:
    python_type = python_ast.call(writer.bind(type), slot.load)
    return python_ast.compare(python_type, "is", writer.bind(str))


def _is_number(writer: CodeWriter, slot: Slot) -> ast.expr:
    """Returns the test for a finite float, the usual number in documents, or an integer."""
    python_type = writer.store(python_ast.call(writer.bind(type), slot.load))
    is_float = python_ast.compare(python_type.load, "is", writer.bind(float))
    # Subtracted from itself, only a finite number gives zero.
    difference = python_ast.minus(slot.load, slot.load)
    is_finite = python_ast.compare(difference, "=", writer.bind(_ZERO))
    is_int = python_ast.compare(python_type.load, "is", writer.bind(int))
    return python_ast.either(python_ast.both(is_float, is_finite), is_int)
