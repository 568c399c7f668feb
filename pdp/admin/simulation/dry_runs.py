"""Dry runs: a pattern, a new DLP rule, all DLP rules or the chain of a tenant, run on a text.

Nothing is written, counted or recorded.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain import dlp_rule
from pdp.domain.dlp_rule import LLM, LOG_ONLY, NER, REGEX, DlpRule
from pdp.domain.request import Request, Subject
from pdp.engine.dlp.config import MAX_LABELS
from pdp.engine.dlp.findings import (
    RuleFindings,
    collect_rule_findings,
    collect_unsearched_labels,
    describe,
)
from pdp.engine.dlp.named_entities import entity_type_of, texts_of, with_findings
from pdp.engine.dlp.rules import PLATFORM_SOURCE, TENANT_SOURCE, compile_rule
from pdp.engine.layers.chain import ChainDryRun, ChainLayer
from pdp.engine.layers.dlp import DlpLayer
from pdp.engine.pattern_set import PatternSet
from pdp.engine.rules.exceptions import with_effect
from pdp.engine.scan import scan
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pdp.domain.ner import NerFinder
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.dlp.rules import CompiledDlpRule, RuleBook
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.engine.text.patterns import Validators

MAX_POSITIONS: Final = 1000
"""How many positions a dry run returns for one text."""

GLINER: Final = "gliner"
"""The name of rules of type `llm` in the dry-run API."""

_DETECTOR_TYPES: Final = {NER: NER, GLINER: LLM}
_NO_CHAIN: Final = ChainDryRun(None, ())


class PatternDryRun(NamedTuple):
    """A sample text, and the positions of the matches of a pattern, in code points."""

    text: str
    positions: Sequence[tuple[int, int]]


class DryRunMatch(NamedTuple):
    """A matched value; `entity_type` is None if only a pattern was run."""

    start: int
    end: int
    matched_text: str
    entity_type: str | None
    action: str
    confidence: float


class DlpRuleDryRun(NamedTuple):
    """The result of a dry run of a new rule.

    Attributes:
        matches: the first `MAX_POSITIONS` matches.
        total: how many matches there are.
        error: why the pattern is invalid, or which labels could not be searched for; None if there
            was no error.
    """

    matches: Sequence[DryRunMatch]
    total: int
    valid: bool
    error: str | None = None


class MatchedDlpRule(NamedTuple):
    """A rule that matched.

    Attributes:
        total: how many matches there are.
        matches: the first `MAX_POSITIONS` matches.
    """

    rule: DlpRule
    tier: str
    source: str
    total: int
    matches: Sequence[DryRunMatch]


class DlpEvaluation(NamedTuple):
    """The result of a tenant's DLP rules on a text."""

    length: int
    evaluated: int
    final_action: str
    matched: Sequence[MatchedDlpRule]
    suppressed: Sequence[str]
    custom: int
    trace: Sequence[str]


def dry_run_pattern(pattern: str, texts: Sequence[str]) -> list[PatternDryRun]:
    """Returns the positions of `pattern` in each text, in order.

    Raises:
        InvalidPattern: the pattern is not RE2.
    """
    compiled = CompiledPattern(pattern)
    return [
        PatternDryRun(text, tuple(islice(compiled.spans(text, text.encode()), MAX_POSITIONS)))
        for text in texts
    ]


def dry_run_chain(snapshot: Snapshot, request: Request) -> ChainDryRun:
    """Returns the result of the tenant's own chain alone, with every rule that was evaluated.

    Raises:
        PatternsExhausted: RE2 ran out of memory.
    """
    for layer in snapshot.layers:
        if isinstance(layer, ChainLayer):
            validators = snapshot.platform.validators
            findings = scan(snapshot.pattern_sets, request.text, request.arguments, validators)
            return layer.try_org(request, findings)
    return _NO_CHAIN


async def dry_run_dlp_rule(
    platform: Platform, rule_type: str, pattern: str, text: str, ner: NerFinder
) -> DlpRuleDryRun:
    """Returns what a rule with this pattern finds in `text`.

    Args:
        platform: has the detectors for the entity types that patterns can find.
        rule_type: `regex`, `ner` or `gliner`.
        pattern: an RE2 pattern, or labels separated by commas.
        text: the sample.
        ner: finds named entities.
    """
    # A large text takes a while; it must not block the event loop.
    if rule_type == REGEX:
        return await asyncio.to_thread(_run_pattern, pattern, text)
    labels = [label.strip() for label in pattern.split(",") if label.strip()]
    if not labels:
        return DlpRuleDryRun((), 0, False, "names no entity type")
    if len(labels) > MAX_LABELS:
        return DlpRuleDryRun((), 0, False, f"names more than {MAX_LABELS} entity types")
    detector_type, entity_type = _DETECTOR_TYPES[rule_type], entity_type_of(labels[0])
    config = {"labels": labels}
    rule = DlpRule("trial", "trial", detector_type, entity_type, LOG_ONLY, True, 0.0, config)
    book = compile_rule(rule, platform.detectors)
    request = Request(text=text)
    model_labels = frozenset(book.rules[0].model_entities)
    if model_labels and text:
        request = with_findings(request, await ner.find(texts_of(request), model_labels))
    return await asyncio.to_thread(_run_labels, book, request, platform.validators)


