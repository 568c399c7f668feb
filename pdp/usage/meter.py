"""Counts in memory what users and groups have used, for as long as it takes to write it down.

Confined to one thread, or to one lock: a decision reads and adds plain numbers, and never waits.
What was added is taken to the store by `pdp.usage.synchronization`, which also brings what others added.

What a subject has used is the store's total, as it was last read, and what this process has added
since. Requests are counted by the second, so that the last 60 of them can be added up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from pdp.domain.limits import ActiveLimit, counts_of
from pdp.domain.usage import NOTHING, Calendar, Counts, UsageSnapshot
from pdp.usage.usage_windows import Key, Place, UsageWindows, added

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.domain.usage import Counter, CounterId
    from pdp.engine.snapshot import Snapshot


class Charge(NamedTuple):
    """What was added for a request before it was judged.

    Attributes:
        request: with what had been used before.
        asked: what was added.
        accounts, places: what it was added to, and which windows were open there.
    """

    request: Request
    asked: Counts
    accounts: tuple[UsageWindows, ...]
    places: tuple[Place, ...]


class Meter:
    """The counters of all subjects that have limits."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Begins with nothing.

        Args:
            clock: returns the seconds since the epoch. Not the requests' own timestamps: those
                could choose a window that is still empty.
        """
        self.clock = clock
        self._accounts: dict[Key, UsageWindows] = {}
        self._calendar = Calendar(0, 0, 0, 0)
        self._changed: set[UsageWindows] = set()
        self._written: dict[CounterId, Counts] = {}
        self.stamp = 0

    @property
    def unwritten(self) -> int:
        """How many subjects and counters the store does not know the last additions of."""
        return len(self._changed) + len(self._written)

    def spent(self, tenant_id: str, limits: Iterable[ActiveLimit]) -> UsageSnapshot:
        """Returns what the subjects of `limits` have used."""
        now = self.clock()
        calendar = self._calendar_at(now)
        by_limit = {}
        for each in limits:
            limit = each.limit
            account = self._account((tenant_id, limit.scope, limit.subject_id))
            account.move_on(calendar, int(now))
            by_limit[limit.id] = account.spending(limit.requests_per_minute)
        return UsageSnapshot(now, calendar, by_limit)

    def standing(self, snapshot: Snapshot, request: Request) -> Request:
        """Returns `request` with the counters that it is to be judged by; nothing is added."""
        limits = snapshot.limits.of(request.subject) if snapshot.limits else ()
        return (
            request._replace(usage_snapshot=self.spent(snapshot.tenant_id, limits))
            if limits
            else request
        )

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
        asked = counts_of(request.usage)
        accounts = tuple(
            self._accounts[tenant_id, each.limit.scope, each.limit.subject_id] for each in limits
        )
        for account in accounts:
            account.add(asked)
        self._changed.update(accounts)
        places = tuple(account.place() for account in accounts)
        return Charge(request._replace(usage_snapshot=spent), asked, accounts, places)

    def settle(self, charge: Charge, decision: Decision) -> None:
        """Takes back what a decided request does not use."""
        asked = charge.asked
        kept = kept_of(asked, decision)
        if kept == asked:
            return
        back = Counts(*(had - asked for had, asked in zip(kept, asked, strict=True)))
        for account, place in zip(charge.accounts, charge.places, strict=True):
            account.add_at(place, back)
        self._changed.update(charge.accounts)

    def _account(self, key: Key) -> UsageWindows:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = UsageWindows(key)
        return account

    def _calendar_at(self, now: float) -> Calendar:
        if now >= self._calendar.day_end:
            self._calendar = Calendar.of(now)
        return self._calendar

    def begin(self) -> Mapping[CounterId, Counts]:
        """Returns what is to be added to the store, until `finish` or `abandon` is called."""
        self._written = {
            counter: counts
            for account in self._changed
            for counter, counts in account.take().items()
            if any(counts)
        }
        self._changed = set()
        return self._written

    def finish(self, counters: Iterable[Counter]) -> None:
        """Takes in what the store has said after it was added."""
        self._written = {}
        for counter, counts, stamp in counters:
            self._account(counter[:3]).set(counter.window, counter.start, counts)
            self.stamp = max(self.stamp, stamp)

    def abandon(self) -> None:
        """Keeps what could not be added for the next time."""
        for counter, counts in self._written.items():
            account = self._account(counter[:3])
            account.closed[counter] = added(counts, account.closed.get(counter, NOTHING))
            self._changed.add(account)
        self._written = {}


def kept_of(asked: Counts, decision: Decision) -> Counts:
    """Returns what of `asked` a decided request uses.

    Nothing where a limit or the kill switch stopped it; where anything else did, itself, but
    neither tokens nor cost (decide.md).
    """
    if not decision.counted:
        return NOTHING
    return asked if decision.allowed else Counts(asked.requests)
