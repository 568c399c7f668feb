"""Requests that wait for a person: how adapters ask about them, and what their clients see.

The enforcement point is who asks for an approval, so the approval token stays with it. Its client
sends the same request again after a person has approved it. The same request gets the same approval
from the server, so that no adapter has to remember anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.approval import APPROVED

if TYPE_CHECKING:
    from collections.abc import Collection

Decide = Callable[["pb.DecideRequest"], Awaitable["pb.DecideResponse"]]
"""Returns the decision on a request."""


class HoldNotice(NamedTuple):
    """What a client sees of a request that waits for a person. It never has an approval token.

    Attributes:
        approval_id: the approval that a second person must give; empty for none.
        approval_state: the state of the approval; empty without one.
        confirmation: the token with which the user's own yes is sent; empty for none.
        expires_at: when the approval or the confirmation expires, as RFC 3339; empty for neither.
    """

    approval_id: str = ""
    approval_state: str = ""
    confirmation: str = ""
    expires_at: str = ""

    def facts(self) -> dict[str, str]:
        """Returns the fields that are not empty, by name."""
        return {name: value for name, value in self._asdict().items() if value}

    def explain(self, message: str, again: str) -> str:
        """Returns a message with what the client must do next; the message if it can do nothing.

        Args:
            message: why the request is refused.
            again: how the client repeats the request, such as `call again`.
        """
        if self.approval_id:
            advice = f"ask for approval {self.approval_id} and {again}"
        elif self.confirmation:
            advice = f"ask the user, and {again} with the confirmation"
        else:
            return message
        if message.endswith(("?", "!")):
            return f"{message} {advice[0].upper()}{advice[1:]}"
        return f"{message.rstrip('. ')}; {advice}"


NO_NOTICE: Final = HoldNotice()


async def decide_approved(decide: Decide, request: pb.DecideRequest) -> pb.DecideResponse:
    """Returns the decision on a request, with the approval of it if a person has given one.

    A prompt is for the user: it is never confirmed here.

    Args:
        decide: makes decisions. It is called once more if the request is approved.
        request: the request, with the tokens that its client has sent.

    Raises:
        Exception: what `decide` raises.
    """
    return await decide_again(decide, request, await decide(request))


async def decide_again(
    decide: Decide, request: pb.DecideRequest, response: pb.DecideResponse
) -> pb.DecideResponse:
    """Returns the decision on a request with its approval; `response` if none is given.

    Args:
        decide: makes decisions.
        request: the request.
        response: the decision on it without the approval.

    Raises:
        Exception: what `decide` raises.
    """
    token = _approved_token(response)
    if not token:
        return response
    approved = pb.DecideRequest()
    approved.CopyFrom(request)
    approved.tokens.append(token)
    return await decide(approved)


def notice_of(response: pb.DecideResponse, *, confirmable: bool) -> HoldNotice:
    """Returns what a client sees of a decision; `NO_NOTICE` if it does not wait for a person.

    Args:
        response: the decision.
        confirmable: whether the client can send the confirmation of a prompt back.
    """
    for each in response.obligations:
        expires_at = each.expires_at.ToJsonString()
        if _is_open_approval(response, each):
            return HoldNotice(each.approval_id, each.approval_state, expires_at=expires_at)
        if (
            confirmable
            and response.outcome == pb.OUTCOME_PROMPT
            and each.type == pb.OBLIGATION_TYPE_PROMPT
            and each.confirmation
        ):
            return HoldNotice(confirmation=each.confirmation, expires_at=expires_at)
    return NO_NOTICE


def is_held(response: pb.DecideResponse) -> bool:
    """Whether a request waits for a person: the user, or a second one."""
    return response.outcome in {pb.OUTCOME_PROMPT, pb.OUTCOME_ESCALATE}


def passes_later(
    response: pb.DecideResponse, tokens: Collection[str], supported: Collection[int]
) -> bool:
    """Returns whether a held request passes if it is asked about once more, with its tokens.

    Args:
        response: the decision on the request without its tokens.
        tokens: what its client has sent.
        supported: the types of the obligations that are carried out then.
    """
    if not (_approved_token(response) or (response.outcome == pb.OUTCOME_PROMPT and tokens)):
        return False
    held = {pb.OBLIGATION_TYPE_PROMPT, pb.OBLIGATION_TYPE_APPROVAL}
    return all(each.type in held or each.type in supported for each in response.obligations)


def without_approval_tokens(response: pb.DecideResponse) -> pb.DecideResponse:
    """Returns a decision for a client: the approval token is not in it."""
    if not any(each.token for each in response.obligations):
        return response
    shown = pb.DecideResponse()
    shown.CopyFrom(response)
    for each in shown.obligations:
        each.ClearField("token")
    return shown


def _approved_token(response: pb.DecideResponse) -> str:
    """Returns the token of an approval that is given; empty if there is none."""
    for each in response.obligations:
        if _is_open_approval(response, each) and each.approval_state == APPROVED:
            return each.token
    return ""


def _is_open_approval(response: pb.DecideResponse, obligation: pb.Obligation) -> bool:
    return (
        response.outcome == pb.OUTCOME_ESCALATE
        and obligation.type == pb.OBLIGATION_TYPE_APPROVAL
        and bool(obligation.approval_id)
    )
