"""From text to tree: lark's LALR parser over `grammar.lark`, made once, and lazily."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from pdp.engine.conditions import nodes
from pdp.engine.conditions.builder import build
from pdp.engine.conditions.expectations import unexpected
from pdp.engine.conditions.problems import Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.engine.conditions.nodes import Node
    from pdp.errors import InvalidCondition

MAX_BYTES: Final = 4096
"""Of UTF-8 (decide.md)."""

MAX_DEPTH: Final = 64
"""Of parentheses, lists and calls in each other, and of nodes in each other (decide.md)."""

MAX_ITEMS: Final = 256
"""In one list, and in the parentheses of one IN."""

_NESTING: Final = frozenset({"group", "call", "list"})


def parse(source: str) -> Node:
    """Returns the tree of a condition.

    Raises:
        InvalidCondition: it does not parse, or is out of its bounds.
    """
    _check_size(source)
    try:
        tree = _parser().parse(source)
    except UnexpectedInput as error:
        raise invalid(source, [unexpected(source, error, _parser())]) from None
    assert isinstance(tree, Tree)  # noqa: S101 - no token of the grammar stands alone
    _check_nesting(source, tree)
    root, problems = build(tree)
    for node, depth in nodes.walk(root):
        if depth > MAX_DEPTH:
            raise _too_deep(source, node.place.start)
        problems += _crowded(node)
    if problems:
        raise invalid(source, problems)
    return root


@cache
def _parser() -> Lark:
    return Lark.open(
        "grammar.lark",
        rel_to=__file__,
        parser="lalr",
        lexer="basic",
        propagate_positions=True,
        maybe_placeholders=False,
    )


def _check_size(source: str) -> None:
    try:
        size = len(source.encode())
    except UnicodeEncodeError as error:
        reason = "half of a surrogate pair stands for no character"
        raise invalid(source, [Problem(error.start, reason)]) from None
    if size > MAX_BYTES:
        reason = f"a condition must be at most {MAX_BYTES} bytes, and this one has {size}"
        raise invalid(source[:MAX_BYTES], [Problem(0, reason)])


def _check_nesting(source: str, tree: Tree[Token]) -> None:
    pending = [(tree, 0)]
    while pending:
        part, depth = pending.pop()
        depth += part.data in _NESTING
        if depth > MAX_DEPTH:
            raise _too_deep(source, part.meta.start_pos)
        pending += [(each, depth) for each in part.children if isinstance(each, Tree)]


def _too_deep(source: str, start: int) -> InvalidCondition:
    return invalid(source, [Problem(start, f"nested more than {MAX_DEPTH} deep")])


def _crowded(node: Node) -> Iterator[Problem]:
    if isinstance(node, nodes.ListOf | nodes.Membership) and len(node.items) > MAX_ITEMS:
        reason = f"a list must have at most {MAX_ITEMS} items, and this one has {len(node.items)}"
        yield Problem(node.place.start, reason)
