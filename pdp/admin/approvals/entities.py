"""Opens, uses and closes approvals in a transaction. All checks come before the first write."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.approval import (
    APPROVAL_CANCELLED,
    APPROVAL_LIMIT,
    APPROVED,
    CANCELLED,
    CONFIRMATION_KIND,
    DENIED,
    EXPIRED,
    KIND,
    MAX_OPEN_OF_SUBJECT,
    MAX_OPEN_OF_TENANT,
    OPEN_STATES,
    PENDING,
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    TOKEN_USED,
    USED,
    Approval,
    ApprovalFailed,
    body_of,
    denial,
)
from pdp.domain.ids import new_id
from pdp.domain.stored_entity import StoredEntity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.approval import ApprovalDraft, TokenUse
    from pdp.store.port import Reader, Transaction

SYSTEM_ACTOR: Final = "pdp"
"""Who closes approvals whose time is over."""

EMBEDDED_ACTOR: Final = "embedded"
"""A program that embeds the engine, and so has no credential."""

_REPLACED: Final = "other rules hold the request now"


def read_approval(reader: Reader, tenant_id: str, approval_id: str) -> Approval | None:
    """Returns an approval; None if the tenant has no such one."""
    entity = reader.get(KIND, tenant_id, approval_id)
    return None if entity is None else Approval(**entity.body)


class Opening(NamedTuple):
    """The result of `open_approval`.

    Attributes:
        approval: the approval.
        expired: how many approvals were closed for it because their time was over.
    """

    approval: Approval
    expired: int = 0


def is_used(reader: Reader, tenant_id: str, confirmation_id: str) -> bool:
    """Returns whether a confirmation has been used."""
    return reader.get(CONFIRMATION_KIND, tenant_id, confirmation_id) is not None


def open_approval(transaction: Transaction, draft: ApprovalDraft) -> Opening:
    """Opens an approval, or returns the open one of the same input and caller.

    Raises:
        ApprovalFailed: it was denied, or too many are open.
    """
    now, tenant_id = transaction.now, draft.tenant_id
    name = f"{draft.input_hash} {draft.caller}"
    entity = transaction.find(KIND, tenant_id, name)
    earlier = None if entity is None else Approval(**entity.body)
    if earlier is not None:
        if earlier.state == DENIED and now < earlier.expires_at:
            raise ApprovalFailed(denial(earlier))
        keys = {each.key for each in earlier.rules}
        if earlier.state_at(now) in OPEN_STATES and keys.issuperset(
            each.key for each in draft.rules
        ):
            return Opening(earlier)
    replaces = earlier is not None and earlier.state in OPEN_STATES
    if transaction.count_open_approvals(tenant_id) - replaces >= MAX_OPEN_OF_TENANT:
        raise ApprovalFailed(APPROVAL_LIMIT)
    if transaction.count_open_approvals(tenant_id, draft.subject) - replaces >= MAX_OPEN_OF_SUBJECT:
        raise ApprovalFailed(APPROVAL_LIMIT)
    expired = 0 if earlier is None else _release(transaction, tenant_id, earlier)
    approval = Approval(
        id=new_id(),
        state=PENDING,
        message=draft.message,
        input_hash=draft.input_hash,
        inputs=draft.inputs,
        rules=draft.rules,
        subject=draft.subject,
        barred=draft.barred,
        asked_by=draft.caller,
        record=draft.record,
        created_at=now,
        # Whole seconds, so that the token of the same approval is always the same.
        expires_at=float(int(now) + draft.expires_s),
    )
    actor = draft.caller or EMBEDDED_ACTOR
    put(transaction, tenant_id, approval, actor, "Asked for an approval", name=name)
    return Opening(approval, expired)


def _release(transaction: Transaction, tenant_id: str, approval: Approval) -> int:
    """Closes an approval whose input gets another one; returns 1 if its time was over, else 0."""
    if approval.state not in OPEN_STATES:
        put(transaction, tenant_id, approval, SYSTEM_ACTOR, "The denial is over")
    elif approval.state_at(transaction.now) == EXPIRED:
        close_expired(transaction, tenant_id, approval)
        return 1
    else:
        closed = replace(approval, state=CANCELLED, answer_reason=_REPLACED)
        put(transaction, tenant_id, closed, SYSTEM_ACTOR, f"Cancelled: {_REPLACED}")
    return 0


def close_expired(transaction: Transaction, tenant_id: str, approval: Approval) -> None:
    """Closes an approval whose time is over."""
    closed = replace(approval, state=EXPIRED)
    put(transaction, tenant_id, closed, SYSTEM_ACTOR, "The approval expired")


def use_tokens(transaction: Transaction, tenant_id: str, uses: Sequence[TokenUse]) -> None:
    """Uses all tokens, or none.

    Raises:
        ApprovalFailed: a token has been used, or its approval is not given.
    """
    now = transaction.now
    approvals: dict[str, Approval] = {}
    for use in uses:
        if use.kind == CONFIRMATION_KIND:
            _check_confirmation(transaction, tenant_id, use)
        else:
            approvals[use.id] = _usable(transaction, tenant_id, use)
    for use in uses:
        actor = use.actor or EMBEDDED_ACTOR
        if use.kind == CONFIRMATION_KIND:
            body = {"state": USED, "expires_at": use.expires_at, "input_hash": use.input_hash}
            entity = StoredEntity(CONFIRMATION_KIND, tenant_id, use.id, body)
            transaction.put(entity, actor=actor, summary="The user confirmed the request")
        else:
            used = replace(approvals[use.id], state=USED, used_at=now)
            put(transaction, tenant_id, used, actor, "The approved request passed")


def _check_confirmation(reader: Transaction, tenant_id: str, use: TokenUse) -> None:
    if use.expires_at <= reader.now:
        raise ApprovalFailed(TOKEN_EXPIRED)
    if is_used(reader, tenant_id, use.id):
        raise ApprovalFailed(TOKEN_USED)


def _usable(reader: Transaction, tenant_id: str, use: TokenUse) -> Approval:
    approval = read_approval(reader, tenant_id, use.id)
    if approval is None or approval.input_hash != use.input_hash:
        raise ApprovalFailed(TOKEN_INVALID)
    state = approval.state_at(reader.now)
    if state == APPROVED:
        return approval
    problem = {USED: TOKEN_USED, EXPIRED: TOKEN_EXPIRED, CANCELLED: APPROVAL_CANCELLED}
    raise ApprovalFailed(denial(approval) if state == DENIED else problem.get(state, TOKEN_INVALID))


def put(
    transaction: Transaction,
    tenant_id: str,
    approval: Approval,
    actor: str,
    summary: str,
    *,
    name: str | None = None,
) -> None:
    """Stores an approval, and logs the change.

    Args:
        transaction: the transaction.
        tenant_id: the tenant.
        approval: the approval.
        actor: who has changed it.
        summary: the change in words.
        name: what the same input of the same caller finds it by; None if it is closed.
    """
    entity = StoredEntity(KIND, tenant_id, approval.id, body_of(approval), name)
    transaction.put(entity, actor=actor, summary=summary)
