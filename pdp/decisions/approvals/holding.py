"""Holds requests: what the decision on one says, and the approval that it opens."""

from __future__ import annotations

import time
from threading import local
from typing import TYPE_CHECKING, Any, Final

from pdp.decisions.approvals.grants import NO_GRANTS
from pdp.decisions.approvals.tokens import HoldToken, sign, subject_digest
from pdp.decisions.record_builder import PendingRecord, RecordBuilder
from pdp.domain.approval import (
    APPROVAL_TOO_LARGE,
    APPROVAL_UNAVAILABLE,
    CONFIRMATION_EXPIRY_S,
    CONFIRMATION_KIND,
    KIND,
    MAX_HOLDS,
    MAX_INPUTS,
    ApprovalDraft,
    ApprovalFailed,
    EscalatedRule,
    identity,
)
from pdp.domain.decision import (
    NO_INPUTS,
    Decision,
    Fault,
    Obligation,
    ObligationType,
    Outcome,
    Risk,
    RiskFactor,
)
from pdp.domain.ids import new_id
from pdp.domain.layers import ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.decisions.approvals.grants import Grants
    from pdp.domain.approval import Approval, ApprovalProblem
    from pdp.domain.decision import Hold
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot

_builders: Final = local()
"""A builder of records for each thread: it is used by one."""


def describe(snapshot: Snapshot, request: Request, decision: Decision) -> Mapping[str, Any]:
    """Returns what an approver sees: the record of a decision, with its redacted text."""
    builder: RecordBuilder | None = getattr(_builders, "builder", None)
    if builder is None:
        builder = _builders.builder = RecordBuilder()
    pending = PendingRecord(snapshot, request, decision, time.time())
    return builder.make(pending, with_text=True).record.to_json()


def check_holds(decision: Decision) -> None:
    """Checks that one approval or confirmation can be about all that holds a request.

    Raises:
        ApprovalFailed: too many rules or parts hold it.
    """
    inputs = max((len(each.tags) for each in decision.inputs.values()), default=0)
    if len(decision.holds) > MAX_HOLDS or inputs > MAX_INPUTS:
        raise ApprovalFailed(APPROVAL_TOO_LARGE)


def draft_of(
    snapshot: Snapshot,
    request: Request,
    decision: Decision,
    record: Mapping[str, Any],
    grants: Grants = NO_GRANTS,
) -> ApprovalDraft:
    """Returns the approval that a decision opens.

    Args:
        snapshot: the policies of the decision.
        request: the request.
        decision: the decision, whose outcome is ESCALATE.
        record: what an approver sees; see `describe`.
        grants: what tokens have let pass. The approval is also about the rules that an approval
            of the same input has let pass.

    Raises:
        ApprovalFailed: there is no key, or too many rules hold the request.
    """
    key = snapshot.platform.keys.approval
    if not key:
        raise ApprovalFailed(APPROVAL_UNAVAILABLE)
    holds = [each for each in decision.holds if each.outcome is Outcome.ESCALATE]
    held = decision.inputs[Outcome.ESCALATE]
    approved = grants.rules.get(held.hash, ())
    rules = {each.key: each for each in (*map(_rule_of, holds), *approved)}
    if len(rules) > MAX_HOLDS:
        raise ApprovalFailed(APPROVAL_TOO_LARGE)
    caller, subject = request.caller, request.subject
    names = (subject.user_id, subject.agent_id, caller.name, caller.person)
    return ApprovalDraft(
        tenant_id=request.tenant_id,
        caller=caller.name,
        message=" ".join(dict.fromkeys(each.message for each in holds)),
        input_hash=held.hash,
        inputs=held.tags,
        rules=tuple(each._replace(approved_by="") for each in rules.values()),
        subject=subject_digest(key, request),
        barred=tuple(map(identity, filter(None, names))),
        record=record,
        expires_s=min(each.expires_s for each in holds),
    )


def _rule_of(hold: Hold) -> EscalatedRule:
    name = hold.name
    return EscalatedRule(hold.key, hold.layer, hold.policy_id, name, hold.message, hold.approvers)


