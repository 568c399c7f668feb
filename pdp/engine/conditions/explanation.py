"""Why a condition is unknown: its tree walked with one request, slowly, for the trace."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.engine.conditions import nodes
from pdp.engine.conditions.checker import is_timestamp
from pdp.engine.conditions.functions import FUNCTIONS
from pdp.engine.conditions.kinds import ValueType, kind_of
from pdp.engine.conditions.names import absence, find, resolve
from pdp.engine.conditions.problems import excerpt
from pdp.engine.conditions.truth import (
    CALCULATORS,
    COMPARATORS,
    Truth,
    among,
    negative,
    truth_of,
)

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.conditions.nodes import Node
    from pdp.engine.conditions.patterns import Tests
    from pdp.engine.conditions.times import Clock


class Explanation(NamedTuple):
    """What a condition comes to for a request, and what of it was unknown on the way.

    Attributes:
        truth: what `evaluate` says too.
        unknown: a sentence for each name that was missing, each comparison of unlike kinds, and so
            on, in the order in which they were met. They hold what the policy says, never a value
            of the request. Not empty where `truth` is None.
    """

    truth: Truth
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for a trace."""
        reasons = "; ".join(self.unknown)
        if self.truth is None:
            return f"unknown: {reasons}"
        word = "true" if self.truth else "false"
        return f"{word} ({reasons})" if reasons else word


