"""Compiles static policies, with a tenant's overrides of them, and finds their matches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.decision import Redaction
from pdp.domain.detector import SECRET
from pdp.domain.placement import ARGUMENTS, SCOPES, TEXT
from pdp.domain.redaction_kind import kind_by_value
from pdp.domain.static_policy import (
    ACTIONS,
    ATTACK_FAMILIES,
    BLOCK,
    COMMAND,
    PERSONAL_FAMILIES,
    StaticOverride,
    StaticPolicy,
)
from pdp.engine.rules.exceptions import NO_BOOK, NO_EXCEPTIONS, that_hold, that_lifts
from pdp.engine.rules.expressions import known_expression
from pdp.engine.rules.placement import Placement, compile_placement
from pdp.engine.text.locations import Location, Reading, locate
from pdp.engine.text.patterns import PatternDetector
from pdp.engine.text.pseudonyms import label_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.domain.policy_exception import PolicyException
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.findings import Findings
    from pdp.engine.rules.exceptions import ExceptionBook, Exceptions
    from pdp.engine.text.locations import PatternMatch, Place
    from pdp.engine.text.request_parts import RequestParts

MAX_LOCATIONS: Final = 1000
"""Locations of one policy that are looked at. If there are more, its strongest action counts."""

_VALUE_FAMILIES: Final = PERSONAL_FAMILIES | {"secret"}
_RANKS: Final = {action: rank for rank, action in enumerate(ACTIONS)}


class ConditionalOverride(NamedTuple):
    """An override that applies only in some places or to some requests.

    Attributes:
        policy: the policy as the override changes it.
        applies: where and when the override applies.
        placement: the placement of `policy`; None if it applies everywhere, with one action.
    """

    policy: StaticPolicy
    applies: Placement
    placement: Placement | None


class CompiledStaticPolicy(NamedTuple):
    """A policy that is in force.

    Attributes:
        policy: the policy, with the tenant's override if that always applies.
        detector: finds its pattern.
        placement: None if the policy applies everywhere, always, with one action.
        override: an override that applies sometimes; None for none.
    """

    policy: StaticPolicy
    detector: PatternDetector
    placement: Placement | None = None
    override: ConditionalOverride | None = None


class StaticHit(NamedTuple):
    """A policy whose pattern was found.

    Attributes:
        policy: the policy.
        action: what it does here; one of `ACTIONS`.
        location: the place of the match; None if it does not match.
        scope: the place of `pdp.domain.placement.SCOPES` that the location is in.
        reason: why it does not match; empty if it does.
        is_monitored: whether it is judged and recorded only.
        exception: lifts its effect; None for none.
        is_talk: whether the request only talks about what was found.
        redactions: what the policy redacts; empty unless it is enforced and has a `redaction`.
    """

    policy: StaticPolicy
    action: str
    location: Location | None = None
    scope: str = ""
    reason: str = ""
    is_monitored: bool = False
    exception: PolicyException | None = None
    is_talk: bool = False
    redactions: tuple[Redaction, ...] = ()

    @property
    def redacts(self) -> bool:
        """Whether the policy redacts what it finds instead of blocking it."""
        return self.action != BLOCK and bool(self.policy.redaction)

    @property
    def is_weaker(self) -> bool:
        """Whether the action is weaker here than the policy's own."""
        return _RANKS[self.action] < _RANKS[self.policy.action]

    @property
    def rank(self) -> tuple[bool, bool, bool, bool, int]:
        """A number that rises with the effect of the hit."""
        return (
            not self.is_monitored,
            self.exception is None,
            self.action == BLOCK,
            self.redacts,
            _RANKS[self.action],
        )


