"""Redacts a request for its record. Callers never see this redaction.

A policy decides what is redacted for callers. A record is redacted more strictly: every finding of
every detector is removed, whether or not a rule asks for it, at any confidence, examples too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain import dlp_rule, static_policy
from pdp.domain.decision import ObligationType, Redaction, Span
from pdp.domain.decision_record import RecordedEntity
from pdp.domain.detector import (
    CUSTOM,
    FINANCIAL,
    PERSONAL_CATEGORIES,
    SECRET,
    EntityDetector,
)
from pdp.engine.findings import Scan
from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan
from pdp.engine.text.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from pdp.domain.decision import Decision, Obligation
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import JsonObject, Request
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.scan import Findings
    from pdp.engine.snapshot import Platform, Snapshot

MAX_FINDINGS: Final = 1000
"""Findings of one request. A text with more of them is data: nothing of it is kept."""

WITHHELD: Final = "[REDACTED]"
"""Replaces a whole text, or a name, that could not be scanned."""

MASKED: Final = "[MASKED]"

_NAME_CATEGORIES: Final = frozenset({SECRET, FINANCIAL})
"""The categories that are removed from ids and names. These may be the names of persons: a record
must say who asked."""


class Cleaned(NamedTuple):
    """The parts of a request that may be kept.

    Attributes:
        text: None if the request has no text.
        arguments: None if the request has none.
        entities: the findings, and the entities that the caller sent.
    """

    text: str | None
    arguments: JsonObject | None
    entities: tuple[RecordedEntity, ...]


class Redactor:
    """All detectors that ship with the product, compiled together."""

    def __init__(self, platform: Platform) -> None:
        """Compiles the detectors of `platform` and its policies of secrets and personal data."""
        self._validators = platform.validators
        detectors = [*platform.detectors.values(), *_of_policies(platform.policies)]
        self._by_pattern = _by_pattern(map(_without_examples, detectors))
        self._examples = {each.id: each.allowlist for each in detectors if each.allowlist}
        patterns = platform.patterns
        # Decisions search for all of the platform's patterns.
        self._is_searched = patterns.compiled.keys() >= self._by_pattern.keys()
        if not self._is_searched:
            patterns = PatternSet().with_patterns(self._by_pattern)
        self._patterns = patterns

    def clean(self, request: Request, decision: Decision, snapshot: Snapshot | None) -> Cleaned:
        """Returns the parts of `request` that may be kept.

        Args:
            request: the request.
            decision: its decision, whose redactions are applied as well.
            snapshot: what the decision is based on, for the tenant's own detectors.

        Raises:
            ScanMemoryExhausted: the request could not be scanned.
        """
        entity_findings: list[EntityFinding] = []
        if not self._is_searched or decision.unmatched is not request:
            by_pattern, patterns = self._for(snapshot)
            known = decision.scan
            if self._is_searched and isinstance(known, Scan) and known.request is request:
                findings = known.findings.copy()
            else:
                findings = scan(patterns, request.text, request.arguments, self._validators)
            if findings.hits:
                findings.work.yields = True  # the recorder runs beside the event loop
            entity_findings += islice(_entity_findings(findings, by_pattern), MAX_FINDINGS + 1)
        request_entities = [*_caller_entities(request), *_named_entities(request)]
        entities = (*request_entities, *map(self._recorded, entity_findings))
        if len(entity_findings) > MAX_FINDINGS:
            return Cleaned(WITHHELD, None, entities[:MAX_FINDINGS])
        redactions = [
            *_of_decision(decision),
            *(_redaction(each) for each in entities if each.end > each.start),
        ]
        redacted = redact(request, redactions)
        text = request.text if redacted.text is None else redacted.text
        arguments = request.arguments if redacted.arguments is None else redacted.arguments
        if arguments is not None:
            masked = {name for each in decision.obligations for name in each.fields}
            arguments = _mask(arguments, masked)
        return Cleaned(text or None, arguments, entities)

    def _recorded(self, finding: EntityFinding) -> RecordedEntity:
        """Returns a finding as a record has it; an example from documentation has confidence 0."""
        where = finding.location
        example = where.value.lower() in self._examples.get(finding.detector_id, ())
        return RecordedEntity(
            finding.entity_type,
            finding.category,
            finding.detector_id,
            0.0 if example else finding.confidence,
            where.start,
            where.end,
            *where.place,
        )

    def holds(self, names: Sequence[str], places: Sequence[str]) -> bool:
        """Whether a text that names something holds a secret or financial data.

        Args:
            names: the ids and names of a request.
            places: texts that name places in it. Other personal data in them counts as well.
        """
        joined = "\n".join(names)
        begin = len(joined)
        text = "\n".join((joined, *places)) if places else joined
        return any(
            each.category in _NAME_CATEGORIES or each.location.end > begin
            for each in self._finds(text, strictly=bool(places))
        )

    def name(self, value: str, *, strictly: bool = False) -> str:
        """Returns an id or a name without the secrets and financial data in it; see `holds`.

        Args:
            value: the id or the name.
            strictly: whether to remove other personal data as well.
        """
        spans = sorted(
            (each.location.start, each.location.end, each.entity_type)
            for each in self._finds(value, strictly=strictly)
        )
        parts: list[str] = []
        end = 0
        for start, stop, entity_type in spans:
            if start >= end:
                parts += (value[end:start], _replacement(entity_type))
            end = max(end, stop)
        return "".join((*parts, value[end:]))

    def _finds(self, text: str, *, strictly: bool) -> Iterator[EntityFinding]:
        findings = scan((self._patterns,), text, None, self._validators)
        yield from _entity_findings(
            findings, self._by_pattern, None if strictly else _NAME_CATEGORIES
        )

    def _for(
        self, snapshot: Snapshot | None
    ) -> tuple[Mapping[str, tuple[EntityDetector, ...]], Sequence[PatternSet]]:
        """Returns the platform's detectors and patterns, and the tenant's own."""
        own = [] if snapshot is None else _own_detectors(snapshot.policies)
        if not own or snapshot is None:
            return self._by_pattern, (self._patterns,)
        combined = {**self._by_pattern}
        for pattern, detectors in _by_pattern(own).items():
            combined[pattern] = (*combined.get(pattern, ()), *detectors)
        return combined, (self._patterns, snapshot.patterns)


def _mask(value: Any, names: Collection[str]) -> Any:
    """Returns a JSON value with the members of these names masked."""
    if isinstance(value, Mapping):
        return {key: MASKED if key in names else _mask(item, names) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask(item, names) for item in value]
    return value


def _of_policies(policies: PolicySet) -> Iterator[EntityDetector]:
    """Yields the policies of secrets and personal data as detectors."""
    for policy in policies.of_kind(static_policy.KIND).values():
        if policy.family == SECRET or policy.family in PERSONAL_CATEGORIES:
            yield EntityDetector(
                id=policy.id,
                name=policy.name,
                entity_type=policy.id.removeprefix("sys_").upper(),
                category=policy.family,
                patterns=(policy.pattern,),
                validator=policy.validator,
            )


def _without_examples(detector: EntityDetector) -> EntityDetector:
    """Returns a detector that finds examples, too: the same one if it has none.

    What a decision has found with the same detector is not judged again.
    """
    return replace(detector, allowlist=frozenset()) if detector.allowlist else detector


def _own_detectors(policies: PolicySet) -> list[EntityDetector]:
    """Returns the tenant's rules that have a pattern, as detectors."""
    return [
        EntityDetector(rule.id, rule.detector_name, rule.entity_type, CUSTOM, (pattern,))
        for rule in policies.of_kind(dlp_rule.KIND).values()
        if isinstance(pattern := rule.config_json.get("pattern"), str)
    ]


