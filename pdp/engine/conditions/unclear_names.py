"""Finds names in new conditions that would not mean what their author meant.

`api-key = 'x'` subtracts one key of `context` from another, and `findings.type` is a key of an
object `findings` in `context`. No request has these keys, so the condition would never match, and
nothing would say so.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pdp.engine.conditions import nodes
from pdp.engine.conditions.diagnostics import Diagnostic, invalid_condition
from pdp.engine.conditions.names import FIELDS, SHARED_ROOTS, parts_of, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.engine.conditions.nodes import Node

_ROOTS: Final = frozenset({"context", *(path.partition(".")[0] for path in FIELDS)})


def refuse_unclear_names(source: str) -> None:
    """Refuses a condition in which a name has a hyphen, or nearly is one of the language.

    A subtraction with spaces, of numbers, or of two names that say where their value is from
    (`risk_score-target.sensitivity_level`, `context.end-context.start`) is none. Only new
    conditions are checked: those in the store were accepted as they are.

    Args:
        source: a condition that compiles.

    Raises:
        InvalidCondition: a name is unclear; the message says what to write.
    """
    from pdp.engine.conditions.parser import parse  # noqa: PLC0415 - imports lark only if needed

    if "-" not in source and not any(root in source for root in SHARED_ROOTS):
        return
    faults = [
        fault
        for node, _ in nodes.walk(parse(source))
        for fault in (*_hyphens(source, node), *_unknown_fields(node))
    ]
    if faults:
        raise invalid_condition(source, faults)


def _unknown_fields(node: Node) -> Iterator[Diagnostic]:
    if not isinstance(node, nodes.Name) or node.path in FIELDS:
        return
    root, *inner = parts_of(node.path)
    if root not in SHARED_ROOTS:
        return
    fields = [name for name in FIELDS if parts_of(name)[0] == root]
    close = get_close_matches(node.path, fields, n=1) or fields
    yield Diagnostic(
        node.place.start,
        f"a request has no {node.path}; did you mean {close[0]}? "
        f"Write {path_of(('context', root, *inner))} for a key of context",
    )


def _hyphens(source: str, node: Node) -> Iterator[Diagnostic]:
    if not isinstance(node, nodes.Arithmetic):
        return
    for left, right in pairwise((node.first, *(operand for _, operand in node.rest))):
        if not (isinstance(left, nodes.Name) and isinstance(right, nodes.Name)):
            continue
        is_joined = source[left.place.end : right.place.start] == "-"
        if is_joined and not (_is_known(left.path) and _is_known(right.path)):
            name = f"{left.path}-{right.path}"
            yield Diagnostic(
                left.place.start,
                f"{name} is a subtraction, because a name has no hyphen; write "
                f"{left.path} - {right.path} for a subtraction. Write a key with a hyphen in "
                f"quotes: {_quoted(name)}",
            )


def _quoted(name: str) -> str:
    """Returns a name with a hyphen in its last part as it must be written."""
    root, *inner = name.split(".")
    if root not in _ROOTS or not inner:
        root, inner = "context", [root, *inner]
    return path_of((root, *inner))


def _is_known(path: str) -> bool:
    root, dot, _ = path.partition(".")
    return path in FIELDS or (bool(dot) and root in _ROOTS)
