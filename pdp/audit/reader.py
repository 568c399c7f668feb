"""Reads decision records: pages of them, one, all of them, and those that come."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision_record import DecisionRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pdp.domain.audit_log import AuditLog, StoredRecord, Verification

PAGE: Final = 500
"""Records that an export reads at once."""

POLL_S: Final = 0.1
"""How often a tail looks for new records; those of other processes are seen as well."""


class Read(NamedTuple):
    """A record that was read.

    Attributes:
        cursor: its place in the log.
        body: its JSON, as it is kept.
    """

    record: DecisionRecord
    cursor: int
    body: str


class RecordReader:
    """Reads a log of records, in threads, so that no decision waits for it."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._ending = asyncio.Event()

    async def list(
        self, tenant_id: str, before: int | None, limit: int, **wanted: Any
    ) -> Sequence[Read]:
        """Returns up to `limit` records of a tenant, newest first.

        Args:
            tenant_id: whose.
            before: the cursor that all of them come before; None for the newest.
            limit: how many at most.
            **wanted: which, by the fields of `RecordFilter`.

        Raises:
            StoreUnavailable: the log cannot be read.
        """
        which = RecordFilter(tenant_id, **wanted)
        found = await asyncio.to_thread(self._log.select, which, before=before, limit=limit)
        return [_read(each) for each in found]

    async def get(self, tenant_id: str, decision_id: str) -> Read | None:
        """Returns the record of a decision; None where there is none.

        Raises:
            StoreUnavailable: the log cannot be read.
        """
        found = await asyncio.to_thread(self._log.get, tenant_id, decision_id)
        return None if found is None else _read(found)

    async def export(self, tenant_id: str, **wanted: Any) -> AsyncIterator[Sequence[Read]]:
        """Yields all records that are there now, oldest first, a page at a time.

        Raises:
            StoreUnavailable: the log cannot be read.
        """
        which = RecordFilter(tenant_id, **wanted)
        end = await asyncio.to_thread(self._log.last)
        after = 0
        while True:
            page = await asyncio.to_thread(self._log.follow, which, after=after, limit=PAGE)
            found = [_read(each) for each in page if each.sequence <= end]
            if found:
                yield found
            if len(found) < PAGE:
                return
            after = found[-1].cursor

    async def tail(
        self, tenant_id: str, after: int | None, **wanted: Any
    ) -> AsyncIterator[Sequence[Read]]:
        """Yields records as they are written, until `end_tails` is called.

        Args:
            tenant_id: whose.
            after: the cursor that all of them come after; None for those from now on.
            **wanted: which, by the fields of `RecordFilter`.

        Raises:
            StoreUnavailable: the log cannot be read.
        """
        which = RecordFilter(tenant_id, **wanted)
        log = self._log
        seen = await asyncio.to_thread(log.last) if after is None else after
        while not self._ending.is_set():
            # The end of the log first: what comes after it is looked for the next time.
            last = await asyncio.to_thread(log.last)
            if last > seen:
                page = await asyncio.to_thread(log.follow, which, after=seen, limit=PAGE)
                seen = page[-1].sequence if len(page) == PAGE else max(last, seen)
                found = [_read(each) for each in page]
                if found:
                    seen = max(seen, found[-1].cursor)
                    yield found
                    continue
            await self._pause()

    async def verify(self, anchor: str) -> Verification:
        """Looks at the whole log; see `AuditLog.verify`."""
        return await asyncio.to_thread(self._log.verify, anchor)

    def end_tails(self) -> None:
        """Ends all tails, so that a server that drains need not wait for their callers."""
        self._ending.set()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._ending.wait()
        except TimeoutError:
            pass


def _read(kept: StoredRecord) -> Read:
    return Read(DecisionRecord.from_json(json.loads(kept.body)), kept.sequence, kept.body)
