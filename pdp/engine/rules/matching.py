"""Whether one rule's conditions hold, and why: the slow and plain way, for traces and reasons.

`pdp.engine.rules.index` answers the same for all rules at once; a property test holds the two
together.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.decision import Redaction, Span
from pdp.domain.detector import PERSONAL_CATEGORIES
from pdp.domain.entity_types import expand_entity_types
from pdp.domain.model_catalog import normalize_name
from pdp.engine.dlp.caller_entities import all_texts, caller_locations
from pdp.engine.dlp.entity_detectors import DEFAULT_CONFIDENCE
from pdp.engine.findings import NOT_SCANNED
from pdp.engine.text.locations import locate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pdp.domain.request import Entity, Request
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.rules.documents import Conditions
    from pdp.engine.scan import Findings
    from pdp.engine.text.locations import Segment

NO_CONDITIONS: Final = "no conditions: every request matches"

MAX_SPANS: Final = 1000
"""Places of one pattern in one string; where there are more, the whole string is redacted."""


class Facts(NamedTuple):
    """What conditions are held against.

    Attributes:
        provider: of the model that the request is for; the catalog's where it names none.
        models: that model, by every name that it goes by. Both are folded, as in the catalog.
        entities: findings with a type: the request's own.
        scanned: the same, of the scan.
    """

    request: Request
    findings: Findings
    provider: str
    models: Sequence[str]
    entities: Sequence[Entity]
    scanned: Sequence[EntityFinding] = ()


class Held(NamedTuple):
    """Whether conditions hold, and which of them by what, or the first that does not."""

    matched: bool
    reason: str


def hold(conditions: Conditions, facts: Facts) -> Held:
    """Holds `conditions` against `facts`."""
    reasons: list[str] = []
    for matched, reason in _checks(conditions, facts):
        if not matched:
            return Held(False, reason)
        reasons.append(reason)
    return Held(True, "; ".join(reasons) or NO_CONDITIONS)


def _checks(conditions: Conditions, facts: Facts) -> Iterator[Held]:
    request = facts.request
    if conditions.user_groups:
        yield _any_of("user_groups", conditions.user_groups, request.subject.groups)
    if conditions.entity_types or conditions.entity_confidence_min is not None:
        yield _entities(conditions, facts)
    if conditions.content_regex:
        yield _content(conditions.content_regex, facts.findings)
    if conditions.providers:
        yield _named("providers", conditions.providers, (facts.provider,))
    if conditions.models:
        yield _named("models", conditions.models, facts.models)
    if conditions.user_risk_score_min is not None:
        yield _risk(conditions.user_risk_score_min, request.subject.risk_score)
    if conditions.intent_complexity:
        wanted = (conditions.intent_complexity,)
        yield _any_of("intent_complexity", wanted, (request.intent_complexity,))
    if conditions.channel:
        yield _any_of("channel", conditions.channel, (request.channel,))


def _any_of(name: str, wanted: Sequence[str], present: Sequence[str]) -> Held:
    both = [each for each in wanted if each in present]
    return Held(True, f"{name} matched: {both}") if both else Held(False, f"{name} did not match")


def _named(name: str, wanted: Sequence[str], present: Sequence[str]) -> Held:
    return _any_of(name, wanted, [each for each in wanted if normalize_name(each) in present])


def _risk(least: float, score: float | None) -> Held:
    if score is None:
        return Held(False, "user_risk_score_min did not match: the request has no risk score")
    if score < least:
        return Held(False, f"user_risk_score_min did not match: {score:g} is below {least:g}")
    return Held(True, f"user_risk_score_min matched: {score:g} is at least {least:g}")


def entities_of(conditions: Conditions, entities: Sequence[Entity]) -> list[Entity]:
    """Returns the findings that the entity conditions are met by."""
    least = conditions.entity_confidence_min or 0.0
    types = expand_entity_types(conditions.entity_types)
    return [
        each
        for each in entities
        if (not types or each.entity_type in types) and each.confidence >= least
    ]


def scanned_of(conditions: Conditions, scanned: Sequence[EntityFinding]) -> list[EntityFinding]:
    """Returns the findings of the scan that the entity conditions are met by."""
    least = conditions.entity_confidence_min
    least = DEFAULT_CONFIDENCE if least is None else least
    types = expand_entity_types(conditions.entity_types)
    return [
        each
        for each in scanned
        if (not types or each.entity_type in types)
        and each.confidence >= least
        and each.location.start < each.location.end
    ]


def found_personal(conditions: Conditions, facts: Facts, personal: Collection[str]) -> bool:
    """Whether conditions on findings are met by personal data.

    Args:
        conditions: that hold.
        facts: what they are held against.
        personal: names of types of personal data, to know the caller's own findings by.
    """
    if not (conditions.entity_types or conditions.entity_confidence_min is not None):
        return False
    scanned = scanned_of(conditions, facts.scanned)
    own = entities_of(conditions, facts.entities)
    return any(each.category in PERSONAL_CATEGORIES for each in scanned) or any(
        each.entity_type in personal for each in own
    )


def _entities(conditions: Conditions, facts: Facts) -> Held:
    own = entities_of(conditions, facts.entities)
    scanned = scanned_of(conditions, facts.scanned)
    found = dict.fromkeys([each.entity_type for each in own])
    found.update(dict.fromkeys(each.entity_type for each in scanned))
    name = "entity_types" if conditions.entity_types else "entity_confidence_min"
    if found:
        return Held(True, f"{name} matched: {list(found)}")
    return Held(False, f"{name} did not match")


def _content(pattern: str, findings: Findings) -> Held:
    hit = findings.hits.get(pattern)
    if hit is None:
        looked = "did not match" if findings is not NOT_SCANNED else "could not be looked for"
        return Held(False, f"content_regex {looked}")
    compiled, segments = hit
    segment = segments[0]
    place = "the text" if segment.path is None else f"arguments at {segment.path}"
    start, end = next(compiled.spans(segment.text, segment.data), (0, 0))
    _, start, end = locate(segment, start, end)
    return Held(True, f"content_regex matched: {place}, {start} to {end}")


def redactions(conditions: Conditions, replacement: str, facts: Facts) -> Iterator[Redaction]:
    """Yields what a REDACT rule that matched takes out of the request (decide.md, chain).

    That is what its pattern matched, else its findings, else the whole text with every string of
    the arguments. A finding that lies nowhere in the text cannot be taken out alone: then all of
    that is.
    """
    if conditions.content_regex:
        _, segments = facts.findings.hits[conditions.content_regex]
        spans = _matched(conditions.content_regex, segments, facts.findings)
    elif conditions.entity_types or conditions.entity_confidence_min is not None:
        spans = chain(
            _found(entities_of(conditions, facts.entities), facts.request),
            _located(scanned_of(conditions, facts.scanned)),
        )
    else:
        spans = _everything(facts)
    for span in spans:
        yield Redaction(replacement, span)


def _matched(pattern: str, segments: Sequence[Segment], findings: Findings) -> Iterator[Span]:
    compiled = findings.hits[pattern][0]
    for segment in segments:
        places = islice(compiled.spans(segment.text, segment.data), MAX_SPANS + 1)
        found = [locate(segment, start, end) for start, end in places if start < end]
        if 0 < len(found) <= MAX_SPANS:
            yield from (Span(where.start, where.end, "", segment.path) for where in found)
        else:
            # Too many to be told one by one, or nothing but places without a length.
            whole = locate(segment, 0, len(segment.text))
            yield Span(0, len(whole.segment.text), "", segment.path)


def _found(entities: Sequence[Entity], request: Request) -> Iterator[Span]:
    for each, where in caller_locations(entities, request):
        yield Span(where.start, where.end, each.entity_type, where.segment.path)


def _located(findings: Sequence[EntityFinding]) -> Iterator[Span]:
    """Where findings of the scan lie; too many in one string are the whole string."""
    by_path: dict[str | None, list[EntityFinding]] = {}
    for each in findings:
        by_path.setdefault(each.location.segment.path, []).append(each)
    for path, found in by_path.items():
        if len(found) > MAX_SPANS:
            yield Span(0, len(found[0].location.segment.text), found[0].entity_type, path)
        else:
            for each in found:
                yield Span(each.location.start, each.location.end, each.entity_type, path)


def _everything(facts: Facts) -> Iterator[Span]:
    for segment in all_texts(facts.request):
        yield Span(0, len(segment.text), "", segment.path)
