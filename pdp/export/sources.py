"""Reads the audit log and the change log, and puts their entries into the spool as events.

The read position of each log is a mark in the spool. It moves in the transaction that stores the
events, so each record and each change is exported once, even if a process crashes in between.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from pdp.domain.decision_record import DecisionRecord
from pdp.export.ocsf.changes import change_event, change_uid
from pdp.export.ocsf.decisions import decision_events
from pdp.export.siem.text import compact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence

    from pdp.domain.audit_log import StoredRecord
    from pdp.domain.stored_entity import Change
    from pdp.export.spool import Spool

RECORDS: Final = "records"
CHANGES: Final = "changes"
"""The marks in the spool: the last exported record number and the last exported revision."""

PAGE: Final = 128
"""Entries that are read at a time."""

_log: Final = structlog.get_logger("pdp.exports")


class RecordLog(Protocol):
    """The audit log of all tenants. Used by one thread."""

    def last(self) -> int:
        """Returns the sequence number of the newest record; 0 if there is none."""

    def read_on(self, after: int, limit: int) -> Sequence[StoredRecord]:
        """Returns up to `limit` records with a sequence number above `after`, oldest first."""


class ChangeLogSource(Protocol):
    """The change log, read through the server."""

    @property
    def revision(self) -> int:
        """The last revision that this process knows."""

    def newest(self) -> Awaitable[int]:
        """Returns the last revision in the store."""

    def changes(self, since: int, limit: int) -> Awaitable[Sequence[Change]]:
        """Returns up to `limit` changes after revision `since`, oldest first."""

    def removed_through(self) -> Awaitable[int]:
        """Returns the last revision whose change may have been removed; 0 for none."""


class Sources:
    """The two logs that are exported."""

    def __init__(self, records: RecordLog, changes: ChangeLogSource) -> None:
        self._records = records
        self._changes = changes
        self._initial_revision = changes.revision
        self._gap_logged = False

    def start(self, spool: Spool) -> None:
        """Sets the marks for the first export: entries that exist by now are not exported.

        Call it before this process writes to either log. If a log ends before its mark, it was
        started anew or replaced by an older copy. Then, too, only later entries are exported.
        """
        mark = spool.mark(RECORDS)
        last = self._records.last()  # read after the mark: other processes advance both
        if mark is None:
            spool.append([], {RECORDS: last})
        elif last < mark:
            _restart(spool, RECORDS, mark, last)
        if spool.mark(CHANGES) is None:
            spool.append([], {CHANGES: self._initial_revision})

    def export_records(self, spool: Spool) -> bool:
        """Puts the next decision records into the spool. Returns whether there may be more."""
        rows = self._records.read_on(spool.mark(RECORDS) or 0, PAGE)
        if rows:
            spool.append(list(_record_events(rows)), {RECORDS: rows[-1].sequence})
        return len(rows) == PAGE

    async def export_changes(self, spool: Spool) -> bool:
        """Puts the next admin changes into the spool. Returns whether there may be more."""
        since = spool.mark(CHANGES) or 0
        known = self._changes.revision
        if known < since and await self._changes.newest() < since:  # see `start`
            _restart(spool, CHANGES, since, self._initial_revision)
            return True
        if known <= since:
            return False
        changes = await self._changes.changes(since, PAGE)
        removed = await self._changes.removed_through()
        if since < removed and not self._gap_logged:
            self._gap_logged = True
            _log.error(
                "changes were removed before they were exported. Raise PDP_CHANGE_LOG_DAYS, so "
                "that changes stay for longer than an export may stand still",
                exported=since,
                removed=removed,
            )
        events = [(change_uid(each), each.at, compact(change_event(each))) for each in changes]
        if changes:
            spool.append(events, {CHANGES: changes[-1].revision})
        return len(changes) == PAGE


def _restart(spool: Spool, log: str, mark: int, last: int) -> None:
    _log.warning(
        "a log ends before its export position and is exported from its end",
        log=log,
        exported=mark,
        last=last,
    )
    spool.append([], {log: last})


def reset(spool: Spool) -> None:
    """Deletes the marks, because no connector is configured: the next start sets new ones."""
    spool.delete_marks(RECORDS, CHANGES)


def _record_events(rows: Sequence[StoredRecord]) -> Iterator[tuple[str, float, bytes]]:
    for row in rows:
        try:
            record = DecisionRecord.from_json(json.loads(row.body))
            events = [
                (event["metadata"]["uid"], record.time, compact(event))
                for event in decision_events(record)
            ]
        except (KeyError, TypeError, ValueError):
            # Another release may have written the record. It must not block the others.
            _log.exception("a record cannot be exported", sequence=row.sequence)
        else:
            yield from events
