"""Where decisions open, read and use approvals.

A server's decisions that come close together are committed together, and tenants take turns: no
tenant makes the decisions of another wait for more than a commit or two.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.admin.approvals.entities import is_used, open_approval, read_approval, use_tokens
from pdp.domain.approval import APPROVAL_LIMIT, ApprovalFailed, TokenStates

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from pdp.admin.approvals.entities import Opening
    from pdp.admin.workspace import Workspace
    from pdp.domain.approval import Approval, ApprovalDraft, TokenUse
    from pdp.store.port import Reader, Store, Transaction

MAX_WAITING: Final = 256
"""Decisions of one tenant that wait for a commit. One more is refused."""

GROUP: Final = 64
"""Decisions that one commit is for."""


class _PendingCommit(NamedTuple):
    """What a decision waits for.

    Attributes:
        work: makes the changes, or raises `ApprovalFailed` before it has made one.
        done: gets its result.
    """

    work: Callable[[Transaction], Any]
    done: asyncio.Future[Any]


class WorkspaceDesk:
    """The desk of a server. All methods are called on one event loop."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._waiting: dict[str, deque[_PendingCommit]] = {}
        self._running: asyncio.Task[None] | None = None
        self.expired = 0
        """Approvals that were closed because the same request came after their time."""

    def check(self) -> None:
        """Lets requests be held."""

    async def open(self, draft: ApprovalDraft) -> Approval:
        """Opens an approval; see `ApprovalDesk.open`."""
        opening: Opening = await self._commit(draft.tenant_id, partial(open_approval, draft=draft))
        self.expired += opening.expired
        return opening.approval

    async def use(self, tenant_id: str, uses: Sequence[TokenUse]) -> None:
        """Uses tokens; see `ApprovalDesk.use`."""
        await self._commit(tenant_id, partial(use_tokens, tenant_id=tenant_id, uses=uses))

    async def read(
        self, tenant_id: str, approvals: Sequence[str], confirmations: Sequence[str]
    ) -> TokenStates:
        """Returns what the store says of tokens; see `ApprovalDesk.read`."""
        return await self._workspace.read(
            lambda reader: _read(reader, tenant_id, approvals, confirmations)
        )

    async def _commit(self, tenant_id: str, work: Callable[[Transaction], Any]) -> Any:
        jobs = self._waiting.setdefault(tenant_id, deque())
        if len(jobs) >= MAX_WAITING:
            raise ApprovalFailed(APPROVAL_LIMIT)
        job = _PendingCommit(work, asyncio.get_running_loop().create_future())
        jobs.append(job)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        # A caller that goes away takes nothing back: its job may be committed already.
        return await asyncio.shield(job.done)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._run_group(self._next_group())
        finally:
            self._running = None

    def _next_group(self) -> list[_PendingCommit]:
        """Takes the next jobs, one of each tenant in turn."""
        group: list[_PendingCommit] = []
        while self._waiting and len(group) < GROUP:
            for tenant_id in list(self._waiting)[: GROUP - len(group)]:
                jobs = self._waiting.pop(tenant_id)
                group.append(jobs.popleft())
                if jobs:
                    self._waiting[tenant_id] = jobs  # at the end: the others come first
        return group

    async def _run_group(self, group: Sequence[_PendingCommit]) -> None:
        def run(transaction: Transaction) -> list[Any]:
            return [_result(job, transaction) for job in group]

        try:
            results = await self._workspace.transact(run)
        except Exception as error:
            results = [error] * len(group)
        else:
            self._workspace.notify()
        for job, result in zip(group, results, strict=True):
            if job.done.cancelled():
                continue
            if isinstance(result, Exception):
                job.done.set_exception(result)
                job.done.exception()  # its caller may have gone away
            else:
                job.done.set_result(result)


def _result(job: _PendingCommit, transaction: Transaction) -> Any:
    try:
        return job.work(transaction)
    except ApprovalFailed as error:  # raised before its first write
        return error


class StoreDesk:
    """The desk of an embedded engine: it works in the caller's thread, and never waits."""

    def __init__(self, store: Store, storing: threading.Lock) -> None:
        """Takes the store, and the lock of those who use it."""
        self._store = store
        self._storing = storing

    def check(self) -> None:
        """Lets requests be held."""

    async def open(self, draft: ApprovalDraft) -> Approval:
        """Opens an approval; see `ApprovalDesk.open`."""
        with self._storing, self._store.write() as transaction:
            return open_approval(transaction, draft).approval

    async def use(self, tenant_id: str, uses: Sequence[TokenUse]) -> None:
        """Uses tokens; see `ApprovalDesk.use`."""
        with self._storing, self._store.write() as transaction:
            use_tokens(transaction, tenant_id, uses)

    async def read(
        self, tenant_id: str, approvals: Sequence[str], confirmations: Sequence[str]
    ) -> TokenStates:
        """Returns what the store says of tokens; see `ApprovalDesk.read`."""
        with self._store.view() as reader:
            return _read(reader, tenant_id, approvals, confirmations)


def _read(
    reader: Reader, tenant_id: str, approvals: Sequence[str], confirmations: Sequence[str]
) -> TokenStates:
    found = {each: read_approval(reader, tenant_id, each) for each in approvals}
    used = (each for each in confirmations if is_used(reader, tenant_id, each))
    existing = {each: approval for each, approval in found.items() if approval is not None}
    return TokenStates(existing, frozenset(used))
