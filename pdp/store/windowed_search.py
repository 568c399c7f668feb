"""Searches a log of records in windows of a bounded number of records, the same for every backend.

Each window is one short read, so no other read or append waits long for a search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from pdp.domain.audit_log import RecordPage, StoredRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager


class SearchSegment(NamedTuple):
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


class WindowReader(Protocol):
    """Reads the records of a window, from one view of the log."""

    def bound(self, segment: SearchSegment, *, newest_first: bool) -> int | None:
        """Returns the place of the last record of a window; None if it has the whole segment."""

    def rows(
        self, segment: SearchSegment, limit: int, *, newest_first: bool
    ) -> Iterable[StoredRecord]:
        """Returns records of a segment that match the filter of the search."""


def search_windows(
    read: Callable[[], AbstractContextManager[WindowReader]],
    segments: Sequence[SearchSegment],
    *,
    limit: int,
    newest_first: bool,
    max_windows: int,
) -> RecordPage:
    """Returns records of segments.

    Args:
        read: gives what reads a window.
        segments: the segments, in the order of the search.
        limit: the most records.
        newest_first: the order.
        max_windows: the most windows, in addition to one for each segment.
    """
    records: list[StoredRecord] = []
    remaining = list(segments)
    for _ in range(max_windows + len(remaining)):
        if not remaining:
            return RecordPage(records, None)
        first = remaining.pop(0)
        if first.start >= first.end:
            continue
        with read() as reader:
            bound = reader.bound(first, newest_first=newest_first)
            window, rest = _split(first, bound, newest_first=newest_first)
            records += reader.rows(window, limit - len(records), newest_first=newest_first)
        if len(records) == limit:
            return RecordPage(records, records[-1].sequence)
        remaining[:0] = rest
    return RecordPage(records, _place(remaining, newest_first=newest_first))


def _split(
    segment: SearchSegment, bound: int | None, *, newest_first: bool
) -> tuple[SearchSegment, list[SearchSegment]]:
    """Splits a segment behind the record at `bound`. Returns the parts before and after it."""
    if bound is None:
        return segment, []
    if newest_first:
        return segment._replace(start=bound), [segment._replace(end=bound)]
    return segment._replace(end=bound + 1), [segment._replace(start=bound + 1)]


def _place(segments: Sequence[SearchSegment], *, newest_first: bool) -> int | None:
    """Returns the place to continue from; None if nothing is left."""
    left = [each for each in segments if each.start < each.end]
    if not left:
        return None
    return left[0].end if newest_first else left[0].start - 1
