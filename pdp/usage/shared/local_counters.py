"""The counters of this process, while the server of the shared counters cannot be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.usage import Calendar, Counts
from pdp.usage.meter import Meter
from pdp.usage.shared.script import subject_key
from pdp.usage.usage_windows import UsageWindows, add_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pdp.domain.limits import ActiveLimit
    from pdp.domain.usage import UsageSnapshot
    from pdp.usage.shared.script import UsageRow
    from pdp.usage.usage_windows import SubjectKey

MAX_SUBJECTS: Final = 100_000
"""Subjects whose usage is kept. A request of a further one cannot be counted, so it is refused."""


class KnownUsage(NamedTuple):
    """What the server last said of a subject.

    Attributes:
        at: when, by the server's clock.
        row: the usage before a charge.
        counts: the charge.
    """

    at: float
    row: UsageRow
    counts: Counts


class LocalCounters(Meter):
    """Counts on from what the server last said of each subject.

    The minute counts as used up by requests of the last second, because it is not known when they
    came: it frees later than it would at the server, never earlier.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._known: dict[SubjectKey, KnownUsage] = {}

    def learn(self, subject: SubjectKey, known: KnownUsage) -> None:
        """Keeps what the server has said of a subject."""
        entries = self._known
        entries.pop(subject, None)  # the dictionary keeps the order of the last answers
        entries[subject] = known
        if len(entries) > MAX_SUBJECTS:
            del entries[next(iter(entries))]
        if self._windows:
            self._windows.pop(subject, None)

    def can_count(self, tenant_id: str, limits: Iterable[ActiveLimit]) -> bool:
        """Returns whether there is room for the subjects of `limits`."""
        if len(self._windows) < MAX_SUBJECTS:
            return True
        return all(subject_key(tenant_id, each) in self._windows for each in limits)

    def spent(self, tenant_id: str, limits: Iterable[ActiveLimit]) -> UsageSnapshot:
        """See `Meter.spent`."""
        limits = tuple(limits)
        for each in limits:
            subject = subject_key(tenant_id, each)
            known = self._known.pop(subject, None)
            if known is not None:
                self._windows[subject] = _windows(subject, known)
        return super().spent(tenant_id, limits)

    def take(self, subjects: Iterable[SubjectKey], counts: Counts) -> None:
        """Adds to the windows of subjects whose usage `spent` has just returned."""
        for subject in subjects:
            windows = self._windows[subject]
            windows.add(counts)
            windows.take_additions()  # the journal has them

    def correct(self, subjects: Iterable[SubjectKey], at: float, counts: Counts) -> None:
        """Adds to the windows that were open at a time, of subjects that are counted here."""
        calendar = Calendar.of(at)
        starts = (int(at), calendar.day_start, calendar.month_start)
        for subject in subjects:
            windows = self._windows.get(subject)
            if windows is not None:
                windows.add_at(starts, counts)
                windows.take_additions()  # the journal has them

    def _calendar_at(self, now: float) -> Calendar:
        # Unlike that of `Meter`, it goes back: this machine's clock, which counts until the server
        # is known, may be ahead. The windows of subjects never go back.
        calendar = self._calendar
        if not calendar.day_start <= now < calendar.day_end:
            calendar = self._calendar = Calendar.of(now)
        return calendar


def _windows(subject: SubjectKey, known: KnownUsage) -> UsageWindows:
    windows = UsageWindows(subject)
    windows.advance(Calendar.of(known.at), int(known.at))
    minute, *counts, _, _ = known.row
    windows.minute = minute + known.counts.requests
    windows.seconds = {windows.second: windows.minute}
    windows.last = windows.second
    windows.day = add_counts(Counts(*counts[:3]), known.counts)
    windows.month = add_counts(Counts(*counts[3:]), known.counts)
    return windows
