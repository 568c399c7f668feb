"""Counts in memory what users and groups have used, for as long as it takes to write it down.

Confined to one thread, or to one lock: a decision reads and adds plain numbers, and never waits.
What was added is taken to the store by `pdp.admin.metering`, which also brings what others added.

What a subject has used is the store's total, as it was last read, and what this process has added
since. Requests are counted by the second, so that the last 60 of them can be added up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.counter import Counter, CounterId
from pdp.domain.limits import (
    MINUTE_S,
    NOTHING,
    Calendar,
    Counts,
    LimitInForce,
    Spending,
    Spent,
    asked_by,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot

SECOND: Final = "second"
DAY: Final = "day"
MONTH: Final = "month"

_Key = tuple[str, str, str]


class _Account:
    """What one subject has used in the windows that are open."""

    __slots__ = (
        "day", "day_start", "key", "last", "minute", "month", "month_start", "second", "seconds"
    )  # fmt: skip

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.day_start = self.month_start = self.second = self.last = 0
        self.day = self.month = NOTHING
        self.seconds: dict[int, int] = {}
        self.minute = 0

    def move_on(self, calendar: Calendar, second: int) -> None:
        """Opens new windows. Never back: a clock that was put back must not empty them."""
        if second <= self.second:
            return
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

    def add(self, window: str, start: int, counts: Counts) -> None:
        """Adds to a window, if it is one of those that are open."""
        if window == SECOND:
            self._set_second(start, self.seconds.get(start, 0) + counts.requests)
        elif window == DAY and start == self.day_start:
            self.day = _sum(self.day, counts)
        elif window == MONTH and start == self.month_start:
            self.month = _sum(self.month, counts)

    def set(self, window: str, start: int, counts: Counts) -> None:
        """Sets what was used in a window, and opens it where it is newer than the open one."""
        if window == SECOND:
            self._set_second(start, counts.requests)
        elif window == DAY and start >= self.day_start:
            self.day_start, self.day = start, counts
        elif window == MONTH and start >= self.month_start:
            self.month_start, self.month = start, counts

    def _set_second(self, start: int, requests: int) -> None:
        if start > self.second:
            self._tick(start)
        if start < self._oldest:
            return
        self.minute += requests - self.seconds.get(start, 0)
        self.seconds[start] = requests
        self.last = max(self.last, start)

    def spending(self, rate: int | None) -> Spending:
        """Returns what was used; `rate` is how many requests a minute may have."""
        used_up = rate is not None and self.minute >= rate
        return Spending(
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


class Charge(NamedTuple):
    """What was added for a request before it was judged.

    Attributes:
        request: with what had been used before.
        asked: what was added.
        counters: what it was added to.
    """

    request: Request
    asked: Counts
    counters: tuple[CounterId, ...]


class Meter:
    """The counters of all subjects that have limits."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Begins with nothing.

        Args:
            clock: returns the seconds since the epoch. Not the requests' own timestamps: those
                could choose a window that is still empty.
        """
        self.clock = clock
        self._accounts: dict[_Key, _Account] = {}
        self._calendar = Calendar(0, 0, 0, 0)
        self._added: dict[CounterId, Counts] = {}
        self._written: dict[CounterId, Counts] = {}
        self.stamp = 0

    @property
    def unwritten(self) -> int:
        """How many counters the store does not know the last additions of."""
        return len(self._added) + len(self._written)

    def spent(self, tenant_id: str, limits: Iterable[LimitInForce]) -> Spent:
        """Returns what the subjects of `limits` have used."""
        now = self.clock()
        calendar = self._calendar_at(now)
        by_limit = {}
        for each in limits:
            limit = each.limit
            account = self._account((tenant_id, limit.scope, limit.subject_id))
            account.move_on(calendar, int(now))
            by_limit[limit.id] = account.spending(limit.requests_per_minute)
        return Spent(now, calendar, by_limit)

    def standing(self, snapshot: Snapshot, request: Request) -> Request:
        """Returns `request` with the counters that it is to be judged by; nothing is added."""
        limits = snapshot.limits.of(request.subject) if snapshot.limits else ()
        return request._replace(spent=self.spent(snapshot.tenant_id, limits)) if limits else request

    def charge(self, snapshot: Snapshot, request: Request) -> Charge | None:
        """Adds a request and what it uses to the counters, until `settle` is called.

        It is added before it is judged, so that two requests that are judged at once cannot both
        have what is left. Returns None where no limit applies.
        """
        limits = snapshot.limits.of(request.subject) if snapshot.limits else ()
        if not limits:
            return None
        tenant_id = snapshot.tenant_id
        spent = self.spent(tenant_id, limits)
        asked = asked_by(request.usage)
        counters: list[CounterId] = []
        for each in limits:
            key = (tenant_id, each.limit.scope, each.limit.subject_id)
            account = self._accounts[key]
            counters += (
                CounterId(*key, SECOND, account.second),
                CounterId(*key, DAY, account.day_start),
                CounterId(*key, MONTH, account.month_start),
            )
        self._add(counters, asked)
        return Charge(request._replace(spent=spent), asked, tuple(counters))

    def settle(self, charge: Charge, decision: Decision) -> None:
        """Takes back what a decided request does not use."""
        asked = charge.asked
        kept = kept_of(asked, decision)
        if kept != asked:
            back = Counts(*(had - asked for had, asked in zip(kept, asked, strict=True)))
            self._add(charge.counters, back)

    def _add(self, counters: Iterable[CounterId], counts: Counts) -> None:
        added = self._added
        for counter in counters:
            window = counter.window
            more = Counts(counts.requests) if window == SECOND else counts
            added[counter] = _sum(added.get(counter, NOTHING), more)
            self._accounts[counter[:3]].add(window, counter.start, more)

    def _account(self, key: _Key) -> _Account:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account(key)
        return account

    def _calendar_at(self, now: float) -> Calendar:
        if now >= self._calendar.day_end:
            self._calendar = Calendar.of(now)
        return self._calendar

    def begin(self) -> Mapping[CounterId, Counts]:
        """Returns what is to be added to the store, until `finish` or `abandon` is called."""
        self._written = {counter: counts for counter, counts in self._added.items() if any(counts)}
        self._added = {}
        return self._written

    def finish(self, counters: Iterable[Counter]) -> None:
        """Takes in what the store has said after it was added."""
        self._written = {}
        for counter, counts, stamp in counters:
            known = _sum(counts, self._added.get(counter, NOTHING))
            self._account(counter[:3]).set(counter.window, counter.start, known)
            self.stamp = max(self.stamp, stamp)

    def abandon(self) -> None:
        """Keeps what could not be added for the next time."""
        for counter, counts in self._written.items():
            self._added[counter] = _sum(counts, self._added.get(counter, NOTHING))
        self._written = {}


def kept_of(asked: Counts, decision: Decision) -> Counts:
    """Returns what of `asked` a decided request uses.

    Nothing where a limit or the kill switch stopped it; where anything else did, itself, but
    neither tokens nor cost (decide.md).
    """
    if not decision.counted:
        return NOTHING
    return asked if decision.allowed else Counts(asked.requests)


def _sum(one: Counts, other: Counts) -> Counts:
    return Counts(one[0] + other[0], one[1] + other[1], one[2] + other[2])
