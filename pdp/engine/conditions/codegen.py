"""Generates one Python function for a condition: assignments, with branches for AND and OR.

`truth`, `functions` and `names` define the results. `fastpaths` has faster code for common cases.
"""

from __future__ import annotations

from collections import Counter
from functools import partial, singledispatchmethod
from typing import TYPE_CHECKING, Final, Protocol

from pdp.engine.conditions import nodes, python_ast
from pdp.engine.conditions.checker import is_timestamp
from pdp.engine.conditions.code_writer import CodeWriter, Slot
from pdp.engine.conditions.facts import NO_FACTS
from pdp.engine.conditions.fastpaths import write_comparison, write_membership
from pdp.engine.conditions.functions import FUNCTIONS, ITEM_TYPES
from pdp.engine.conditions.names import (
    ActionPart,
    Fact,
    Field,
    Member,
    action_part,
    member,
    resolve,
)
from pdp.engine.conditions.truth import CALCULATORS, Members, Truth, among, negative
from pdp.engine.conditions.value_types import ValueType

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Sequence

    from pdp.domain.request import Request
    from pdp.engine.conditions.facts import ConditionFacts
    from pdp.engine.conditions.nodes import Node
    from pdp.engine.conditions.patterns import TextTests
    from pdp.engine.conditions.times import Clock


class Evaluate(Protocol):
    """The function that a condition is compiled to."""

    def __call__(self, request: Request, facts: ConditionFacts = NO_FACTS, /) -> Truth:
        """Returns the result for a request, and for the facts about it that it does not have."""


_LEAVES: Final = (nodes.Null, nodes.Boolean, nodes.Number, nodes.Text, nodes.ListOf, nodes.Name)


def generate(root: Node, clock: Clock, tests: TextTests) -> Evaluate:
    """Returns the function for a condition.

    Args:
        root: the condition, in which `checker` found no errors.
        clock: the clock of the policy's time zone.
        tests: the tests for LIKE and MATCHES.
    """
    generator = _CodeGenerator(clock, tests)
    generator.share(root)
    result = generator.truth(root)
    writer = generator.writer
    return python_ast.function(writer.block, result.load, writer.constants, NO_FACTS)


