"""What this process has counted or taken back by itself, until the server has it."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Final

from pdp.domain.usage import MINUTE_S, NOTHING, Calendar, CounterId, Counts
from pdp.usage.usage_windows import DAY, MONTH, SECOND, add_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pdp.usage.usage_windows import SubjectKey

MAX_ADDITIONS: Final = 200
"""How many additions one call has, so that the server is not busy with it for long."""


class Journal:
    """Additions to counters that the server does not have yet.

    Its size is bounded by the subjects that have limits: it has at most 63 entries of each, because
    seconds of more than a minute ago, and days and months that are over, are dropped.
    """

    def __init__(self) -> None:
        self._pending: dict[CounterId, Counts] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, subjects: Iterable[SubjectKey], at: float, counts: Counts) -> None:
        """Adds to the windows of each subject that are open at a time of the server's clock."""
        calendar = Calendar.of(at)
        for subject in subjects:
            self._add(CounterId(*subject, SECOND, int(at)), Counts(counts.requests))
            self._add(CounterId(*subject, DAY, calendar.day_start), counts)
            self._add(CounterId(*subject, MONTH, calendar.month_start), counts)

    def put_back(self, additions: Mapping[CounterId, Counts]) -> None:
        """Takes additions back that the server did not take over."""
        for counter, counts in additions.items():
            self._add(counter, counts)

    def take(self) -> Iterator[tuple[str, Mapping[CounterId, Counts]]]:
        """Yields what one call can tell the server, with its tenant, until the journal is empty."""
        pending, self._pending = self._pending, {}
        by_tenant: defaultdict[str, dict[CounterId, Counts]] = defaultdict(dict)
        for counter, counts in pending.items():
            by_tenant[counter.tenant_id][counter] = counts
        for tenant_id, additions in by_tenant.items():
            rest = iter(additions.items())
            while part := dict(islice(rest, MAX_ADDITIONS)):
                yield tenant_id, part

    def drop_past(self, now: float) -> None:
        """Drops what no longer matters to any limit."""
        calendar = Calendar.of(now)
        oldest = {SECOND: int(now) - MINUTE_S, DAY: calendar.day_start, MONTH: calendar.month_start}
        self._pending = {
            counter: counts
            for counter, counts in self._pending.items()
            if counter.start >= oldest[counter.window]
        }

    def _add(self, counter: CounterId, counts: Counts) -> None:
        total = add_counts(self._pending.get(counter, NOTHING), counts)
        if any(total):
            self._pending[counter] = total
        else:
            self._pending.pop(counter, None)
