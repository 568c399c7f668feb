"""The static layer (seed 003): policies whose pattern was found in the request.

System policies with the tenant's overrides, which may weaken as well as strengthen, then the
tenant's own. block is a BLOCK, warn a WARN with a warning, log a match and nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pdp.domain.decision import (
    NO_VERDICT,
    Match,
    Outcome,
    PolicyWarning,
    RiskFactor,
    TraceRow,
    Verdict,
)
from pdp.domain.layers import STATIC
from pdp.domain.risk import SEVERITIES
from pdp.domain.static_policy import (
    KIND,
    OVERRIDE_KIND,
    PERSONAL_FAMILIES,
    StaticOverride,
    StaticPolicy,
)
from pdp.engine.text.locations import Location
from pdp.engine.text.patterns import PatternDetector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.domain.request import Request
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.scan import Findings

_OUTCOMES: Final = {"block": Outcome.BLOCK, "warn": Outcome.WARN, "log": Outcome.ALLOW}
_REASON_CODES: Final = {
    "block": "STATIC_POLICY_BLOCK",
    "warn": "STATIC_POLICY_WARN",
    "log": "",
}
_STATUS_HINTS: Final = {"block": 403, "warn": 200, "log": 200}
_RANKS: Final = {severity: rank for rank, severity in enumerate(SEVERITIES)}

Hit = tuple[StaticPolicy, Location | None]


@dataclass(frozen=True, slots=True)
class StaticLayer:
    """The policies in force for a tenant, by the pattern that each looks for."""

    by_pattern: Mapping[str, tuple[StaticPolicy, ...]]
    patterns: Mapping[str, str]
    points: Mapping[str, int]
    name: str = STATIC

    def judge(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict of the policies whose patterns were found."""
        if not findings.hits:
            return NO_VERDICT
        hits = list(self._hits(findings))
        matched = [hit for hit in hits if hit[1] is not None]
        rows = tuple(_row(policy, where) for policy, where in hits) if request.explain else ()
        if not matched:
            return NO_VERDICT._replace(rows=rows)
        matched.sort(key=_strength)
        strongest = matched[0][0]
        return Verdict(
            outcome=_OUTCOMES[strongest.action],
            reason_code=_REASON_CODES[strongest.action],
            message="" if strongest.action == "log" else _message(strongest),
            status_hint=_STATUS_HINTS[strongest.action],
            matches=tuple(_match(policy, where) for policy, where in matched),
            warnings=tuple(
                PolicyWarning(policy.id, _message(policy))
                for policy, _ in matched
                if policy.action == "warn"
            ),
            floors=tuple(
                RiskFactor(STATIC, policy.id, self.points[policy.severity]) for policy, _ in matched
            ),
            pii_detected=any(policy.family in PERSONAL_FAMILIES for policy, _ in matched),
            rows=rows,
        )

    def _hits(self, findings: Findings) -> Iterator[Hit]:
        """Yields each policy whose pattern occurs, and where; None where its check refused."""
        for pattern in findings.hits:
            for policy in self.by_pattern.get(pattern, ()):
                yield policy, findings.first(PatternDetector(pattern, policy.validator))


def effective_policies(policies: Policies) -> Iterator[StaticPolicy]:
    """Yields the policies in force, with the tenant's overrides applied."""
    overrides: Mapping[str, StaticOverride] = policies.own.of_kind(OVERRIDE_KIND)
    own: Mapping[str, StaticPolicy] = policies.own.of_kind(KIND)
    system: Mapping[str, StaticPolicy] = policies.platform.of_kind(KIND)
    for policy in system.values():
        # An overlay may hold a candidate for a system policy, under its id.
        if policy.id in own or not policy.enabled:
            continue
        override = overrides.get(policy.id)
        yield replace(policy, action=override.action) if override else policy
    for policy in own.values():
        if policy.enabled:
            yield policy


def build(policies: Policies) -> Layer | None:
    """Compiles the layer; None where no policy is in force."""
    by_pattern: dict[str, tuple[StaticPolicy, ...]] = {}
    for policy in effective_policies(policies):
        by_pattern[policy.pattern] = (*by_pattern.get(policy.pattern, ()), policy)
    if not by_pattern:
        return None
    places = {pattern: f"static policy {found[0].id}" for pattern, found in by_pattern.items()}
    return StaticLayer(by_pattern, places, policies.risk.severity)


def _strength(hit: Hit) -> tuple[int, int, str]:
    """Strongest first, then by id, so that the same findings give the same answer."""
    policy = hit[0]
    return (-_OUTCOMES[policy.action], -_RANKS[policy.severity], policy.id)


def _message(policy: StaticPolicy) -> str:
    if policy.message:
        return policy.message
    verb = "Blocked" if policy.action == "block" else "Flagged"
    return f'{verb} by policy "{policy.name}".'


def _where(where: Location) -> str:
    path = where.segment.path
    place = "the text" if path is None else f"arguments at {path}"
    return f"pattern found in {place}, {where.start} to {where.end}"


def _match(policy: StaticPolicy, where: Location | None) -> Match:
    reason = _where(where) if where else ""
    return Match(STATIC, policy.id, policy.name, policy.action, policy.severity, reason)


def _row(policy: StaticPolicy, where: Location | None) -> TraceRow:
    return TraceRow(
        layer=STATIC,
        reason=_where(where) if where else f"pattern found, but no value passed {policy.validator}",
        matched=where is not None,
        outcome=_OUTCOMES[policy.action] if where else Outcome.ALLOW,
        policy_id=policy.id,
        policy_name=policy.name,
    )
