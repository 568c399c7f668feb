"""The syntax tree of a condition: frozen nodes that know their position in the source."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class SourceRange(NamedTuple):
    """The offsets of the first character of a node and of the character after its last."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Node:
    """One part of a condition. Equal nodes can have different places."""

    place: SourceRange = field(compare=False)


@dataclass(frozen=True, slots=True)
class Null(Node):
    """`null`."""


@dataclass(frozen=True, slots=True)
class Boolean(Node):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Text(Node):
    """A text in quotes. The value has no quotes and no escapes."""

    value: str


Scalar = Null | Boolean | Number | Text


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """A list of constants in brackets."""

    items: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A part of the request, for instance `target.sensitivity_level`."""

    path: str


@dataclass(frozen=True, slots=True)
class FunctionCall(Node):
    """A function with its arguments."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """`-` before a number."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """A chain of `+` and `-`, or of `*`, `/` and `%`, from left to right."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """Two values with `=`, `!=`, `<`, `<=`, `>` or `>=`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Between(Node):
    """A value and its bounds, both inclusive."""

    value: Node
    low: Node
    high: Node


@dataclass(frozen=True, slots=True)
class Membership(Node):
    """`IN`: a value and the items that it may equal. A list among the items means its own items."""

    value: Node
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class TextMatch(Node):
    """`LIKE` or `MATCHES`: a value and a pattern."""

    operator: str
    value: Node
    pattern: Text


@dataclass(frozen=True, slots=True)
class IsNull(Node):
    """`IS NULL`."""

    value: Node


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`NOT`. `x NOT IN y` is parsed as `NOT (x IN y)`, and so are the other operators with NOT."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """Operands with `AND` between them, or with `OR`."""

    operator: str
    operands: tuple[Node, ...]


def constants_of(items: Iterable[Scalar]) -> tuple[object, ...]:
    """Returns the values of constants."""
    return tuple(None if isinstance(item, Null) else item.value for item in items)


def children(node: Node) -> Iterator[Node]:
    """Yields the direct children of `node`, from left to right."""
    for each in fields(node):
        yield from _nodes_in(getattr(node, each.name))


def _nodes_in(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes_in(item)


def walk(node: Node) -> Iterator[tuple[Node, int]]:
    """Yields `node` and all its descendants, each with its depth, without recursion."""
    pending = [(node, 1)]
    while pending:
        current, depth = pending.pop()
        yield current, depth
        pending += [(child, depth + 1) for child in children(current)]
