"""The DLP layer: applies the DLP rules whose kind of data was found in the request.

The strongest action tier of the matching rules decides: block, then redact, prompt and log_only.
The obligations of weaker tiers stay (decide.md). Each rule gives one redaction for each finding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from pdp.domain import compliance_bundle, dlp_rule, org_policy, user_group
from pdp.domain.decision import (
    NO_VERDICT,
    Hold,
    Match,
    Obligation,
    ObligationType,
    Outcome,
    Redaction,
    RiskFactor,
    TraceRow,
    Verdict,
)
from pdp.domain.detector import PERSONAL_CATEGORIES, SECRET
from pdp.domain.entity_types import is_secret_type
from pdp.domain.layers import DLP
from pdp.domain.named_tuples import new_tuple
from pdp.domain.policy_set import changed_ids
from pdp.domain.redaction_kind import kind_by_value
from pdp.domain.user_group import all_groups
from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.engine.dlp.caller_entities import CALLER
from pdp.engine.dlp.findings import (
    RuleFindings,
    collect_rule_findings,
    collect_unsearched_labels,
    describe,
)
from pdp.engine.dlp.named_entities import EntityNotSearched
from pdp.engine.dlp.overlay import Overlay
from pdp.engine.dlp.rules import TIER_RANKS, compile_rules, extend_rules, replace_rules
from pdp.engine.rules.exceptions import NO_BOOK, with_effect
from pdp.engine.rules.matching import MAX_SPANS

if TYPE_CHECKING:
    from collections.abc import Iterator, KeysView, Mapping, Sequence

    from pdp.domain.decision import Span
    from pdp.domain.dlp_rule import DlpRule
    from pdp.domain.ner import EntityLabel
    from pdp.domain.request import Request
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.dlp.named_entities import UnsearchedLabel
    from pdp.engine.dlp.rules import CompiledDlpRule, RuleBook
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.rules.exceptions import ExceptionBook
    from pdp.engine.scan import Findings
    from pdp.engine.text.locations import Place

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

_PROMPT_RANK: Final = TIER_RANKS["prompt"]
_REDACT_RANK: Final = TIER_RANKS["redact"]

_KINDS: Final = (
    dlp_rule.KIND,
    dlp_rule.CUSTOMISATION_KIND,
    compliance_bundle.KIND,
    compliance_bundle.STATE_KIND,
    user_group.KIND,
)
"""The kinds of entities that the layer is compiled from."""

_OWN_RULES: Final = len(_KINDS)
"""The index of the tenant's own rules in the sources of the layer."""