def _by_pattern(detectors: Iterable[EntityDetector]) -> dict[str, tuple[EntityDetector, ...]]:
    by_pattern: dict[str, tuple[EntityDetector, ...]] = {}
    for detector in detectors:
        for pattern in detector.patterns:
            by_pattern[pattern] = (*by_pattern.get(pattern, ()), detector)
    return by_pattern


def _entity_findings(
    findings: Findings,
    by_pattern: Mapping[str, tuple[EntityDetector, ...]],
    categories: frozenset[str] | None = None,
) -> Iterator[EntityFinding]:
    """Yields the findings of `categories`; of all categories if None."""
    done: set[str] = set()
    for pattern in findings.hits:
        for detector in by_pattern.get(pattern, ()):
            if categories is not None and detector.category not in categories:
                continue
            if detector.id not in done:
                done.add(detector.id)
                yield from findings.entities(detector)


def _caller_entities(request: Request) -> Iterator[RecordedEntity]:
    for each in request.entities:
        yield RecordedEntity(
            each.entity_type, "", "", each.confidence, each.start, min(each.end, len(request.text))
        )


def _named_entities(request: Request) -> Iterator[RecordedEntity]:
    """Yields the findings of models."""
    for each in request.ner.entities if request.ner else ():
        label = each.label
        yield RecordedEntity(
            label.name, "", label.detector_type, each.confidence, each.start, each.end, each.path
        )


def _of_decision(decision: Decision) -> Iterator[Redaction]:
    for each in decision.obligations:
        if each.type is ObligationType.REDACT:
            yield from (Redaction(_recorded_replacement(each, span), span) for span in each.spans)


def _recorded_replacement(obligation: Obligation, span: Span) -> str:
    """Returns what replaces a span in a record: no mask, because it shows a part of the value."""
    if not obligation.kind:
        return obligation.replacement or WITHHELD
    return _replacement(span.entity_type) if span.entity_type else WITHHELD


def _redaction(each: RecordedEntity) -> Redaction:
    span = Span(each.start, each.end, each.entity_type, each.path, each.in_key)
    return Redaction(_replacement(each.entity_type), span)


def _replacement(entity_type: str) -> str:
    return f"[{entity_type}]"
