"""Helpers for tests of a meter, with a clock that tests set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pdp.domain.limits import KIND, Limit
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request, Subject, Usage
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.decision import Decision
    from pdp.domain.usage import Counts
    from pdp.engine.snapshot import Snapshot
    from pdp.usage.meter import Meter

PLATFORM = compile_platform(PolicySet(), {})


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOON = at("2026-02-14T12:00:00")


class Clock:
    """A clock that tests set."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def user(**bounds: int) -> Limit:
    return Limit("own", "user", "u", **bounds)  # type: ignore[arg-type]


def snapshot_of(*limits: Limit) -> Snapshot:
    own = PolicySet({KIND: {limit.id: limit for limit in limits}})
    return compile_tenant(PLATFORM, "acme", own, 1)


def decide(
    meter: Meter, snapshot: Snapshot, user_id: str = "u", groups: Sequence[str] = (), **usage: float
) -> Decision:
    subject = Subject(user_id, tuple(groups))
    request = Request(subject=subject, usage=Usage(**usage))  # type: ignore[arg-type]
    charge = meter.charge(snapshot, request)
    decision = evaluate(snapshot, charge.request if charge else request, "d")
    if charge:
        meter.settle(charge, decision)
    return decision


def used(meter: Meter, limit: Limit) -> tuple[Counts, Counts, Counts]:
    book = snapshot_of(limit).limits
    assert book is not None
    groups = (each for limits in book.groups.values() for each in limits)
    limits = (*book.users.values(), *groups)
    spending = meter.spent("acme", limits).by_limit[limit.id]
    return spending.minute, spending.day, spending.month