def compile_policy(
    policy: StaticPolicy, override: StaticOverride | None = None
) -> CompiledStaticPolicy:
    """Compiles a policy with the tenant's override, if there is one.

    Raises:
        InvalidCondition: an expression is not a condition.
    """
    detector = PatternDetector(policy.pattern, policy.validator, _ignored_reading(policy))
    if override is None:
        return CompiledStaticPolicy(policy, detector, compile_placement(policy))
    changed = replace(
        policy,
        action=override.action,
        scope_actions=override.scope_actions,
        in_prose=override.in_prose,
        mode=override.mode or policy.mode,
        redaction=override.redaction or policy.redaction,
    )
    if not (override.expression or override.scope):
        return CompiledStaticPolicy(changed, detector, compile_placement(changed))
    applies = Placement(
        known_expression(override.expression) if override.expression else None,
        frozenset(override.scope),
    )
    conditional = ConditionalOverride(changed, applies, compile_placement(changed))
    return CompiledStaticPolicy(policy, detector, compile_placement(policy), conditional)


def _ignored_reading(policy: StaticPolicy) -> Reading | None:
    """Returns the reading in which a policy does not apply.

    A label does not make its value an attack, and words of a command line are no personal data.
    """
    if policy.family in ATTACK_FAMILIES:
        return Reading.LABELLED
    return Reading.COMMAND if policy.family in _VALUE_FAMILIES else None


def find_hit(
    compiled: CompiledStaticPolicy,
    findings: Findings,
    parts: RequestParts,
    facts: FactSource,
    book: ExceptionBook = NO_BOOK,
) -> StaticHit | None:
    """Returns what a policy whose pattern was found does; None if there is nothing to say of it.

    If the policy matches in several places, the one with the strongest action that no exception
    lifts counts.

    Args:
        compiled: the policy.
        findings: the findings of the scan.
        parts: the parts of the request.
        facts: computes what expressions name besides the request.
        book: the tenant's exceptions.
    """
    policy, detector, placement, override = compiled
    request = parts.request
    exceptions = NO_EXCEPTIONS
    if book is not NO_BOOK and book:
        exceptions = that_hold(book.of_static_policy(policy), request, findings, facts)
    if placement is None and override is None and not exceptions and not policy.in_prose:
        location = findings.first(detector)
        if location is None:
            return _rejected(policy)
        hit = StaticHit(policy, policy.action, location, parts.scope_of(location))
        return _with_redactions(hit, compiled, findings, parts) if hit.redacts else hit
    if placement is not None and placement.expression is not None:
        judgement = placement.expression.judge(request, findings, facts)
        if not judgement.is_met:
            reason = f"pattern found, but {judgement.reason}"
            return StaticHit(policy, policy.action, reason=reason)
    if override is not None and override.applies.expression is not None:
        judgement = override.applies.expression.judge(request, findings, facts)
        if not judgement.is_met:
            compiled = compiled._replace(override=None)
    best = _strongest(compiled, findings, parts, exceptions)
    if best is None or not best.redacts or best.location is None:
        return best
    return _with_redactions(best, compiled, findings, parts, exceptions)


def _with_redactions(
    hit: StaticHit,
    compiled: CompiledStaticPolicy,
    findings: Findings,
    parts: RequestParts,
    exceptions: Exceptions = NO_EXCEPTIONS,
) -> StaticHit:
    """Returns a hit with the redactions of all values that its policy finds.

    Too many values in one string redact the whole string.
    """
    if hit.is_monitored or hit.exception is not None:
        return hit
    by_place: dict[Place, list[Redaction]] = {}
    too_many: dict[Place, Redaction] = {}
    for match in findings.accepted_matches(compiled.detector):
        for location in _values(match):
            redaction = _redaction_at(compiled, location, parts, exceptions)
            if redaction is None or location.place in too_many:
                continue
            in_place = by_place.setdefault(location.place, [])
            in_place.append(redaction)
            findings.work.add_finds(1)
            if len(in_place) > MAX_LOCATIONS:
                span = location.whole().span(redaction.span.entity_type)
                too_many[location.place] = Redaction(redaction.replacement, span)
    redactions = [
        each
        for place, in_place in by_place.items()
        for each in ([too_many[place]] if place in too_many else in_place)
    ]
    # A match in the text itself usually occurs in its normalized variants too.
    return hit._replace(redactions=tuple(dict.fromkeys(redactions)))


def _values(match: PatternMatch) -> Iterator[Location]:
    """Yields the value of a match; the whole text for an empty one, which cannot be redacted."""
    segment, start, end, value_start, value_end = match
    for each in locate(segment, value_start, value_end) or locate(segment, start, end):
        yield each if each.start < each.end else each.whole()


