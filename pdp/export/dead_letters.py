"""Dead letters and the deliveries of alerts, for admins: what failed, and what to do about it.

The spool is opened for each call, as `pdp siem` does: the exporter's own connection belongs to its
thread, which nothing here may delay.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from pdp.errors import ConfigError, StoreUnavailable
from pdp.export.exporter import SPOOL_NAME
from pdp.export.spool import Spool
from pdp.export.spooled import AlertDelivery, DeadLetterFilter, DeadLetterGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MAX_GROUPS: Final = 1_000
"""The most groups of dead letters that are listed."""

_STEP: Final = 500
"""Dead letters that are moved in one transaction. The exporter waits meanwhile."""

_NO_BOUND: Final = 1 << 62

_log: Final = structlog.get_logger("pdp.exports")
T = TypeVar("T")


class DeadLetters:
    """The dead letters of the servers that share a data directory."""

    def __init__(self, directory: Path | None) -> None:
        """Takes the data directory; None if nothing is exported."""
        self._path = None if directory is None else directory / SPOOL_NAME

    async def groups(self) -> Sequence[DeadLetterGroup]:
        """Returns what dead letters have in common, the largest group first.

        Raises:
            StoreUnavailable: the spool cannot be used.
        """
        none: list[DeadLetterGroup] = []
        return await self._run(lambda spool: spool.dead_letter_groups(MAX_GROUPS), none)

    async def retry(self, selection: DeadLetterFilter, actor: str) -> int:
        """Queues dead letters again, behind everything that waits; returns how many.

        Raises:
            StoreUnavailable: the spool cannot be used.
        """
        count = await self._run(lambda spool: _in_steps(spool, selection, spool.resend), 0)
        _log.info("dead letters are sent again", count=count, actor=actor)
        return count

    async def discard(self, selection: DeadLetterFilter, actor: str) -> int:
        """Deletes dead letters; returns how many.

        Raises:
            StoreUnavailable: the spool cannot be used.
        """
        count = await self._run(lambda spool: _in_steps(spool, selection, spool.discard), 0)
        _log.warning("dead letters are discarded", count=count, actor=actor)
        return count

    async def alert_deliveries(
        self, tenant_id: str, names: Sequence[str]
    ) -> Sequence[AlertDelivery]:
        """Returns the deliveries of each alert rule of a tenant, in the order of the names.

        Raises:
            StoreUnavailable: the spool cannot be used.
        """
        none: dict[str, AlertDelivery] = {}
        known = await self._run(lambda spool: spool.alert_deliveries(f"{tenant_id}/"), none)
        return [known.get(f"{tenant_id}/{name}", AlertDelivery()) for name in names]

    async def _run(self, work: Callable[[Spool], T], without: T) -> T:
        """Returns the result of `work` on a thread; `without` if there is no spool."""
        return await asyncio.to_thread(self._with_spool, work, without)

    def _with_spool(self, work: Callable[[Spool], T], without: T) -> T:
        if self._path is None or not self._path.exists():
            return without
        try:
            with closing(Spool(self._path, _NO_BOUND)) as spool:
                return work(spool)
        except (sqlite3.Error, OSError, ConfigError) as error:
            _log.error("the spool cannot be used", reason=str(error))
            raise StoreUnavailable("the spool of exports cannot be used; see the log") from None


def _in_steps(
    spool: Spool, selection: DeadLetterFilter, handle: Callable[[Sequence[int]], int]
) -> int:
    """Handles the dead letters that are there now, and not those that come meanwhile."""
    through, total = spool.last_dead_letter(), 0
    while ids := spool.select_dead_letters(selection, through, _STEP):
        total += handle(ids)
    return total
