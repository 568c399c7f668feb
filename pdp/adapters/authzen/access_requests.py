"""Access requests: a denial that a second person can lift, and the task that waits for it.

They have the form of the draft `authzen-access-request-approval-profile-1_0`. A task is an
approval. The denied evaluation has opened it, and a submission only returns its handle.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.authzen.answers import HELD, approval_of, carried_out, permits
from pdp.adapters.authzen.documents import read_evaluation
from pdp.adapters.authzen.mapping import renamed, to_message
from pdp.adapters.authzen.metadata import REQUESTS
from pdp.decisions.approvals.grants import read_tokens
from pdp.decisions.payloads import questions_of, with_model
from pdp.domain.approval import (
    APPROVED,
    DENIED,
    KIND,
    PENDING,
    TOKEN_EXPIRED,
    ApprovalFailed,
)
from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.problems import Problems, type_mismatch
from pdp.transport.admission import TENANT_HEADER
from pdp.transport.beside import run_beside
from pdp.transport.guards import settle_tenant
from pdp.transport.servicers.fields import to_timestamp
from pdp.transport.servicers.request_conversion import convert, read_payload

if TYPE_CHECKING:
    from pdp._gen.pdp.v1 import approval_pb2
    from pdp.adapters.authzen.answers import JsonAnswer
    from pdp.adapters.authzen.documents import JsonObject
    from pdp.adapters.authzen.mapping import Mapped
    from pdp.decisions.decider import Decider
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort

PROBLEM: Final = "urn:openid:authzen:access-request:error:"
"""What the types of all problems begin with."""

MAX_TOKEN: Final = 8192
"""Characters of a binding token, as in DecideRequest."""

POLL_AFTER_S: Final = 5
"""How long an enforcement point waits between two looks at a task."""

APPROVAL_REQUIRED: Final = "approval_required"
UNVERIFIABLE: Final = "approval_unverifiable"
POLICY_DENIED: Final = "policy_denied"
"""Reasons of denials, as the draft names them."""

_TITLE: Final = "Approval required"


class RefusedSubmission(InvalidArgument):
    """A submission that is not bound to a denial which can be requested.

    Attributes:
        problem: the type of the problem, without `PROBLEM`.
        status: the HTTP status.
    """

    def __init__(self, problem: str, status: int, message: str) -> None:
        super().__init__(message)
        self.problem = problem
        self.status = status


class TaskAnswer(NamedTuple):
    """The answer to a submission, or to a look at a task.

    Attributes:
        value: the task, with its result if it is approved.
        is_pending: whether the task waits for a person.
        location: the URL of the task.
    """

    value: JsonAnswer
    is_pending: bool
    location: str


class AccessRequests:
    """Offers access requests with denials, and shows their tasks."""

    def __init__(self, port: DecidePort, decider: Decider, url: str) -> None:
        """Takes what access requests work with.

        Args:
            port: reads approvals.
            decider: has the policies of tenants.
            url: the URL of the server.
        """
        self._port = port
        self._decider = decider
        self._endpoint = f"{url}{REQUESTS}"

    def context(self, response: pb.DecideResponse, mapped: Mapped) -> JsonAnswer:
        """Returns what the context of an answer says of access requests and approvals.

        Args:
            response: the decision.
            mapped: the evaluation that it answers.
        """
        if permits(response, mapped.supported):
            used = any(each.approved_by == mapped.approval_id for each in response.matches)
            return {"approval": {"id": mapped.approval_id}} if mapped.approval_id and used else {}
        approval = approval_of(response)
        if approval is None or not _is_requestable(response, approval, mapped.supported):
            return _next_action(response) if mapped.approval_id else {}
        context: JsonAnswer = {
            "evaluation_id": response.decision_id,
            "evaluated_at": to_timestamp(time.time()).ToJsonString(),
            "reason": APPROVAL_REQUIRED,
            "access_request": self._offer(approval),
        }
        if mapped.approval_id not in {"", approval.approval_id}:
            context |= {"reason": UNVERIFIABLE, "next_action": "request"}
        return context

    def _offer(self, approval: pb.Obligation) -> JsonAnswer:
        return {
            "endpoint": self._endpoint,
            "expires_at": approval.expires_at.ToJsonString(),
            "binding_token": approval.token,
            "display": {"title": _TITLE, "description": approval.message},
        }

    async def submit(self, call: Call, document: JsonObject, size: int) -> TaskAnswer:
        """Returns the task of an access request.

        Args:
            call: the call, which has been admitted.
            document: the body.
            size: the size of the body, in bytes.

        Raises:
            RefusedSubmission: it is not bound to a denial that can be requested.
            PdpError: the document is no valid submission, or there is no answer now.
        """
        token = _binding_token(document)
        tenant_id = settle_tenant(call, "", TENANT_HEADER)
        snapshot = await self._decider.snapshot(tenant_id)
        mapped = await run_beside(
            size,
            to_message,
            read_evaluation(document),
            snapshot.tool_actions.action_of,
            takes_approval=True,
        )
        mapped.message.tokens[:] = [token]
        try:
            request, inputs = await self._read(call, snapshot, mapped.message)
        except InvalidArgument as error:
            raise renamed(error, mapped) from None
        key = snapshot.platform.keys.approval
        approval_id = await run_beside(size, _approval_id, key, request, inputs)
        approval = await self._port.approval(call, approval_id)
        if approval.asked_by != call.principal.name:
            raise _unbound("the denial was the answer to another caller")
        return self._task(approval)

    async def status(self, call: Call, task_id: str) -> TaskAnswer:
        """Returns a task that the caller has submitted.

        Raises:
            PdpError: there is no such task, or it cannot be read now.
        """
        approval = await self._port.approval(call, task_id)
        if approval.asked_by != call.principal.name:
            raise RefusedSubmission("unknown_task", 404, "there is no such task")
        return self._task(approval)

    async def _read(
        self, call: Call, snapshot: Snapshot, message: pb.DecideRequest
    ) -> tuple[Request, list[Request]]:
        """Returns a request, and the inputs that its decision is about."""
        heavy, tenant_id = self._decider.evaluator.heavy, snapshot.tenant_id
        request = await convert(
            heavy,
            message,
            tenant_id,
            call.request_id,
            caller=call.principal.caller,
            takes_payload=True,
        )
        if not message.HasField("payload"):
            return request, [request]
        payload = await read_payload(heavy, tenant_id, message)
        questions = questions_of(snapshot, with_model(request, payload), payload)
        return request, [each.request for each in questions]

    def _task(self, approval: approval_pb2.Approval) -> TaskAnswer:
        location = f"{self._endpoint}/{approval.id}"
        expires_at = approval.expires_at.ToJsonString()
        description = approval.message
        if approval.state == DENIED:
            description = f"The approval was denied: {approval.answer_reason}"
        value: JsonAnswer = {
            "task": {
                "id": approval.id,
                "status": approval.state,
                "status_endpoint": location,
                "expires_at": expires_at,
                "display": {"title": _TITLE, "description": description},
            }
        }
        if approval.state == APPROVED:
            value["result"] = {
                "mode": "reevaluate",
                "approval": {
                    "id": approval.id,
                    "approved_at": approval.answered_at.ToJsonString(),
                    "approved_until": expires_at,
                },
            }
        return TaskAnswer(value, approval.state == PENDING, location)


def _is_requestable(
    response: pb.DecideResponse, approval: pb.Obligation, supported: frozenset[str]
) -> bool:
    """Whether an evaluation can pass once it is approved.

    The enforcement point must carry out its other obligations then.
    """
    done = HELD | carried_out(supported)
    return (
        response.outcome == pb.OUTCOME_ESCALATE
        and bool(approval.approval_id and approval.token)
        and all(each.type in done for each in response.obligations)
    )


def _next_action(response: pb.DecideResponse) -> JsonAnswer:
    """Returns what to do after a denial that no approval lifts, for one that refers to one."""
    if response.HasField("retry_after_s"):
        return {"next_action": "retry", "retry_after": response.retry_after_s}
    return {"reason": POLICY_DENIED, "next_action": "none"}


def _binding_token(document: JsonObject) -> str:
    """Returns the binding token of a submission.

    Raises:
        InvalidArgument: the submission has no denial, or one of its members has a wrong type.
        RefusedSubmission: there is no binding token.
    """
    denial = document.get("denial")
    if not isinstance(denial, dict):
        reason = "is required" if "denial" not in document else type_mismatch("an object", denial)
        raise InvalidArgument.of(Violation("denial", reason))
    problems = Problems()
    if type(denial.get("expires_at")) is not str:
        problems.add("denial.expires_at", "is required, and must be a string")
    token: Any = denial.get("binding_token", "")
    if type(token) is not str:
        problems.add("denial.binding_token", type_mismatch("a string", token))
    problems.raise_if_any()
    if not token or len(token) > MAX_TOKEN:
        raise _unbound("denial.binding_token must be that of the denied evaluation")
    return str(token)


def _approval_id(key: bytes, request: Request, inputs: list[Request]) -> str:
    """Returns the approval that a binding token is for.

    Raises:
        RefusedSubmission: the token is not one for this request, or is none of an approval.
    """
    try:
        (token,) = read_tokens(key, request, inputs).tokens
    except ApprovalFailed as error:
        if error.problem is TOKEN_EXPIRED:
            raise RefusedSubmission("expired_denial", 410, "the denial has expired") from None
        raise _unbound(error.problem.message) from None
    if token.kind != KIND:
        raise RefusedSubmission(
            "not_requestable", 400, "the denied evaluation waits for its user, and for no approval"
        )
    return token.id


def _unbound(reason: str) -> RefusedSubmission:
    return RefusedSubmission("invalid_denial_binding", 400, reason)