class Explainer:
    """Evaluates one condition on one request, and remembers what was unknown."""

    def __init__(self, source: str, clock: Clock, tests: Tests, request: Request) -> None:
        self._source = source
        self._clock = clock
        self._tests = tests
        self._request = request
        self._notes: dict[str, None] = {}

    def explain(self, root: Node) -> Explanation:
        """Returns what the condition comes to, and why."""
        truth = self._truth(root)
        return Explanation(truth, tuple(self._notes))

    def _note(self, sentence: str) -> None:
        self._notes.setdefault(sentence)

    def _text(self, node: Node) -> str:
        return excerpt(self._source, *node.place)

    def _truth(self, node: Node) -> Truth:
        value = self._value(node)
        truth = truth_of(value)
        if truth is None and value is not None:
            self._note(f"{self._text(node)} is {kind_of(value).value}, neither true nor false")
        return truth

    def _moment(self, node: Node) -> float | None:
        if is_timestamp(node):
            return self._request.timestamp
        value = self._value(node)
        moment = self._clock.read(value)
        if moment is None and value is not None:
            self._note(f"{self._text(node)} is no time such as 2026-02-26T03:00:00Z")
        return moment

    @singledispatchmethod
    def _value(self, node: Node) -> Any:
        raise TypeError(f"there is no meaning of {type(node).__name__}")

    @_value.register(nodes.Null)
    def _(self, _node: nodes.Null) -> None:
        self._note("null is compared with nothing; use IS NULL")

    @_value.register(nodes.Boolean)
    @_value.register(nodes.Number)
    @_value.register(nodes.Text)
    def _(self, node: nodes.Boolean | nodes.Number | nodes.Text) -> Any:
        return node.value

    @_value.register(nodes.ListOf)
    def _(self, node: nodes.ListOf) -> Any:
        return nodes.constants_of(node.items)

    @_value.register(nodes.Name)
    def _(self, node: nodes.Name) -> Any:
        if is_timestamp(node):
            self._note("timestamp is a time, and none is expected here")
            return None
        source = resolve(node.path)
        value = find(source, self._request)
        if value is None:
            self._note(f"{node.path} is {absence(source, self._request)}")
        return value

    @_value.register(nodes.FunctionCall)
    def _(self, node: nodes.FunctionCall) -> Any:
        function = FUNCTIONS[node.function]
        if function.names:
            return self._is_there(node.arguments[0])
        values = [
            self._moment(argument) if ValueType.TIME in kinds else self._value(argument)
            for argument, kinds in zip(node.arguments, function.takes, strict=False)
        ]
        result = function.of_clock(self._clock)(*values)
        if result is None and None not in values:
            self._note(self._why_not(node, values))
        return result

    def _why_not(self, node: nodes.FunctionCall, values: list[Any]) -> str:
        takes = FUNCTIONS[node.function].takes
        for argument, value, kinds in zip(node.arguments, values, takes, strict=False):
            kind = kind_of(value)
            if ValueType.TIME not in kinds and kind not in kinds:
                wanted = " or ".join(sorted(each.value for each in kinds))
                return f"{node.function} takes {wanted}, and {self._text(argument)} is {kind.value}"
        if ValueType.TIME in takes[0]:
            return f"{self._text(node)} lies beyond the years 1 to 9999"
        if len(values) == 1:
            return f"{self._text(node)} has items that are neither true nor false"
        return f"{self._text(node)} compares values of unlike kinds"

    @_value.register(nodes.Negative)
    def _(self, node: nodes.Negative) -> Any:
        value = self._value(node.operand)
        result = negative(value)
        if result is None and value is not None:
            self._note(f"{self._text(node.operand)} is {kind_of(value).value}, not a number")
        return result

    @_value.register(nodes.Arithmetic)
    def _(self, node: nodes.Arithmetic) -> Any:
        result = self._value(node.first)
        for operator, operand in node.rest:
            value = self._value(operand)
            if result is not None and value is not None:
                kinds = {kind_of(result), kind_of(value)}
                result = CALCULATORS[operator](result, value)
                if result is None:
                    self._note(f"{self._text(node)} {_no_result(operator, value, kinds)}")
            else:
                result = None
        return result

    @_value.register(nodes.Comparison)
    def _(self, node: nodes.Comparison) -> Truth:
        timely = is_timestamp(node.left) or is_timestamp(node.right)
        side = self._moment if timely else self._value
        return self._compared(node, node.operator, side(node.left), side(node.right))

    def _compared(self, node: Node, operator: str, left: Any, right: Any) -> Truth:
        result = COMPARATORS[operator](left, right)
        if result is None and left is not None and right is not None:
            one, other = kind_of(left).value, kind_of(right).value
            self._note(f"{self._text(node)} compares {one} with {other}")
        return result

    @_value.register(nodes.Between)
    def _(self, node: nodes.Between) -> Truth:
        seen: dict[bool, Any] = {}
        result: Truth = True
        for operator, bound in ((">=", node.low), ("<=", node.high)):
            timely = is_timestamp(node.value) or is_timestamp(bound)
            side = self._moment if timely else self._value
            if timely not in seen:
                seen[timely] = side(node.value)
            truth = self._compared(node, operator, seen[timely], side(bound))
            if truth is False:
                return False
            result = result and truth
        return result

    @_value.register(nodes.Membership)
    def _(self, node: nodes.Membership) -> Truth:
        value = self._value(node.value)
        items = tuple(self._value(item) for item in node.items)
        timely = any(map(is_timestamp, (node.value, *node.items)))
        result = None if timely else among(value, items)
        if result is None and value is not None:
            self._note(f"{self._text(node)} compares values of unlike kinds")
        return result

    @_value.register(nodes.TextMatch)
    def _(self, node: nodes.TextMatch) -> Truth:
        value = self._value(node.value)
        result = self._tests[node.operator, node.pattern.value](value)
        if result is None and value is not None:
            kind = kind_of(value).value
            self._note(f"{node.operator} takes a text, and {self._text(node.value)} is {kind}")
        return result

    @_value.register(nodes.IsNull)
    def _(self, node: nodes.IsNull) -> Truth:
        return not self._is_there(node.value)

    def _is_there(self, node: Node) -> bool:
        """Whether a node has a value; that it has none is the answer here, and nothing to note."""
        if is_timestamp(node):
            return True
        notes = dict(self._notes)
        present = self._value(node) is not None
        self._notes = notes
        return present

    @_value.register(nodes.Not)
    def _(self, node: nodes.Not) -> Truth:
        truth = self._truth(node.operand)
        return None if truth is None else not truth

    @_value.register(nodes.Logic)
    def _(self, node: nodes.Logic) -> Truth:
        deciding = node.operator == "OR"
        result: Truth = not deciding
        for operand in node.operands:
            truth = self._truth(operand)
            if truth is deciding:
                return deciding
            if truth is None:
                result = None
        return result


def _no_result(operator: str, value: Any, kinds: set[ValueType]) -> str:
    if kinds != {ValueType.NUMBER}:
        return f"calculates with {' and '.join(sorted(kind.value for kind in kinds))}"
    return "divides by zero" if operator in "/%" and not value else "is out of range"
