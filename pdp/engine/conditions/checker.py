"""Checks the names, functions and types of a condition before it is compiled.

An error is something that is never possible: an unknown function or field, or a number instead of a
condition. A warning is something that is allowed but always unknown, such as the comparison of a
text with a number (decide.md).
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from pdp.engine.conditions import nodes
from pdp.engine.conditions.diagnostics import Diagnostic
from pdp.engine.conditions.functions import FUNCTIONS
from pdp.engine.conditions.names import TIMESTAMP, UnknownName, resolve, type_of_source
from pdp.engine.conditions.truth import EQUATABLE_TYPES, ORDERED_TYPES
from pdp.engine.conditions.value_types import ValueType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.engine.conditions.nodes import Node
    from pdp.engine.conditions.times import Clock

_UNCHECKED_TYPES: Final = frozenset({ValueType.ANY, ValueType.NULL})
_NON_CONDITION_TYPES: Final = frozenset(ValueType) - _UNCHECKED_TYPES - {ValueType.BOOLEAN}
_TEXT: Final = frozenset({ValueType.TEXT})
_NUMBER: Final = frozenset({ValueType.NUMBER})
_TIME_TYPES: Final = frozenset({ValueType.TIME, ValueType.TEXT})
_NODE_TYPES: Final[Mapping[type[Node], ValueType]] = {
    nodes.Null: ValueType.NULL,
    nodes.Boolean: ValueType.BOOLEAN,
    nodes.Number: ValueType.NUMBER,
    nodes.Text: ValueType.TEXT,
    nodes.ListOf: ValueType.LIST,
    nodes.Negative: ValueType.NUMBER,
    nodes.Arithmetic: ValueType.NUMBER,
}


def static_type(node: Node) -> ValueType:
    """Returns the type of the value of a node; ANY if it depends on the request.

    Raises:
        UnknownName: the node is a name that does not exist.
        KeyError: the node calls a function that does not exist.
    """
    if isinstance(node, nodes.Name):
        return type_of_source(resolve(node.path))
    if isinstance(node, nodes.FunctionCall):
        return FUNCTIONS[node.function].result
    return _NODE_TYPES.get(type(node), ValueType.BOOLEAN)


def is_timestamp(node: Node) -> bool:
    """Returns whether a node is the timestamp of the request, the only name that is a time."""
    return isinstance(node, nodes.Name) and node.path == TIMESTAMP


def errors_in(root: Node) -> list[Diagnostic]:
    """Returns all errors in a condition. It can be compiled if there are none."""
    errors = [error for node, _ in nodes.walk(root) for error in _unknown_names(node)]
    if errors:
        return errors  # the next checks need the types of all names and functions
    errors = [error for node, _ in nodes.walk(root) for error in _misplaced_values(node)]
    return [*errors, *_require_condition(root)]


def warnings_in(root: Node, clock: Clock) -> list[Diagnostic]:
    """Returns the parts of a condition that are unknown for every request."""
    return [warning for node, _ in nodes.walk(root) for warning in _always_unknown(node, clock)]


def _unknown_names(node: Node) -> Iterator[Diagnostic]:
    if isinstance(node, nodes.Name):
        try:
            resolve(node.path)
        except UnknownName as error:
            yield Diagnostic(node.place.start, str(error))
    elif isinstance(node, nodes.FunctionCall):
        reason = _call_error(node)
        if reason:
            yield Diagnostic(node.place.start, reason)


def _call_error(call: nodes.FunctionCall) -> str:
    """Returns why a call is invalid; empty if it is valid."""
    function = FUNCTIONS.get(call.function)
    if function is None:
        close = get_close_matches(call.function.lower(), FUNCTIONS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(FUNCTIONS)}"
        return f"there is no function {call.function}; {hint}"
    count = len(call.arguments)
    maximum = len(function.parameters)
    if not maximum - function.optional <= count <= maximum:
        return f"{call.function} takes {function.arity}, not {count}"
    return ""


def _misplaced_values(node: Node) -> Iterator[Diagnostic]:
    match node:
        case nodes.Not(operand=operand):
            yield from _require_condition(operand)
        case nodes.Logic(operands=operands):
            for operand in operands:
                yield from _require_condition(operand)
        case nodes.FunctionCall(function=name, arguments=arguments):
            yield from _misplaced_argument(name, arguments)


def _misplaced_argument(name: str, arguments: tuple[Node, ...]) -> Iterator[Diagnostic]:
    function = FUNCTIONS[name]
    last = arguments[-1]
    if function.takes_name and not isinstance(last, nodes.Name):
        yield Diagnostic(last.place.start, f"{name} takes a name, such as target.resource_id")
    if not function.words or len(arguments) < len(function.parameters):
        return
    if not (isinstance(last, nodes.Text) and last.value in function.words):
        words = ", ".join(f"'{word}'" for word in function.words)
        yield Diagnostic(last.place.start, f"expected one of {words}")


def _require_condition(node: Node) -> Iterator[Diagnostic]:
    value_type = static_type(node)
    if value_type in _NON_CONDITION_TYPES:
        reason = f"expected something that is true or false, found {value_type.value}"
        yield Diagnostic(node.place.start, reason)


def _always_unknown(node: Node, clock: Clock) -> Iterator[Diagnostic]:
    match node:
        case nodes.Comparison(operator=operator, left=left, right=right):
            types = EQUATABLE_TYPES if operator in {"=", "!="} else ORDERED_TYPES
            yield from _comparison_warnings(node, left, right, types, clock)
        case nodes.Between(value=value, low=low, high=high):
            for bound in (low, high):
                yield from _comparison_warnings(node, value, bound, ORDERED_TYPES, clock)
        case nodes.Membership(value=value):
            yield from _require_types(value, EQUATABLE_TYPES, "IN looks up")
        case nodes.TextMatch(operator=operator, value=value):
            yield from _require_types(value, _TEXT, f"{operator} takes")
        case nodes.Arithmetic(first=first, rest=rest):
            for operand in (first, *(each for _, each in rest)):
                yield from _require_types(operand, _NUMBER, "arithmetic takes")
        case nodes.Negative(operand=operand):
            yield from _require_types(operand, _NUMBER, "arithmetic takes")
        case nodes.FunctionCall(function=name, arguments=arguments):
            yield from _call_warnings(name, arguments, clock)


def _comparison_warnings(
    node: Node, left: Node, right: Node, types: frozenset[ValueType], clock: Clock
) -> Iterator[Diagnostic]:
    operand_types = {static_type(left), static_type(right)}
    if ValueType.NULL in operand_types:
        reason = "a comparison with null is always unknown; use IS NULL or IS NOT NULL"
        yield Diagnostic(node.place.start, reason)
    elif ValueType.TIME in operand_types:
        for side in (left, right):
            yield from _require_time(side, clock)
    elif ValueType.ANY in operand_types:
        for side in (left, right):
            yield from _require_types(side, types, "this compares")
    elif len(operand_types) > 1 or not operand_types <= types:
        names = " with ".join(sorted(each.value for each in operand_types))
        yield Diagnostic(node.place.start, f"comparing {names} is always unknown")


def _call_warnings(name: str, arguments: tuple[Node, ...], clock: Clock) -> Iterator[Diagnostic]:
    function = FUNCTIONS[name]
    if function.takes_name:
        return
    for argument, types in zip(arguments, function.parameters, strict=False):
        if ValueType.TIME in types:
            yield from _require_time(argument, clock)
        else:
            yield from _require_types(argument, types, f"{name} takes")


def _require_time(node: Node, clock: Clock) -> Iterator[Diagnostic]:
    value_type = static_type(node)
    if isinstance(node, nodes.Text) and clock.read(node.value) is None:
        reason = "this text is not a time such as 2026-02-26T03:00:00Z, so this is always unknown"
        yield Diagnostic(node.place.start, reason)
    elif value_type not in _UNCHECKED_TYPES | _TIME_TYPES:
        reason = f"{value_type.value} is not a time, so this is always unknown"
        yield Diagnostic(node.place.start, reason)


def _require_types(node: Node, types: frozenset[ValueType], subject: str) -> Iterator[Diagnostic]:
    value_type = static_type(node)
    if value_type not in types | _UNCHECKED_TYPES:
        allowed = " or ".join(sorted(each.value for each in types))
        reason = f"{subject} {allowed}; with {value_type.value}, the result is always unknown"
        yield Diagnostic(node.place.start, reason)
