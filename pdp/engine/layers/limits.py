"""The limits layer: blocks what a user, or a group as a whole, has no more room for.

A function of the request and the compiled limits: what has been used already comes in with the
request, as `spent`, and what the request uses is added by whoever has the counters (decide.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from pdp.domain.decision import NO_VERDICT, Match, Outcome, RiskFactor, TraceRow, Verdict
from pdp.domain.layers import LIMITS
from pdp.domain.limits import KIND, MICROS, LimitIndex, counts_of, find_breach

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.domain.limits import ActiveLimit, Bound, Breach, Limit
    from pdp.domain.request import Request
    from pdp.domain.usage import Counts, SubjectUsage, UsageSnapshot
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.scan import Findings

REASON_CODE: Final = "LIMIT_EXCEEDED"
_NO_PATTERNS: Final[Mapping[str, str]] = {}


class NotCounted(LookupError):
    """A request that limits apply to came without counters, so it cannot be judged."""


@dataclass(frozen=True, slots=True)
class LimitsLayer:
    """The limits in force for a tenant.

    Attributes:
        book: the limits, by whom they are for.
        source: what it was compiled from.
        points: floor of a request that is over one.
    """

    book: LimitIndex
    source: Mapping[str, Limit]
    points: int
    name: str = LIMITS

    @property
    def patterns(self) -> Mapping[str, str]:
        """None: no text is looked at."""
        return _NO_PATTERNS

    def judge(self, request: Request, findings: Findings) -> Verdict:
        """Returns a BLOCK where the request is over any limit.

        Raises:
            NotCounted: limits apply, and what has been used of them is not known.
        """
        limits = self.book.of(request.subject)
        if not limits:
            return NO_VERDICT
        spent = request.usage_snapshot
        if spent is None:
            raise NotCounted
        asked = counts_of(request.usage)
        over = [
            (each.limit, found)
            for each in limits
            if not each.has_room(spending := _spending(spent, each), asked)
            for bound, allowed in each.bounds
            if (found := find_breach(spending, spent, bound, allowed, asked)) is not None
        ]
        rows = tuple(_rows(limits, spent, asked)) if request.explain else ()
        if not over:
            return NO_VERDICT._replace(rows=rows) if rows else NO_VERDICT
        return _verdict(over, spent.at, self.points)._replace(rows=rows)


def build(policies: Policies) -> Layer | None:
    """Compiles the layer; None where no limit is in force."""
    source: Mapping[str, Limit] = policies.own.of_kind(KIND)
    held = policies.previous.get(LIMITS)
    previous = held if isinstance(held, LimitsLayer) else None
    if previous is not None and previous.source is source:
        return previous
    book = LimitIndex.from_limits(source.values(), previous.book if previous else None)
    return LimitsLayer(book, source, policies.risk.limit) if book else None


def _spending(spent: UsageSnapshot, each: ActiveLimit) -> SubjectUsage:
    try:
        return spent.by_limit[each.limit.id]
    except KeyError:
        raise NotCounted from None


def _verdict(over: list[tuple[Limit, Breach]], now: float, points: int) -> Verdict:
    retries = [None if found.retry_at is None else found.retry_at - now for _, found in over]
    # All of them must have room again; where one never has, no time would be true.
    waits = [wait for wait in retries if wait is not None]
    retry_after_s = max(1, ceil(max(waits))) if len(waits) == len(retries) else None
    limit, first = over[0]
    again = "" if retry_after_s is None else f" Try again in {retry_after_s} s."
    return Verdict(
        outcome=Outcome.BLOCK,
        reason_code=REASON_CODE,
        message=f"The {first.bound.title} of {limit.subject} is reached.{again}",
        status_hint=429,
        matches=tuple(
            Match(
                LIMITS,
                limit.id,
                f"{found.bound.name} of {limit.subject}",
                "block",
                "medium",
                _reason(found.bound, found.used, found.allowed, found.requested),
            )
            for limit, found in over
        ),
        floors=tuple(
            RiskFactor(LIMITS, limit_id, points)
            for limit_id in dict.fromkeys(limit.id for limit, _ in over)
        ),
        retry_after_s=retry_after_s,
    )


def _rows(
    limits: tuple[ActiveLimit, ...], spent: UsageSnapshot, asked: Counts
) -> Iterator[TraceRow]:
    """Yields a row for each bound that was looked at."""
    for each in limits:
        spending = _spending(spent, each)
        for bound, allowed in each.bounds:
            over = find_breach(spending, spent, bound, allowed, asked) is not None
            _, measure = bound.place
            yield TraceRow(
                layer=LIMITS,
                reason=_reason(bound, bound.count_in(spending), allowed, asked[measure]),
                matched=over,
                outcome=Outcome.BLOCK if over else Outcome.ALLOW,
                policy_id=each.limit.id,
                policy_name=each.limit.subject,
                rule_id=bound.name,
                rule_name=bound.title,
            )


def _reason(bound: Bound, used: int, allowed: int, asked: int) -> str:
    show = _dollars if bound.measure == "cost" else str
    wanted = f", {show(asked)} asked for" if bound.measure != "requests" else ""
    window = "last 60 s" if bound.window == "minute" else f"{bound.window} (UTC)"
    return f"{show(used)} of {show(allowed)} {bound.measure} used in the {window}{wanted}"


def _dollars(micros: int) -> str:
    whole, part = divmod(micros, MICROS)
    return f"${whole}.{part:06d}".rstrip("0").rstrip(".")
