"""What the store keeps of counters: totals that many processes add to (decide.md, limits).

They are no records: nobody reads their history, and they change too often to be logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pdp.domain.limits import Counts


class CounterId(NamedTuple):
    """One window of one subject.

    Attributes:
        tenant_id: whose subject it is.
        scope: `user` or `group`.
        subject_id: the user's or the group's id.
        window: `second`, `day` or `month`.
        start: when the window began, in seconds since the epoch.
    """

    tenant_id: str
    scope: str
    subject_id: str
    window: str
    start: int


class Counter(NamedTuple):
    """A counter as the store has it.

    Attributes:
        counts: the total of all processes.
        stamp: rises with every addition to any counter.
    """

    id: CounterId
    counts: Counts
    stamp: int
