"""Searches the audit log in windows of a bounded number of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.audit_log import RecordPage, StoredRecord
from pdp.store.sqlite.audit_lookups import read_indexed
from pdp.store.sqlite.audit_queries import conditions

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from pdp.domain.audit_log import RecordFilter

WINDOW: Final = 2_000
"""The most records that are read at a time. Other reads wait meanwhile."""

MAX_WINDOWS: Final = 25
"""The most windows for a page. A page with fewer records than asked for may have a next page."""

MAX_SEQUENCE: Final = 1 << 62
"""More than the place of any record."""


class _Segment(NamedTuple):
    """A range of the log, and the index that it is searched by.

    Attributes:
        start, end: the places of the records; `end` is exclusive.
        source: SQL: the index, and what it is compared with.
        parameters: of the source.
        condition: SQL that selects the records of the index.
    """

    start: int
    end: int
    source: str
    parameters: tuple[str | float, ...]
    condition: str


def search(
    read: Callable[[], AbstractContextManager[sqlite3.Connection]],
    record_filter: RecordFilter,
    *,
    start: int,
    end: int,
    limit: int,
    newest_first: bool,
) -> RecordPage:
    """Returns records between two places.

    Args:
        read: gives a connection for the time of a window.
        record_filter: selects the records.
        start: the first place.
        end: the place after the last one.
        limit: the most records.
        newest_first: the order.
    """
    records: list[StoredRecord] = []
    with read() as connection:
        segments = _segments(connection, record_filter, start, end)
    if newest_first:
        segments.reverse()
    for _ in range(MAX_WINDOWS + len(segments)):
        if not segments:
            return RecordPage(records, None)
        first = segments.pop(0)
        if first.start >= first.end:
            continue
        with read() as connection:
            bound = _bound(connection, first, newest_first=newest_first)
            window, remaining = _split(first, bound, newest_first=newest_first)
            records += _rows(
                connection, window, record_filter, limit - len(records), newest_first=newest_first
            )
        if len(records) == limit:
            return RecordPage(records, records[-1].sequence)
        segments[:0] = remaining
    return RecordPage(records, _place(segments, newest_first=newest_first))


def _split(
    segment: _Segment, bound: int | None, *, newest_first: bool
) -> tuple[_Segment, list[_Segment]]:
    """Splits a segment behind the record at `bound`. Returns the parts before and after it."""
    if bound is None:
        return segment, []
    if newest_first:
        return segment._replace(start=bound), [segment._replace(end=bound)]
    return segment._replace(end=bound + 1), [segment._replace(start=bound + 1)]


def _place(segments: Sequence[_Segment], *, newest_first: bool) -> int | None:
    """Returns the place to continue from; None if nothing is left."""
    left = [each for each in segments if each.start < each.end]
    if not left:
        return None
    return left[0].end if newest_first else left[0].start - 1


def _segments(
    connection: sqlite3.Connection, record_filter: RecordFilter, start: int, end: int
) -> list[_Segment]:
    """Returns the segments of a search, the oldest first."""
    tenant_id = record_filter.tenant_id
    scan = _scan(record_filter, start, end)
    value = (
        f"r{record_filter.request_id}"
        if record_filter.request_id
        else f"p{record_filter.policy_id}" if record_filter.policy_id else ""
    )  # fmt: skip
    if not value:
        return [scan]
    first, last = read_indexed(connection)
    indexed = _Segment(
        max(start, first),
        min(end, last),
        "lookups WHERE tenant_id = ? AND value = ?",
        (tenant_id, value),
        "FROM records WHERE sequence IN (SELECT sequence FROM lookups WHERE tenant_id = ?"
        " AND value = ? AND sequence >= ? AND sequence < ?)",
    )
    return [
        scan._replace(end=min(end, first)),
        indexed,
        scan._replace(start=max(start, last)),
    ]


def _scan(record_filter: RecordFilter, start: int, end: int) -> _Segment:
    """Returns a search by the index that fits the filter best."""
    index, columns = "records_of_tenant", {"tenant_id": record_filter.tenant_id}
    if record_filter.user_id:
        index, columns = "records_of_user", {**columns, "user_id": record_filter.user_id}
    elif len(record_filter.outcomes) == 1:
        index, columns = "records_by_outcome", {**columns, "outcome": record_filter.outcomes[0]}
    compared = " AND ".join(f"{each} = ?" for each in columns)
    source = f"records INDEXED BY {index} WHERE {compared}"
    condition = f"FROM {source} AND sequence >= ? AND sequence < ?"
    return _Segment(start, end, source, tuple(columns.values()), condition)


def _bound(connection: sqlite3.Connection, segment: _Segment, *, newest_first: bool) -> int | None:
    """Returns the place of the last record of a window; None if it has the whole segment."""
    order = "DESC" if newest_first else "ASC"
    row = connection.execute(
        f"SELECT sequence FROM {segment.source} AND sequence >= ? AND sequence < ?"  # noqa: S608 - the text contains no input
        f" ORDER BY sequence {order} LIMIT 1 OFFSET ?",
        (*segment.parameters, segment.start, segment.end, WINDOW - 1),
    ).fetchone()
    return None if row is None else int(row[0])


def _rows(
    connection: sqlite3.Connection,
    segment: _Segment,
    record_filter: RecordFilter,
    limit: int,
    *,
    newest_first: bool,
) -> Iterable[StoredRecord]:
    filters = [*conditions(record_filter)]
    where = " AND ".join(f"({condition})" for condition, _ in filters)
    values: Sequence[str | float] = [each for _, values in filters for each in values]
    order = "DESC" if newest_first else "ASC"
    rows = connection.execute(
        f"SELECT sequence, body {segment.condition} AND {where} ORDER BY sequence {order} LIMIT ?",
        (*segment.parameters, segment.start, segment.end, *values, limit),
    )
    return [StoredRecord(*row) for row in rows]
