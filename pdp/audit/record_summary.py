"""Summaries of a tenant's decisions: outcomes, risk and durations over time, and what is frequent.

Outcomes come from the counts of all decisions, the rest from the records.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict, defaultdict
from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pdp.audit.recent_records import PolicyMatch, RecentRecords
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pdp.audit.recent_records import ReducedRecord
    from pdp.domain.audit_log import AuditLog

MAX_BUCKETS: Final = 500
DEFAULT_BUCKETS: Final = 60
DEFAULT_PERIOD_S: Final = 3_600.0

TOP: Final = 10
"""How many of the most frequent policies, users, agents and models a summary names."""

MAX_TENANTS: Final = 4
"""Tenants whose newest records are kept in memory, some 15 MB each at most."""

IDLE_S: Final = 300.0
"""How long they are kept after the last summary."""

_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_MINUTES_KEPT_S: Final = 86_400
_LATEST: Final = 32_503_680_000.0
"""The year 3000. No decision is later, or earlier than 1970."""

_BLOCK: Final = "BLOCK"

T = TypeVar("T")


class OutcomeCount(NamedTuple):
    """Decisions with an outcome: how many were made, and how many were recorded."""

    outcome: str
    made: int
    recorded: int


class SummaryBucket(NamedTuple):
    """The decisions of a part of the period.

    Attributes:
        start: its beginning, in seconds since the epoch.
        outcomes: all decisions, in the order of outcomes' names.
        risk: the recorded decisions by risk level.
        duration_us_p50, duration_us_p99: the durations of the recorded decisions; None without any.
    """

    start: float
    outcomes: Sequence[OutcomeCount]
    risk: Mapping[str, int]
    duration_us_p50: float | None
    duration_us_p99: float | None


class CallerCount(NamedTuple):
    """The recorded decisions of a user or an agent, and how many of them are BLOCK."""

    caller_id: str
    records: int
    blocked: int


class RecordSummary(NamedTuple):
    """The decisions of a tenant in a period.

    Attributes:
        since, until: the period, in seconds since the epoch; whole buckets.
        bucket_s: the length of a bucket.
        policies: in how many records a policy matches, the most frequent first.
        users, agents: the most frequent first.
        models: the provider, the model, and how many records have it; the most frequent first.
        records_read: how many records the figures are from.
        records_complete: whether these are all records of the period.
        uncounted_before: decisions before this time were not counted; None if all were.
    """

    since: float
    until: float
    bucket_s: int
    buckets: Sequence[SummaryBucket]
    policies: Sequence[tuple[PolicyMatch, int]]
    users: Sequence[CallerCount]
    agents: Sequence[CallerCount]
    models: Sequence[tuple[tuple[str, str], int]]
    records_read: int
    records_complete: bool
    uncounted_before: float | None


class Buckets(NamedTuple):
    """Parts of a period that have the same length, which is a multiple of what counts are kept by.

    Attributes:
        start: where the first begins, in seconds since the epoch.
        width: the length of each, in seconds.
        number: how many there are.
    """

    start: int
    width: int
    number: int

    @classmethod
    def of(cls, since: float, until: float, at_most: int, now: float) -> Buckets:
        """Returns the buckets of a period: about `at_most`, and one more at most.

        Counts are kept by the minute for a day, and by the hour after it. An hour must be in one
        bucket.
        """
        minutes_from = (now - _MINUTES_KEPT_S) // _HOUR_S * _HOUR_S
        unit = _MINUTE_S if since >= minutes_from else _HOUR_S
        width = max(1, math.ceil((until - since) / at_most / unit)) * unit
        start = math.floor(since / width) * width
        if unit == _MINUTE_S:
            start = max(start, int(minutes_from))
        return cls(start, width, math.ceil((until - start) / width))

    @property
    def end(self) -> int:
        """Where the last bucket ends."""
        return self.start + self.number * self.width


class RecordSummaries:
    """Makes summaries on worker threads, so that no decision waits for them."""

    def __init__(
        self,
        log: AuditLog,
        flush_counts: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Takes what is summarized.

        Args:
            log: the log of decisions.
            flush_counts: adds the decisions of this process that were counted until now to the log.
            clock: returns the time, in seconds since the epoch.
        """
        self._log = log
        self._flush_counts = flush_counts
        self._clock = clock
        self._recent: OrderedDict[str, tuple[float, RecentRecords]] = OrderedDict()

    async def summarize(
        self,
        tenant_id: str,
        since: float | None = None,
        until: float | None = None,
        buckets: int = DEFAULT_BUCKETS,
    ) -> RecordSummary:
        """Returns the summary of a period.

        Args:
            tenant_id: the tenant.
            since: the beginning of the period; None for an hour before its end.
            until: its end; None for now.
            buckets: how many parts of the period to show.

        Raises:
            InvalidArgument: the period does not end after it begins.
            StoreUnavailable: the log cannot be read.
        """
        now = self._clock()
        until = now if until is None else min(until, _LATEST)
        since = max(0.0, until - DEFAULT_PERIOD_S if since is None else since)
        if until <= since:
            raise InvalidArgument.of(Violation("until", "must be after since"))
        parts = Buckets.of(since, until, buckets, now)
        records = self._kept(tenant_id, now)
        return await asyncio.to_thread(self._summary, tenant_id, parts, records)

    def _kept(self, tenant_id: str, now: float) -> RecentRecords:
        """Returns the records of a tenant; those that were not used lately are dropped."""
        kept = self._recent.pop(tenant_id, None)
        records = RecentRecords(self._log, tenant_id) if kept is None else kept[1]
        self._recent[tenant_id] = (now, records)
        while len(self._recent) > MAX_TENANTS or self._oldest_use() < now - IDLE_S:
            self._recent.popitem(last=False)
        return records

    def _oldest_use(self) -> float:
        return next(iter(self._recent.values()))[0]

    def _summary(self, tenant_id: str, parts: Buckets, recent: RecentRecords) -> RecordSummary:
        found = recent.between(parts.start, parts.end)
        self._flush_counts()
        counted = self._log.bucket_counts(
            tenant_id, start=parts.start, width=parts.width, number=parts.number
        )
        outcomes: dict[int, list[OutcomeCount]] = defaultdict(list)
        for each in counted.counts:
            outcomes[each.bucket].append(OutcomeCount(each.outcome, each.made, each.recorded))
        records = found.records
        risk, durations = _by_bucket(parts, records)
        blocked = [each for each in records if each.outcome == _BLOCK]
        return RecordSummary(
            parts.start,
            parts.end,
            parts.width,
            [
                SummaryBucket(
                    start,
                    outcomes[index],
                    risk[index],
                    *_percentiles(durations[index]),
                )
                for index, start in enumerate(range(parts.start, parts.end, parts.width))
            ],
            _top_policies(records),
            _top_callers(records, blocked, lambda each: each.user_id),
            _top_callers(records, blocked, lambda each: each.agent_id),
            _top_models(records),
            len(records),
            found.complete,
            counted.uncounted_before,
        )


