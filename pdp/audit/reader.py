"""Reads decision records: one, pages, all, and new ones as they are written."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision_record import DecisionRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pdp.domain.audit_log import AuditLog, StoredRecord, Verification

PAGE: Final = 500
"""The number of records that an export reads at a time."""

POLL_S: Final = 0.1
"""How often a tail polls for new records, also of other processes."""


class LogEntry(NamedTuple):
    """A record from the log.

    Attributes:
        cursor: its position in the log.
        body: its JSON, as stored.
    """

    record: DecisionRecord
    cursor: int
    body: str


class LogPage(NamedTuple):
    """Entries of the log.

    Attributes:
        entries: the entries.
        more: the cursor of the next page; None if there is none. See `RecordPage`.
        end: the cursor from which a tail continues the page; None on later pages than the first.
    """

    entries: Sequence[LogEntry]
    more: int | None
    end: int | None


class RecordReader:
    """Reads the log on worker threads, so that no decision waits for it.

    The keyword arguments `conditions` of the methods are the fields of `RecordFilter`.
    """

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._ending = asyncio.Event()

    async def list(
        self, tenant_id: str, before: int | None, limit: int, **conditions: Any
    ) -> LogPage:
        """Returns up to `limit` records of a tenant, newest first.

        Args:
            tenant_id: the tenant.
            before: only records before this cursor; None for the newest.
            limit: the most records.
            **conditions: see the class.

        Raises:
            StoreUnavailable: the log cannot be read.
        """
        filter_ = RecordFilter(tenant_id, **conditions)

        def work() -> LogPage:
            # The end is read before the page, so that no record can be in neither.
            end = self._end(tenant_id) if before is None else None
            page = self._log.select(filter_, before=before, limit=limit)
            entries = [_entry(each) for each in page.records]
            if end is not None and entries:
                end = max(end, entries[0].cursor)
            return LogPage(entries, page.more, end)

        return await asyncio.to_thread(work)

    def _end(self, tenant_id: str) -> int:
        """Returns a cursor that no record of a tenant is after, and that tells of no other's."""
        page = self._log.select(RecordFilter(tenant_id), before=None, limit=1)
        return page.records[0].sequence if page.records else page.more or 0

    async def get(self, tenant_id: str, decision_id: str) -> LogEntry | None:
        """Returns the record of a decision; None if there is none.

        Raises:
            StoreUnavailable: the log cannot be read.
        """
        row = await asyncio.to_thread(self._log.get, tenant_id, decision_id)
        return None if row is None else _entry(row)

    async def export(self, tenant_id: str, **conditions: Any) -> AsyncIterator[Sequence[LogEntry]]:
        """Yields all records that exist at the start, oldest first, page by page.

        Raises:
            StoreUnavailable: the log cannot be read.
        """
        filter_ = RecordFilter(tenant_id, **conditions)
        end = await asyncio.to_thread(self._log.last)
        after: int | None = 0
        while after is not None and after < end:
            rows = await asyncio.to_thread(self._log.follow, filter_, after=after, limit=PAGE)
            page = [_entry(each) for each in rows.records if each.sequence <= end]
            if page:
                yield page
            after = rows.more

    async def tail(
        self, tenant_id: str, after: int | None, **conditions: Any
    ) -> AsyncIterator[Sequence[LogEntry]]:
        """Yields records as they are written, until `end_tails` is called.

        Args:
            tenant_id: the tenant.
            after: only records after this cursor; None for records from now on.
            **conditions: see the class.

        Raises:
            StoreUnavailable: the log cannot be read.
        """
        filter_ = RecordFilter(tenant_id, **conditions)
        log = self._log
        cursor = await asyncio.to_thread(log.last) if after is None else after
        while not self._ending.is_set():
            # Read the end of the log first. Records after it are read in the next round.
            last = await asyncio.to_thread(log.last)
            if last > cursor:
                rows = await asyncio.to_thread(log.follow, filter_, after=cursor, limit=PAGE)
                page = [_entry(each) for each in rows.records]
                cursor = max(last, cursor) if rows.more is None else rows.more
                if page:
                    cursor = max(cursor, page[-1].cursor)
                    yield page
                if page or rows.more is not None:
                    continue
            await self._pause()

    async def matched(
        self, tenant_id: str, policy_ids: Sequence[str], since: float
    ) -> frozenset[str]:
        """Returns those of the policies that match in a record of a tenant since a time.

        Args:
            tenant_id: the tenant.
            policy_ids: the policies to look for.
            since: seconds since the epoch.

        Raises:
            StoreUnavailable: the log cannot be read.
        """

        def work() -> frozenset[str]:
            return frozenset(
                policy_id
                for policy_id in policy_ids
                if self._has(RecordFilter(tenant_id, since=since, policy_id=policy_id))
            )

        return await asyncio.to_thread(work)

    def _has(self, record_filter: RecordFilter) -> bool:
        """Whether the log has a record; a page may be empty although more follow."""
        before: int | None = None
        while True:
            page = self._log.select(record_filter, before=before, limit=1)
            if page.records or page.more is None:
                return bool(page.records)
            before = page.more

    async def verify(self, anchor: str) -> Verification:
        """Verifies the whole log; see `AuditLog.verify`."""
        return await asyncio.to_thread(self._log.verify, anchor)

    def end_tails(self) -> None:
        """Ends all tails, so that a draining server does not wait for their callers."""
        self._ending.set()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._ending.wait()


def _entry(row: StoredRecord) -> LogEntry:
    return LogEntry(DecisionRecord.from_json(json.loads(row.body)), row.sequence, row.body)
