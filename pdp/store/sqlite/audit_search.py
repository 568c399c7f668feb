"""Searches the audit log in windows of a bounded number of records."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pdp.domain.audit_log import StoredRecord
from pdp.store.sqlite.audit_lookups import read_indexed
from pdp.store.sqlite.audit_queries import conditions
from pdp.store.windowed_search import SearchSegment, search_windows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pdp.domain.audit_log import RecordFilter, RecordPage

WINDOW: Final = 2_000
"""The most records that are read at a time. Other reads wait meanwhile."""

MAX_WINDOWS: Final = 25
"""The most windows for a page. A page with fewer records than asked for may have a next page."""

MAX_SEQUENCE: Final = 1 << 62
"""More than the place of any record."""


class _WindowReader:
    """Reads windows of a search on a connection."""

    def __init__(self, connection: sqlite3.Connection, record_filter: RecordFilter) -> None:
        self._connection = connection
        self._filter = record_filter

    def bound(self, segment: SearchSegment, *, newest_first: bool) -> int | None:
        """See `WindowReader.bound`."""
        order = "DESC" if newest_first else "ASC"
        row = self._connection.execute(
            f"SELECT sequence FROM {segment.source} AND sequence >= ? AND sequence < ?"  # noqa: S608 - the text contains no input
            f" ORDER BY sequence {order} LIMIT 1 OFFSET ?",
            (*segment.parameters, segment.start, segment.end, WINDOW - 1),
        ).fetchone()
        return None if row is None else int(row[0])

    def rows(
        self, segment: SearchSegment, limit: int, *, newest_first: bool
    ) -> Iterable[StoredRecord]:
        """See `WindowReader.rows`."""
        filters = [*conditions(self._filter)]
        where = " AND ".join(f"({condition})" for condition, _ in filters)
        values: Sequence[str | float] = [each for _, values in filters for each in values]
        order = "DESC" if newest_first else "ASC"
        rows = self._connection.execute(
            f"SELECT sequence, body {segment.condition} AND {where}"
            f" ORDER BY sequence {order} LIMIT ?",
            (*segment.parameters, segment.start, segment.end, *values, limit),
        )
        return [StoredRecord(*row) for row in rows]


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
    with read() as connection:
        segments = _segments(connection, record_filter, start, end)
    if newest_first:
        segments.reverse()

    @contextmanager
    def window() -> Iterator[_WindowReader]:
        with read() as connection:
            yield _WindowReader(connection, record_filter)

    return search_windows(
        window, segments, limit=limit, newest_first=newest_first, max_windows=MAX_WINDOWS
    )


def _segments(
    connection: sqlite3.Connection, record_filter: RecordFilter, start: int, end: int
) -> list[SearchSegment]:
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
    indexed = SearchSegment(
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


def _scan(record_filter: RecordFilter, start: int, end: int) -> SearchSegment:
    """Returns a search by the index that fits the filter best."""
    index, columns = "records_of_tenant", {"tenant_id": record_filter.tenant_id}
    if record_filter.user_id:
        index, columns = "records_of_user", {**columns, "user_id": record_filter.user_id}
    elif len(record_filter.outcomes) == 1:
        index, columns = "records_by_outcome", {**columns, "outcome": record_filter.outcomes[0]}
    compared = " AND ".join(f"{each} = ?" for each in columns)
    source = f"records INDEXED BY {index} WHERE {compared}"
    condition = f"FROM {source} AND sequence >= ? AND sequence < ?"
    return SearchSegment(start, end, source, tuple(columns.values()), condition)
