"""From tree to Python: one flat function a condition, of assignments, and branches for AND and OR.

What it computes is defined by `truth`, `functions` and `names`; `fastpaths` shortens the common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial, singledispatchmethod
from typing import TYPE_CHECKING, Final

from pdp.engine.conditions import nodes, python
from pdp.engine.conditions.checker import is_timestamp
from pdp.engine.conditions.fastpaths import compared, found
from pdp.engine.conditions.functions import FUNCTIONS, WANTED
from pdp.engine.conditions.kinds import ValueType
from pdp.engine.conditions.names import ActionPart, Field, Member, action_part, member, resolve
from pdp.engine.conditions.truth import CALCULATORS, Members, Truth, among, negative
from pdp.engine.conditions.writer import Slot, Writer

if TYPE_CHECKING:
    import ast
    from collections.abc import Sequence

    from pdp.domain.request import Request
    from pdp.engine.conditions.nodes import Node
    from pdp.engine.conditions.patterns import Tests
    from pdp.engine.conditions.times import Clock

Evaluate = Callable[["Request"], Truth]

_LEAVES: Final = (nodes.Null, nodes.Boolean, nodes.Number, nodes.Text, nodes.ListOf, nodes.Name)


def generate(root: Node, clock: Clock, tests: Tests) -> Evaluate:
    """Returns the function that a condition is compiled to.

    Args:
        root: a condition that `checker` has nothing against.
        clock: of the policy's time zone.
        tests: those of its LIKE and MATCHES.
    """
    coder = _Coder(clock, tests)
    coder.share(root)
    result = coder.truth(root)
    return python.function(coder.writer.block, result.load, coder.writer.constants)


class _Coder:
    """Writes node by node. Each method returns where the value of its node then is."""

    def __init__(self, clock: Clock, tests: Tests) -> None:
        self.writer = Writer()
        self._clock = clock
        self._tests = tests
        self._shared: dict[Node, Slot] = {}
        self._documents: dict[tuple[str, ...], Slot] = {}

    def share(self, root: Node) -> None:
        """Computes first, and once, what is asked for more than once."""
        everything = [node for node, _ in nodes.walk(root)]
        for node in everything:
            if isinstance(node, nodes.Name):
                source = resolve(node.path)
                if isinstance(source, Member) and source.attributes not in self._documents:
                    document = self.writer.store(_attributes(source.attributes))
                    self._documents[source.attributes] = document
        counts = Counter(
            node for node in everything if isinstance(node, nodes.Name | nodes.FunctionCall)
        )
        repeated = [node for node, count in counts.items() if count > 1 and not is_timestamp(node)]
        for node in sorted(repeated, key=lambda node: isinstance(node, nodes.FunctionCall)):
            if all(isinstance(child, _LEAVES) for child in nodes.children(node)):
                self._shared[node] = self._value(node)

    def value(self, node: Node) -> Slot:
        """The value of a node."""
        shared = self._shared.get(node)
        return self._value(node) if shared is None else shared

    def truth(self, node: Node) -> Slot:
        """The value of an operand of AND, OR or NOT: what is not a boolean is unknown there."""
        slot = self.value(node)
        if slot.kind is ValueType.BOOLEAN:
            return slot
        boolean = python.either(python.is_(slot.name, True), python.is_(slot.name, False))
        known = python.choice(boolean, slot.load, python.constant(None))
        return self.writer.store(known, ValueType.BOOLEAN)

    def moment(self, node: Node) -> Slot:
        """The value of a node as a time, in seconds."""
        if is_timestamp(node):
            return self.writer.store(_attributes(("timestamp",)), ValueType.NUMBER, nullable=False)
        if isinstance(node, nodes.Text):
            return self.writer.constant(self._clock.read(node.value))
        return self.writer.store(
            self.writer.call(self._clock.read, self.value(node)), ValueType.NUMBER
        )

    @singledispatchmethod
    def _value(self, node: Node) -> Slot:
        raise TypeError(f"there is no code for {type(node).__name__}")

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
            return self.writer.constant(None)  # where times mean nothing; elsewhere see `moment`
        return self.writer.store(self._source(node))

    def _source(self, node: nodes.Name) -> ast.expr:
        writer = self.writer
        match resolve(node.path):
            case Field(attributes, ValueType.TEXT):
                return python.either(_attributes(attributes), python.constant(None))
            case Field(attributes):
                return _attributes(attributes)
            case ActionPart(number):
                action = writer.store(_attributes(("action",)))
                return writer.call(action_part, action, writer.constant(number))
            case Member(attributes, [key]):
                document = self._documents[attributes]
                return python.choice(
                    python.is_(document.name, None),
                    python.constant(None),
                    python.call(python.attribute(document.load, "get"), writer.bind(key)),
                )
            case Member(attributes, keys):
                return writer.call(member, self._documents[attributes], writer.constant(keys))

    @_value.register(nodes.FunctionCall)
    def _(self, node: nodes.FunctionCall) -> Slot:
        function = FUNCTIONS[node.function]
        if function.names:
            return self._presence(node.arguments[0], present=True)
        arguments = [
            self._argument(argument, kinds)
            for argument, kinds in zip(node.arguments, function.takes, strict=False)
        ]
        return self.writer.store(
            self.writer.call(function.of_clock(self._clock), *arguments), function.gives
        )

    def _argument(self, node: Node, kinds: frozenset[ValueType]) -> Slot:
        if ValueType.TIME in kinds:
            return self.moment(node)
        if isinstance(node, nodes.ListOf) and kinds == WANTED:
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
        return self._compared(node.operator, node.left, node.right)

    def _compared(self, operator: str, left: Node, right: Node) -> Slot:
        side = self.moment if is_timestamp(left) or is_timestamp(right) else self.value
        return compared(self.writer, operator, side(left), side(right))

    @_value.register(nodes.Between)
    def _(self, node: nodes.Between) -> Slot:
        value = node.value
        own = value not in self._shared and not is_timestamp(value)
        if own:  # once, though it is compared twice
            self._shared[value] = self._value(value)
        low = self._compared(">=", value, node.low)
        result = self.writer.store(low.load, ValueType.BOOLEAN)
        self._join("AND", result, lambda: self._compared("<=", value, node.high))
        if own:
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
            return found(self.writer, value, nodes.constants_of(scalars))
        items = python.items(*(self.value(item).load for item in flat))
        looked_up = python.call(self.writer.bind(among), value.load, items)
        return self.writer.store(looked_up, ValueType.BOOLEAN)

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
        test = python.is_not(name, None) if present else python.is_(name, None)
        return self.writer.store(test, ValueType.BOOLEAN, nullable=False)

    @_value.register(nodes.Not)
    def _(self, node: nodes.Not) -> Slot:
        slot = self.truth(node.operand)
        negated = python.negation(slot.load)
        if slot.nullable:
            negated = python.choice(python.is_(slot.name, None), python.constant(None), negated)
        return self.writer.store(negated, ValueType.BOOLEAN, nullable=slot.nullable)

    @_value.register(nodes.Logic)
    def _(self, node: nodes.Logic) -> Slot:
        first, *others = node.operands
        result = self.writer.store(self.truth(first).load, ValueType.BOOLEAN)
        for operand in others:
            self._join(node.operator, result, partial(self.truth, operand))
        return result

    def _join(self, operator: str, result: Slot, other: Callable[[], Slot]) -> None:
        """Makes of `result` what it and `other` come to together; skips `other` where it can.

        True decides OR and false does nothing to it, so what is not false takes the place of a
        result that is not true. AND is the other way round.
        """
        deciding = operator == "OR"
        with self.writer.branch(python.is_not(result.name, deciding)):
            slot = other()
            with self.writer.branch(python.is_not(slot.name, not deciding)):
                self.writer.block.append(python.assign(result.name, slot.load))


def _attributes(names: Sequence[str]) -> ast.expr:
    value = python.load(python.REQUEST)
    for name in names:
        value = python.attribute(value, name)
    return value
