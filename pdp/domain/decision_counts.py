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
