"""The DLP layer (seed 002): what is done where a kind of data is found.

Of the tiers of the rules that match, block beats redact beats prompt beats log_only; what the
weaker ones oblige to stays (decide.md). Redactions are one for each place and rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pdp.domain import compliance_bundle, dlp_rule, org_policy, user_group
from pdp.domain.decision import (
    NO_VERDICT,
    Match,
    Obligation,
    ObligationType,
    Outcome,
    Redaction,
    RiskFactor,
    Span,
    TraceRow,
    Verdict,
)
from pdp.domain.detector import PERSONAL_CATEGORIES
from pdp.domain.layers import DLP
from pdp.engine.dlp.findings import (
    RuleFindings,
    collect_rule_findings,
    collect_unsearched_labels,
    describe,
)
from pdp.engine.dlp.named_entities import EntityNotSearched
from pdp.engine.dlp.rules import TIER_RANKS, compile_rules
from pdp.engine.rules.matching import MAX_SPANS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdp.domain.ner import EntityLabel
    from pdp.domain.request import Request
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.dlp.named_entities import UnsearchedLabel
    from pdp.engine.dlp.rules import RuleBook
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.scan import Findings
    from pdp.engine.text.locations import Segment

OUTCOMES: Final = {
    "none": Outcome.ALLOW,
    "log_only": Outcome.ALLOW,
    "prompt": Outcome.PROMPT,
    "redact": Outcome.REDACT,
    "block": Outcome.BLOCK,
}
_REASON_CODES: Final = {"prompt": "DLP_PROMPT", "redact": "DLP_REDACT", "block": "DLP_BLOCK"}
_STATUS_HINTS: Final = {"prompt": 403, "block": 403}
_SEVERITIES: Final = {"log_only": "low", "prompt": "medium", "redact": "medium", "block": "high"}

_SOURCES: Final = (
    dlp_rule.KIND,
    dlp_rule.CUSTOMISATION_KIND,
    compliance_bundle.KIND,
    compliance_bundle.STATE_KIND,
    user_group.KIND,
    org_policy.KIND,
)
"""The kinds of records that the layer is compiled from."""


@dataclass(frozen=True, slots=True)
class DlpLayer:
    """The DLP rules of a tenant.

    Attributes:
        book: the rules, compiled.
        patterns: see `Layer`.
        points: the floor of each tier that has one.
        sources: what it is compiled from: while that is the same, so is this.
        ner_wanted: what models are needed for; see `Snapshot.ner`.
    """

    book: RuleBook
    patterns: Mapping[str, str]
    points: Mapping[str, int]
    sources: Sequence[object]
    ner_wanted: frozenset[EntityLabel]
    name: str = DLP

    def judge(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict of the rules that found anything."""
        if not (findings.hits or self.book.model_rules or request.entities):
            return NO_VERDICT
        looked = collect_rule_findings(self.book, request, findings)
        verdict = self._of(looked, request) if looked else NO_VERDICT
        missing = collect_unsearched_labels(self.book, request) if self.book.model_rules else ()
        return _incomplete(verdict, missing, request) if missing else verdict

    def _of(self, looked: Sequence[RuleFindings], request: Request) -> Verdict:
        rows = tuple(map(_row, looked)) if request.explain else ()
        matched = [each for each in looked if each.findings]
        if not matched:
            return NO_VERDICT._replace(rows=rows) if rows else NO_VERDICT
        return self._verdict(matched, rows)

    def _verdict(self, matched: list[RuleFindings], rows: tuple[TraceRow, ...]) -> Verdict:
        ranks = {each.setting.rank for each in matched}
        redactions = tuple(_redactions(matched)) if TIER_RANKS["redact"] in ranks else ()
        matched.sort(key=lambda each: -each.setting.rank)  # stable: as the rules are, within a tier
        strongest = matched[0]
        tier = strongest.setting.tier
        clauses = (each.rule.rule.clause for each in matched)
        return Verdict(
            outcome=OUTCOMES[tier],
            reason_code=_REASON_CODES.get(tier, ""),
            message=_message(strongest),
            status_hint=_STATUS_HINTS.get(tier, 200),
            matches=tuple(map(_match, matched)),
            obligations=tuple(_prompts(matched)) if TIER_RANKS["prompt"] in ranks else (),
            redactions=redactions,
            floors=tuple(
                RiskFactor(DLP, each.rule.rule.id, self.points[each.setting.tier])
                for each in matched
            ),
            pii_detected=any(
                finding.category in PERSONAL_CATEGORIES
                for each in matched
                for finding in each.findings
            ),
            frameworks=tuple(dict.fromkeys(clause for clause in clauses if clause)),
            rows=rows,
        )


