"""Takes out of a request all that may not be kept of it: for records, never for callers.

What a policy redacts is what the policy says; what is written down is held to more: everything that
any detector finds goes, whether a rule asks for it or not, at whatever confidence, examples too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
from pdp.engine.scan import PatternSet, scan
from pdp.engine.text.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pdp.domain.decision import Decision
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import JsonObject, Request
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.scan import Findings, Shard
    from pdp.engine.snapshot import Platform, Snapshot

MAX_FINDINGS: Final = 1000
"""In one request. What holds more is data, not a text with data in it: nothing of it is kept."""

WITHHELD: Final = "[REDACTED]"
"""Stands for a whole text, or a name, that could not be looked through."""

MASKED: Final = "[MASKED]"

_NAMED: Final = frozenset({SECRET, FINANCIAL})
"""What is taken out of ids and names, which may well be of persons: who it was is to be kept."""


class Cleaned(NamedTuple):
    """What may be kept of a request.

    Attributes:
        text: None where there was none.
        arguments: the same.
        entities: what was found, and what the caller has told of.
    """

    text: str | None
    arguments: JsonObject | None
    entities: tuple[RecordedEntity, ...]


class Redactor:
    """All detectors that ship with the product, compiled to be looked for together."""

    def __init__(self, platform: Platform) -> None:
        """Compiles those of `platform`: its detectors, and its policies of personal data."""
        self._validators = platform.validators
        detectors = [*platform.detectors.values(), *_of_policies(platform.policies)]
        self._by_pattern = _by_pattern(replace(each, allowlist=frozenset()) for each in detectors)
        self._examples = {each.id: each.allowlist for each in detectors if each.allowlist}
        self._shards = PatternSet().with_patterns(self._by_pattern).shards

    def clean(self, request: Request, decision: Decision, snapshot: Snapshot | None) -> Cleaned:
        """Returns what may be kept of `request`.

        Args:
            request: what was asked.
            decision: what it came to; what it redacts goes too, with its replacements.
            snapshot: what it was decided on, for the tenant's own detectors.

        Raises:
            PatternsExhausted: it could not be looked through.
        """
        by_pattern, shards = self._for(snapshot)
        findings = scan(shards, request.text, request.arguments, self._validators)
        found = list(_found(findings, by_pattern))
        told = [*_told(request), *_named(request)]
        entities = (*told, *map(self._recorded, found))
        if len(found) > MAX_FINDINGS:
            return Cleaned(WITHHELD, None, entities[:MAX_FINDINGS])
        redactions = [
            *_of_decision(decision),
            *(_redaction(each) for each in entities if each.end > each.start),
        ]
        done = redact(request, redactions)
        text = request.text if done.text is None else done.text
        arguments = request.arguments if done.arguments is None else done.arguments
        if arguments is not None:
            masked = {name for each in decision.obligations for name in each.fields}
            arguments = self._clean_object(arguments, masked)
        return Cleaned(text or None, arguments, entities)

    def _recorded(self, found: EntityFinding) -> RecordedEntity:
        """Returns what a record says: of a value of documentation, that it is none."""
        where = found.where
        example = where.value.lower() in self._examples.get(found.detector_id, ())
        return RecordedEntity(
            found.entity_type,
            found.category,
            found.detector_id,
            0.0 if example else found.confidence,
            where.start,
            where.end,
            where.segment.path,
        )

    def holds(self, values: Sequence[str], *, strictly: bool = False) -> bool:
        """Whether any of `values`, ids and names, holds a secret or financial data.

        Args:
            values: as a request has them.
            strictly: count personal data of other kinds as well.
        """
        return bool(values) and any(self._finds("\n".join(values), strictly=strictly))

    def name(self, value: str, *, strictly: bool = False) -> str:
        """Returns an id or a name without the secrets and financial data in it; see `holds`."""
        spans = sorted(
            (each.where.start, each.where.end, each.entity_type)
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
        findings = scan(self._shards, text, None, self._validators)
        yield from _found(findings, self._by_pattern, None if strictly else _NAMED)

    def _for(
        self, snapshot: Snapshot | None
    ) -> tuple[Mapping[str, tuple[EntityDetector, ...]], Sequence[Shard]]:
        """The platform's detectors and shards, and a tenant's own."""
        own = [] if snapshot is None else _own_detectors(snapshot.policies)
        if not own or snapshot is None:
            return self._by_pattern, self._shards
        together = {**self._by_pattern}
        for pattern, detectors in _by_pattern(own).items():
            together[pattern] = (*together.get(pattern, ()), *detectors)
        return together, (*self._shards, *snapshot.patterns.shards)

    def _clean_object(self, value: Any, masked: set[str]) -> Any:
        """Cleans what a scan of strings does not see: keys, numbers, and what is to be masked."""
        if isinstance(value, Mapping):
            return {
                self._clean_key(key): MASKED if key in masked else self._clean_object(item, masked)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._clean_object(item, masked) for item in value]
        if isinstance(value, (int, float)) and abs(value) >= _LONG_NUMBER:
            shown = f"{value:.0f}"
            clean = self.name(shown, strictly=True)
            return value if clean == shown else clean
        return value

    def _clean_key(self, key: str) -> str:
        return self.name(key, strictly=True)


_LONG_NUMBER: Final = 100_000
"""Numbers from here on are looked at: shorter ones are nobody's."""


