"""The static layer: applies the policies whose pattern was found in the request.

These are the system policies and the tenant's own policies. An override of the tenant can make a
system policy stricter or weaker. The action of a policy gives the outcome:

- block: BLOCK
- warn: WARN, with a warning
- log: a match, and no other effect

A policy that warns or logs and has a `redaction` redacts the values that it finds: REDACT.
A policy in monitor mode gives a match, and no other effect.
`pdp.engine.rules.static_policies` finds what each policy does in a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
from pdp.domain.named_tuples import new_tuple
from pdp.domain.policy_set import changed_ids
from pdp.domain.risk import SEVERITIES
from pdp.domain.static_policy import KIND, OVERRIDE_KIND, PERSONAL_FAMILIES
from pdp.domain.tenant_settings import DOCUMENT_TOOLS
from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.engine.rules.exceptions import NO_BOOK, with_effect
from pdp.engine.rules.static_policies import compile_policy, find_hit
from pdp.engine.text.locations import describe
from pdp.engine.text.request_parts import RequestParts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pdp.domain.decision import Redaction
    from pdp.domain.request import Request
    from pdp.domain.static_policy import StaticOverride, StaticPolicy
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.rules.exceptions import ExceptionBook
    from pdp.engine.rules.static_policies import CompiledStaticPolicy, StaticHit
    from pdp.engine.scan import Findings

_OUTCOMES: Final = {"block": Outcome.BLOCK, "warn": Outcome.WARN, "log": Outcome.ALLOW}
_STATUS_HINTS: Final = {"block": 403, "warn": 200, "log": 200}
_RANKS: Final = {severity: rank for rank, severity in enumerate(SEVERITIES)}

PoliciesByPattern = Mapping[str, "tuple[CompiledStaticPolicy, ...]"]


@dataclass(frozen=True, slots=True)
class StaticLayer:
    """The static policies in force for a tenant.

    Attributes:
        by_pattern: the policies by their pattern. A tenant's layer has only the patterns whose
            policies differ from `shared`.
        patterns: see `Layer`.
        points: the risk floor of each severity.
        source: the system policies that the layer was compiled from.
        shared: the policies of the other patterns.
        overrides, own: the tenant's part that the layer was compiled from.
        facts: computes what expressions name besides the request.
        exceptions: the tenant's exceptions.
        document_tools: the tools that write documents.
    """

    by_pattern: PoliciesByPattern
    patterns: Mapping[str, str]
    points: Mapping[str, int]
    source: Mapping[str, StaticPolicy]
    shared: PoliciesByPattern = field(default_factory=dict)
    overrides: Mapping[str, StaticOverride] = field(default_factory=dict)
    own: Mapping[str, StaticPolicy] = field(default_factory=dict)
    facts: FactSource = NO_FACT_SOURCE
    exceptions: ExceptionBook = NO_BOOK
    document_tools: frozenset[str] = frozenset(DOCUMENT_TOOLS)
    name: str = STATIC

    def evaluate(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict of the policies whose patterns were found."""
        if not findings.hits:
            return NO_VERDICT
        hits = self._hits(findings, request)
        matched = [hit for hit in hits if hit.location is not None]
        rows = tuple(map(_row, hits)) if request.explain else ()
        if not matched:
            return NO_VERDICT._replace(rows=rows)
        if len(matched) > 1:
            matched.sort(key=_strength)
        counted = [hit for hit in matched if not hit.is_monitored and _counts(hit)]
        return self._verdict(counted, tuple(map(_match, matched)), rows)

    def _verdict(
        self, counted: Sequence[StaticHit], matches: tuple[Match, ...], rows: tuple[TraceRow, ...]
    ) -> Verdict:
        """Returns the verdict.

        Args:
            counted: the hits that count for the risk, strongest first.
            matches: all matches.
            rows: the rows of the trace.
        """
        points = self.points
        floors: list[RiskFactor] = []
        warnings: list[PolicyWarning] = []
        redactions: list[Redaction] = []
        strongest: StaticHit | None = None
        is_personal = False
        for hit in counted:
            policy = hit.policy
            floors.append(new_tuple(RiskFactor, (STATIC, policy.id, points[policy.severity])))
            is_personal = is_personal or policy.family in PERSONAL_FAMILIES
            if hit.exception is not None:
                continue
            strongest = strongest or hit
            redactions += hit.redactions
            if hit.action == "warn":
                warnings.append(new_tuple(PolicyWarning, (policy.id, _message(hit))))
        outcome = Outcome.ALLOW if strongest is None else _outcome(strongest)
        is_silent = strongest is None or outcome is Outcome.ALLOW
        return Verdict(
            outcome,
            "" if is_silent else f"STATIC_POLICY_{outcome.name}",
            "" if strongest is None or is_silent else _message(strongest),
            200 if strongest is None else _STATUS_HINTS[strongest.action],
            matches,
            redactions=tuple(redactions),
            warnings=tuple(warnings),
            floors=tuple(floors),
            pii_detected=is_personal,
            rows=rows,
        )

    def _hits(self, findings: Findings, request: Request) -> list[StaticHit]:
        """Returns what the policies whose patterns were found do, in the order of the patterns."""
        parts = RequestParts(request, self.document_tools)
        by_pattern, shared = self.by_pattern, self.shared
        facts, exceptions = self.facts, self.exceptions
        hits: list[StaticHit] = []
        for pattern in findings.hits:
            policies = by_pattern.get(pattern)
            for compiled in shared.get(pattern, ()) if policies is None else policies:
                hit = find_hit(compiled, findings, parts, facts, exceptions)
                if hit is not None:
                    hits.append(hit)
        return hits


