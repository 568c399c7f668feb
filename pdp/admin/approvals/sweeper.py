"""Closes approvals whose time is over, and removes old ones."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from pdp.admin.approvals.entities import close_expired
from pdp.domain.approval import KEEP_CLOSED_S, MAX_KEPT_OF_TENANT, Approval
from pdp.errors import PdpError

if TYPE_CHECKING:
    from pdp.admin.approvals.desk import WorkspaceDesk
    from pdp.admin.workspace import Workspace
    from pdp.store.port import Transaction

INTERVAL_S: Final = 5.0
"""The time between two looks. An approval cannot be used after its time in any case."""

FORGET_INTERVAL_S: Final = 60.0
"""The time between two removals of what is old."""

GROUP: Final = 100
"""Approvals that one transaction closes."""

KEEP_USED_S: Final = 3_600
"""How long a used confirmation is stored after its token has expired, for clocks that differ."""

_log: Final = structlog.get_logger("pdp.approvals")


class ApprovalSweeper:
    """Closes and removes approvals in short steps."""

    def __init__(self, workspace: Workspace, desk: WorkspaceDesk) -> None:
        """Takes the workspace, and the desk, which closes some approvals as well."""
        self._workspace = workspace
        self._desk = desk
        self._expired = 0
        self._forget_at = 0.0

    @property
    def expired(self) -> int:
        """The approvals that this process has closed because their time was over."""
        return self._expired + self._desk.expired

    async def sweep(self) -> None:
        """Closes all approvals whose time is over, and removes some that are old.

        Raises:
            StoreUnavailable: the store cannot be read or written.
        """
        while True:
            closed = await self._close_some()
            self._expired += closed
            if closed < GROUP:
                break
        if time.monotonic() < self._forget_at:
            return
        self._forget_at = time.monotonic() + FORGET_INTERVAL_S
        now = time.time()
        await self._workspace.transact(
            lambda transaction: transaction.forget_approvals(
                now - KEEP_CLOSED_S, now - KEEP_USED_S, MAX_KEPT_OF_TENANT
            )
        )

    async def _close_some(self) -> int:
        def work(transaction: Transaction) -> int:
            due = transaction.due_approvals(transaction.now, GROUP)
            for entity in due:
                close_expired(transaction, entity.tenant_id, Approval(**entity.body))
            return len(due)

        now = time.time()
        if not await self._workspace.read(lambda reader: reader.due_approvals(now, 1)):
            return 0
        closed = await self._workspace.transact(work)
        self._workspace.notify()
        return closed

    async def run(self) -> None:
        """Sweeps again and again, until cancelled."""
        failing = False
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                await self.sweep()
                failing = False
            except Exception as error:
                # Never give up: the store may be back at the next time.
                if not failing:
                    reason = error.message if isinstance(error, PdpError) else repr(error)
                    _log.error("expired approvals cannot be closed", reason=reason)
                failing = True
