"""Evaluates the conditions of one rule, with reasons. Slow: for traces and matches only.

`pdp.engine.rules.index` gives the same answers for all rules at once. A property test compares the
two.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.decision import Redaction, Span
from pdp.domain.detector import PERSONAL_CATEGORIES, SECRET
from pdp.domain.entity_types import expand_entity_types, is_secret_type
from pdp.domain.group_resolver import NO_GROUPS, normalize_group
from pdp.domain.model_catalog import normalize_name
from pdp.engine.conditions.facts import NO_FACTS, ConditionFacts
from pdp.engine.dlp.caller_entities import all_texts, caller_locations
from pdp.engine.dlp.entity_detectors import DEFAULT_CONFIDENCE
from pdp.engine.findings import NOT_SCANNED
from pdp.engine.rules.action_patterns import patterns_of
from pdp.engine.rules.model_matcher import NO_MODEL, RequestedModel
from pdp.engine.rules.schedules import time_of
from pdp.engine.text.locations import describe, locate, whole_places

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pdp.domain.request import Entity, Request
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.rules.documents import Conditions
    from pdp.engine.scan import Findings
    from pdp.engine.text.locations import Location, Place, Segment

NO_CONDITIONS: Final = "no conditions: every request matches"

MAX_SPANS: Final = 1000
"""Spans for one pattern in one string. If there are more, the whole string is redacted."""


class Facts(NamedTuple):
    """The facts on which conditions are evaluated.

    Attributes:
        request: the request.
        findings: the findings of the scan.
        model: which of the models and providers that the rules name are those of the request.
        accepting: the mask of the rules whose conditions on models and providers are met.
        groups: the groups of the subject, by `normalize_group`.
        entities: the caller's own findings.
        entity_findings: the findings of the scan that have an entity type.
        conditions: what expressions name besides the request.
    """

    request: Request
    findings: Findings
    model: RequestedModel = NO_MODEL
    accepting: int = -1
    groups: frozenset[str] = NO_GROUPS
    entities: Sequence[Entity] = ()
    entity_findings: Sequence[EntityFinding] = ()
    conditions: ConditionFacts = NO_FACTS


class ConditionResult(NamedTuple):
    """The result of evaluating conditions.

    Attributes:
        matched: whether all conditions are met.
        reason: what met each condition, or the first condition that is not met.
    """

    matched: bool
    reason: str


def check_conditions(conditions: Conditions, facts: Facts, *, wide: bool = True) -> ConditionResult:
    """Evaluates `conditions` on `facts`.

    Args:
        conditions: the conditions of a rule.
        facts: the facts of a request.
        wide: whether the rule names models widely: see `pdp.engine.rules.model_matcher`.
    """
    reasons: list[str] = []
    for matched, reason in _results(conditions, facts, wide=wide):
        if not matched:
            return ConditionResult(False, reason)
        reasons.append(reason)
    return ConditionResult(True, "; ".join(reasons) or NO_CONDITIONS)


def _results(conditions: Conditions, facts: Facts, *, wide: bool) -> Iterator[ConditionResult]:
    request = facts.request
    if conditions.user_groups:
        common = _in_groups(conditions.user_groups, facts)
        yield _any_of("user_groups", conditions.user_groups, common)
    if conditions.not_user_groups:
        common = _in_groups(conditions.not_user_groups, facts)
        yield _none_of("not_user_groups", "the subject is in", common)
    if _has_entity_conditions(conditions):
        yield _entities_result(conditions, facts)
    if conditions.content_regex:
        yield _content_result(conditions.content_regex, facts.findings)
    yield from _model_results(conditions, facts.model, wide=wide)
    if conditions.user_risk_score_min is not None:
        yield _risk_result(conditions.user_risk_score_min, request.subject.risk_score)
    if conditions.intent_complexity:
        allowed = (conditions.intent_complexity,)
        yield _any_of("intent_complexity", allowed, (request.intent_complexity,))
    if conditions.channel:
        yield _any_of("channel", conditions.channel, (request.channel,))
    if conditions.tools:
        yield _any_of("tools", conditions.tools, (request.tool,))
    if conditions.actions:
        yield _any_of("actions", conditions.actions, [*patterns_of(request.action)])
    if conditions.agent_ids:
        yield _any_of("agent_ids", conditions.agent_ids, (request.subject.agent_id,))
    if conditions.schedule is not None:
        covered = conditions.schedule.covers(time_of(request))
        yield ConditionResult(covered, "schedule matched" if covered else "schedule did not match")
    if conditions.expression is not None:
        explanation = conditions.expression.condition.explain(request, facts.conditions)
        yield ConditionResult(explanation.truth is True, f"expression is {explanation}")


def _model_results(
    conditions: Conditions, model: RequestedModel, *, wide: bool
) -> Iterator[ConditionResult]:
    if conditions.providers:
        yield _any_folded("providers", conditions.providers, model.providers(wide=wide))
    if conditions.not_providers:
        if not (wide or model.provider):
            yield ConditionResult(False, "not_providers did not match: the provider is unknown")
        excluded = _folded(conditions.not_providers, model.providers(wide=not wide))
        yield _none_of("not_providers", "the provider is", excluded)
    if conditions.models:
        yield _any_folded("models", conditions.models, model.models(wide=wide))
    if conditions.not_models:
        if not (wide or model.is_named):
            yield ConditionResult(False, "not_models did not match: the request names no model")
        excluded = _folded(conditions.not_models, model.models(wide=not wide))
        yield _none_of("not_models", "the model is", excluded)


def _in_groups(names: Sequence[str], facts: Facts) -> list[str]:
    return [each for each in names if normalize_group(each) in facts.groups]


def _none_of(name: str, what: str, excluded: Sequence[str]) -> ConditionResult:
    if excluded:
        return ConditionResult(False, f"{name} did not match: {what} {excluded[0]!r}")
    return ConditionResult(True, f"{name} matched")


def _any_of(name: str, allowed: Sequence[str], values: Sequence[str]) -> ConditionResult:
    common = [each for each in allowed if each in values]
    if common:
        return ConditionResult(True, f"{name} matched: {common}")
    return ConditionResult(False, f"{name} did not match")


def _any_folded(name: str, allowed: Sequence[str], values: Collection[str]) -> ConditionResult:
    return _any_of(name, allowed, _folded(allowed, values))


def _folded(names: Sequence[str], values: Collection[str]) -> list[str]:
    return [each for each in names if normalize_name(each) in values]


def _risk_result(minimum: float, score: float | None) -> ConditionResult:
    name = "user_risk_score_min"
    if score is None:
        return ConditionResult(False, f"{name} did not match: the request has no risk score")
    if score < minimum:
        return ConditionResult(False, f"{name} did not match: {score:g} is below {minimum:g}")
    return ConditionResult(True, f"{name} matched: {score:g} is at least {minimum:g}")


def _has_entity_conditions(conditions: Conditions) -> bool:
    return bool(conditions.entity_types) or conditions.entity_confidence_min is not None


def matching_entities(conditions: Conditions, entities: Sequence[Entity]) -> list[Entity]:
    """Returns the caller's findings that meet the entity conditions."""
    minimum = conditions.entity_confidence_min or 0.0
    types = expand_entity_types(conditions.entity_types)
    return [
        each
        for each in entities
        if (not types or each.entity_type in types) and each.confidence >= minimum
    ]