def build(policies: Policies) -> Layer | None:
    """Compiles the layer; returns None if no policy is in force."""
    system: Mapping[str, StaticPolicy] = policies.platform.of_kind(KIND)
    overrides: Mapping[str, StaticOverride] = policies.own.of_kind(OVERRIDE_KIND)
    own: Mapping[str, StaticPolicy] = policies.own.of_kind(KIND)
    shared = policies.shared.get(STATIC)
    if not isinstance(shared, StaticLayer) or shared.source is not system:
        shared = _layer(_by_pattern(system.values()), policies)
    if not (overrides or own):
        tools = frozenset(policies.settings.tools_for_documents)
        if policies.exceptions or tools != shared.document_tools:
            shared = replace(
                shared,
                facts=policies.facts,
                exceptions=policies.exceptions,
                document_tools=tools,
            )
        return shared if shared.by_pattern else None
    previous = policies.previous.get(STATIC)
    changed = None
    if isinstance(previous, StaticLayer) and previous.shared is shared.by_pattern:
        changed = _changed_patterns(previous, overrides, own)
    by_pattern = _own_patterns(policies, shared.by_pattern, changed)
    layer = replace(
        _layer(by_pattern, policies), shared=shared.by_pattern, overrides=overrides, own=own
    )
    if isinstance(previous, StaticLayer) and changed is not None:
        layer = _unchanged_and(layer, previous, changed)
    return layer if layer.patterns or shared.by_pattern else None


def _by_pattern(system: Iterable[StaticPolicy]) -> dict[str, list[CompiledStaticPolicy]]:
    by_pattern: dict[str, list[CompiledStaticPolicy]] = {}
    for policy in system:
        if policy.enabled:
            by_pattern.setdefault(policy.pattern, []).append(compile_policy(policy))
    return by_pattern


def _changed_patterns(
    previous: StaticLayer,
    overrides: Mapping[str, StaticOverride],
    own: Mapping[str, StaticPolicy],
) -> set[str] | None:
    """Returns the patterns of the policies that changed, before and after; None for all patterns.

    Args:
        previous: a layer of the tenant on the same system policies.
        overrides: the tenant's overrides.
        own: the tenant's policies.
    """
    if previous.overrides is not overrides:
        return None
    ids = changed_ids(previous.own, own)
    # The tenant's part of an overlay can have a candidate for a system policy, with its ID.
    if any(policy_id in previous.source for policy_id in ids):
        return None
    return {each[key].pattern for each in (previous.own, own) for key in ids if key in each}


