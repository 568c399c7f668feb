"""The limits layer: blocks a request if its user, or a group of the user, has reached a limit.

The layer is a function of the request and the compiled limits. The request brings the counters in
`spent`. The owner of the counters adds what the request uses (decide.md).
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
    """Limits apply to a request that has no counters, so it cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class LimitsLayer:
    """The limits in force for a tenant.

    Attributes:
        book: the limits, by user and by group.
        source: the policies from which `book` was compiled.
        points: the risk floor of a request that exceeds a limit.
    """

    book: LimitIndex
    source: Mapping[str, Limit]
    points: int
    name: str = LIMITS

    @property
    def patterns(self) -> Mapping[str, str]:
        """Empty: limits do not depend on the text."""
        return _NO_PATTERNS

    def evaluate(self, request: Request, findings: Findings) -> Verdict:
        """Returns a BLOCK if the request exceeds any limit.

        Raises:
            NotCounted: a limit applies, and the request has no counters for it.
        """
        limits = self.book.of(request.subject)
        if not limits:
            return NO_VERDICT
        spent = request.usage_snapshot
        if spent is None:
            raise NotCounted
        requested = counts_of(request.usage)
        breaches = [
            (each.limit, exceeded)
            for each in limits
            if not each.has_room(spending := _spending(spent, each), requested)
            for bound, allowed in each.bounds
            if (exceeded := find_breach(spending, spent, bound, allowed, requested)) is not None
        ]
        rows = tuple(_rows(limits, spent, requested)) if request.explain else ()
        if not breaches:
            return NO_VERDICT._replace(rows=rows) if rows else NO_VERDICT
        return _verdict(breaches, spent.at, self.points)._replace(rows=rows)


def build(policies: Policies) -> Layer | None:
    """Compiles the layer; returns None if no limit is in force."""
    source: Mapping[str, Limit] = policies.own.of_kind(KIND)
    groups, previous = policies.facts.groups, policies.previous.get(LIMITS)
    if isinstance(previous, LimitsLayer):
        if previous.source is source and previous.book.resolver is groups:
            return previous
        book = previous.book.with_changes(previous.source, source, groups)
    else:
        book = LimitIndex.from_limits(source.values(), groups)
    return LimitsLayer(book, source, policies.risk.limit) if book else None


def _spending(spent: UsageSnapshot, each: ActiveLimit) -> SubjectUsage:
    try:
        return spent.by_limit[each.limit.id]
    except KeyError:
        raise NotCounted from None


def _verdict(breaches: list[tuple[Limit, Breach]], now: float, points: int) -> Verdict:
    limit, first = breaches[0]
    retry_after_s = _retry_after_s(breaches, now)
    retry = "" if retry_after_s is None else f" Try again in {retry_after_s} s."
    return Verdict(
        outcome=Outcome.BLOCK,
        reason_code=REASON_CODE,
        message=f"The {first.bound.title} of {limit.subject} is reached.{retry}",
        status_hint=429,
        matches=tuple(
            Match(
                LIMITS,
                limit.id,
                f"{each.bound.name} of {limit.subject}",
                "block",
                "medium",
                _reason(each.bound, each.used, each.allowed, each.requested),
            )
            for limit, each in breaches
        ),
        floors=tuple(
            RiskFactor(LIMITS, limit_id, points)
            for limit_id in dict.fromkeys(limit.id for limit, _ in breaches)
        ),
        retry_after_s=retry_after_s,
    )


def _retry_after_s(breaches: list[tuple[Limit, Breach]], now: float) -> int | None:
    """Returns when all limits have room again; None if one of them never has."""
    times = [each.retry_at for _, each in breaches if each.retry_at is not None]
    if len(times) < len(breaches):
        return None
    return max(1, ceil(max(times) - now))


def _rows(
    limits: tuple[ActiveLimit, ...], spent: UsageSnapshot, requested: Counts
) -> Iterator[TraceRow]:
    """Yields a trace row for each bound of each limit."""
    for each in limits:
        spending = _spending(spent, each)
        for bound, allowed in each.bounds:
            exceeded = find_breach(spending, spent, bound, allowed, requested) is not None
            _, measure = bound.place
            yield TraceRow(
                layer=LIMITS,
                reason=_reason(bound, bound.count_in(spending), allowed, requested[measure]),
                matched=exceeded,
                outcome=Outcome.BLOCK if exceeded else Outcome.ALLOW,
                policy_id=each.limit.id,
                policy_name=each.limit.subject,
                rule_id=bound.name,
                rule_name=bound.title,
            )
    if spent.alone:
        yield TraceRow(LIMITS, f"counted by this server alone: {spent.alone}")


def _reason(bound: Bound, used: int, allowed: int, requested: int) -> str:
    show = _dollars if bound.measure == "cost" else str
    request = f", {show(requested)} asked for" if bound.measure != "requests" else ""
    window = "last 60 s" if bound.window == "minute" else f"{bound.window} (UTC)"
    return f"{show(used)} of {show(allowed)} {bound.measure} used in the {window}{request}"


def _dollars(micros: int) -> str:
    whole, part = divmod(micros, MICROS)
    return f"${whole}.{part:06d}".rstrip("0").rstrip(".")