def _by_bucket(
    parts: Buckets, records: Iterable[ReducedRecord]
) -> tuple[dict[int, Counter[str]], dict[int, list[float]]]:
    """Returns the records by risk level, and their durations, both by the number of the bucket."""
    risk: dict[int, Counter[str]] = defaultdict(Counter)
    durations: dict[int, list[float]] = defaultdict(list)
    start, width = parts.start, parts.width
    for each in records:
        durations[int((each.time - start) // width)].append(each.duration_us)
    levels = Counter((int((each.time - start) // width), each.risk_level) for each in records)
    for (index, level), count in levels.items():
        risk[index][level] = count
    return risk, durations


def _percentiles(durations: list[float]) -> tuple[float | None, float | None]:
    if not durations:
        return None, None
    durations.sort()
    half, most = (durations[math.ceil(len(durations) * share) - 1] for share in (0.5, 0.99))
    return half, most


def _top_policies(records: Iterable[ReducedRecord]) -> list[tuple[PolicyMatch, int]]:
    """Counts by layer and id, since a name can change; the name is that of most records."""
    named = Counter(chain.from_iterable(each.matches for each in records))
    counts: Counter[tuple[str, str]] = Counter()
    names: dict[tuple[str, str], str] = {}
    for match, count in named.most_common():
        counts[match.layer, match.policy_id] += count
        names.setdefault((match.layer, match.policy_id), match.name)
    return [(PolicyMatch(*key, names[key]), count) for key, count in _top(counts)]


def _top_callers(
    records: Iterable[ReducedRecord],
    blocked: Iterable[ReducedRecord],
    id_of: Callable[[ReducedRecord], str],
) -> list[CallerCount]:
    counts, of_blocked = Counter(map(id_of, records)), Counter(map(id_of, blocked))
    del counts[""]
    return [CallerCount(each, count, of_blocked[each]) for each, count in _top(counts)]


def _top_models(records: Iterable[ReducedRecord]) -> list[tuple[tuple[str, str], int]]:
    counts = Counter(each.model for each in records)
    del counts["", ""]
    return _top(counts)


def _top(counts: Counter[T]) -> list[tuple[T, int]]:
    """Returns the most frequent keys; those with equal counts in their order."""
    return nsmallest(TOP, counts.items(), key=_most_first)


def _most_first(item: tuple[Any, int]) -> tuple[int, Any]:
    return -item[1], item[0]