@dataclass(frozen=True, slots=True)
class DlpLayer:
    """The DLP rules of a tenant.

    Attributes:
        book: the compiled rules.
        patterns: see `Layer`.
        points: the risk floor of each tier that has one.
        sources: the policies from which the layer was compiled. If they are unchanged, the layer is
            reused.
        frameworks: the frameworks of the org policy, from which it was compiled as well.
        ner_wanted: the entity types that need an NER model; see `Snapshot.ner`.
        facts: computes what expressions name besides the request.
        exceptions: the tenant's exceptions.
    """

    book: RuleBook
    patterns: Mapping[str, str]
    points: Mapping[str, int]
    sources: Sequence[object]
    frameworks: tuple[str, ...]
    ner_wanted: frozenset[EntityLabel]
    facts: FactSource = NO_FACT_SOURCE
    exceptions: ExceptionBook = NO_BOOK
    name: str = DLP

    def changed_kinds(self, sources: Sequence[object], frameworks: tuple[str, ...]) -> set[int]:
        """Returns which sources differ, by their index; the last one also for frameworks."""
        pairs = enumerate(zip(self.sources, sources, strict=True))
        changed = {index for index, (before, now) in pairs if before is not now}
        return changed if self.frameworks == frameworks else changed | {len(sources) - 1}

    def evaluate(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict of the rules that have findings."""
        if not (findings.hits or self.book.model_rules or request.entities):
            return NO_VERDICT
        rules = collect_rule_findings(self.book, request, findings, self.facts, self.exceptions)
        if request.passed:
            rules = [_with_pass(each, request) for each in rules]
        verdict = self._rules_verdict(rules, request) if rules else NO_VERDICT
        missing = collect_unsearched_labels(self.book, request) if self.book.model_rules else ()
        return _incomplete(verdict, missing, request) if missing else verdict

    def _rules_verdict(self, rules: Sequence[RuleFindings], request: Request) -> Verdict:
        rows = tuple(map(_row, rules)) if request.explain else ()
        matched = [each for each in rules if each.findings]
        if not matched:
            return NO_VERDICT._replace(rows=rows) if rows else NO_VERDICT
        if len(matched) > 1:
            matched.sort(key=_strength)  # stable: keeps the order within a tier
        points = self.points
        enforced: list[RuleFindings] = []
        floors: list[RiskFactor] = []
        clauses: dict[str, None] = {}
        is_personal = False
        for each in matched:
            if each.is_monitored or not _counts(each):
                continue
            if not each.has_no_effect:
                enforced.append(each)
            rule = each.rule.rule
            floors.append(new_tuple(RiskFactor, (DLP, rule.id, points[each.setting.tier])))
            if rule.clause:
                clauses[rule.clause] = None
            is_personal = is_personal or _has_personal(each.findings)
        fields: dict[str, Any] = {
            "matches": tuple(map(_match, matched)),
            "floors": tuple(floors),
            "pii_detected": is_personal,
            "frameworks": tuple(clauses),
            "rows": rows,
        }
        return self._verdict(enforced, fields) if enforced else Verdict(**fields)

    def _verdict(self, matched: list[RuleFindings], fields: Mapping[str, Any]) -> Verdict:
        """Returns what the rules do that are enforced, strictest first, with the other fields."""
        ranks = {each.setting.rank for each in matched}
        asks = _PROMPT_RANK in ranks
        strongest = matched[0]
        tier = strongest.setting.tier
        return Verdict(
            outcome=OUTCOMES[tier],
            reason_code=_REASON_CODES.get(tier, ""),
            message=_message(strongest),
            status_hint=_STATUS_HINTS.get(tier, 200),
            obligations=tuple(_prompts(matched)) if asks else (),
            holds=tuple(map(_hold, filter(_prompts_user, matched))) if asks else (),
            redactions=tuple(_redactions(matched)) if _REDACT_RANK in ranks else (),
            **fields,
        )


def build(policies: Policies) -> Layer | None:
    """Compiles the layer; returns None if no rule is in force for anyone."""
    owners = (policies.platform, policies.own)
    sources = [owner.of_kind(kind) for owner in owners for kind in _KINDS]
    sources.append(policies.detectors)
    org = policies.own.of_kind(org_policy.KIND).get(org_policy.ID, org_policy.DEFAULT_ORG_POLICY)
    frameworks = tuple(name for name in compliance_bundle.FRAMEWORK_BUNDLES if getattr(org, name))
    extended = previous = None
    for earlier in (policies.shared.get(DLP), policies.previous.get(DLP)):
        if isinstance(earlier, DlpLayer):
            changed = earlier.changed_kinds(sources, frameworks)
            if not changed:
                return _with_exceptions(earlier, policies.exceptions)
            if earlier.sources[-1] is policies.detectors:
                previous = earlier.book
            if earlier is policies.shared.get(DLP) and changed == {_OWN_RULES}:
                extended = earlier.book
    last = policies.previous.get(DLP)
    if isinstance(last, DlpLayer) and last.changed_kinds(sources, frameworks) == {_OWN_RULES}:
        layer = _with_rules(last, policies, sources)
        if layer is not None:
            return layer
    book = _compile_book(policies, extended, previous)
    if not book.rules:
        return None
    patterns = {pattern: _place(book, pattern) for pattern in _own_patterns(book)}
    ner_wanted = frozenset(
        each for place in book.model_rules for each in book.rules[place].model_entities
    )
    return DlpLayer(
        book,
        patterns,
        policies.risk.dlp,
        sources,
        frameworks,
        ner_wanted,
        policies.facts,
        policies.exceptions,
    )


def _compile_book(
    policies: Policies, extended: RuleBook | None, previous: RuleBook | None
) -> RuleBook:
    """Compiles the rules: as an extension of a book if that is possible, else all of them."""
    platform, own, detectors = policies.platform, policies.own, policies.detectors
    book = None
    if extended is not None:
        rules = own.of_kind(dlp_rule.KIND)
        book = extend_rules(extended, platform, rules, detectors, previous)
    return book or compile_rules(platform, own, detectors, previous)


def _own_patterns(book: RuleBook) -> KeysView[str]:
    """Returns the patterns of a book without those that it shares with the platform's."""
    if isinstance(book.by_pattern, Overlay):
        return book.by_pattern.own.keys()
    return book.by_pattern.keys()


def _place(book: RuleBook, pattern: str) -> str:
    return f"DLP rule {book.rules[book.by_pattern[pattern][0].rule_indexes[0]].rule.id}"


def _with_rules(layer: DlpLayer, policies: Policies, sources: Sequence[object]) -> DlpLayer | None:
    """Returns a layer with other versions of the tenant's rules; None if it must be compiled anew.

    Args:
        layer: the last layer of the tenant.
        policies: the policies; only the tenant's rules differ from those of the layer.
        sources: see `DlpLayer`.
    """
    before = cast("Mapping[str, DlpRule]", layer.sources[_OWN_RULES])
    changed = _changed_rules(policies, before)
    book = None if changed is None else replace_rules(layer.book, changed, policies.detectors)
    if book is None:
        return None
    patterns = layer.patterns
    if book.by_pattern is not layer.book.by_pattern:
        now = _own_patterns(book)
        patterns = dict(patterns)
        for pattern in _own_patterns(layer.book) - now:
            del patterns[pattern]
        for pattern in now - patterns.keys():
            patterns[pattern] = _place(book, pattern)
    return replace(
        layer,
        book=book,
        patterns=patterns,
        sources=sources,
        facts=policies.facts,
        exceptions=policies.exceptions,
    )


def _with_exceptions(layer: DlpLayer, exceptions: ExceptionBook) -> DlpLayer:
    if layer.exceptions is exceptions:
        return layer
    return replace(layer, exceptions=exceptions)


def _changed_rules(policies: Policies, before: Mapping[str, DlpRule]) -> dict[str, DlpRule] | None:
    """Returns the tenant's rules that changed; None if more than their contents changed.

    Args:
        policies: the policies of the layer; only the tenant's rules differ from the last ones.
        before: the tenant's rules that the last layer was compiled from.
    """
    now: Mapping[str, DlpRule] = policies.own.of_kind(dlp_rule.KIND)
    ids = changed_ids(before, now)
    if any(rule_id not in before or rule_id not in now for rule_id in ids):
        return None
    groups = all_groups(policies.platform, policies.own).values()
    if any(change["rule_id"] in ids for group in groups for change in group.dlp_rules):
        return None
    if any(each[rule_id].bundle_id for rule_id in ids for each in (before, now)):
        return None
    return {rule_id: now[rule_id] for rule_id in ids}


def _strength(finding: RuleFindings) -> tuple[bool, int]:
    """Sort key: what has an effect first, then the strictest."""
    return finding.has_no_effect, -finding.setting.rank


def _has_personal(findings: Sequence[EntityFinding]) -> bool:
    return any(each.category in PERSONAL_CATEGORIES for each in findings)


def _counts(finding: RuleFindings) -> bool:
    """Whether findings count for the risk: a value that an exception allows is no finding."""
    return finding.exception is None or not finding.exception.is_by_value


def _incomplete(verdict: Verdict, missing: Sequence[UnsearchedLabel], request: Request) -> Verdict:
    """Returns `verdict` with the entity types that no model searched for.

    The decision is incomplete then.
    """
    rows = verdict.rows
    if request.explain:
        rows = (*rows, *map(_unanswered_row, missing))
    return verdict._replace(
        warnings=(*verdict.warnings, *(each.warning() for each in missing)),
        failures=(EntityNotSearched(f"{len(missing)} kinds of entities"),),
        rows=rows,
    )


def _message(finding: RuleFindings) -> str:
    tier, name = finding.setting.tier, finding.rule.rule.detector_name
    if tier == "redact":
        return f'Redacted by DLP rule "{name}".'
    if tier in {"block", "prompt"} and finding.rule.message:
        return finding.rule.message
    if tier == "block":
        return f'Blocked by DLP rule "{name}".'
    return f'"{name}" was found. Do you want to go on?' if tier == "prompt" else ""


def _prompts_user(finding: RuleFindings) -> bool:
    return finding.setting.rank == _PROMPT_RANK


def _hold(finding: RuleFindings) -> Hold:
    rule = finding.rule.rule
    return Hold(Outcome.PROMPT, DLP, rule.id, rule.detector_name, message=_message(finding))


def _with_pass(finding: RuleFindings, request: Request) -> RuleFindings:
    """Returns the findings of a rule with the confirmation that lets the request pass it."""
    if not (finding.findings and _prompts_user(finding)):
        return finding
    return finding._replace(passed_by=request.passed.get(_hold(finding).key, ""))


def _prompts(matched: Sequence[RuleFindings]) -> Iterator[Obligation]:
    """Yields one obligation for each distinct prompt."""
    messages = dict.fromkeys(map(_message, filter(_prompts_user, matched)))
    for message in messages:
        yield Obligation(ObligationType.PROMPT, message=message)


def _redactions(matched: Sequence[RuleFindings]) -> Iterator[Redaction]:
    for finding in matched:
        if finding.setting.rank != _REDACT_RANK:
            continue
        if len(finding.findings) == 1:
            yield from _redactions_in_place(finding.rule, finding.findings)
            continue
        by_place: dict[Place, list[EntityFinding]] = {}
        for each in finding.findings:
            by_place.setdefault(each.location.place, []).append(each)
        for findings in by_place.values():
            yield from _redactions_in_place(finding.rule, findings)


def _redactions_in_place(
    rule: CompiledDlpRule, findings: Sequence[EntityFinding]
) -> Iterator[Redaction]:
    """Yields one redaction for each finding in a string. Too many redact the whole string."""
    if len(findings) > MAX_SPANS:
        first = findings[0]
        span = first.location.whole().span(rule.entity_type(first))
        yield Redaction(rule.replacement_of(first), span)
        return
    kind = kind_by_value(rule.rule.redaction)
    for each in findings:
        span = each.location.span(rule.entity_type(each))
        if not kind or (each.detector_id == CALLER and each.location == each.location.whole()):
            # A finding of the caller may be anywhere in a whole text: there is no value to keep.
            yield Redaction(rule.replacement_of(each), span)
        else:
            yield Redaction(rule.replacement_of(each), span, kind, _is_secret(each, span))


def _is_secret(finding: EntityFinding, span: Span) -> bool:
    return finding.category == SECRET or is_secret_type(span.entity_type)


def _match(finding: RuleFindings) -> Match:
    rule, tier, exception = finding.rule.rule, finding.setting.tier, finding.exception
    return Match(
        DLP,
        rule.id,
        rule.detector_name,
        tier,
        _SEVERITIES[tier],
        with_effect(describe(finding), exception, approved_by=finding.passed_by),
        OUTCOMES[tier].name if finding.is_monitored else "",
        exception.id if exception else "",
        finding.scope,
        approved_by=finding.passed_by,
    )


def _row(finding: RuleFindings) -> TraceRow:
    rule = finding.rule.rule
    matched = bool(finding.findings)
    has_effect = matched and not finding.has_no_effect
    return TraceRow(
        layer=DLP,
        reason=with_effect(
            describe(finding),
            finding.exception,
            is_monitored=finding.is_monitored,
            approved_by=finding.passed_by,
        ),
        matched=matched,
        outcome=OUTCOMES[finding.setting.tier] if has_effect else Outcome.ALLOW,
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
