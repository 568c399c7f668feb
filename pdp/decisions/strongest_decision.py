"""One decision of several on parts of one request: the strongest outcome counts."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from pdp.domain.decision import Decision, Obligation, ObligationType, Outcome, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_UNITED: Final = 1000
"""Matches, warnings and the like of one decision."""

T = TypeVar("T")


def strongest(decisions: Sequence[Decision], fresh: Sequence[Decision]) -> Decision:
    """Returns one decision of several: the strongest outcome counts, and the highest risk.

    Args:
        decisions: the decisions, whose redactions are left out.
        fresh: decisions whose redactions are named.
    """
    deciding = max(decisions, key=lambda each: (each.outcome, each.risk.score))
    redacted = redactions(fresh)
    if len(decisions) == 1 and deciding.plain and not redacted:
        return deciding._replace(scan=None, unmatched=None)
    others = dict.fromkeys(
        obligation
        for each in decisions
        for obligation in each.obligations
        if obligation.type not in {ObligationType.REDACT, ObligationType.ROUTE_TO}
    )
    routes = [
        obligation
        for each in decisions
        for obligation in each.obligations
        if obligation.type is ObligationType.ROUTE_TO and deciding.outcome < Outcome.CANCEL
    ]
    return deciding._replace(
        risk=max((each.risk for each in decisions), key=lambda risk: risk.score),
        obligations=(*redacted, *others, *routes[:1]),
        redacted_text=None,
        redacted_arguments=None,
        warnings=_united(each.warnings for each in decisions if each.outcome < Outcome.BLOCK),
        matches=_united(each.matches for each in decisions),
        pii_detected=any(each.pii_detected for each in decisions),
        frameworks=_united(each.frameworks for each in decisions),
        trace=deciding.trace,
        incomplete=any(each.incomplete for each in decisions),
        faults=_united(each.faults for each in decisions),
        counted=all(each.counted for each in decisions),
        plain=all(each.plain for each in decisions),
        scan=None,
        unmatched=None,
    )


def redactions(decisions: Iterable[Decision]) -> list[Obligation]:
    """Returns the redactions of decisions, one for each replacement."""
    spans: dict[tuple[str | None, str], dict[Span, None]] = {}
    for each in decisions:
        for obligation in each.obligations:
            if obligation.type is ObligationType.REDACT:
                own = spans.setdefault((obligation.replacement, obligation.kind), {})
                own.update(dict.fromkeys(obligation.spans))
    return [
        Obligation(ObligationType.REDACT, replacement, tuple(own), kind=kind)
        for (replacement, kind), own in spans.items()
    ]


def _united(groups: Iterable[Iterable[T]]) -> tuple[T, ...]:
    """Returns all items, each once, in order; at most `MAX_UNITED`."""
    items = dict.fromkeys(item for group in groups for item in group)
    return tuple(islice(items, MAX_UNITED))
