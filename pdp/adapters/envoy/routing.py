"""ROUTE_TO: another model in the body of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.payloads.edits import Edit, write

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUTE_TO: Final = "ROUTE_TO"

SUPPORTED: Final = "x-pdp-supported-obligations"
"""The metadata with which the filter says what its upstream can carry out besides redactions."""

_MODEL: Final = "/model"
_NAMED: Final = frozenset({"openai.chat_completions", "openai.responses", "anthropic.messages"})
"""The formats of requests that name their model in the body."""


def may_route(metadata: Mapping[str, str]) -> bool:
    """Whether the filter says that its upstream serves the models of routes."""
    names = metadata.get(SUPPORTED, "").split(",")
    return ROUTE_TO in (each.strip().upper() for each in names)


def routed(decision: pb.DecideResponse, body: str) -> str | None:
    """Returns a body with the model of a decision's ROUTE_TO.

    Args:
        decision: the decision; without ROUTE_TO, the body stays as it is.
        body: the body of a request.

    Returns:
        The body, or None if it has no place for the model.
    """
    route = pb.OBLIGATION_TYPE_ROUTE_TO
    models = [each.model for each in decision.obligations if each.type == route]
    if not models:
        return body
    if decision.payload_format not in _NAMED or len(models) > 1 or not models[0]:
        return None
    try:
        return write(body, [Edit(_MODEL, models[0])])
    except KeyError:
        return None
