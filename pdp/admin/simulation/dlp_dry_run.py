"""Dry runs of DLP rules: one that is not there yet, and all that a tenant has (seed 002).

Nothing is written, consumed or recorded.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.admin.simulation.pattern_dry_run import MAX_POSITIONS
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
from pdp.engine.layers.dlp import DlpLayer
from pdp.engine.scan import PatternSet, scan
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pdp.domain.ner import NerFinder
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.dlp.rules import CompiledDlpRule, RuleBook
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.engine.text.patterns import Validators

GLINER: Final = "gliner"
"""What seed 002's dry run calls the rules of type `llm`."""

_TYPES: Final = {NER: NER, GLINER: LLM}


class TrialMatch(NamedTuple):
    """A value that was found; `entity_type` is None where only a pattern was tried."""

    start: int
    end: int
    matched_text: str
    entity_type: str | None
    action: str
    confidence: float


class RuleTrial(NamedTuple):
    """What a rule that is not there yet would find.

    Attributes:
        error: what is wrong with its pattern, or what could not be looked for; None where nothing
            is.
    """

    matches: Sequence[TrialMatch]
    total: int
    valid: bool
    error: str | None = None


class MatchedRule(NamedTuple):
    """A rule that matched, and where; at most `MAX_POSITIONS` places are told."""

    rule: DlpRule
    tier: str
    source: str
    total: int
    matches: Sequence[TrialMatch]


class Evaluation(NamedTuple):
    """What a tenant's rules come to on a text."""

    length: int
    evaluated: int
    final_action: str
    matched: Sequence[MatchedRule]
    suppressed: Sequence[str]
    custom: int
    trace: Sequence[str]


async def try_rule(
    platform: Platform, rule_type: str, pattern: str, text: str, ner: NerFinder
) -> RuleTrial:
    """Returns what a rule with this pattern would find in `text`.

    Args:
        platform: whose detectors answer for the entity types that patterns can find.
        rule_type: `regex`, `ner` or `gliner`.
        pattern: RE2, or labels parted by commas.
        text: the sample.
        ner: the models.
    """
    # A large text takes a while: others need not wait for it.
    if rule_type == REGEX:
        return await asyncio.to_thread(_try_pattern, pattern, text)
    labels = [label.strip() for label in pattern.split(",") if label.strip()]
    if not labels:
        return RuleTrial((), 0, False, "names no entity type")
    if len(labels) > MAX_LABELS:
        return RuleTrial((), 0, False, f"names more than {MAX_LABELS} entity types")
    kind, entity_type = _TYPES[rule_type], entity_type_of(labels[0])
    rule = DlpRule("trial", "trial", kind, entity_type, LOG_ONLY, True, 0.0, {"labels": labels})
    book = compile_rule(rule, platform.detectors)
    request = Request(text=text)
    sought = frozenset(book.rules[0].model_entities)
    if sought and text:
        request = with_findings(request, await ner.find(texts_of(request), sought))
    return await asyncio.to_thread(_try_labels, book, request, platform.validators)


def _try_labels(book: RuleBook, request: Request, validators: Validators) -> RuleTrial:
    shards = PatternSet().with_patterns(book.by_pattern).shards
    findings = scan(shards, request.text, None, validators)
    found = [
        finding
        for each in collect_rule_findings(book, request, findings)
        for finding in each.findings
    ]
    found.sort(key=lambda each: (each.location.start, each.location.end))
    missing = collect_unsearched_labels(book, request)
    error = "; ".join(f"could not look for {each.label}: {each.reason}" for each in missing)
    return RuleTrial(_matches(book.rules[0], found, LOG_ONLY), len(found), True, error or None)


def _try_pattern(pattern: str, text: str) -> RuleTrial:
    try:
        compiled = CompiledPattern(pattern)
    except InvalidPattern as error:
        return RuleTrial((), 0, False, f"Invalid regex: {error.violations[0].reason}")
    spans = compiled.spans(text, text.encode())
    told = [
        TrialMatch(start, end, text[start:end], None, LOG_ONLY, 1.0)
        for start, end in islice(spans, MAX_POSITIONS)
    ]
    return RuleTrial(told, len(told) + sum(1 for _ in spans), True)


