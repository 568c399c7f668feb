"""Parses conditions with the LALR parser of lark, which is created once, when it is needed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from pdp.engine.conditions import nodes
from pdp.engine.conditions.builder import build
from pdp.engine.conditions.diagnostics import Diagnostic, invalid_condition
from pdp.engine.conditions.syntax_errors import syntax_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.engine.conditions.nodes import Node
    from pdp.errors import InvalidCondition

MAX_BYTES: Final = 4096
"""The size of a condition in UTF-8 (decide.md)."""

MAX_DEPTH: Final = 64
"""The nesting depth of parentheses, lists and calls, and that of nodes (decide.md)."""

MAX_ITEMS: Final = 256
"""The number of items in one list, and in the parentheses of one IN."""

_NESTED_RULES: Final = frozenset({"group", "call", "list"})


def parse(source: str) -> Node:
    """Returns the tree of a condition.

    Raises:
        InvalidCondition: the condition does not parse or exceeds a bound.
    """
    _check_size(source)
    try:
        tree = _parser().parse(source)
    except UnexpectedInput as error:
        raise invalid_condition(source, [syntax_error(source, error, _parser())]) from None
    assert isinstance(tree, Tree)  # noqa: S101 - the grammar has no rule that is one token
    _check_nesting(source, tree)
    root, faults = build(tree)
    for node, depth in nodes.walk(root):
        if depth > MAX_DEPTH:
            raise _too_deep(source, node.place.start)
        faults += _item_faults(node)
    if faults:
        raise invalid_condition(source, faults)
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
        reason = "half of a surrogate pair is not a character"
        raise invalid_condition(source, [Diagnostic(error.start, reason)]) from None
    if size > MAX_BYTES:
        reason = f"a condition must be at most {MAX_BYTES} bytes, and this one has {size}"
        raise invalid_condition(source[:MAX_BYTES], [Diagnostic(0, reason)])


def _check_nesting(source: str, tree: Tree[Token]) -> None:
    pending = [(tree, 0)]
    while pending:
        subtree, depth = pending.pop()
        depth += subtree.data in _NESTED_RULES
        if depth > MAX_DEPTH:
            raise _too_deep(source, subtree.meta.start_pos)
        pending += [(child, depth) for child in subtree.children if isinstance(child, Tree)]


def _too_deep(source: str, start: int) -> InvalidCondition:
    return invalid_condition(source, [Diagnostic(start, f"nested more than {MAX_DEPTH} deep")])


def _item_faults(node: Node) -> Iterator[Diagnostic]:
    if isinstance(node, nodes.ListOf | nodes.Membership) and len(node.items) > MAX_ITEMS:
        reason = f"a list must have at most {MAX_ITEMS} items, and this one has {len(node.items)}"
        yield Diagnostic(node.place.start, reason)
