"""What a condition asks for, held against what there is, before it is compiled.

What can never be asked is refused: functions and fields that do not exist, a number where a
condition must be. What can be asked but is always unknown, such as a text
compared with a number, is decide.md's to allow: it is warned of.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from pdp.engine.conditions import nodes
from pdp.engine.conditions.functions import FUNCTIONS
from pdp.engine.conditions.kinds import ValueType
from pdp.engine.conditions.names import TIMESTAMP, UnknownName, kind_of_source, resolve
from pdp.engine.conditions.problems import Problem
from pdp.engine.conditions.truth import EQUATED, ORDERED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.engine.conditions.nodes import Node
    from pdp.engine.conditions.times import Clock

_UNSURE: Final = frozenset({ValueType.ANY, ValueType.NULL})
_NOT_CONDITIONS: Final = frozenset(ValueType) - _UNSURE - {ValueType.BOOLEAN}
_KINDS: Final[Mapping[type[Node], ValueType]] = {
    nodes.Null: ValueType.NULL,
    nodes.Boolean: ValueType.BOOLEAN,
    nodes.Number: ValueType.NUMBER,
    nodes.Text: ValueType.TEXT,
    nodes.ListOf: ValueType.LIST,
    nodes.Negative: ValueType.NUMBER,
    nodes.Arithmetic: ValueType.NUMBER,
}


def static_kind(node: Node) -> ValueType:
    """Returns the kind that a node's value is of where it is known; ANY where the request says.

    Raises:
        UnknownName: it is a name that there is not.
        KeyError: it is a call of a function that there is not.
    """
    if isinstance(node, nodes.Name):
        return kind_of_source(resolve(node.path))
    if isinstance(node, nodes.FunctionCall):
        return FUNCTIONS[node.function].gives
    return _KINDS.get(type(node), ValueType.BOOLEAN)


def is_timestamp(node: Node) -> bool:
    """Whether a node is the request's time, the only value that is one by itself."""
    return isinstance(node, nodes.Name) and node.path == TIMESTAMP


def refusals(root: Node) -> list[Problem]:
    """Returns all that is wrong with a condition; nothing where it can be compiled."""
    found = [problem for node, _ in nodes.walk(root) for problem in _unknown(node)]
    if found:
        return found  # what follows asks for the kinds of all names and functions
    found = [problem for node, _ in nodes.walk(root) for problem in _misplaced(node)]
    return [*found, *_no_condition(root)]


def warnings(root: Node, clock: Clock) -> list[Problem]:
    """Returns what a condition asks for that is unknown whatever the request is."""
    return [problem for node, _ in nodes.walk(root) for problem in _futile(node, clock)]


def _unknown(node: Node) -> Iterator[Problem]:
    if isinstance(node, nodes.Name):
        try:
            resolve(node.path)
        except UnknownName as error:
            yield Problem(node.place.start, str(error))
    elif isinstance(node, nodes.FunctionCall):
        reason = _bad_call(node)
        if reason:
            yield Problem(node.place.start, reason)


def _bad_call(call: nodes.FunctionCall) -> str:
    function = FUNCTIONS.get(call.function)
    if function is None:
        close = get_close_matches(call.function.lower(), FUNCTIONS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(FUNCTIONS)}"
        return f"there is no function {call.function}; {hint}"
    given = len(call.arguments)
    if not len(function.takes) - function.optional <= given <= len(function.takes):
        return f"{call.function} takes {function.arity}, and here it has {given}"
    return ""


def _misplaced(node: Node) -> Iterator[Problem]:
    match node:
        case nodes.Not(operand=operand):
            yield from _no_condition(operand)
        case nodes.Logic(operands=operands):
            for operand in operands:
                yield from _no_condition(operand)
        case nodes.FunctionCall(function=name, arguments=arguments):
            yield from _misplaced_argument(name, arguments)


