"""Counts in memory what users and groups use (docs/decide.md, Limits).

A meter belongs to one thread, or one lock protects it. A decision reads and adds plain numbers and
never waits. `pdp.usage.flush` writes the additions to the store and reads those of other processes.

A subject's usage is the store's total, as last read, plus this process's additions since then.
Requests are counted by the second, so that the last 60 seconds can be added up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from pdp.domain.limits import ActiveLimit, counts_of
from pdp.domain.usage import NOTHING, Calendar, Counts, UsageSnapshot
from pdp.usage.usage_windows import SubjectKey, UsageWindows, WindowStarts, add_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.domain.usage import Counter, CounterId
    from pdp.engine.snapshot import Snapshot


class Charge(NamedTuple):
    """The counts that were added for a request before its evaluation.

    Attributes:
        request: the request, with its subjects' usage before the charge.
        counts: what was added.
        windows: the windows of each subject that was charged.
        starts: which windows of each subject were open then.
    """

    request: Request
    counts: Counts
    windows: tuple[UsageWindows, ...]
    starts: tuple[WindowStarts, ...]


class Meter:
    """The usage counters of all subjects that have limits."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Starts without counters.

        Args:
            clock: returns the seconds since the epoch. The timestamps of requests are not used:
                a caller could choose a window that is still empty.
        """
        self.clock = clock
        self._windows: dict[SubjectKey, UsageWindows] = {}
        self._calendar = Calendar(0, 0, 0, 0)
        self._changed: set[UsageWindows] = set()
        self._flushing: dict[CounterId, Counts] = {}
        self.stamp = 0

    @property
    def unwritten(self) -> int:
        """How many subjects and counters have additions that are not in the store yet."""
        return len(self._changed) + len(self._flushing)

    def spent(self, tenant_id: str, limits: Iterable[ActiveLimit]) -> UsageSnapshot:
        """Returns what the subjects of `limits` have used."""
        now = self.clock()
        calendar = self._calendar_at(now)
        by_limit = {}
        for each in limits:
            limit = each.limit
            windows = self._windows_of((tenant_id, limit.scope, limit.subject_id))
            windows.advance(calendar, int(now))
            by_limit[limit.id] = windows.spending(limit.requests_per_minute)
        return UsageSnapshot(now, calendar, by_limit)

    def with_usage(self, snapshot: Snapshot, request: Request) -> Request:
        """Returns `request` with the usage of its subjects. Adds nothing to the counters."""
        limits = snapshot.limits.of(request.subject) if snapshot.limits else ()
        return (
            request._replace(usage_snapshot=self.spent(snapshot.tenant_id, limits))
            if limits
            else request
        )

    def charge(self, snapshot: Snapshot, request: Request) -> Charge | None:
        """Adds a request and its usage to the counters, until `settle` is called.

        The request is counted before its evaluation, so that two concurrent requests cannot both
        use the same remainder. Returns None if no limit applies.
        """
        limits = snapshot.limits.of(request.subject) if snapshot.limits else ()
        if not limits:
            return None
        tenant_id = snapshot.tenant_id
        spent = self.spent(tenant_id, limits)
        counts = counts_of(request.usage)
        windows = tuple(
            self._windows[tenant_id, each.limit.scope, each.limit.subject_id] for each in limits
        )
        for each in windows:
            each.add(counts)
        self._changed.update(windows)
        starts = tuple(each.starts() for each in windows)
        return Charge(request._replace(usage_snapshot=spent), counts, windows, starts)

    def settle(self, charge: Charge, decision: Decision) -> None:
        """Takes back what the decided request does not use."""
        charged = charge.counts
        used = used_counts(charged, decision)
        if used == charged:
            return
        correction = Counts(*(after - before for after, before in zip(used, charged, strict=True)))
        for windows, starts in zip(charge.windows, charge.starts, strict=True):
            windows.add_at(starts, correction)
        self._changed.update(charge.windows)

    def _windows_of(self, key: SubjectKey) -> UsageWindows:
        windows = self._windows.get(key)
        if windows is None:
            windows = self._windows[key] = UsageWindows(key)
        return windows

    def _calendar_at(self, now: float) -> Calendar:
        if now >= self._calendar.day_end:
            self._calendar = Calendar.of(now)
        return self._calendar

    def begin_flush(self) -> Mapping[CounterId, Counts]:
        """Returns the additions to write. Call `finish_flush` or `abandon_flush` after it."""
        self._flushing = {
            counter: counts
            for windows in self._changed
            for counter, counts in windows.take_additions().items()
            if any(counts)
        }
        self._changed = set()
        return self._flushing

    def finish_flush(self, counters: Iterable[Counter]) -> None:
        """Takes over the totals that the store has after the flush."""
        self._flushing = {}
        for counter, counts, stamp in counters:
            self._windows_of(counter[:3]).set_total(counter.window, counter.start, counts)
            self.stamp = max(self.stamp, stamp)

    def abandon_flush(self) -> None:
        """Keeps the additions of a failed flush for the next one."""
        for counter, counts in self._flushing.items():
            windows = self._windows_of(counter[:3])
            windows.closed[counter] = add_counts(counts, windows.closed.get(counter, NOTHING))
            self._changed.add(windows)
        self._flushing = {}


def used_counts(charged: Counts, decision: Decision) -> Counts:
    """Returns which of the charged counts a decided request uses.

    A request that a limit or the kill switch stopped uses nothing. A request that anything else
    stopped counts as a request, but uses no tokens and no cost (docs/decide.md).
    """
    if not decision.counted:
        return NOTHING
    return charged if decision.allowed else Counts(charged.requests)
