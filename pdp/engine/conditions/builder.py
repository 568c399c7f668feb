"""Builds nodes from the parse tree of lark, with one function for each rule of the grammar."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from lark import Token, Tree

from pdp.engine.conditions import nodes
from pdp.engine.conditions.diagnostics import Diagnostic
from pdp.engine.conditions.literals import InvalidLiteral, read_number, read_text
from pdp.engine.conditions.names import path_of
from pdp.engine.conditions.nodes import Node, SourceRange

Parts = Sequence[Node | Token]
"""The children of a rule: nodes, and the tokens that the grammar does not drop."""

Builder = Callable[[SourceRange, Parts], Node]

_find_keys: Final = re.compile(
    r"""\[('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")\]|([^.\[]+)"""
).finditer
"""Finds the keys of a name: those in quotes, and the plain ones."""


def build(tree: Tree[Token]) -> tuple[Node, list[Diagnostic]]:
    """Returns the node of `tree`, and the faults of its literals.

    Works from the leaves up, without recursion, because the tree can be deep.
    """
    node_of: dict[int, Node] = {}
    faults: list[Diagnostic] = []
    for subtree in tree.iter_subtrees():
        place = SourceRange(subtree.meta.start_pos, subtree.meta.end_pos)
        parts = [
            node_of[id(child)] if isinstance(child, Tree) else child for child in subtree.children
        ]
        try:
            node_of[id(subtree)] = _BUILDERS[subtree.data](place, parts)
        except InvalidLiteral as error:
            faults.append(Diagnostic(place.start, str(error)))
            node_of[id(subtree)] = nodes.Null(place)
    return node_of[id(tree)], faults


def _nodes(parts: Parts) -> tuple[Node, ...]:
    return tuple(part for part in parts if isinstance(part, Node))


def _number(place: SourceRange, parts: Parts) -> Node:
    sign = -1 if len(parts) > 1 else 1
    return nodes.Number(place, sign * read_number(str(parts[-1])))


def _text(place: SourceRange, parts: Parts) -> Node:
    return nodes.Text(place, read_text(str(parts[0])))


def _name(place: SourceRange, parts: Parts) -> Node:
    keys = [
        read_text(quoted) if quoted else plain
        for quoted, plain in (match.groups() for match in _find_keys(str(parts[0])))
    ]
    if "" in keys:
        raise InvalidLiteral("a key in quotes must not be empty")
    return nodes.Name(place, path_of(keys))


def _list(place: SourceRange, parts: Parts) -> Node:
    items = tuple(part for part in parts if isinstance(part, nodes.Scalar))
    return nodes.ListOf(place, items)


def _call(place: SourceRange, parts: Parts) -> Node:
    return nodes.FunctionCall(place, str(parts[0]), _nodes(parts))


def _negative(place: SourceRange, parts: Parts) -> Node:
    (operand,) = _nodes(parts)
    if isinstance(operand, nodes.Number):
        return nodes.Number(place, -operand.value)
    return nodes.Negative(place, operand)


def _arithmetic(place: SourceRange, parts: Parts) -> Node:
    first, *operands = _nodes(parts)
    operators = [str(part) for part in parts if isinstance(part, Token)]
    return nodes.Arithmetic(place, first, tuple(zip(operators, operands, strict=True)))


def _comparison(place: SourceRange, parts: Parts) -> Node:
    left, right = _nodes(parts)
    operator = str(parts[1])
    return nodes.Comparison(place, "=" if operator == "==" else operator, left, right)


def _between(place: SourceRange, parts: Parts) -> Node:
    value, low, high = _nodes(parts)
    return nodes.Between(place, value, low, high)


def _membership(place: SourceRange, parts: Parts) -> Node:
    value, *items = _nodes(parts)
    return nodes.Membership(place, value, tuple(items))


def _text_match(operator: str) -> Builder:
    def build_match(place: SourceRange, parts: Parts) -> Node:
        (value,) = _nodes(parts)
        literal = str(parts[-1])
        pattern = nodes.Text(SourceRange(place.end - len(literal), place.end), read_text(literal))
        return nodes.TextMatch(place, operator, value, pattern)

    return build_match


def _is_null(place: SourceRange, parts: Parts) -> Node:
    (value,) = _nodes(parts)
    return nodes.IsNull(place, value)


def _inversion(place: SourceRange, parts: Parts) -> Node:
    (operand,) = _nodes(parts)
    return nodes.Not(place, operand)


def _group(_: SourceRange, parts: Parts) -> Node:
    (inner,) = _nodes(parts)
    return inner


def _logic(operator: str) -> Builder:
    return lambda place, parts: nodes.Logic(place, operator, _nodes(parts))


def _not(builder: Builder) -> Builder:
    return lambda place, parts: nodes.Not(place, builder(place, parts))


_BUILDERS: Final[Mapping[str, Builder]] = {
    "disjunction": _logic("OR"),
    "conjunction": _logic("AND"),
    "inversion": _inversion,
    "comparison": _comparison,
    "between": _between,
    "not_between": _not(_between),
    "membership": _membership,
    "not_membership": _not(_membership),
    "like": _text_match("LIKE"),
    "not_like": _not(_text_match("LIKE")),
    "matches": _text_match("MATCHES"),
    "not_matches": _not(_text_match("MATCHES")),
    "is_null": _is_null,
    "is_not_null": _not(_is_null),
    "sum": _arithmetic,
    "product": _arithmetic,
    "negative": _negative,
    "call": _call,
    "group": _group,
    "name": _name,
    "list": _list,
    "number": _number,
    "negative_number": _number,
    "text": _text,
    "true": lambda place, _: nodes.Boolean(place, True),
    "false": lambda place, _: nodes.Boolean(place, False),
    "null": lambda place, _: nodes.Null(place),
}
