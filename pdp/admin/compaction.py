"""Removes old changes beside the decisions (docs/operations.md, The change log)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from pdp.domain.kinds import VERSIONED_KINDS
from pdp.errors import PdpError
from pdp.store.port import ChangeRetention

if TYPE_CHECKING:
    from pdp.admin.workspace import Workspace
    from pdp.store.port import Compaction

INTERVAL_S: Final = 600.0
"""The time between two compactions."""

PAUSE_S: Final = 0.25
"""The pause between two steps of a compaction. Steps are short, so that writes do not wait long."""

_DAY_S: Final = 86_400.0

_log: Final = structlog.get_logger("pdp.store")


class ChangeLogCompactor:
    """Compacts the change log in short steps."""

    def __init__(self, workspace: Workspace, retention_days: float) -> None:
        """Args:
        workspace: runs the steps.
        retention_days: how long changes without a version history are kept; 0 for no limit.
        """
        self._workspace = workspace
        self._retention_s = retention_days * _DAY_S
        self.removed = 0
        """Changes that were removed since the start."""

    async def step(self) -> Compaction:
        """Runs one step.

        Raises:
            StoreUnavailable: the store cannot be written.
        """
        retention = ChangeRetention(VERSIONED_KINDS, time.time() - self._retention_s)
        result = await self._workspace.transact(lambda transaction: transaction.compact(retention))
        self.removed += result.removed
        return result

    async def run(self) -> None:
        """Compacts the log again and again, until cancelled. Does nothing without a retention."""
        if not self._retention_s:
            return
        failing = False
        while True:
            await asyncio.sleep(PAUSE_S)
            more = False
            try:
                more, failing = (await self.step()).more, False
            except Exception as error:
                # Never give up: the store may be back at the next time.
                if not failing:
                    reason = error.message if isinstance(error, PdpError) else repr(error)
                    _log.error("the change log cannot be compacted", reason=reason)
                failing = True
            if not more:
                await asyncio.sleep(INTERVAL_S)