def _own_patterns(
    policies: Policies, shared: PoliciesByPattern, only: set[str] | None
) -> dict[str, list[CompiledStaticPolicy]]:
    """Returns the patterns whose policies differ from `shared`, each with its policies.

    Args:
        policies: the sources of the layer.
        shared: the system policies in force, by pattern.
        only: the patterns to look at; None for all.
    """
    system: Mapping[str, StaticPolicy] = policies.platform.of_kind(KIND)
    overrides: Mapping[str, StaticOverride] = policies.own.of_kind(OVERRIDE_KIND)
    own: Mapping[str, StaticPolicy] = policies.own.of_kind(KIND)
    # The tenant's part of an overlay can have a candidate for a system policy, with its ID.
    changed = [system[policy_id] for policy_id in (*overrides, *own) if policy_id in system]
    candidates = list(own.values())
    if only is not None:
        changed = [policy for policy in changed if policy.pattern in only]
        candidates = [policy for policy in candidates if policy.pattern in only]
    by_pattern: dict[str, list[CompiledStaticPolicy]] = {}
    for policy in (*changed, *candidates):
        if policy.pattern not in by_pattern:
            by_pattern[policy.pattern] = [
                _overridden(each, overrides)
                for each in shared.get(policy.pattern, ())
                if each.policy.id not in own
            ]
    for policy in candidates:
        if policy.enabled:
            by_pattern[policy.pattern].append(compile_policy(policy))
    return by_pattern


def _unchanged_and(layer: StaticLayer, previous: StaticLayer, changed: set[str]) -> StaticLayer:
    """Returns a layer of changed patterns with the other patterns of the previous layer."""
    by_pattern, patterns = dict(previous.by_pattern), dict(previous.patterns)
    for pattern in changed:
        by_pattern.pop(pattern, None)
        patterns.pop(pattern, None)
    return replace(
        layer,
        by_pattern={**by_pattern, **layer.by_pattern},
        patterns={**patterns, **layer.patterns},
    )


def _overridden(
    compiled: CompiledStaticPolicy, overrides: Mapping[str, StaticOverride]
) -> CompiledStaticPolicy:
    override = overrides.get(compiled.policy.id)
    return compile_policy(compiled.policy, override) if override else compiled


def _layer(by_pattern: Mapping[str, list[CompiledStaticPolicy]], policies: Policies) -> StaticLayer:
    return StaticLayer(
        by_pattern={pattern: tuple(each) for pattern, each in by_pattern.items()},
        patterns={
            pattern: f"static policy {each[0].policy.id}"
            for pattern, each in by_pattern.items()
            if each
        },
        points=policies.risk.severity,
        document_tools=frozenset(policies.settings.tools_for_documents),
        source=policies.platform.of_kind(KIND),
        facts=policies.facts,
        exceptions=policies.exceptions,
    )


def _counts(hit: StaticHit) -> bool:
    """Whether a hit counts for the risk: a value that an exception allows is no finding."""
    return hit.exception is None or not hit.exception.is_by_value


def _strength(hit: StaticHit) -> tuple[bool, bool, int, int, str]:
    """Sort key: strongest first, then by ID, so that equal findings give equal decisions."""
    policy = hit.policy
    return (
        hit.is_monitored,
        hit.exception is not None,
        -_outcome(hit),
        -_RANKS[policy.severity],
        policy.id,
    )


def _outcome(hit: StaticHit) -> Outcome:
    # Most policies have no redaction, so the property need not be computed.
    return Outcome.REDACT if hit.policy.redaction and hit.redacts else _OUTCOMES[hit.action]


def _message(hit: StaticHit) -> str:
    # The message of a system policy says that the request was stopped.
    if hit.policy.message and not (hit.policy.system and hit.is_weaker):
        return hit.policy.message
    verb = "Blocked" if hit.action == "block" else "Redacted" if hit.redacts else "Flagged"
    return f'{verb} by policy "{hit.policy.name}".'


def _reason(hit: StaticHit) -> str:
    location = hit.location
    return hit.reason if location is None else f"pattern found in {describe(location)}"


def _match(hit: StaticHit) -> Match:
    policy, action, _, scope, _, is_monitored, exception, is_talk, _ = hit
    reason = _reason(hit)
    return Match(
        STATIC,
        policy.id,
        policy.name,
        action,
        policy.severity,
        with_effect(reason, exception) if exception else reason,
        _outcome(hit).name if is_monitored else "",
        exception.id if exception else "",
        scope,
        is_talk,
    )


def _row(hit: StaticHit) -> TraceRow:
    has_effect = hit.location is not None and not hit.is_monitored and hit.exception is None
    return TraceRow(
        layer=STATIC,
        reason=with_effect(_reason(hit), hit.exception, is_monitored=hit.is_monitored),
        matched=hit.location is not None,
        outcome=_outcome(hit) if has_effect else Outcome.ALLOW,
        policy_id=hit.policy.id,
        policy_name=hit.policy.name,
    )