def _misplaced_argument(name: str, arguments: tuple[Node, ...]) -> Iterator[Problem]:
    function = FUNCTIONS[name]
    last = arguments[-1]
    if function.names and not isinstance(last, nodes.Name):
        yield Problem(last.place.start, f"{name} takes a name, such as target.resource_id")
    if not function.words or len(arguments) < len(function.takes):
        return
    if not (isinstance(last, nodes.Text) and last.value in function.words):
        words = ", ".join(f"'{word}'" for word in function.words)
        yield Problem(last.place.start, f"expected one of {words}")


def _no_condition(node: Node) -> Iterator[Problem]:
    kind = static_kind(node)
    if kind in _NOT_CONDITIONS:
        yield Problem(
            node.place.start, f"expected something that is true or false, found {kind.value}"
        )


def _futile(node: Node, clock: Clock) -> Iterator[Problem]:
    match node:
        case nodes.Comparison(operator=operator, left=left, right=right):
            kinds = EQUATED if operator in {"=", "!="} else ORDERED
            yield from _futile_comparison(node, left, right, kinds, clock)
        case nodes.Between(value=value, low=low, high=high):
            for bound in (low, high):
                yield from _futile_comparison(node, value, bound, ORDERED, clock)
        case nodes.Membership(value=value):
            yield from _not_of(value, EQUATED, "IN looks up")
        case nodes.TextMatch(operator=operator, value=value):
            yield from _not_of(value, frozenset({ValueType.TEXT}), f"{operator} takes")
        case nodes.Arithmetic(first=first, rest=rest):
            for operand in (first, *(each for _, each in rest)):
                yield from _not_of(operand, frozenset({ValueType.NUMBER}), "arithmetic takes")
        case nodes.Negative(operand=operand):
            yield from _not_of(operand, frozenset({ValueType.NUMBER}), "arithmetic takes")
        case nodes.FunctionCall(function=name, arguments=arguments) if not FUNCTIONS[name].names:
            for argument, kinds in zip(arguments, FUNCTIONS[name].takes, strict=False):
                yield from _futile_argument(name, argument, kinds, clock)


def _futile_comparison(
    node: Node, left: Node, right: Node, kinds: frozenset[ValueType], clock: Clock
) -> Iterator[Problem]:
    here = {static_kind(left), static_kind(right)}
    if ValueType.NULL in here:
        yield Problem(
            node.place.start, "a comparison with null is always unknown; use IS NULL or IS NOT NULL"
        )
    elif ValueType.TIME in here:
        for side in (left, right):
            yield from _no_time(side, clock)
    elif ValueType.ANY in here:
        for side in (left, right):
            yield from _not_of(side, kinds, "this compares")
    elif len(here) > 1 or not here <= kinds:
        names = " with ".join(sorted(kind.value for kind in here))
        yield Problem(node.place.start, f"comparing {names} is always unknown")


def _futile_argument(
    name: str, argument: Node, kinds: frozenset[ValueType], clock: Clock
) -> Iterator[Problem]:
    if ValueType.TIME in kinds:
        yield from _no_time(argument, clock)
    else:
        yield from _not_of(argument, kinds, f"{name} takes")


def _no_time(node: Node, clock: Clock) -> Iterator[Problem]:
    kind = static_kind(node)
    if isinstance(node, nodes.Text) and clock.read(node.value) is None:
        reason = "this text is no time such as 2026-02-26T03:00:00Z, so this is always unknown"
        yield Problem(node.place.start, reason)
    elif kind not in _UNSURE | {ValueType.TIME, ValueType.TEXT}:
        reason = f"{kind.value} is no time, so this is always unknown"
        yield Problem(node.place.start, reason)


def _not_of(node: Node, kinds: frozenset[ValueType], what: str) -> Iterator[Problem]:
    kind = static_kind(node)
    if kind not in kinds | _UNSURE:
        wanted = " or ".join(sorted(each.value for each in kinds))
        yield Problem(
            node.place.start, f"{what} {wanted}, and {kind.value} is always unknown there"
        )