def _redaction_at(
    compiled: CompiledStaticPolicy, location: Location, parts: RequestParts, exceptions: Exceptions
) -> Redaction | None:
    """Returns what a policy redacts in a place; None if it redacts nothing there."""
    scope = parts.scope_of(location)
    hit = _hit_at(compiled, scope)
    if hit is None or hit.is_monitored or not _as_talk(hit, location, parts).redacts:
        return None
    if exceptions and that_lifts(exceptions, scope, location.value):
        return None
    policy = hit.policy
    name = policy.id.removeprefix("sys_") if policy.system else policy.name
    entity_type = label_of(name)
    kind = kind_by_value(policy.redaction)
    is_secret = policy.family == SECRET
    return Redaction(f"[{entity_type}]", location.span(entity_type), kind, is_secret)


def _strongest(
    compiled: CompiledStaticPolicy, findings: Findings, parts: RequestParts, exceptions: Exceptions
) -> StaticHit | None:
    """Returns the hit at the place where the policy has the strongest effect."""
    policy = compiled.policy
    strongest = max(_possible_hits(compiled), key=lambda hit: hit.rank)
    best: StaticHit | None = None
    first: Location | None = None
    for count, location in enumerate(findings.locations(compiled.detector)):
        scope = parts.scope_of(location)
        first = first or location
        if count == MAX_LOCATIONS:
            return strongest._replace(location=first, scope=scope)
        hit = _hit_at(compiled, scope)
        if hit is None:
            continue
        hit = _as_talk(hit, location, parts, findings.talk_of(compiled.detector.pattern))
        if exceptions and (lifting := that_lifts(exceptions, scope, location.value)):
            hit = hit._replace(exception=lifting.exception)
        if best is None or hit.rank > best.rank:
            best = hit._replace(location=location)
            if best.rank >= strongest.rank:
                break
    if best is None and first is not None:
        reason = "pattern found, but not where the policy looks"
        return StaticHit(policy, policy.action, reason=reason)
    return best or _rejected(policy)


def _hit_at(compiled: CompiledStaticPolicy, scope: str) -> StaticHit | None:
    """Returns a hit in a place, without its location; None if the policy does not look there."""
    policy, _, placement, override = compiled
    if placement is not None and not placement.looks_in(scope):
        return None
    if override is not None and override.applies.looks_in(scope):
        policy, placement = override.policy, override.placement
    action = policy.action if placement is None else placement.actions.get(scope, policy.action)
    is_monitored = placement is not None and placement.is_monitored
    return StaticHit(policy, action, scope=scope, is_monitored=is_monitored)


def _as_talk(
    hit: StaticHit, location: Location, parts: RequestParts, known: bool | None = None
) -> StaticHit:
    """Returns a hit with its weaker action if the request only talks about what was found.

    Args:
        hit: the hit.
        location: its location.
        parts: the parts of the request.
        known: whether the request only talks about it, if that is recorded.
    """
    policy = hit.policy
    if hit.scope == ARGUMENTS and policy.family == COMMAND:
        # In a document, a command is what it is in a text.
        weaker = policy.scope_actions.get(TEXT, "")
        is_talk = parts.is_command_talk
    else:
        weaker, is_talk = policy.in_prose, parts.is_sql_talk
    if not weaker or _RANKS[weaker] >= _RANKS[hit.action]:
        return hit
    if known or (known is None and is_talk(location)):
        return hit._replace(action=weaker, is_talk=True)
    return hit


def _possible_hits(compiled: CompiledStaticPolicy) -> Iterator[StaticHit]:
    """Yields a hit for each place where the policy looks."""
    for scope in SCOPES:
        hit = _hit_at(compiled, scope)
        if hit is not None:
            yield hit


def _rejected(policy: StaticPolicy) -> StaticHit | None:
    """Returns the hit of a pattern whose matches the validator rejects."""
    if not policy.validator:
        return None
    reason = f"pattern found, but no value passed {policy.validator}"
    return StaticHit(policy, policy.action, reason=reason)
