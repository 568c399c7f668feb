"""Searches the log of records in PostgreSQL, in windows, and a few days at a time.

A statement over all days would plan a scan of every partition, even if the newest one has all that
it needs.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pdp.domain.audit_log import StoredRecord
from pdp.store.codec import can_store
from pdp.store.postgres.records.positions import first_of_day
from pdp.store.postgres.session import run
from pdp.store.windowed_search import SearchSegment, search_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    import psycopg

    from pdp.domain.audit_log import RecordFilter, RecordPage

WINDOW: Final = 2_000
"""The most records that are read at a time."""

MAX_WINDOWS: Final = 25
"""The most windows for a page. A page with fewer records than asked for may have a next page."""

DAYS: Final = 8
"""The days of a segment."""

_WITHIN: Final = " AND sequence >= %s AND sequence < %s"
_EXACT: Final = (
    "user_id", "agent_id", "customer_id", "provider", "action", "reason_code", "request_id",
)  # fmt: skip
_MODEL: Final = "%s IN (model, provider || '/' || model)"
_POLICY: Final = (
    "EXISTS (SELECT FROM matches WHERE matches.tenant_id = records.tenant_id AND policy_id = %s"
    " AND matches.sequence = records.sequence)"
)

Parameters = tuple[object, ...]


class _PostgresWindow:
    """Reads windows of a search on a connection."""

    def __init__(self, connection: psycopg.Connection, record_filter: RecordFilter) -> None:
        self._connection = connection
        self._filter = record_filter

    def bound(self, segment: SearchSegment, *, newest_first: bool) -> int | None:
        """See `WindowReader.bound`."""
        order = "DESC" if newest_first else "ASC"
        rows = run(
            self._connection,
            f"SELECT sequence FROM {segment.source}{_WITHIN}"  # noqa: S608 - the text contains no input
            f" ORDER BY sequence {order} LIMIT 1 OFFSET %s",
            (*segment.parameters, segment.start, segment.end, WINDOW - 1),
        )
        return int(rows[0][0]) if rows else None

    def rows(
        self, segment: SearchSegment, limit: int, *, newest_first: bool
    ) -> Iterable[StoredRecord]:
        """See `WindowReader.rows`."""
        filters = [*_conditions(self._filter)]
        where = " AND ".join(f"({condition})" for condition, _ in filters)
        values = [each for _, values in filters for each in values]
        order = "DESC" if newest_first else "ASC"
        bounds = segment.start, segment.end
        inner = bounds if _WITHIN in segment.condition else ()
        sql = (
            f"SELECT sequence, body {segment.condition}{_WITHIN} AND {where}"
            f" ORDER BY sequence {order} LIMIT %s"
        )
        parameters = (*segment.parameters, *inner, *bounds, *values, limit)
        cursor = self._connection.execute(sql.encode(), parameters)
        return [StoredRecord(*row) for row in cursor.fetchall()]


def search(
    read: Callable[[], AbstractContextManager[psycopg.Connection]],
    record_filter: RecordFilter,
    places: tuple[int, int],
    days: tuple[int, int],
    limit: int,
    *,
    newest_first: bool,
) -> RecordPage:
    """Returns records between two places.

    Args:
        read: gives a connection for the time of a window.
        record_filter: selects the records.
        places: the first place, and the one after the last.
        days: the first and the last day of the log.
        limit: the most records.
        newest_first: the order.
    """
    segments = list(_segments(record_filter, *places, *days))
    if newest_first:
        segments.reverse()

    @contextmanager
    def window() -> Iterator[_PostgresWindow]:
        with read() as connection:
            yield _PostgresWindow(connection, record_filter)

    return search_windows(
        window, segments, limit=limit, newest_first=newest_first, max_windows=MAX_WINDOWS
    )


def _segments(
    record_filter: RecordFilter, start: int, end: int, first_day: int, last_day: int
) -> Iterator[SearchSegment]:
    """Yields the segments of a search, the oldest first; none if no record can match."""
    values = [value for _, each in _conditions(record_filter) for value in each]
    if not can_store(values):
        return
    source, condition, parameters = _index(record_filter)
    for day in range(first_day, last_day + 1, DAYS):
        begin, stop = max(start, first_of_day(day)), min(end, first_of_day(day + DAYS))
        if begin < stop:
            yield SearchSegment(begin, stop, source, parameters, condition)


def _index(record_filter: RecordFilter) -> tuple[str, str, tuple[str, ...]]:
    """Returns the index that fits the filter best, as the parts of a `SearchSegment`."""
    if record_filter.policy_id and not record_filter.request_id:
        source = "matches WHERE tenant_id = %s AND policy_id = %s"
        condition = f"FROM records WHERE sequence IN (SELECT sequence FROM {source}{_WITHIN})"  # noqa: S608 - no input
        return source, condition, (record_filter.tenant_id, record_filter.policy_id)
    columns = {"tenant_id": record_filter.tenant_id}
    if record_filter.request_id:
        columns["request_id"] = record_filter.request_id
    elif record_filter.user_id:
        columns["user_id"] = record_filter.user_id
    elif len(record_filter.outcomes) == 1:
        columns["outcome"] = record_filter.outcomes[0]
    source = f"records WHERE {' AND '.join(f'{each} = %s' for each in columns)}"
    return source, f"FROM {source}", tuple(columns.values())


def _conditions(filter_: RecordFilter) -> Iterator[tuple[str, Parameters]]:
    """Yields the conditions of a filter, as SQL that contains no input, and their parameters."""
    yield "tenant_id = %s", (filter_.tenant_id,)
    if filter_.since is not None:
        yield "time >= %s", (filter_.since,)
    if filter_.until is not None:
        yield "time < %s", (filter_.until,)
    for column, values in (("outcome", filter_.outcomes), ("risk_level", filter_.risk_levels)):
        if values:
            yield f"{column} IN ({', '.join(['%s'] * len(values))})", values
    for column in _EXACT:
        if value := getattr(filter_, column):
            yield f"{column} = %s", (value,)
    if filter_.model:
        yield _MODEL, (filter_.model,)
    if filter_.policy_id:
        yield _POLICY, (filter_.policy_id,)
    if filter_.pii_detected is not None:
        yield "pii_detected = %s", (filter_.pii_detected,)