def matching_findings(
    conditions: Conditions, entity_findings: Sequence[EntityFinding]
) -> list[EntityFinding]:
    """Returns the findings of the scan that meet the entity conditions."""
    minimum = conditions.entity_confidence_min
    minimum = DEFAULT_CONFIDENCE if minimum is None else minimum
    types = expand_entity_types(conditions.entity_types)
    return [
        each
        for each in entity_findings
        if (not types or each.entity_type in types)
        and each.confidence >= minimum
        and each.location.start < each.location.end
    ]


def matches_personal_data(
    conditions: Conditions, facts: Facts, personal_types: Collection[str]
) -> bool:
    """Returns whether personal data meets the entity conditions.

    Args:
        conditions: conditions that are met.
        facts: the facts that meet them.
        personal_types: the names of the types of personal data. The caller's own findings are
            classified by them.
    """
    if not _has_entity_conditions(conditions):
        return False
    findings = matching_findings(conditions, facts.entity_findings)
    entities = matching_entities(conditions, facts.entities)
    return any(each.category in PERSONAL_CATEGORIES for each in findings) or any(
        each.entity_type in personal_types for each in entities
    )


def _entities_result(conditions: Conditions, facts: Facts) -> ConditionResult:
    entities = matching_entities(conditions, facts.entities)
    findings = matching_findings(conditions, facts.entity_findings)
    types = dict.fromkeys([each.entity_type for each in entities])
    types.update(dict.fromkeys(each.entity_type for each in findings))
    name = "entity_types" if conditions.entity_types else "entity_confidence_min"
    if types:
        return ConditionResult(True, f"{name} matched: {list(types)}")
    return ConditionResult(False, f"{name} did not match")


