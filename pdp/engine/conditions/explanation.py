"""Explains why a condition is unknown for one request. Slow: for traces only."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.engine.conditions import nodes
from pdp.engine.conditions.checker import is_timestamp
from pdp.engine.conditions.diagnostics import excerpt
from pdp.engine.conditions.functions import FUNCTIONS
from pdp.engine.conditions.names import absence, find, resolve
from pdp.engine.conditions.truth import (
    CALCULATORS,
    COMPARATORS,
    Truth,
    among,
    negative,
    truth_of,
)
from pdp.engine.conditions.value_types import ValueType, type_of

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.conditions.facts import ConditionFacts
    from pdp.engine.conditions.nodes import Node
    from pdp.engine.conditions.patterns import TextTests
    from pdp.engine.conditions.times import Clock


class Explanation(NamedTuple):
    """The result of a condition for a request, and the parts that were unknown.

    Attributes:
        truth: the result of `Condition.evaluate`.
        unknown: a sentence for each missing name, each comparison of different types, and so on, in
            the order of evaluation. The sentences quote the policy, never the request. Not empty if
            `truth` is None.
    """

    truth: Truth
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Returns the explanation as one line for a trace."""
        reasons = "; ".join(self.unknown)
        if self.truth is None:
            return f"unknown: {reasons}"
        word = "true" if self.truth else "false"
        return f"{word} ({reasons})" if reasons else word


class Explainer:
    """Evaluates one condition on one request, and collects the parts that are unknown."""

    def __init__(
        self,
        source: str,
        clock: Clock,
        tests: TextTests,
        request: Request,
        facts: ConditionFacts,
    ) -> None:
        self._source = source
        self._clock = clock
        self._tests = tests
        self._request = request
        self._facts = facts
        self._notes: dict[str, None] = {}

    def explain(self, root: Node) -> Explanation:
        """Returns the result of the condition, and the parts that are unknown."""
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
            self._note(f"{self._text(node)} is {type_of(value).value}, neither true nor false")
        return truth

    def _moment(self, node: Node) -> float | None:
        if is_timestamp(node):
            return self._request.timestamp
        value = self._value(node)
        moment = self._clock.read(value)
        if moment is None and value is not None:
            self._note(f"{self._text(node)} is not a time such as 2026-02-26T03:00:00Z")
        return moment

    @singledispatchmethod
    def _value(self, node: Node) -> Any:
        raise TypeError(f"no value is defined for {type(node).__name__}")

    @_value.register(nodes.Null)
    def _(self, _node: nodes.Null) -> None:
        self._note("a comparison with null is unknown; use IS NULL")

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
            self._note("timestamp is a time, which is not allowed here")
            return None
        source = resolve(node.path)
        value = find(source, self._request, self._facts)
        if value is None:
            self._note(f"{node.path} is {absence(source, self._request)}")
        return value

    @_value.register(nodes.FunctionCall)
    def _(self, node: nodes.FunctionCall) -> Any:
        function = FUNCTIONS[node.function]
        if function.takes_name:
            return self._is_present(node.arguments[0])
        values = [
            self._moment(argument) if ValueType.TIME in types else self._value(argument)
            for argument, types in zip(node.arguments, function.parameters, strict=False)
        ]
        result = function.implementation(self._clock)(*values)
        if result is None and None not in values:
            self._note(self._reason_of_call(node, values))
        return result

    def _reason_of_call(self, node: nodes.FunctionCall, values: list[Any]) -> str:
        """Returns why a call without null arguments is unknown."""
        parameters = FUNCTIONS[node.function].parameters
        for argument, value, types in zip(node.arguments, values, parameters, strict=False):
            actual = type_of(value)
            if ValueType.TIME not in types and actual not in types:
                allowed = " or ".join(sorted(each.value for each in types))
                text = self._text(argument)
                return f"{node.function} takes {allowed}, and {text} is {actual.value}"
        if ValueType.TIME in parameters[0]:
            return f"{self._text(node)} is outside the years 1 to 9999"
        if len(values) == 1:
            return f"{self._text(node)} has items that are neither true nor false"
        return f"{self._text(node)} compares values of different types"

    @_value.register(nodes.Negative)
    def _(self, node: nodes.Negative) -> Any:
        value = self._value(node.operand)
        result = negative(value)
        if result is None and value is not None:
            self._note(f"{self._text(node.operand)} is {type_of(value).value}, not a number")
        return result

    @_value.register(nodes.Arithmetic)
    def _(self, node: nodes.Arithmetic) -> Any:
        result = self._value(node.first)
        for operator, operand in node.rest:
            value = self._value(operand)
            if result is not None and value is not None:
                types = {type_of(result), type_of(value)}
                result = CALCULATORS[operator](result, value)
                if result is None:
                    self._note(f"{self._text(node)} {_arithmetic_reason(operator, value, types)}")
            else:
                result = None
        return result

    @_value.register(nodes.Comparison)
    def _(self, node: nodes.Comparison) -> Truth:
        has_timestamp = is_timestamp(node.left) or is_timestamp(node.right)
        side = self._moment if has_timestamp else self._value
        return self._compare(node, node.operator, side(node.left), side(node.right))

    def _compare(self, node: Node, operator: str, left: Any, right: Any) -> Truth:
        result = COMPARATORS[operator](left, right)
        if result is None and left is not None and right is not None:
            one, other = type_of(left).value, type_of(right).value
            self._note(f"{self._text(node)} compares {one} with {other}")
        return result

    @_value.register(nodes.Between)
    def _(self, node: nodes.Between) -> Truth:
        values: dict[bool, Any] = {}  # by whether the value is read as a time
        result: Truth = True
        for operator, bound in ((">=", node.low), ("<=", node.high)):
            has_timestamp = is_timestamp(node.value) or is_timestamp(bound)
            side = self._moment if has_timestamp else self._value
            if has_timestamp not in values:
                values[has_timestamp] = side(node.value)
            truth = self._compare(node, operator, values[has_timestamp], side(bound))
            if truth is False:
                return False
            result = result and truth
        return result

    @_value.register(nodes.Membership)
    def _(self, node: nodes.Membership) -> Truth:
        value = self._value(node.value)
        items = tuple(self._value(item) for item in node.items)
        has_timestamp = any(map(is_timestamp, (node.value, *node.items)))
        result = None if has_timestamp else among(value, items)
        if result is None and value is not None:
            self._note(f"{self._text(node)} compares values of different types")
        return result

    @_value.register(nodes.TextMatch)
    def _(self, node: nodes.TextMatch) -> Truth:
        value = self._value(node.value)
        result = self._tests[node.operator, node.pattern.value](value)
        if result is None and value is not None:
            actual = type_of(value).value
            self._note(f"{node.operator} takes a text, and {self._text(node.value)} is {actual}")
        return result

    @_value.register(nodes.IsNull)
    def _(self, node: nodes.IsNull) -> Truth:
        return not self._is_present(node.value)

    def _is_present(self, node: Node) -> bool:
        """Returns whether a node has a value. A missing value is the answer, so it is not noted."""
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


def _arithmetic_reason(operator: str, value: Any, types: set[ValueType]) -> str:
    if types != {ValueType.NUMBER}:
        return f"calculates with {' and '.join(sorted(each.value for each in types))}"
    return "divides by zero" if operator in "/%" and not value else "is out of range"