def _run_labels(book: RuleBook, request: Request, validators: Validators) -> DlpRuleDryRun:
    patterns = PatternSet().with_patterns(book.by_pattern)
    findings = scan((patterns,), request.text, None, validators)
    entities = [
        entity
        for each in collect_rule_findings(book, request, findings)
        for entity in each.findings
    ]
    entities.sort(key=lambda each: (each.location.start, each.location.end))
    missing = collect_unsearched_labels(book, request)
    error = "; ".join(f"could not look for {each.label}: {each.reason}" for each in missing)
    matches = _matches(book.rules[0], entities, LOG_ONLY)
    return DlpRuleDryRun(matches, len(entities), True, error or None)


def _run_pattern(pattern: str, text: str) -> DlpRuleDryRun:
    try:
        compiled = CompiledPattern(pattern)
    except InvalidPattern as error:
        return DlpRuleDryRun((), 0, False, f"Invalid regex: {error.violations[0].reason}")
    spans = compiled.spans(text, text.encode())
    matches = [
        DryRunMatch(start, end, text[start:end], None, LOG_ONLY, 1.0)
        for start, end in islice(spans, MAX_POSITIONS)
    ]
    return DlpRuleDryRun(matches, len(matches) + sum(1 for _ in spans), True)


def evaluate_dlp_rules(snapshot: Snapshot, request: Request, group: str) -> DlpEvaluation:
    """Returns the result of all DLP rules of a tenant, with a trace of the steps.

    Args:
        snapshot: the tenant's policies.
        request: the text and its subject, with the named entities that models found.
        group: the group that the caller named; empty for none.

    Raises:
        PatternsExhausted: RE2 ran out of memory.
    """
    book = next((each.book for each in snapshot.layers if isinstance(each, DlpLayer)), None)
    length = len(request.text)
    trace = [f"Starting evaluation for org_id={snapshot.tenant_id}, text_length={length}"]
    suppressed = _suppressed_rules(snapshot)
    if book is None:
        trace += [*_loaded_lines((), suppressed), "Final action determined: none"]
        return DlpEvaluation(length, 0, "none", (), suppressed, 0, trace)
    groups = book.groups_of(request.subject)
    in_force = [each for each in book.rules if each.setting(groups) is not None]
    trace += _loaded_lines(in_force, suppressed)
    if group:
        stricter = sum(not groups.isdisjoint(each.groups) for each in book.rules)
        trace.append(f"Group '{group}' changes {stricter} rule(s)")
    findings = scan(snapshot.pattern_sets, request.text, None, snapshot.platform.validators)
    evaluated = collect_rule_findings(book, request, findings, snapshot.facts)
    matched = [each for each in evaluated if each.findings]
    matched.sort(key=lambda each: -each.setting.rank)
    trace += [_rule_line(each) for each in sorted(evaluated, key=lambda each: -each.setting.rank)]
    trace += [each.warning().message for each in collect_unsearched_labels(book, request)]
    final = matched[0].setting.tier if matched else "none"
    trace.append(f"Final action determined: {final}")
    custom = sum(each.source == TENANT_SOURCE for each in in_force)
    return DlpEvaluation(
        length, len(in_force), final, list(_matched_rules(matched)), suppressed, custom, trace
    )


def subject_of(user_id: str, group: str) -> Subject:
    """Returns the subject of an evaluation."""
    return Subject(user_id=user_id, groups=(group,) if group else ())


def _loaded_lines(in_force: Sequence[CompiledDlpRule], suppressed: Sequence[str]) -> Iterator[str]:
    shipped = sum(each.source == PLATFORM_SOURCE for each in in_force)
    yield f"Loaded {shipped} enabled platform rules"
    if len(in_force) > shipped:
        yield f"Loaded {len(in_force) - shipped} enabled org rule(s)"
    if suppressed:
        yield f"Left out {len(suppressed)} suppressed platform rule(s)"


def _rule_line(finding: RuleFindings) -> str:
    name, count = finding.rule.rule.detector_name, len(finding.findings)
    if count:
        line = f"Rule '{name}' matched {count} time(s) → action={finding.setting.tier}"
        return with_effect(line, finding.exception, is_monitored=finding.is_monitored)
    return f"Rule '{name}' did not match: {describe(finding)}"


def _suppressed_rules(snapshot: Snapshot) -> list[str]:
    """Returns the ids of the platform rules that the tenant has switched off."""
    shipped = snapshot.platform.policies.of_kind(dlp_rule.KIND)
    customisations = snapshot.policies.of_kind(dlp_rule.CUSTOMISATION_KIND)
    return [
        rule_id
        for rule_id, each in customisations.items()
        if rule_id in shipped and (each.enabled is False or each.action_tier == dlp_rule.NONE)
    ]


def _matched_rules(matched: Iterable[RuleFindings]) -> Iterator[MatchedDlpRule]:
    for each in matched:
        tier = each.setting.tier
        entities = sorted(each.findings, key=lambda entity: entity.location.start)
        matches = _matches(each.rule, entities, tier)
        yield MatchedDlpRule(each.rule.rule, tier, each.rule.source, len(entities), matches)


def _matches(
    rule: CompiledDlpRule, entities: Sequence[EntityFinding], action: str
) -> list[DryRunMatch]:
    return [
        DryRunMatch(
            each.location.start,
            each.location.end,
            each.location.value,
            rule.entity_type(each),
            action,
            each.confidence,
        )
        for each in islice(entities, MAX_POSITIONS)
    ]
