"""Usage: what the subjects of limits have used, in windows of time (docs/decide.md, limits).

Days and months are those of UTC. A minute is the last 60 seconds. Costs are whole micro-dollars, so
that sums are exact.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_COUNT: Final = 2**53 - 1
"""The highest value of a count, so that each is a number in JSON."""

MINUTE_S: Final = 60
DAY_S: Final = 86_400


class Counts(NamedTuple):
    """The usage in one window; cost in micro-dollars."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0


NOTHING: Final = Counts()
ONE_REQUEST: Final = Counts(1)


class CounterId(NamedTuple):
    """Identifies the counter of one window of one subject.

    Attributes:
        tenant_id: the tenant of the subject.
        scope: `user` or `group`.
        subject_id: the user's or the group's id.
        window: `second`, `day` or `month`.
        start: the start of the window, in seconds since the epoch.
    """

    tenant_id: str
    scope: str
    subject_id: str
    window: str
    start: int


class Counter(NamedTuple):
    """A counter in the store: a total that many processes add to.

    A counter is not an entity: it has no history, and it changes too often for the change log.

    Attributes:
        counts: the total of all processes.
        stamp: rises with every addition to any counter.
    """

    id: CounterId
    counts: Counts
    stamp: int


class Calendar(NamedTuple):
    """The day and the month of a moment. An end is the start of the next day or month."""

    day_start: int
    day_end: int
    month_start: int
    month_end: int

    @classmethod
    def of(cls, now: float) -> Calendar:
        """Returns the calendar at `now`, in seconds since the epoch."""
        day_start = int(now // DAY_S) * DAY_S
        month = datetime.fromtimestamp(day_start, UTC).replace(day=1)
        is_december = month.month == 12  # noqa: PLR2004 - the month's number
        next_month = month.replace(
            year=month.year + 1 if is_december else month.year,
            month=1 if is_december else month.month + 1,
        )
        return cls(
            day_start, day_start + DAY_S, int(month.timestamp()), int(next_month.timestamp())
        )


class SubjectUsage(NamedTuple):
    """What the subject of a limit has used.

    Attributes:
        minute, day, month: the usage in these windows, without the current request.
        frees_at: when the minute has room for one request again; None if it has room now.
        empty_at: when the minute's usage is zero again, if nothing is added.
    """

    minute: Counts = NOTHING
    day: Counts = NOTHING
    month: Counts = NOTHING
    frees_at: float | None = None
    empty_at: float = 0.0


class UsageSnapshot(NamedTuple):
    """The usage at the moment of a decision.

    Attributes:
        at: the server's time, in seconds since the epoch. A request's own timestamp is not used: it
            could choose a window that is still empty.
        calendar: the calendar at that time.
        by_limit: the usage of each applicable limit's subject, by the limit's id.
        alone: why this process has counted by itself although all replicas count together; empty if
            it has not.
    """

    at: float
    calendar: Calendar
    by_limit: Mapping[str, SubjectUsage]
    alone: str = ""