def evaluate_rules(snapshot: Snapshot, request: Request, group: str) -> Evaluation:
    """Returns what all DLP rules of a tenant come to, and step by step how.

    Args:
        snapshot: the tenant's policies.
        request: the text and who asks, with what models found in it.
        group: the group that was asked for, as it was named; empty for none.

    Raises:
        ScanMemoryExhausted: RE2 ran out of memory.
    """
    book = next((each.book for each in snapshot.layers if isinstance(each, DlpLayer)), None)
    length = len(request.text)
    trace = [f"Starting evaluation for org_id={snapshot.tenant_id}, text_length={length}"]
    suppressed = _suppressed(snapshot)
    if book is None:
        trace += [*_loaded((), suppressed), "Final action determined: none"]
        return Evaluation(length, 0, "none", (), suppressed, 0, trace)
    groups = book.groups_of(request.subject)
    in_force = [each for each in book.rules if each.setting(groups) is not None]
    trace += _loaded(in_force, suppressed)
    if group:
        stricter = sum(not groups.isdisjoint(each.groups) for each in book.rules)
        trace.append(f"Group '{group}' changes {stricter} rule(s)")
    findings = scan(snapshot.shards, request.text, None, snapshot.platform.validators)
    looked = collect_rule_findings(book, request, findings)
    matched = [each for each in looked if each.findings]
    matched.sort(key=lambda each: -each.setting.rank)
    trace += [_said(each) for each in sorted(looked, key=lambda each: -each.setting.rank)]
    trace += [each.warning().message for each in collect_unsearched_labels(book, request)]
    final = matched[0].setting.tier if matched else "none"
    trace.append(f"Final action determined: {final}")
    custom = sum(each.source == TENANT_SOURCE for each in in_force)
    return Evaluation(
        length, len(in_force), final, list(_matched(matched)), suppressed, custom, trace
    )


def subject_of(user_id: str, group: str) -> Subject:
    """Returns who an evaluation is for."""
    return Subject(user_id=user_id, groups=(group,) if group else ())


def _loaded(in_force: Sequence[CompiledDlpRule], suppressed: Sequence[str]) -> Iterator[str]:
    shipped = sum(each.source == PLATFORM_SOURCE for each in in_force)
    yield f"Loaded {shipped} enabled platform rules"
    if len(in_force) > shipped:
        yield f"Loaded {len(in_force) - shipped} enabled org rule(s)"
    if suppressed:
        yield f"Left out {len(suppressed)} suppressed platform rule(s)"


def _said(found: RuleFindings) -> str:
    name, count = found.rule.rule.detector_name, len(found.findings)
    if count:
        return f"Rule '{name}' matched {count} time(s) → action={found.setting.tier}"
    return f"Rule '{name}' did not match: {describe(found)}"


def _suppressed(snapshot: Snapshot) -> list[str]:
    """The platform's rules that the tenant has switched off."""
    shipped = snapshot.platform.policies.of_kind(dlp_rule.KIND)
    own = snapshot.policies.of_kind(dlp_rule.CUSTOMISATION_KIND)
    return [
        rule_id
        for rule_id, each in own.items()
        if rule_id in shipped and (each.enabled is False or each.action_tier == dlp_rule.NONE)
    ]


def _matched(matched: Iterable[RuleFindings]) -> Iterator[MatchedRule]:
    for each in matched:
        tier = each.setting.tier
        found = sorted(each.findings, key=lambda finding: finding.location.start)
        told = _matches(each.rule, found, tier)
        yield MatchedRule(each.rule.rule, tier, each.rule.source, len(found), told)


def _matches(
    rule: CompiledDlpRule, findings: Sequence[EntityFinding], action: str
) -> list[TrialMatch]:
    return [
        TrialMatch(
            each.location.start,
            each.location.end,
            each.location.value,
            rule.entity_type(each),
            action,
            each.confidence,
        )
        for each in islice(findings, MAX_POSITIONS)
    ]
