"""Judges messages: each is a payload that the policy decision point decides on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.approvals import decide_approved, is_held, notice_of
from pdp.adapters.mcp.messages import (
    DENIED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MalformedMessage,
    McpMessage,
    read_aside,
)
from pdp.adapters.mcp.methods import NAMED, McpJudgement
from pdp.domain.request import MCP_SERVER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT: Final = "mcp.jsonrpc"


_PASSING: Final = frozenset({pb.OUTCOME_ALLOW, pb.OUTCOME_WARN, pb.OUTCOME_ALLOW_WITH_OVERRIDE})


class DecisionFailed(Exception):
    """There is no decision.

    Attributes:
        code: the error reason of the policy decision point, for example `INVALID_ARGUMENT`.
        message: a sentence for people, without anything of the request.
        at_fault: whether the request is at fault, and not the policy decision point.
    """

    def __init__(self, code: str, message: str, *, at_fault: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.at_fault = at_fault


class DecisionSource(Protocol):
    """Makes decisions: a server, or an engine in this process."""

    async def decide(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """Returns the decision on a request. It counts and is recorded.

        Raises:
            DecisionFailed: there is none.
        """

    async def simulate(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """Returns the same decision. It neither counts nor is recorded.

        Raises:
            DecisionFailed: there is none.
        """


class McpCaller(NamedTuple):
    """For whom the proxy works. Nothing of it comes from messages.

    Attributes:
        tenant: the tenant whose policies apply; empty for that of the credential.
        customer: the customer whose policy applies in addition; empty for none.
        user, groups, agent: the subject.
        session: the conversation.
    """

    tenant: str = ""
    customer: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    agent: str = ""
    session: str = ""


_NOTICE: Final[Mapping[str, str]] = {
    "approval_id": "approvalId",
    "approval_state": "approvalState",
    "confirmation": "confirmation",
    "expires_at": "expiresAt",
}
"""The names that the facts of a `HoldNotice` have in the data of an error."""


class McpRefusal(NamedTuple):
    """Why a message does not pass.

    Attributes:
        code: the JSON-RPC error code.
        message: for people.
        data: for programs: the reason, the decision, and what a held message waits for.
        is_held: whether the message waits for a person.
    """

    code: int
    message: str
    data: Mapping[str, Any]
    is_held: bool = False

    @property
    def reason(self) -> str:
        """The reason code."""
        return str(self.data.get("reason", ""))

    @property
    def notice(self) -> dict[str, Any]:
        """What a client needs to go on with a held message; empty if it cannot."""
        return {name: self.data[name] for name in _NOTICE.values() if name in self.data}


class MessageJudge:
    """Asks for decisions on messages, and carries them out."""

    def __init__(self, source: DecisionSource, server: str, *, simulates: bool = True) -> None:
        """Args:
        source: makes the decisions.
        server: the name of the MCP server, for the actions of its tools.
        simulates: whether messages that need not count are simulated; otherwise they are decided.
        """
        self._source = source
        self._server = server
        self._simulates = simulates

    async def judge(
        self,
        message: McpMessage,
        caller: McpCaller,
        judgement: McpJudgement,
        answers: str = "",
        tokens: Sequence[str] | None = None,
    ) -> McpMessage | McpRefusal:
        """Returns the message as it may pass, with its redactions; or why it may not.

        Args:
            message: a request, a notification or an answer.
            caller: for whom it is judged.
            judgement: whether the decision counts.
            answers: the method of the request that an answer belongs to; empty if it is not known.
            tokens: the confirmations that came with a request, which is then decided in any case;
                None if its sender can send none.
        """
        request = self._request(message, caller, answers)
        request.tokens.extend(tokens or ())
        try:
            if judgement is McpJudgement.SIMULATE and not tokens:
                decision = await self._tried(request)
            else:
                decision = await decide_approved(self._source.decide, request)
        except DecisionFailed as failure:
            return _without_decision(failure)
        if _is_unconditional(decision):
            return message
        if _is_redaction(decision):
            return await _redacted(message, decision)
        return refusal_of(decision, confirmable=tokens is not None)

    async def _tried(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """Returns the decision on what need not count: it opens no approval and uses none."""
        if self._simulates:
            return await self._source.simulate(request)
        request.without_approval = True
        return await self._source.decide(request)

    def _request(self, message: McpMessage, caller: McpCaller, answers: str) -> pb.DecideRequest:
        request = pb.DecideRequest(
            tenant_id=caller.tenant,
            customer_id=caller.customer,
            subject=pb.Subject(user_id=caller.user, groups=caller.groups, agent_id=caller.agent),
            session_id=caller.session,
            direction="input" if message.method else "output",
            channel="api",
            target=pb.Target(resource_type=MCP_SERVER, resource_id=self._server),
            payload=pb.Payload(format=FORMAT, body=message.text, answers=answers),
        )
        request.context.update(
            {"mcp": {"method": message.method or answers, "servers": [self._server]}}
        )
        return request


def refusal_of(decision: pb.DecideResponse, *, confirmable: bool = False) -> McpRefusal:
    """Returns the refusal that a decision is.

    Args:
        decision: the decision.
        confirmable: whether the sender can send the confirmation of a prompt back.
    """
    data: dict[str, Any] = {
        "reason": decision.reason_code or "UNSUPPORTED_OBLIGATION",
        "outcome": pb.Outcome.Name(decision.outcome).removeprefix("OUTCOME_"),
        "decisionId": decision.decision_id,
        "statusHint": decision.status_hint,
    }
    if decision.HasField("retry_after_s"):
        data["retryAfterS"] = decision.retry_after_s
    notice = notice_of(decision, confirmable=confirmable)
    data |= {_NOTICE[name]: value for name, value in notice.facts().items()}
    message = notice.explain(decision.message or "A policy does not allow this.", "call again")
    return McpRefusal(DENIED, message, data, is_held(decision))


def local_refusal(reason: str, message: str) -> McpRefusal:
    """Returns a denial of the proxy itself, without a decision."""
    return McpRefusal(DENIED, message, {"reason": reason})


def _without_decision(failure: DecisionFailed) -> McpRefusal:
    code = INVALID_PARAMS if failure.at_fault else INTERNAL_ERROR
    return McpRefusal(code, f"There is no decision: {failure.message}", {"reason": failure.code})


def _is_unconditional(decision: pb.DecideResponse) -> bool:
    """Whether a decision lets the message pass as it is."""
    return (
        decision.allowed
        and decision.outcome in _PASSING
        and not decision.obligations
        and not decision.HasField("redacted_payload")
    )


def _is_redaction(decision: pb.DecideResponse) -> bool:
    """Whether all that a decision demands is that the redacted message is passed on."""
    return (
        decision.allowed
        and decision.outcome in (*_PASSING, pb.OUTCOME_REDACT)
        and decision.HasField("redacted_payload")
        and all(each.type == pb.OBLIGATION_TYPE_REDACT for each in decision.obligations)
    )


async def _redacted(message: McpMessage, decision: pb.DecideResponse) -> McpMessage | McpRefusal:
    """Returns the redacted message. If a redaction changes what it acts on, it is refused."""
    try:
        redacted = await read_aside(decision.redacted_payload.encode())
    except MalformedMessage:
        return _unredactable(decision)
    name = NAMED.get(message.method, "")
    same = (
        redacted.id == message.id
        and redacted.method == message.method
        and redacted.params.get(name) == message.params.get(name)
    )
    return redacted if same else _unredactable(decision)


def _unredactable(decision: pb.DecideResponse) -> McpRefusal:
    refusal = refusal_of(decision)
    text = "The name or the id of the request would have to be redacted, so it is refused."
    return refusal._replace(message=text, data={**refusal.data, "reason": "NOT_REDACTABLE"})
