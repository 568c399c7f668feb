"""Folds the names of groups in a condition, because groups are compared without regard to case."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.group_resolver import normalize_group
from pdp.engine.conditions import nodes
from pdp.engine.conditions.nodes import Node, Scalar

if TYPE_CHECKING:
    from collections.abc import Callable

GROUPS: Final = "groups"
"""The name of the groups of the subject in a condition."""


def fold_groups(root: Node) -> Node:
    """Returns a condition in which each constant that is compared with `groups` is folded.

    Args:
        root: a condition, nested as deep as the parser allows.
    """
    if not any(
        isinstance(node, nodes.Name) and node.path == GROUPS for node, _ in nodes.walk(root)
    ):
        return root
    return _folded(root)


def _folded(node: Node) -> Node:
    children = tuple(nodes.children(node))
    if not children:
        return node
    beside_groups = isinstance(node, nodes.Membership | nodes.FunctionCall) and any(
        isinstance(child, nodes.Name) and child.path == GROUPS for child in children
    )
    change = _with_folded_texts if beside_groups else _folded
    values: dict[str, Any] = {}
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        if name != "place":
            values[name] = _map(value, change)
    return replace(node, **values)


def _with_folded_texts(node: Node) -> Node:
    if isinstance(node, nodes.ListOf):
        return replace(node, items=tuple(map(_folded_text, node.items)))
    return _folded_text(node) if isinstance(node, nodes.Text) else _folded(node)


def _folded_text(node: Scalar) -> Scalar:
    if isinstance(node, nodes.Text):
        return replace(node, value=normalize_group(node.value))
    return node


def _map(value: Any, change: Callable[[Node], Node]) -> Any:
    if isinstance(value, Node):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_map(item, change) for item in value)
    return value
