"""What one subject of a limit has used in its open windows: a second, a day and a month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.usage import MINUTE_S, NOTHING, Calendar, CounterId, Counts, SubjectUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND: Final = "second"
DAY: Final = "day"
MONTH: Final = "month"

SubjectKey = tuple[str, str, str]
"""Tenant, scope and subject."""

WindowStarts = tuple[int, int, int]
"""The starts of the second, the day and the month that are open."""


class UsageWindows:
    """What one subject has used in the windows that are open.

    Additions that the store does not have yet are kept once for all windows (`pending`). When one
    of the windows ends, they are moved to a counter for each window (`closed`). So most decisions
    only add to `pending`.
    """

    __slots__ = (
        "closed", "day", "day_start", "key", "last", "minute", "month", "month_start", "pending",
        "second", "seconds",
    )  # fmt: skip

    def __init__(self, key: SubjectKey) -> None:
        self.key = key
        self.day_start = self.month_start = self.second = self.last = 0
        self.day = self.month = self.pending = NOTHING
        self.closed: dict[CounterId, Counts] = {}
        self.seconds: dict[int, int] = {}
        self.minute = 0

    def advance(self, calendar: Calendar, second: int) -> None:
        """Opens new windows. Never goes back: a clock that was set back must not empty windows."""
        if second <= self.second:
            return
        self._close_pending()
        if calendar.day_start > self.day_start:
            self.day_start, self.day = calendar.day_start, NOTHING
        if calendar.month_start > self.month_start:
            self.month_start, self.month = calendar.month_start, NOTHING
        self._open_second(second)

    def _open_second(self, second: int) -> None:
        self.second = second
        for expired in [each for each in self.seconds if each < self._oldest]:
            self.minute -= self.seconds.pop(expired)

    @property
    def _oldest(self) -> int:
        # The second that began a minute ago may have requests of less than 60 seconds ago. It
        # counts, so that no period of 60 seconds has more requests than allowed.
        return self.second - MINUTE_S

    def starts(self) -> WindowStarts:
        """Returns the starts of the windows that are open."""
        return (self.second, self.day_start, self.month_start)

    def add(self, counts: Counts) -> None:
        """Adds to the windows that are open."""
        self.day = add_counts(self.day, counts)
        self.month = add_counts(self.month, counts)
        self.pending = add_counts(self.pending, counts)
        self.minute += counts.requests
        self.seconds[self.second] = self.seconds.get(self.second, 0) + counts.requests
        self.last = self.second

    def add_at(self, starts: WindowStarts, counts: Counts) -> None:
        """Adds to the windows that were open at `starts`."""
        if starts == self.starts():
            self.add(counts)
            return
        second, day_start, month_start = starts
        self._add_to_closed(starts, counts)
        self._set_second(second, self.seconds.get(second, 0) + counts.requests)
        if day_start == self.day_start:
            self.day = add_counts(self.day, counts)
        if month_start == self.month_start:
            self.month = add_counts(self.month, counts)

    def _close_pending(self) -> None:
        if self.pending != NOTHING:
            self._add_to_closed(self.starts(), self.pending)
            self.pending = NOTHING

    def _add_to_closed(self, starts: WindowStarts, counts: Counts) -> None:
        parts = (Counts(counts.requests), counts, counts)
        for window, start, part in zip((SECOND, DAY, MONTH), starts, parts, strict=True):
            counter = CounterId(*self.key, window, start)
            self.closed[counter] = add_counts(self.closed.get(counter, NOTHING), part)

    def take_additions(self) -> Mapping[CounterId, Counts]:
        """Returns the additions since the last call."""
        self._close_pending()
        additions, self.closed = self.closed, {}
        return additions

    def set_total(self, window: str, start: int, counts: Counts) -> None:
        """Sets the store's total of a window; opens the window if it is newer.

        Additions that the store does not have yet are added to the total.
        """
        self._close_pending()
        counter = CounterId(*self.key, window, start)
        total = add_counts(counts, self.closed.get(counter, NOTHING))
        if window == SECOND:
            self._set_second(start, total.requests)
        elif window == DAY and start >= self.day_start:
            self.day_start, self.day = start, total
        elif window == MONTH and start >= self.month_start:
            self.month_start, self.month = start, total

    def _set_second(self, start: int, requests: int) -> None:
        if start > self.second:
            self._open_second(start)
        if start < self._oldest:
            return
        self.minute += requests - self.seconds.get(start, 0)
        self.seconds[start] = requests
        self.last = max(self.last, start)

    def spending(self, rate: int | None) -> SubjectUsage:
        """Returns what was used.

        Args:
            rate: how many requests a minute may have; None for no limit.
        """
        exhausted = rate is not None and self.minute >= rate
        return SubjectUsage(
            Counts(self.minute),
            self.day,
            self.month,
            frees_at=self._frees_at(rate or 0) if exhausted else None,
            empty_at=self.last + MINUTE_S + 1 if self.minute else self.second,
        )

    def _frees_at(self, rate: int) -> float | None:
        remaining = self.minute
        for second in sorted(self.seconds):
            remaining -= self.seconds[second]
            if remaining < rate:
                return second + MINUTE_S + 1
        return None


def add_counts(one: Counts, other: Counts) -> Counts:
    """Returns the sum of two counts."""
    return Counts(one[0] + other[0], one[1] + other[1], one[2] + other[2])