def _content_result(pattern: str, findings: Findings) -> ConditionResult:
    hit = findings.hits.get(pattern)
    if hit is None:
        failure = "did not match" if findings is not NOT_SCANNED else "could not be looked for"
        return ConditionResult(False, f"content_regex {failure}")
    compiled, segments = hit
    segment = segments[0]
    start, end = next(compiled.spans(segment.text, segment.data), (0, 0))
    locations = locate(segment, start, end) or whole_places(segment)
    return ConditionResult(True, f"content_regex matched: {describe(locations[0])}")


class _Part(NamedTuple):
    """A span to redact.

    Attributes:
        is_value: whether it is one value, not a whole text that holds values somewhere.
        is_secret: whether it is a secret.
    """

    span: Span
    is_value: bool = True
    is_secret: bool = False


def redactions(
    conditions: Conditions, replacement: str, facts: Facts, kind: str = ""
) -> Iterator[Redaction]:
    """Yields the redactions of a REDACT rule that matches (decide.md, chain).

    A rule with a pattern redacts the matches of the pattern. Otherwise, a rule with entity
    conditions redacts the findings. Any other rule redacts the whole text and every string of the
    arguments. A finding without a position in the text cannot be redacted on its own, so it also
    redacts everything.

    Args:
        conditions: the conditions of the rule.
        replacement: the replacement.
        facts: the facts that meet the conditions.
        kind: see `Redaction`; a whole text has no kind.
    """
    if conditions.content_regex:
        _, segments = facts.findings.hits[conditions.content_regex]
        parts = _pattern_parts(conditions.content_regex, segments, facts.findings)
    elif _has_entity_conditions(conditions):
        parts = chain(
            _entity_parts(matching_entities(conditions, facts.entities), facts.request),
            _finding_parts(matching_findings(conditions, facts.entity_findings)),
        )
    else:
        parts = _whole_request(facts)
    for span, is_value, is_secret in parts:
        if kind and is_value:
            yield Redaction(replacement, span, kind, is_secret)
        else:
            yield Redaction(replacement, span)


def _pattern_parts(
    pattern: str, segments: Sequence[Segment], findings: Findings
) -> Iterator[_Part]:
    compiled = findings.hits[pattern][0]
    for segment in segments:
        spans = islice(compiled.spans(segment.text, segment.data), MAX_SPANS + 1)
        locations: Sequence[Location] = [
            location
            for start, end in spans
            if start < end
            for location in locate(segment, start, end)
        ]
        findings.work.add_finds(len(locations))
        # If there are too many spans, or all of them are empty, the whole texts are redacted.
        are_values = 0 < len(locations) <= MAX_SPANS
        if not are_values:
            locations = whole_places(segment)
        yield from (_Part(each.span(), are_values) for each in locations)


def _entity_parts(entities: Sequence[Entity], request: Request) -> Iterator[_Part]:
    for each, location in caller_locations(entities, request):
        name = each.entity_type
        is_value = location != location.whole()
        yield _Part(location.span(name), is_value, is_secret_type(name))


def _finding_parts(findings: Sequence[EntityFinding]) -> Iterator[_Part]:
    """Yields the parts of findings of the scan; too many in one string become the whole string."""
    by_place: dict[Place, list[EntityFinding]] = {}
    for each in findings:
        by_place.setdefault(each.location.place, []).append(each)
    for in_place in by_place.values():
        if len(in_place) > MAX_SPANS:
            first = in_place[0]
            yield _Part(first.location.whole().span(first.entity_type), is_value=False)
        else:
            for each in in_place:
                span = each.location.span(each.entity_type)
                yield _Part(span, is_secret=each.category == SECRET)


def _whole_request(facts: Facts) -> Iterator[_Part]:
    for segment in all_texts(facts.request):
        yield _Part(Span(0, len(segment.text), "", segment.path), is_value=False)
