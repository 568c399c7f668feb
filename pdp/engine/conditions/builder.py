"""From lark's tree to ours, rule by rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from lark import Token, Tree

from pdp.engine.conditions import nodes
from pdp.engine.conditions.literals import Unreadable, read_number, read_text
from pdp.engine.conditions.nodes import Node, SourceRange
from pdp.engine.conditions.problems import Problem

Parts = Sequence[Node | Token]
"""What a rule holds: nodes, and the tokens that the grammar keeps."""

Builder = Callable[[SourceRange, Parts], Node]


def build(tree: Tree[Token]) -> tuple[Node, list[Problem]]:
    """Returns the node that `tree` stands for, and which literals in it cannot be read.

    Goes from the leaves up, without recursion: a condition may be one deep chain.
    """
    built: dict[int, Node] = {}
    problems: list[Problem] = []
    for part in tree.iter_subtrees():
        place = SourceRange(part.meta.start_pos, part.meta.end_pos)
        inner = [built[id(each)] if isinstance(each, Tree) else each for each in part.children]
        try:
            built[id(part)] = _BUILDERS[part.data](place, inner)
        except Unreadable as error:
            problems.append(Problem(place.start, str(error)))
            built[id(part)] = nodes.Null(place)
    return built[id(tree)], problems


def _nodes(parts: Parts) -> tuple[Node, ...]:
    return tuple(part for part in parts if isinstance(part, Node))


def _number(place: SourceRange, parts: Parts) -> Node:
    sign = -1 if len(parts) > 1 else 1
    return nodes.Number(place, sign * read_number(str(parts[-1])))


def _text(place: SourceRange, parts: Parts) -> Node:
    return nodes.Text(place, read_text(str(parts[0])))


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
        written = str(parts[-1])
        pattern = nodes.Text(SourceRange(place.end - len(written), place.end), read_text(written))
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
    "name": lambda place, parts: nodes.Name(place, str(parts[0])),
    "list": _list,
    "number": _number,
    "negative_number": _number,
    "text": _text,
    "true": lambda place, _: nodes.Boolean(place, True),
    "false": lambda place, _: nodes.Boolean(place, False),
    "null": lambda place, _: nodes.Null(place),
}