def with_tokens(
    snapshot: Snapshot, request: Request, decision: Decision, approval: Approval | None
) -> Decision:
    """Returns a decision that holds a request, with the tokens in its obligations.

    Args:
        snapshot: the policies of the decision.
        request: the request.
        decision: the decision.
        approval: the approval that it waits for; None if it waits for the user alone.
    """
    key = snapshot.platform.keys.approval
    if not key:
        return decision  # nothing can be confirmed: the request stays held
    confirmation = _confirmation(key, request, decision)
    approved = None if approval is None else _waiting_for(key, request, decision, approval)
    obligations: list[Obligation] = []
    for each in decision.obligations:
        if each.type is ObligationType.PROMPT:
            obligations.append(each._replace(**confirmation))
        elif each.type is not ObligationType.APPROVAL:
            obligations.append(each)
    if approved is not None:
        obligations.append(approved)
    return decision._replace(obligations=tuple(obligations))


def _confirmation(key: bytes, request: Request, decision: Decision) -> dict[str, Any]:
    """Returns what the prompts of a decision get: a token for all of them, if it has any."""
    prompts = tuple(each.key for each in decision.holds if each.outcome is Outcome.PROMPT)
    if not prompts:
        return {}
    expires_at = int(time.time()) + CONFIRMATION_EXPIRY_S
    held = decision.inputs[Outcome.PROMPT]
    subject = subject_digest(key, request)
    token = HoldToken(
        CONFIRMATION_KIND,
        new_id(),
        request.tenant_id,
        subject,
        held.hash,
        held.tags,
        prompts,
        expires_at,
    )
    return {"token": sign(key, token), "expires_at": float(expires_at)}


def _waiting_for(
    key: bytes, request: Request, decision: Decision, approval: Approval
) -> Obligation:
    """Returns the one obligation of a request that waits for an approval."""
    held = decision.inputs[Outcome.ESCALATE]
    expires_at = int(approval.expires_at)
    subject = subject_digest(key, request)
    token = HoldToken(
        KIND, approval.id, request.tenant_id, subject, held.hash, held.tags, (), expires_at
    )
    return Obligation(
        ObligationType.APPROVAL,
        message=approval.message,
        approval_id=approval.id,
        expires_at=float(expires_at),
        token=sign(key, token),
        approval_state=approval.state,
    )


def stopped_by(
    decision: Decision, problem: ApprovalProblem, error: BaseException | None = None
) -> Decision:
    """Returns the BLOCK that replaces a decision, because it cannot be held or a token is refused.

    Args:
        decision: the decision. Its matches and its risk stay.
        problem: why.
        error: the error behind it, for the log; None for none.
    """
    faults = decision.faults if error is None else (*decision.faults, Fault(ENGINE, error))
    payload = decision.payload
    return decision._replace(
        outcome=Outcome.BLOCK,
        message=problem.message,
        reason_code=problem.reason_code,
        status_hint=problem.status_hint,
        obligations=(),
        redacted_text=None,
        redacted_arguments=None,
        payload=None if payload is None else payload._replace(redacted=None),
        incomplete=decision.incomplete or error is not None,
        faults=faults,
        plain=False,
        retry_after_s=None,
        holds=(),
        held=(),
        inputs=NO_INPUTS,
    )


def refused_token(snapshot: Snapshot, request: Request, failure: ApprovalFailed) -> Decision:
    """Returns the BLOCK for a request whose token is refused; nothing else is evaluated."""
    problem = failure.problem
    # The cause of an altered token is what the library says, which is no fault of the server.
    error = failure.__cause__ if problem is APPROVAL_UNAVAILABLE else None
    risk = snapshot.platform.risk
    factor = RiskFactor(ENGINE, problem.reason_code, risk.escalation)
    decision = Decision(
        decision_id=new_id(),
        request_id=request.request_id,
        outcome=Outcome.BLOCK,
        message=problem.message,
        reason_code=problem.reason_code,
        status_hint=problem.status_hint,
        risk=Risk(factor.points, risk.level(factor.points), (factor,)),
        revision=snapshot.revision,
        policies_known_at=snapshot.known_at,
    )
    return stopped_by(decision, problem, error)
