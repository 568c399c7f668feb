"""Finds names with a hyphen, which a condition reads as subtractions.

`api-key = 'x'` subtracts one key of `context` from another. No request has these two keys, so the
condition would never match, and nothing would say so.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pdp.engine.conditions import nodes
from pdp.engine.conditions.diagnostics import Diagnostic, invalid_condition
from pdp.engine.conditions.names import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.engine.conditions.nodes import Node

_ROOTS: Final = frozenset({"context", *(path.partition(".")[0] for path in FIELDS)})


def refuse_hyphens(source: str) -> None:
    """Refuses a condition in which a name has a hyphen.

    A subtraction with spaces, of numbers, or of two names that say where their value is from
    (`risk_score-target.sensitivity_level`, `context.end-context.start`) is none. Only new
    conditions are checked: those in the store were accepted as they are.

    Args:
        source: a condition that compiles.

    Raises:
        InvalidCondition: a name has a hyphen; the message says what to write.
    """
    from pdp.engine.conditions.parser import parse  # noqa: PLC0415 - imports lark only if needed

    if "-" not in source:
        return
    faults = [fault for node, _ in nodes.walk(parse(source)) for fault in _faults(source, node)]
    if faults:
        raise invalid_condition(source, faults)


def _faults(source: str, node: Node) -> Iterator[Diagnostic]:
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
                f"{left.path} - {right.path} for a subtraction. A key with a hyphen cannot be "
                f"named: send it as {name.replace('-', '_')}",
            )


def _is_known(path: str) -> bool:
    root, dot, _ = path.partition(".")
    return path in FIELDS or (bool(dot) and root in _ROOTS)
