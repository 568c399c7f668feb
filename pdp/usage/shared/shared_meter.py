"""The meter of a server whose limits are counted by all replicas together.

A request is charged by one run of the script: all bounds of all its subjects are checked, and taken
if all have room. If there is no answer in time, the request is counted by this process alone. What
becomes of it reaches the server afterwards, once:

- What was counted here is added there, as soon as the server can be asked again.
- If the server has taken a charge whose answer came too late, the charge is taken back, because the
  request was counted here.
- If the connection broke, the server is asked on the next one which calls ran, and runs none of the
  others any more. No call is sent twice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.limits import counts_of
from pdp.domain.usage import Calendar, Counts, UsageSnapshot
from pdp.errors import StoreUnavailable
from pdp.usage.meter import used_counts
from pdp.usage.shared.call import ScriptCall
from pdp.usage.shared.journal import Journal
from pdp.usage.shared.link import BUSY, MALFORMED
from pdp.usage.shared.local_counters import KnownUsage, LocalCounters
from pdp.usage.shared.script import COUNT, READ, CallInput, subject_key, usage_of
from pdp.usage.shared.shared_counters import SharedCounters

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from pdp.domain.decision import Decision
    from pdp.domain.limits import ActiveLimit
    from pdp.domain.request import Request
    from pdp.domain.usage import CounterId, SubjectUsage
    from pdp.engine.snapshot import Snapshot
    from pdp.usage.shared.address import CounterServer
    from pdp.usage.shared.script import ChargeResult, CountResult, Script
    from pdp.usage.usage_windows import SubjectKey

CHARGES_AT_ONCE: Final = 32
"""Charges of a batch that one call takes."""

SUBJECTS_AT_ONCE: Final = 100
"""Subjects whose usage one call reads for a report."""

UNREADABLE: Final = "a key of the shared counters holds something else"


class SharedCharge(NamedTuple):
    """A request that was counted before its evaluation, or was found to exceed a limit.

    Attributes:
        request: the request, with its subjects' usage before the charge.
        counts: what was added; nothing if a limit has no room.
        subjects: what was charged.
        at: when, by the server's clock.
        corrections: how many charges had been corrected when it was made.
    """

    request: Request
    counts: Counts
    subjects: tuple[SubjectKey, ...]
    at: float
    corrections: int


class _LimitedRequest(NamedTuple):
    """A request, and the limits that apply to it."""

    request: Request
    limits: tuple[ActiveLimit, ...]
    counts: Counts
    subjects: tuple[SubjectKey, ...]


class SharedMeter:
    """Charges requests at the shared counters. All methods run on the event loop's thread.

    Attributes:
        counters: the connection to the server.
        decided_alone: how many requests this process has counted by itself.
    """

    def __init__(
        self, server: CounterServer, budget_s: float, script: Script | None = None
    ) -> None:
        """Takes what to connect to; see `SharedCounters`."""
        self.counters = SharedCounters(server, budget_s, self, script)
        self.decided_alone = 0
        self._local = LocalCounters(self.counters.time)
        self._journal = Journal()
        self._reporting = 0
        self._corrections = 0
        self._calendar = Calendar(0, 0, 0, 0)

    @property
    def unwritten(self) -> int:
        """How many counters have additions that the server does not have yet."""
        return len(self._journal) + self._reporting

    def charge(
        self, snapshot: Snapshot, request: Request
    ) -> SharedCharge | Awaitable[SharedCharge | None] | None:
        """Counts a request, until `settle` is called, if all its limits have room.

        Returns None if no limit applies.
        """
        asked = _asked(snapshot, request)
        if asked is None:
            return None
        if not self.counters.ready:
            return self._charge_here(asked, self.counters.reason)
        return self._charge_one(snapshot.tenant_id, asked)

    async def charge_all(
        self, snapshot: Snapshot, requests: Sequence[Request]
    ) -> list[SharedCharge | None]:
        """Counts requests in their order, in as few calls as possible; see `charge`."""
        asked = [_asked(snapshot, request) for request in requests]
        limited = [each for each in asked if each is not None]
        charges: list[SharedCharge] = []
        for first in range(0, len(limited), CHARGES_AT_ONCE):
            part = limited[first : first + CHARGES_AT_ONCE]
            charges += await self._charge_there(snapshot.tenant_id, part)
        charged = iter(charges)
        return [None if each is None else next(charged) for each in asked]

    def is_outdated(self, charge: SharedCharge) -> bool:
        """Returns whether a charge found no room, and something was taken back since."""
        return not charge.counts.requests and charge.corrections != self._corrections

    def settle(self, charge: SharedCharge, decision: Decision) -> None:
        """Takes back what the decided request does not use."""
        charged = charge.counts
        if not charged.requests:
            return
        used = used_counts(charged, decision)
        if used == charged:
            return
        correction = Counts(*(after - before for after, before in zip(used, charged, strict=True)))
        self._local.correct(charge.subjects, charge.at, correction)
        self._tell(charge.subjects, charge.at, correction)
        self._corrections += 1

    def with_usage(self, snapshot: Snapshot, request: Request) -> Request | Awaitable[Request]:
        """Returns `request` with the usage of its subjects. Adds nothing to the counters."""
        asked = _asked(snapshot, request)
        return request if asked is None else self._with_usage(snapshot.tenant_id, asked)

    async def spent(self, tenant_id: str, limits: Sequence[ActiveLimit]) -> UsageSnapshot:
        """Returns what the subjects of `limits` have used.

        Raises:
            StoreUnavailable: the server cannot be asked.
        """
        at = self.counters.time()
        by_limit: dict[str, SubjectUsage] = {}
        for first in range(0, len(limits), SUBJECTS_AT_ONCE):
            usage = await self._read(tenant_id, limits[first : first + SUBJECTS_AT_ONCE])
            if isinstance(usage, str):
                raise StoreUnavailable(f"{usage}; try again later")
            at = usage.at
            by_limit.update(usage.by_limit)
        return UsageSnapshot(at, self._calendar_at(at), by_limit)

    def calls(self) -> list[ScriptCall]:
        """See `UnreportedUsage`."""
        return [self._report(*each) for each in self._journal.take()]

    def drop_past(self) -> None:
        """See `UnreportedUsage`."""
        self._journal.drop_past(self.counters.time())

    async def _charge_one(self, tenant_id: str, asked: _LimitedRequest) -> SharedCharge:
        (charge,) = await self._charge_there(tenant_id, [asked])
        return charge

    async def _charge_there(
        self, tenant_id: str, asked: Sequence[_LimitedRequest]
    ) -> list[SharedCharge]:
        content = CallInput(tenant_id, self.counters.replica_id)
        for each in asked:
            content.charge(each.limits, each.counts)

        def take_back(result: CountResult | None) -> None:
            """Takes back what the server took after the wait was over: it was counted here."""
            for each, charge in zip(asked, result.charges if result else (), strict=False):
                if result is not None and charge.taken:
                    self._tell(each.subjects, result.at, _negated(each.counts))

        result, failure = await self._ask(COUNT, content, tenant_id, take_back)
        if result is None or len(result.charges) != len(asked):
            return [self._charge_here(each, failure or MALFORMED) for each in asked]
        return [
            self._charge_of(each, charge, result.at)
            for each, charge in zip(asked, result.charges, strict=True)
        ]

    async def _ask(
        self,
        operation: bytes,
        content: CallInput,
        tenant_id: str,
        on_outcome: Callable[[CountResult | None], None] | None = None,
    ) -> tuple[CountResult | None, str]:
        """Runs the script. Returns its result, or None and why there is none."""
        if not self.counters.ready:
            return None, self.counters.reason
        waiter: asyncio.Future[CountResult | None] = asyncio.get_running_loop().create_future()
        call = ScriptCall(tenant_id, operation, content, waiter, on_outcome)
        if not self.counters.send(call):
            return None, BUSY
        return await waiter, call.failure

    def _charge_of(self, asked: _LimitedRequest, charge: ChargeResult, at: float) -> SharedCharge:
        rows = charge.rows
        if not charge.is_readable or len(rows) != len(asked.limits):
            return self._charge_here(asked, UNREADABLE)
        counts = asked.counts if charge.taken else Counts()
        by_limit = {}
        for each, subject, row in zip(asked.limits, asked.subjects, rows, strict=True):
            if isinstance(row, tuple):
                by_limit[each.limit.id] = usage_of(row)
                if self.counters.ready:
                    self._local.learn(subject, KnownUsage(at, row, counts))
        usage = UsageSnapshot(at, self._calendar_at(at), by_limit)
        request = asked.request._replace(usage_snapshot=usage)
        return SharedCharge(request, counts, asked.subjects, at, self._corrections)

    def _charge_here(self, asked: _LimitedRequest, reason: str) -> SharedCharge:
        """Counts a request in this process alone."""
        tenant_id = asked.subjects[0][0]
        self.decided_alone += 1
        at = self.counters.time()
        if not self._local.can_count(tenant_id, asked.limits):
            # Without usage, the limits layer cannot evaluate it: the decision is incomplete.
            request = asked.request._replace(usage_snapshot=None)
            return SharedCharge(request, Counts(), asked.subjects, at, self._corrections)
        usage = self._local.spent(tenant_id, asked.limits)._replace(alone=reason)
        has_room = all(
            each.has_room(usage.by_limit[each.limit.id], asked.counts) for each in asked.limits
        )
        counts = asked.counts if has_room else Counts()
        if has_room:
            self._local.take(asked.subjects, counts)
            self._tell(asked.subjects, at, counts)
        request = asked.request._replace(usage_snapshot=usage)
        return SharedCharge(request, counts, asked.subjects, at, self._corrections)

    async def _with_usage(self, tenant_id: str, asked: _LimitedRequest) -> Request:
        usage = await self._read(tenant_id, asked.limits)
        if isinstance(usage, str):
            usage = self._local.spent(tenant_id, asked.limits)._replace(alone=usage)
        return asked.request._replace(usage_snapshot=usage)

    async def _read(self, tenant_id: str, limits: Sequence[ActiveLimit]) -> UsageSnapshot | str:
        """Returns the usage of subjects, or why it cannot be read."""
        content = CallInput(tenant_id, self.counters.replica_id)
        content.charge(limits, Counts())
        result, failure = await self._ask(READ, content, tenant_id)
        if result is None or len(result.charges) != 1:
            return failure or MALFORMED
        (charge,) = result.charges
        by_limit = {
            each.limit.id: usage_of(row)
            for each, row in zip(limits, charge.rows, strict=False)
            if isinstance(row, tuple)
        }
        if len(by_limit) != len(limits):
            return UNREADABLE
        return UsageSnapshot(result.at, self._calendar_at(result.at), by_limit)

    def _tell(self, subjects: tuple[SubjectKey, ...], at: float, counts: Counts) -> None:
        """Adds counts at the server: now if it is available, else later."""
        self._journal.add(subjects, at, counts)
        if self.counters.ready:
            for call in self.calls():
                if not self.counters.send(call):
                    call.finish(None)

    def _report(self, tenant_id: str, additions: Mapping[CounterId, Counts]) -> ScriptCall:
        content = CallInput(tenant_id, self.counters.replica_id)
        content.add(additions)
        self._reporting += len(additions)

        def end(result: CountResult | None) -> None:
            self._reporting -= len(additions)
            if result is None:
                self._journal.put_back(additions)

        return ScriptCall(tenant_id, COUNT, content, None, end)

    def _calendar_at(self, at: float) -> Calendar:
        if not self._calendar.day_start <= at < self._calendar.day_end:
            self._calendar = Calendar.of(at)
        return self._calendar


def _asked(snapshot: Snapshot, request: Request) -> _LimitedRequest | None:
    limits = snapshot.limits.of(request.subject) if snapshot.limits else ()
    if not limits:
        return None
    subjects = tuple(subject_key(snapshot.tenant_id, each) for each in limits)
    return _LimitedRequest(request, limits, counts_of(request.usage), subjects)


def _negated(counts: Counts) -> Counts:
    return Counts(*(-each for each in counts))
