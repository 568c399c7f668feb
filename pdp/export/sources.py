"""Where events come from: the log of decision records and the change log, each read on from a mark.

The mark is moved in the transaction that puts the events into the spool. So each record and each
change is exported once, whatever processes end in between, and however.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from pdp.domain.decision_record import DecisionRecord
from pdp.export.ocsf.changes import change_uid, event_of
from pdp.export.ocsf.decisions import events_of
from pdp.export.siem.text import compact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence

    from pdp.domain.audit_log import StoredRecord
    from pdp.domain.stored_entity import Change
    from pdp.export.spool import Spool

RECORDS: Final = "records"
CHANGES: Final = "changes"
"""The spool's marks: the last sequence and the last revision that was exported."""

AT_ONCE: Final = 128

_log: Final = structlog.get_logger("pdp.exports")


class RecordLog(Protocol):
    """The log of decision records, of all tenants. Used by one thread."""

    def last(self) -> int:
        """Returns the sequence of the newest record; 0 where there is none."""

    def read_on(self, after: int, limit: int) -> Sequence[StoredRecord]:
        """Returns up to `limit` records with a sequence above `after`, oldest first."""


class ChangeLogSource(Protocol):
    """The change log, as the server has it."""

    @property
    def revision(self) -> int:
        """The last revision that is known."""

    def newest(self) -> Awaitable[int]:
        """Returns the last revision that there is; awaited in the exporter."""

    def changes(self, since: int, limit: int) -> Awaitable[Sequence[Change]]:
        """Returns up to `limit` changes after `since`, oldest first; awaited in the exporter."""


class Sources:
    """Both logs, and how far they were read."""

    def __init__(self, records: RecordLog, changes: ChangeLogSource) -> None:
        self._records = records
        self._changes = changes
        self._at_first = changes.revision

    def begin(self, spool: Spool) -> None:
        """Marks what was there before there was anyone to tell of it: that is no news.

        Called before this process writes to either log. One that ends before its mark is not the
        log that the mark was made in: it was begun anew, or an older copy was put in its place.
        What is in it by now is no news either, what comes is.
        """
        mark = spool.mark(RECORDS)
        last = self._records.last()  # after the mark, which others move on with the log
        if mark is None:
            spool.append([], {RECORDS: last})
        elif last < mark:
            _restart(spool, RECORDS, mark, last)
        if spool.mark(CHANGES) is None:
            spool.append([], {CHANGES: self._at_first})

    def take_records(self, spool: Spool) -> bool:
        """Puts records into the spool; returns whether there may be more."""
        kept = self._records.read_on(spool.mark(RECORDS) or 0, AT_ONCE)
        if kept:
            spool.append(list(_events(kept)), {RECORDS: kept[-1].sequence})
        return len(kept) == AT_ONCE

    async def take_changes(self, spool: Spool) -> bool:
        """Puts admin changes into the spool; returns whether there may be more."""
        since = spool.mark(CHANGES) or 0
        known = self._changes.revision
        if known < since and await self._changes.newest() < since:  # see `begin`
            _restart(spool, CHANGES, since, self._at_first)
            return True
        if known <= since:
            return False
        changes = await self._changes.changes(since, AT_ONCE)
        events = [(change_uid(each), each.at, compact(event_of(each))) for each in changes]
        if changes:
            spool.append(events, {CHANGES: changes[-1].revision})
        return len(changes) == AT_ONCE


def _restart(spool: Spool, log: str, mark: int, last: int) -> None:
    _log.warning("a log ends before what was exported of it", log=log, exported=mark, last=last)
    spool.append([], {log: last})


def forget(spool: Spool) -> None:
    """Forgets how far was read: nobody is told of what comes now."""
    with spool.transaction() as connection:
        connection.execute("DELETE FROM marks WHERE name IN (?, ?)", (RECORDS, CHANGES))


def _events(kept: Sequence[StoredRecord]) -> Iterator[tuple[str, float, bytes]]:
    for each in kept:
        try:
            record = DecisionRecord.from_json(json.loads(each.body))
            found = [
                (event["metadata"]["uid"], record.time, compact(event))
                for event in events_of(record)
            ]
        except (KeyError, TypeError, ValueError):
            # Made by a release that keeps other things: it must not keep all others from going.
            _log.exception("a record cannot be exported", sequence=each.sequence)
        else:
            yield from found
