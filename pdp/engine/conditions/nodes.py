"""What a condition is once it is parsed: a tree of frozen nodes, each knowing its place."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class SourceRange(NamedTuple):
    """Where a node is written: offsets of its first character and of the one behind its last."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Node:
    """One part of a condition. Two are equal where they say the same, wherever they stand."""

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
    """A text in quotes, without them and its escapes."""

    value: str


Scalar = Null | Boolean | Number | Text


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """A list of constants in brackets."""

    items: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Name(Node):
    """Something of the request, for instance `target.sensitivity_level`."""

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
    """Two values and `=`, `!=`, `<`, `<=`, `>` or `>=`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Between(Node):
    """A value and its bounds, both included."""

    value: Node
    low: Node
    high: Node


@dataclass(frozen=True, slots=True)
class Membership(Node):
    """`IN`: a value, and those it may be; a list among them stands for its items."""

    value: Node
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class TextMatch(Node):
    """`LIKE` or `MATCHES`: a value, and the pattern it is held against."""

    operator: str
    value: Node
    pattern: Text


@dataclass(frozen=True, slots=True)
class IsNull(Node):
    """`IS NULL`."""

    value: Node


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`NOT`, of any kind: `x NOT IN y` is `NOT (x IN y)`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """Operands joined by `AND`, or by `OR`."""

    operator: str
    operands: tuple[Node, ...]


def constants_of(items: Iterable[Scalar]) -> tuple[object, ...]:
    """Returns the values of constants."""
    return tuple(None if isinstance(item, Null) else item.value for item in items)


def children(node: Node) -> Iterator[Node]:
    """Yields the nodes directly in `node`, from left to right."""
    for each in fields(node):
        yield from _nodes_in(getattr(node, each.name))


def _nodes_in(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes_in(item)


def walk(node: Node) -> Iterator[tuple[Node, int]]:
    """Yields `node` and all nodes in it, each with its depth. Does not recurse."""
    pending = [(node, 1)]
    while pending:
        here, depth = pending.pop()
        yield here, depth
        pending += [(child, depth + 1) for child in children(here)]