class _CodeGenerator:
    """Writes the code of each node. Each method returns the slot with the value of its node."""

    def __init__(self, clock: Clock, tests: TextTests) -> None:
        self.writer = CodeWriter()
        self._clock = clock
        self._tests = tests
        self._shared: dict[Node, Slot] = {}
        self._documents: dict[tuple[str, ...], Slot] = {}

    def share(self, root: Node) -> None:
        """Writes code that computes repeated names and calls once, before the rest."""
        all_nodes = [node for node, _ in nodes.walk(root)]
        for node in all_nodes:
            if isinstance(node, nodes.Name):
                source = resolve(node.path)
                if isinstance(source, Member) and source.attributes not in self._documents:
                    document = self.writer.store(_attributes(source.attributes))
                    self._documents[source.attributes] = document
        counts = Counter(
            node for node in all_nodes if isinstance(node, nodes.Name | nodes.FunctionCall)
        )
        repeated = [node for node, count in counts.items() if count > 1 and not is_timestamp(node)]
        for node in sorted(repeated, key=lambda node: isinstance(node, nodes.FunctionCall)):
            if all(isinstance(child, _LEAVES) for child in nodes.children(node)):
                self._shared[node] = self._value(node)

    def value(self, node: Node) -> Slot:
        """Writes the value of a node."""
        shared = self._shared.get(node)
        return self._value(node) if shared is None else shared

    def truth(self, node: Node) -> Slot:
        """Writes an operand of AND, OR or NOT. A value that is not a boolean becomes unknown."""
        slot = self.value(node)
        if slot.type is ValueType.BOOLEAN:
            return slot
        boolean = python_ast.either(
            python_ast.is_(slot.name, True), python_ast.is_(slot.name, False)
        )
        known = python_ast.choice(boolean, slot.load, python_ast.constant(None))
        return self.writer.store(known, ValueType.BOOLEAN)

    def moment(self, node: Node) -> Slot:
        """Writes the value of a node as a time, in seconds."""
        if is_timestamp(node):
            return self.writer.store(_attributes(("timestamp",)), ValueType.NUMBER, nullable=False)
        if isinstance(node, nodes.Text):
            return self.writer.constant(self._clock.read(node.value))
        return self.writer.store(
            self.writer.call(self._clock.read, self.value(node)), ValueType.NUMBER
        )

    @singledispatchmethod
    def _value(self, node: Node) -> Slot:
        raise TypeError(f"no code is defined for {type(node).__name__}")

    @_value.register(nodes.Null)
    def _(self, _node: nodes.Null) -> Slot:
        return self.writer.constant(None)

    @_value.register(nodes.Boolean)
    @_value.register(nodes.Number)
    @_value.register(nodes.Text)
    def _(self, node: nodes.Boolean | nodes.Number | nodes.Text) -> Slot:
        return self.writer.constant(node.value)

    @_value.register(nodes.ListOf)
    def _(self, node: nodes.ListOf) -> Slot:
        return self.writer.constant(nodes.constants_of(node.items))

    @_value.register(nodes.Name)
    def _(self, node: nodes.Name) -> Slot:
        if is_timestamp(node):
            return self.writer.constant(None)  # not allowed as a value; see `moment` for times
        return self.writer.store(self._source(node))

    def _source(self, node: nodes.Name) -> ast.expr:
        writer = self.writer
        match resolve(node.path):
            case Field(attributes, ValueType.TEXT):
                return python_ast.either(_attributes(attributes), python_ast.constant(None))
            case Field(attributes):
                return _attributes(attributes)
            case Fact(attribute):
                facts = python_ast.load(python_ast.FACTS)
                return python_ast.attribute(facts, attribute)
            case ActionPart(position):
                action = writer.store(_attributes(("action",)))
                return writer.call(action_part, action, writer.constant(position))
            case Member(attributes, [key]):
                document = self._documents[attributes]
                return python_ast.choice(
                    python_ast.is_(document.name, None),
                    python_ast.constant(None),
                    python_ast.call(python_ast.attribute(document.load, "get"), writer.bind(key)),
                )
            case Member(attributes, keys):
                return writer.call(member, self._documents[attributes], writer.constant(keys))

    @_value.register(nodes.FunctionCall)
    def _(self, node: nodes.FunctionCall) -> Slot:
        function = FUNCTIONS[node.function]
        if function.takes_name:
            return self._presence(node.arguments[0], present=True)
        arguments = [
            self._argument(argument, types)
            for argument, types in zip(node.arguments, function.parameters, strict=False)
        ]
        implementation = function.implementation(self._clock)
        return self.writer.store(self.writer.call(implementation, *arguments), function.result)

    def _argument(self, node: Node, types: frozenset[ValueType]) -> Slot:
        if ValueType.TIME in types:
            return self.moment(node)
        if isinstance(node, nodes.ListOf) and types == ITEM_TYPES:
            return self.writer.constant(Members(nodes.constants_of(node.items)))
        return self.value(node)

    @_value.register(nodes.Negative)
    def _(self, node: nodes.Negative) -> Slot:
        return self.writer.store(
            self.writer.call(negative, self.value(node.operand)), ValueType.NUMBER
        )

    @_value.register(nodes.Arithmetic)
    def _(self, node: nodes.Arithmetic) -> Slot:
        result = self.value(node.first)
        for operator, operand in node.rest:
            calculated = self.writer.call(CALCULATORS[operator], result, self.value(operand))
            result = self.writer.store(calculated, ValueType.NUMBER)
        return result

    @_value.register(nodes.Comparison)
    def _(self, node: nodes.Comparison) -> Slot:
        return self._comparison(node.operator, node.left, node.right)

    def _comparison(self, operator: str, left: Node, right: Node) -> Slot:
        side = self.moment if is_timestamp(left) or is_timestamp(right) else self.value
        return write_comparison(self.writer, operator, side(left), side(right))

    @_value.register(nodes.Between)
    def _(self, node: nodes.Between) -> Slot:
        value = node.value
        share_here = value not in self._shared and not is_timestamp(value)
        if share_here:  # compute the value once for both comparisons
            self._shared[value] = self._value(value)
        low = self._comparison(">=", value, node.low)
        result = self.writer.store(low.load, ValueType.BOOLEAN)
        self._join("AND", result, lambda: self._comparison("<=", value, node.high))
        if share_here:
            del self._shared[value]
        return result

    @_value.register(nodes.Membership)
    def _(self, node: nodes.Membership) -> Slot:
        if any(map(is_timestamp, (node.value, *node.items))):
            return self.writer.constant(None)
        value = self.value(node.value)
        flat = [
            each
            for item in node.items
            for each in (item.items if isinstance(item, nodes.ListOf) else (item,))
        ]
        scalars = [item for item in flat if isinstance(item, nodes.Scalar)]
        if len(scalars) == len(flat):
            return write_membership(self.writer, value, nodes.constants_of(scalars))
        items = python_ast.items(*(self.value(item).load for item in flat))
        membership = python_ast.call(self.writer.bind(among), value.load, items)
        return self.writer.store(membership, ValueType.BOOLEAN)

    @_value.register(nodes.TextMatch)
    def _(self, node: nodes.TextMatch) -> Slot:
        test = self._tests[node.operator, node.pattern.value]
        return self.writer.store(self.writer.call(test, self.value(node.value)), ValueType.BOOLEAN)

    @_value.register(nodes.IsNull)
    def _(self, node: nodes.IsNull) -> Slot:
        return self._presence(node.value, present=False)

    def _presence(self, node: Node, *, present: bool) -> Slot:
        if is_timestamp(node):
            return self.writer.constant(present)
        name = self.value(node).name
        test = python_ast.is_not(name, None) if present else python_ast.is_(name, None)
        return self.writer.store(test, ValueType.BOOLEAN, nullable=False)

    @_value.register(nodes.Not)
    def _(self, node: nodes.Not) -> Slot:
        slot = self.truth(node.operand)
        negated = python_ast.negation(slot.load)
        if slot.nullable:
            negated = python_ast.choice(
                python_ast.is_(slot.name, None), python_ast.constant(None), negated
            )
        return self.writer.store(negated, ValueType.BOOLEAN, nullable=slot.nullable)

    @_value.register(nodes.Logic)
    def _(self, node: nodes.Logic) -> Slot:
        first, *others = node.operands
        result = self.writer.store(self.truth(first).load, ValueType.BOOLEAN)
        for operand in others:
            self._join(node.operator, result, partial(self.truth, operand))
        return result

    def _join(self, operator: str, result: Slot, other: Callable[[], Slot]) -> None:
        """Writes the code that joins `other` to `result`, which skips `other` if it can.

        True decides an OR, and false does not change it. So if `result` is not true, a value of
        `other` that is not false replaces it. AND is the same with true and false exchanged.
        """
        deciding = operator == "OR"
        with self.writer.branch(python_ast.is_not(result.name, deciding)):
            slot = other()
            with self.writer.branch(python_ast.is_not(slot.name, not deciding)):
                self.writer.block.append(python_ast.assign(result.name, slot.load))


def _attributes(names: Sequence[str]) -> ast.expr:
    value = python_ast.load(python_ast.REQUEST)
    for name in names:
        value = python_ast.attribute(value, name)
    return value
