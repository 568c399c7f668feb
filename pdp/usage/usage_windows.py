"""What one subject of a limit has used, in the windows that are open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.usage import MINUTE_S, NOTHING, Calendar, CounterId, Counts, SubjectUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND: Final = "second"
DAY: Final = "day"
MONTH: Final = "month"

Key = tuple[str, str, str]
"""Tenant, scope and subject."""

Place = tuple[int, int, int]
"""The starts of the second, the day and the month that are open."""


class UsageWindows:
    """What one subject has used in the windows that are open.

    What was added since it was last written down is kept once for all windows (`new`), until one of
    them ends and it is put down for each (`closed`): adding to it is all that most decisions do.
    """

    __slots__ = (
        "closed", "day", "day_start", "key", "last", "minute", "month", "month_start", "new",
        "second", "seconds",
    )  # fmt: skip

    def __init__(self, key: Key) -> None:
        self.key = key
        self.day_start = self.month_start = self.second = self.last = 0
        self.day = self.month = self.new = NOTHING
        self.closed: dict[CounterId, Counts] = {}
        self.seconds: dict[int, int] = {}
        self.minute = 0

    def move_on(self, calendar: Calendar, second: int) -> None:
        """Opens new windows. Never back: a clock that was put back must not empty them."""
        if second <= self.second:
            return
        self._put_down()
        if calendar.day_start > self.day_start:
            self.day_start, self.day = calendar.day_start, NOTHING
        if calendar.month_start > self.month_start:
            self.month_start, self.month = calendar.month_start, NOTHING
        self._tick(second)

    def _tick(self, second: int) -> None:
        self.second = second
        for gone in [each for each in self.seconds if each < self._oldest]:
            self.minute -= self.seconds.pop(gone)

    @property
    def _oldest(self) -> int:
        # The second that began a minute ago may hold requests of less than 60 seconds ago, so it
        # counts: in no 60 seconds do more pass than are allowed.
        return self.second - MINUTE_S

    def place(self) -> Place:
        """Returns the starts of the windows that are open."""
        return (self.second, self.day_start, self.month_start)

    def add(self, counts: Counts) -> None:
        """Adds to the windows that are open."""
        self.day = added(self.day, counts)
        self.month = added(self.month, counts)
        self.new = added(self.new, counts)
        self.minute += counts.requests
        self.seconds[self.second] = self.seconds.get(self.second, 0) + counts.requests
        self.last = self.second

    def add_at(self, place: Place, counts: Counts) -> None:
        """Adds to the windows that were open at `place`."""
        if place == self.place():
            self.add(counts)
            return
        second, day_start, month_start = place
        self._close(place, counts)
        self._set_second(second, self.seconds.get(second, 0) + counts.requests)
        if day_start == self.day_start:
            self.day = added(self.day, counts)
        if month_start == self.month_start:
            self.month = added(self.month, counts)

    def _put_down(self) -> None:
        if self.new != NOTHING:
            self._close(self.place(), self.new)
            self.new = NOTHING

    def _close(self, place: Place, counts: Counts) -> None:
        parts = (Counts(counts.requests), counts, counts)
        for window, start, part in zip((SECOND, DAY, MONTH), place, parts, strict=True):
            counter = CounterId(*self.key, window, start)
            self.closed[counter] = added(self.closed.get(counter, NOTHING), part)

    def take(self) -> Mapping[CounterId, Counts]:
        """Returns what was added since the last time."""
        self._put_down()
        taken, self.closed = self.closed, {}
        return taken

    def set(self, window: str, start: int, counts: Counts) -> None:
        """Sets what others, and this one before, have used in a window; opens it where it is newer.

        What is not written down yet comes on top.
        """
        self._put_down()
        total = added(counts, self.closed.get(CounterId(*self.key, window, start), NOTHING))
        if window == SECOND:
            self._set_second(start, total.requests)
        elif window == DAY and start >= self.day_start:
            self.day_start, self.day = start, total
        elif window == MONTH and start >= self.month_start:
            self.month_start, self.month = start, total

    def _set_second(self, start: int, requests: int) -> None:
        if start > self.second:
            self._tick(start)
        if start < self._oldest:
            return
        self.minute += requests - self.seconds.get(start, 0)
        self.seconds[start] = requests
        self.last = max(self.last, start)

    def spending(self, rate: int | None) -> SubjectUsage:
        """Returns what was used; `rate` is how many requests a minute may have."""
        used_up = rate is not None and self.minute >= rate
        return SubjectUsage(
            Counts(self.minute),
            self.day,
            self.month,
            frees_at=self._frees_at(rate or 0) if used_up else None,
            empty_at=self.last + MINUTE_S + 1 if self.minute else self.second,
        )

    def _frees_at(self, rate: int) -> float | None:
        left = self.minute
        for second in sorted(self.seconds):
            left -= self.seconds[second]
            if left < rate:
                return second + MINUTE_S + 1
        return None


def added(one: Counts, other: Counts) -> Counts:
    """Returns the sum of two counts."""
    return Counts(one[0] + other[0], one[1] + other[1], one[2] + other[2])
