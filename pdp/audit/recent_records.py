"""The newest records of a tenant, reduced to what summaries need, and kept up to date in memory.

A summary that is asked for every few seconds reads only the records that are new since.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pdp.domain.audit_log import RecordFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.domain.audit_log import AuditLog, StoredRecord

MAX_RECORDS: Final = 50_000
"""The most records that are kept, and that one summary reads."""

PAGE: Final = 2_000
"""The records that are read at a time. Other reads of the log wait meanwhile."""

MAX_SEARCH_S: Final = 2.0
"""How long a search of records that are not kept may take."""

SKEW_S: Final = 60.0
"""How far the order of the log may differ from that of the times of the records. Several processes
append to one log."""


class PolicyMatch(NamedTuple):
    """A policy that matched."""

    layer: str
    policy_id: str
    name: str


class ReducedRecord(NamedTuple):
    """The parts of a record that summaries need.

    Attributes:
        model: the provider, and the model.
        matches: the policies that matched, each once.
    """

    sequence: int
    time: float
    outcome: str
    risk_level: str
    user_id: str
    agent_id: str
    model: tuple[str, str]
    matches: tuple[PolicyMatch, ...]
    duration_us: float


class FoundRecords(NamedTuple):
    """The records of a period.

    Attributes:
        records: the records, in no particular order.
        complete: whether these are all records of the period.
    """

    records: Sequence[ReducedRecord]
    complete: bool


class _Subject(msgspec.Struct, gc=False):
    user_id: str = ""
    agent_id: str = ""


class _Risk(msgspec.Struct, gc=False):
    level: str


class _Match(msgspec.Struct, gc=False):
    layer: str
    policy_id: str
    name: str = ""


class _Body(msgspec.Struct):
    """The JSON of a record, without what summaries do not need."""

    time: float
    outcome: str
    risk: _Risk
    subject: _Subject = msgspec.field(default_factory=_Subject)
    provider: str = ""
    model: str = ""
    matches: list[_Match] = msgspec.field(default_factory=list)
    duration_us: float = 0.0


_decode: Final = msgspec.json.Decoder(_Body).decode


class RecentRecords:
    """The newest records of one tenant. Any thread may ask for them; they take turns."""

    def __init__(
        self, log: AuditLog, tenant_id: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Takes the log, and the clock that bounds searches."""
        self._log = log
        self._tenant_id = tenant_id
        self._clock = clock
        self._lock = threading.Lock()
        self._models: dict[tuple[str, str], tuple[str, str]] = {}
        self._matches: dict[tuple[PolicyMatch, ...], tuple[PolicyMatch, ...]] = {}
        self._restart(0)

    def between(self, since: float, until: float) -> FoundRecords:
        """Returns the newest records of a period, at most `MAX_RECORDS`.

        Args:
            since: the beginning of the period, in seconds since the epoch.
            until: its end, exclusive.

        Raises:
            StoreUnavailable: the log cannot be read.
        """
        with self._lock:
            self._catch_up()
            self._reach_back(since)
            if until <= self._known_from:
                return self._search(since, until)
            found = [each for each in self._records if since <= each.time < until]
            complete = self._known_from <= since and len(found) <= MAX_RECORDS
            return FoundRecords(found[-MAX_RECORDS:], complete)

    def _restart(self, end: int) -> None:
        """Forgets all records; those up to `end` are read backwards when they are needed."""
        self._records: list[ReducedRecord] = []
        self._first, self._last = end + 1, end
        self._known_from = math.inf
        self._models.clear()
        self._matches.clear()

    def _catch_up(self) -> None:
        end = self._log.last()
        is_new = self._known_from == math.inf
        if is_new or end < self._last or end - self._last > MAX_RECORDS:
            self._restart(end)
            return
        record_filter = RecordFilter(self._tenant_id)
        while self._last < end:
            page = self._log.follow(record_filter, after=self._last, limit=PAGE)
            self._records += [self._reduced(each) for each in page.records]
            newest = page.records[-1].sequence if page.records else end
            self._last = max(newest, end) if page.more is None else page.more
        if len(self._records) > MAX_RECORDS + PAGE:
            self._records = self._records[-MAX_RECORDS:]
            self._first = self._records[0].sequence
            self._known_from = self._records[0].time + SKEW_S
            self._models.clear()
            self._matches.clear()

    def _reach_back(self, since: float) -> None:
        record_filter = RecordFilter(self._tenant_id)
        while since < self._known_from and len(self._records) < MAX_RECORDS:
            limit = min(PAGE, MAX_RECORDS - len(self._records))
            page = self._log.select(record_filter, before=self._first, limit=limit)
            older = [self._reduced(each) for each in reversed(page.records)]
            self._records = older + self._records
            if page.more is None:
                self._first, self._known_from = 0, -math.inf
            else:
                self._first = page.more
                if older:
                    self._known_from = min(self._known_from, older[0].time + SKEW_S)

    def _search(self, since: float, until: float) -> FoundRecords:
        """Searches the log for records that are older than those that are kept."""
        record_filter = RecordFilter(self._tenant_id, since=since, until=until)
        deadline = self._clock() + MAX_SEARCH_S
        found: list[ReducedRecord] = []
        before: int | None = None
        while len(found) < MAX_RECORDS and self._clock() < deadline:
            page = self._log.select(record_filter, before=before, limit=PAGE)
            found += [self._reduced(each) for each in page.records]
            before = page.more
            if before is None:
                return FoundRecords(found, complete=True)
        return FoundRecords(found[:MAX_RECORDS], complete=False)

    def _reduced(self, record: StoredRecord) -> ReducedRecord:
        """Returns the parts of a record. Equal texts and matches are one object each."""
        body = _decode(record.body)
        model = (body.provider, body.model)
        matches = tuple(
            {
                (each.layer, each.policy_id): PolicyMatch(each.layer, each.policy_id, each.name)
                for each in body.matches
            }.values()
        )
        return ReducedRecord(
            record.sequence,
            body.time,
            sys.intern(body.outcome),
            sys.intern(body.risk.level),
            sys.intern(body.subject.user_id),
            sys.intern(body.subject.agent_id),
            self._models.setdefault(model, model),
            self._matches.setdefault(matches, matches),
            body.duration_us,
        )
