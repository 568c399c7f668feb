"""Counts of decisions, recorded or not, beside the log of decision records."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class CountKey(NamedTuple):
    """What decisions that are counted together have in common.

    Attributes:
        level: the logging level of the tenant when it decided.
        outcome: the name of the outcome.
        recorded: whether the decision has a record.
    """

    tenant_id: str
    level: str
    outcome: str
    recorded: bool


class DecisionCount(NamedTuple):
    """The decisions of a period at one logging level, with one outcome.

    Attributes:
        made: how many decisions were made.
        recorded: how many of them were recorded.
    """

    level: str
    outcome: str
    made: int
    recorded: int


class RecordedCount(NamedTuple):
    """Decisions of a minute or an hour, as a log keeps them.

    Attributes:
        at: where the minute or the hour begins, in seconds since the epoch.
        width: 60 or 3600.
        level: the logging level.
        outcome: the name of the outcome.
        recorded: whether the decisions have records.
        decisions: how many there are.
    """

    at: int
    width: int
    level: str
    outcome: str
    recorded: bool
    decisions: int


class CountedPeriod(NamedTuple):
    """The decisions of a tenant in a period.

    Attributes:
        counts: the decisions, by level and outcome.
        since, until: the times between which they were made, in seconds since the epoch. Counts
            are kept by the minute, and later by the hour, so the period may be wider than the one
            that was asked for. None for no bound.
        removed: how many recorded decisions the retention has removed from the log since.
        uncounted_before: decisions before this time, which are in the period, were not counted;
            None if all were.
    """

    counts: Sequence[DecisionCount]
    since: float | None
    until: float | None
    removed: int = 0
    uncounted_before: float | None = None

    @property
    def made(self) -> int:
        """How many decisions were made."""
        return sum(each.made for each in self.counts)

    @property
    def recorded(self) -> int:
        """How many decisions were recorded."""
        return sum(each.recorded for each in self.counts)


class BucketCount(NamedTuple):
    """The decisions of a part of a period with one outcome.

    Attributes:
        bucket: the number of the part, from 0.
        outcome: the name of the outcome.
        made: how many decisions were made.
        recorded: how many of them were recorded.
    """

    bucket: int
    outcome: str
    made: int
    recorded: int


class CountedBuckets(NamedTuple):
    """The decisions of a tenant in the parts of a period.

    Attributes:
        counts: the decisions, by bucket and outcome; without those of which there are none.
        uncounted_before: decisions before this time, which are in the period, were not counted;
            None if all were.
    """

    counts: Sequence[BucketCount]
    uncounted_before: float | None


def counted_period(
    counts: Sequence[RecordedCount],
    *,
    counted_from: float,
    held_from: float | None,
    since: float | None = None,
    until: float | None = None,
    outcomes: Sequence[str] = (),
) -> CountedPeriod:
    """Returns the decisions of a period; see `AuditLog.counts`, which it equals.

    Args:
        counts: all counts of the tenant.
        counted_from: decisions before this time were not counted.
        held_from: the time of the oldest record that is there; None if there is none.
        since: the beginning of the period; None for the first decision.
        until: its end, exclusive; None for no end.
        outcomes: count only decisions with any of these outcomes; empty for all.
    """
    start = since or 0
    inside = [
        each
        for each in counts
        if each.at + each.width > start
        and (until is None or each.at < until)
        and (not outcomes or each.outcome in outcomes)
    ]
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    removed = 0
    for each in inside:
        made, recorded = totals.get((each.level, each.outcome), (0, 0))
        seen = each.decisions if each.recorded else 0
        totals[each.level, each.outcome] = made + each.decisions, recorded + seen
        if held_from is None or each.at + each.width <= held_from:
            removed += seen
    return CountedPeriod(
        [DecisionCount(*key, *numbers) for key, numbers in sorted(totals.items())],
        None if since is None else min((each.at for each in inside), default=since),
        None if until is None else max((each.at + each.width for each in inside), default=until),
        removed=removed,
        uncounted_before=float(counted_from) if start < counted_from else None,
    )