def build(policies: Policies) -> Layer | None:
    """Compiles the layer; None where no rule is in force for anyone."""
    owners = (policies.platform, policies.own)
    sources = [owner.of_kind(kind) for owner in owners for kind in _SOURCES]
    sources.append(policies.detectors)
    previous = policies.previous.get(DLP)
    known = None
    if isinstance(previous, DlpLayer):
        same = [before is now for before, now in zip(previous.sources, sources, strict=True)]
        if all(same):
            return previous
        known = previous.book if same[-1] else None
    book = compile_rules(policies.platform, policies.own, policies.detectors, known)
    if not book.rules:
        return None
    places = {
        pattern: f"DLP rule {book.rules[watches[0].rule_indexes[0]].rule.id}"
        for pattern, watches in book.by_pattern.items()
    }
    sought = frozenset(
        each for place in book.model_rules for each in book.rules[place].model_entities
    )
    return DlpLayer(book, places, policies.risk.dlp, sources, sought)


def _incomplete(verdict: Verdict, missing: Sequence[UnsearchedLabel], request: Request) -> Verdict:
    """Returns `verdict` with what nothing has looked for: the decision is incomplete."""
    rows = verdict.rows
    if request.explain:
        rows = (*rows, *map(_unanswered_row, missing))
    return verdict._replace(
        warnings=(*verdict.warnings, *(each.warning() for each in missing)),
        unjudged=(EntityNotSearched(f"{len(missing)} kinds of entities"),),
        rows=rows,
    )


def _message(found: RuleFindings) -> str:
    tier, name = found.setting.tier, found.rule.rule.detector_name
    if tier == "redact":
        return f'Redacted by DLP rule "{name}".'
    if tier in {"block", "prompt"} and found.rule.message:
        return found.rule.message
    if tier == "block":
        return f'Blocked by DLP rule "{name}".'
    return f'"{name}" was found. Do you want to go on?' if tier == "prompt" else ""


def _prompts(matched: Sequence[RuleFindings]) -> Iterator[Obligation]:
    """One for each thing that there is to be asked."""
    asked = dict.fromkeys(_message(each) for each in matched if each.setting.tier == "prompt")
    for message in asked:
        yield Obligation(ObligationType.PROMPT, message=message)


def _redactions(matched: Sequence[RuleFindings]) -> Iterator[Redaction]:
    for found in matched:
        if found.setting.tier != "redact":
            continue
        by_segment: dict[str | None, list[EntityFinding]] = {}
        for each in found.findings:
            by_segment.setdefault(each.location.segment.path, []).append(each)
        for findings in by_segment.values():
            yield from _in_segment(found, findings)


def _in_segment(found: RuleFindings, findings: Sequence[EntityFinding]) -> Iterator[Redaction]:
    """One redaction a place; where they are too many to be told one by one, the whole string."""
    rule = found.rule
    if len(findings) > MAX_SPANS:
        first = findings[0]
        yield _redaction(
            rule.replacement_of(first), rule.entity_type(first), first.location.segment
        )
        return
    for each in findings:
        entity_type = rule.entity_type(each)
        span = Span(each.location.start, each.location.end, entity_type, each.location.segment.path)
        yield Redaction(rule.replacement_of(each), span)


def _redaction(replacement: str, entity_type: str, segment: Segment) -> Redaction:
    return Redaction(replacement, Span(0, len(segment.text), entity_type, segment.path))


def _match(found: RuleFindings) -> Match:
    rule, tier = found.rule.rule, found.setting.tier
    return Match(DLP, rule.id, rule.detector_name, tier, _SEVERITIES[tier], describe(found))


def _row(found: RuleFindings) -> TraceRow:
    rule = found.rule.rule
    matched = bool(found.findings)
    return TraceRow(
        layer=DLP,
        reason=describe(found),
        matched=matched,
        outcome=OUTCOMES[found.setting.tier] if matched else Outcome.ALLOW,
        policy_id=rule.id,
        policy_name=rule.detector_name,
    )


def _unanswered_row(missing: UnsearchedLabel) -> TraceRow:
    return TraceRow(
        layer=DLP,
        reason=f"could not look for {missing.label}: {missing.reason}",
        policy_id=missing.rule.id,
        policy_name=missing.rule.detector_name,
    )
