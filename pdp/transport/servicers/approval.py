"""ApprovalService: shows and answers requests that wait for a second person."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import approval_pb2 as pb
from pdp.domain.access import ADMIN, APPROVER, AUDITOR
from pdp.domain.approval import Answerer
from pdp.domain.decision_record import DecisionRecord
from pdp.domain.group_resolver import normalize_group
from pdp.transport.paging import answer_list
from pdp.transport.record_messages import record_message
from pdp.transport.servicers.fields import to_optional_timestamp, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.approvals.answers import Approvals
    from pdp.auth.principal import Principal
    from pdp.domain.approval import Approval, EscalatedRule
    from pdp.transport.call import Call, Endpoint

_READERS = frozenset({APPROVER, AUDITOR})
"""The roles that see all approvals of a tenant."""


class ApprovalServicer:
    """Shows and answers the approvals of the tenant that a call acts for."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListApprovals": self.list,
            "GetApproval": self.get,
            "ApproveApproval": self.approve,
            "DenyApproval": self.deny,
            "CancelApproval": self.cancel,
        }

    async def list(self, call: Call, message: Message) -> pb.ListApprovalsResponse:
        """Lists approvals."""
        request = cast("pb.ListApprovalsRequest", message)
        return await answer_list(
            call,
            request,
            "approvals",
            read=lambda page: self._approvals.list(call.tenant_id, page, request.state),
            build=lambda page: pb.ListApprovalsResponse(approvals=map(_message, page.items)),
        )

    async def get(self, call: Call, message: Message) -> pb.GetApprovalResponse:
        """Returns an approval. A caller that may not see all sees those that it asked for."""
        request = cast("pb.GetApprovalRequest", message)
        principal = call.principal
        asked_by = principal.name if _READERS.isdisjoint(principal.roles) else ""
        approval = await self._approvals.get(call.tenant_id, request.id, asked_by)
        return pb.GetApprovalResponse(approval=_message(approval))

    async def approve(self, call: Call, message: Message) -> pb.ApproveApprovalResponse:
        """Approves a request."""
        request = cast("pb.ApproveApprovalRequest", message)
        answerer = _answerer(call.principal)
        approval = await self._approvals.approve(
            call.tenant_id, request.id, answerer, request.reason
        )
        return pb.ApproveApprovalResponse(approval=_message(approval))

    async def deny(self, call: Call, message: Message) -> pb.DenyApprovalResponse:
        """Denies a request."""
        request = cast("pb.DenyApprovalRequest", message)
        answerer = _answerer(call.principal)
        approval = await self._approvals.deny(call.tenant_id, request.id, answerer, request.reason)
        return pb.DenyApprovalResponse(approval=_message(approval))

    async def cancel(self, call: Call, message: Message) -> pb.CancelApprovalResponse:
        """Cancels an approval that the caller asked for; an admin may cancel any."""
        request = cast("pb.CancelApprovalRequest", message)
        principal = call.principal
        approval = await self._approvals.cancel(
            call.tenant_id,
            request.id,
            principal.name,
            request.reason,
            is_admin=ADMIN in principal.roles,
        )
        return pb.CancelApprovalResponse(approval=_message(approval))


def _answerer(principal: Principal) -> Answerer:
    groups = frozenset(map(normalize_group, principal.groups))
    return Answerer(principal.person, principal.name, principal.roles, groups)


def _message(approval: Approval) -> pb.Approval:
    return pb.Approval(
        id=approval.id,
        state=approval.state_at(time.time()),
        message=approval.message,
        asked_by=approval.asked_by,
        created_at=to_timestamp(approval.created_at),
        expires_at=to_timestamp(approval.expires_at),
        rules=map(_rule, approval.rules),
        record=record_message(DecisionRecord.from_json(approval.record)),
        input_hash=approval.input_hash,
        answered_by=approval.answered_by,
        answered_at=to_optional_timestamp(approval.answered_at or None),
        answer_reason=approval.answer_reason,
        used_at=to_optional_timestamp(approval.used_at or None),
    )


def _rule(rule: EscalatedRule) -> pb.EscalatedRule:
    return pb.EscalatedRule(
        layer=rule.layer,
        policy_id=rule.policy_id,
        name=rule.name,
        message=rule.message,
        approvers=rule.approvers,
        approved_by=rule.approved_by,
    )
