"""Approvals as people see and answer them (docs/approvals.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pdp.admin.approvals.entities import put, read_approval
from pdp.admin.pages import Page, PageRequest, list_page
from pdp.domain.approval import (
    APPROVED,
    CANCELLED,
    DENIED,
    KIND,
    OPEN_STATES,
    PENDING,
    Answerer,
    Approval,
    identity,
)
from pdp.domain.request import Subject
from pdp.errors import ApprovalClosed, ApprovalNotFound, ApprovalRefused
from pdp.store.codec import check_texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.admin.workspace import Workspace
    from pdp.store.port import Reader, Transaction

NO_PERSON: Final = (
    "the credential names no person; use a token with a subject, or an API key with an owner"
)


class Approvals:
    """Shows and answers the approvals of a tenant. Nothing here changes a policy."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, tenant_id: str, request: PageRequest, state: str = "") -> Page[Approval]:
        """Returns a page of the tenant's approvals, in order of creation.

        Args:
            tenant_id: the tenant.
            request: the page.
            state: only approvals in this state; empty for all. One whose time is over is listed as
                it was until it is closed, some seconds later.

        Raises:
            InvalidArgument: there is no such page.
        """
        return await self._workspace.read(
            lambda reader: list_page(
                reader,
                KIND,
                tenant_id,
                request,
                shipped=tuple,
                own=lambda entity: Approval(**entity.body),
                matching={"state": state} if state else {},
            )
        )

    async def get(self, tenant_id: str, approval_id: str, asked_by: str = "") -> Approval:
        """Returns an approval.

        Args:
            tenant_id: the tenant.
            approval_id: the approval.
            asked_by: the caller that must have asked for it; empty for any.

        Raises:
            ApprovalNotFound: there is no such approval, or another caller asked for it.
        """

        def work(reader: Reader) -> Approval:
            approval = _find(reader, tenant_id, approval_id)
            if asked_by and approval.asked_by != asked_by:
                raise _not_found(approval_id)
            return approval

        return await self._workspace.read(work)

    async def approve(
        self, tenant_id: str, approval_id: str, answerer: Answerer, reason: str
    ) -> Approval:
        """Approves a request for all rules that the answerer may answer.

        Raises:
            ApprovalNotFound: there is no such approval.
            ApprovalClosed: it is not pending.
            ApprovalRefused: the answerer may not answer it.
        """
        return await self._answer(tenant_id, approval_id, answerer, reason, Approval.approved_for)

    async def deny(
        self, tenant_id: str, approval_id: str, answerer: Answerer, reason: str
    ) -> Approval:
        """Denies a request; see `approve`. An approval that was not used yet is taken back."""
        return await self._answer(tenant_id, approval_id, answerer, reason, Approval.denied_by)

    async def cancel(
        self, tenant_id: str, approval_id: str, actor: str, reason: str, *, is_admin: bool
    ) -> Approval:
        """Closes an approval without an answer.

        Args:
            tenant_id: the tenant.
            approval_id: the approval.
            actor: who cancels it.
            reason: why; may be empty.
            is_admin: whether the caller may cancel what others have asked for.

        Raises:
            ApprovalNotFound: there is no such approval, or another caller asked for it.
            ApprovalClosed: it is not open.
        """
        check_texts(reason=reason)

        def work(transaction: Transaction) -> Approval:
            approval = _find(transaction, tenant_id, approval_id)
            if not is_admin and approval.asked_by != actor:
                raise _not_found(approval_id)
            _check_state(approval, OPEN_STATES, transaction.now, "cancelled")
            cancelled = replace(approval, state=CANCELLED, answer_reason=reason)
            put(transaction, tenant_id, cancelled, actor, "Cancelled the approval")
            return cancelled

        return await self._written(work)

    async def _answer(
        self,
        tenant_id: str,
        approval_id: str,
        answerer: Answerer,
        reason: str,
        answer: Callable[[Approval, Answerer, str, float], Approval],
    ) -> Approval:
        check_texts(reason=reason)
        if not answerer.person:
            raise ApprovalRefused(NO_PERSON)
        groups = answerer.groups | await self._groups_of(tenant_id, answerer.person)
        answerer = answerer._replace(groups=groups)

        def work(transaction: Transaction) -> Approval:
            approval = _find(transaction, tenant_id, approval_id)
            answered = answer(approval, answerer, reason, transaction.now)
            is_denial = answered.state == DENIED
            states = OPEN_STATES if is_denial else frozenset({PENDING})
            verb = "denied" if is_denial else "approved"
            _check_state(approval, states, transaction.now, verb)
            _check_answerer(approval, answerer)
            put(
                transaction,
                tenant_id,
                answered,
                answerer.actor,
                _summary(answered, answerer.person),
                name=f"{approval.input_hash} {approval.asked_by}",
            )
            return answered

        return await self._written(work)

    async def _groups_of(self, tenant_id: str, person: str) -> frozenset[str]:
        """Returns the user groups of the tenant that list the person."""
        snapshot = await self._workspace.snapshot(tenant_id)
        return snapshot.facts.groups.names_of(Subject(person))

    async def _written(self, work: Callable[[Transaction], Approval]) -> Approval:
        approval = await self._workspace.transact(work)
        self._workspace.notify()
        return approval


def _summary(approval: Approval, person: str) -> str:
    if approval.state == DENIED:
        return f"{person} denied the request"
    if approval.state == APPROVED:
        return f"{person} approved the request"
    return f"{person} approved the request in part"


def _find(reader: Reader, tenant_id: str, approval_id: str) -> Approval:
    approval = read_approval(reader, tenant_id, approval_id)
    if approval is None:
        raise _not_found(approval_id)
    return approval


def _not_found(approval_id: str) -> ApprovalNotFound:
    return ApprovalNotFound(f"there is no approval {approval_id}")


def _check_state(approval: Approval, states: frozenset[str], now: float, verb: str) -> None:
    state = approval.state_at(now)
    if state not in states:
        wanted = "an open" if len(states) > 1 else "a pending"
        raise ApprovalClosed(f"approval {approval.id} is {state}; only {wanted} one can be {verb}")


def _check_answerer(approval: Approval, answerer: Answerer) -> None:
    """Checks that a person may answer.

    Raises:
        ApprovalRefused: the person asked, is the user or the agent of the request, or is none of
            the approvers.
    """
    if {identity(answerer.person), identity(answerer.actor)} & set(approval.barred):
        raise ApprovalRefused(
            f"approval {approval.id} must be answered by another person than those who ask"
        )
    waiting = [each for each in approval.rules if not each.approved_by] or approval.rules
    if not any(answerer.is_among(each.approvers) for each in waiting):
        wanted = dict.fromkeys(name for each in waiting for name in each.approvers)
        raise ApprovalRefused(
            f"approval {approval.id} is for {', '.join(wanted)}; {answerer.person} is none of them"
        )