def _of_policies(policies: PolicySet) -> Iterator[EntityDetector]:
    """Yields what the policies of secrets and personal data look for, as detectors."""
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


def _own_detectors(policies: PolicySet) -> list[EntityDetector]:
    """Returns what a tenant's own rules look for by patterns of their own."""
    return [
        EntityDetector(rule.id, rule.detector_name, rule.entity_type, CUSTOM, (pattern,))
        for rule in policies.of_kind(dlp_rule.KIND).values()
        if isinstance(pattern := rule.config_json.get("pattern"), str)
    ]


def _by_pattern(detectors: Iterable[EntityDetector]) -> dict[str, tuple[EntityDetector, ...]]:
    found: dict[str, tuple[EntityDetector, ...]] = {}
    for detector in detectors:
        for pattern in detector.patterns:
            found[pattern] = (*found.get(pattern, ()), detector)
    return found


def _found(
    findings: Findings,
    by_pattern: Mapping[str, tuple[EntityDetector, ...]],
    categories: frozenset[str] | None = None,
) -> Iterator[EntityFinding]:
    """Yields what was found of `categories`; of all where None."""
    asked: set[str] = set()
    for pattern in findings.hits:
        for detector in by_pattern.get(pattern, ()):
            if categories is not None and detector.category not in categories:
                continue
            if detector.id not in asked:
                asked.add(detector.id)
                yield from findings.entities(detector)


def _told(request: Request) -> Iterator[RecordedEntity]:
    for each in request.entities:
        yield RecordedEntity(
            each.entity_type, "", "", each.confidence, each.start, min(each.end, len(request.text))
        )


def _named(request: Request) -> Iterator[RecordedEntity]:
    """Yields what models have found."""
    for each in request.ner.entities if request.ner else ():
        label = each.label
        yield RecordedEntity(
            label.name, "", label.detector_type, each.confidence, each.start, each.end, each.path
        )


def _of_decision(decision: Decision) -> Iterator[Redaction]:
    for each in decision.obligations:
        if each.type is ObligationType.REDACT:
            yield from (Redaction(each.replacement or WITHHELD, span) for span in each.spans)


def _redaction(each: RecordedEntity) -> Redaction:
    span = Span(each.start, each.end, each.entity_type, each.path)
    return Redaction(_replacement(each.entity_type), span)


def _replacement(entity_type: str) -> str:
    return f"[{entity_type}]"
