"""Asks for a decision and carries it out, with an approval that was given meanwhile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp_client.enforcement import Denied, Held, Permit, resume

if TYPE_CHECKING:
    from pdp_client._gen.pdp.v1 import decide_pb2 as pb
    from pdp_client.async_client import AsyncClient
    from pdp_client.client import Client
    from pdp_client.requests import RequestLike
    from pdp_client.results import Decision


_log: Final = logging.getLogger("pdp_client")


class Judged(NamedTuple):
    """A request that may go out.

    Attributes:
        decision: the decision.
        permit: what may go out.
    """

    decision: Decision
    permit: Permit


def judge(
    client: Client, request: RequestLike, *, can_mask: bool = False, can_route: bool = False
) -> Judged:
    """Returns what may go out of a request.

    If the approval that holds a request is given already, the request is sent again with its token,
    once. So a caller that repeats its request needs no token. Warnings are logged.

    Args:
        client: asks for decisions.
        request: the request.
        can_mask: whether the caller masks fields in what the resource returns. If it does not, a
            decision that requires it is a denial.
        can_route: whether the caller can send the request to another model; the same.

    Raises:
        Denied: the request is stopped.
        Held: the user must confirm first, or a second person must approve the request.
        CallFailed: the server refused the request.
    """
    decision = client.decide(request)
    try:
        return _checked(decision, can_mask=can_mask, can_route=can_route)
    except Held as held:
        decision = client.decide(_approved(decision, held))
    return _checked(decision, can_mask=can_mask, can_route=can_route)


async def judge_async(
    client: AsyncClient, request: RequestLike, *, can_mask: bool = False, can_route: bool = False
) -> Judged:
    """Returns what may go out of a request; see `judge`."""
    decision = await client.decide(request)
    try:
        return _checked(decision, can_mask=can_mask, can_route=can_route)
    except Held as held:
        decision = await client.decide(_approved(decision, held))
    return _checked(decision, can_mask=can_mask, can_route=can_route)


def _checked(decision: Decision, *, can_mask: bool, can_route: bool) -> Judged:
    permit = decision.enforce()
    if permit.masked_fields and not can_mask:
        raise Denied(
            decision.raw, "fields of the answer must be masked, which is not possible here"
        )
    if permit.route and not can_route:
        raise Denied(decision.raw, "another model must be used, which is not possible here")
    for warning in permit.warnings:
        _log.warning("decision %s: %s", decision.decision_id, warning)
    return Judged(decision, permit)


def _approved(decision: Decision, held: Held) -> pb.DecideRequest:
    """Returns a held request with its token, if its approval is given; else raises `held`."""
    approval = held.approval
    if approval is None or not approval.is_given or held.prompts:
        raise held
    if approval.token in decision.request.tokens:
        raise held
    return resume(decision.request, held)
