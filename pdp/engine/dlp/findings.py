"""Collects the findings of a tenant's DLP rules in one request, for the layer and for dry runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdp.domain.dlp_rule import REGEX
from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.engine.dlp.caller_entities import CALLER, caller_findings
from pdp.engine.dlp.named_entities import (
    named_entities_for,
    named_entity_findings,
    unsearched_labels,
)
from pdp.engine.rules.exceptions import NO_BOOK, that_hold, that_lifts
from pdp.engine.text import locations
from pdp.engine.text.request_parts import RequestParts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.policy_exception import PolicyException
    from pdp.domain.request import Request
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.dlp.named_entities import UnsearchedLabel
    from pdp.engine.dlp.rules import CompiledDlpRule, RuleBook, RuleSetting
    from pdp.engine.rules.exceptions import ExceptionBook
    from pdp.engine.rules.placement import Placement
    from pdp.engine.scan import Findings


class RuleFindings(NamedTuple):
    """A rule and its findings in a request.

    Attributes:
        rule: the rule.
        setting: how strict the rule is for the subject, where the findings are.
        findings: the findings that count; empty if the rule does not match.
        below_threshold: the findings whose confidence is below the threshold.
        scope: the place of `pdp.domain.placement.SCOPES` of the first finding.
        obstacle: why the rule does not apply; empty if it does.
        exception: lifts the effect of the findings; None for none.
        passed_by: the confirmation that lets the findings pass; empty for none.
    """

    rule: CompiledDlpRule
    setting: RuleSetting
    findings: Sequence[EntityFinding]
    below_threshold: Sequence[EntityFinding]
    scope: str = ""
    obstacle: str = ""
    exception: PolicyException | None = None
    passed_by: str = ""

    @property
    def is_monitored(self) -> bool:
        """Whether the rule is judged and recorded only."""
        placement = self.rule.placement
        return placement is not None and placement.is_monitored

    @property
    def has_no_effect(self) -> bool:
        """Whether the rule is only monitored here, or something lets the findings pass."""
        return self.exception is not None or bool(self.passed_by) or self.is_monitored


def collect_rule_findings(
    book: RuleBook,
    request: Request,
    findings: Findings,
    facts: FactSource = NO_FACT_SOURCE,
    exceptions: ExceptionBook = NO_BOOK,
) -> list[RuleFindings]:
    """Returns the findings of each rule for which anything was found, in the order of the rules.

    A rule with other tiers in single places has one entry for each tier. Findings that an exception
    lifts have an entry of their own.

    Args:
        book: the rules.
        request: the request that is evaluated.
        findings: the findings of the scan.
        facts: computes what expressions name besides the request.
        exceptions: the tenant's exceptions.
    """
    by_rule = _pattern_findings(book, findings)
    for index in book.model_rules:
        entities = named_entities_for(book.rules[index].rule, request, book.pattern_types)
        if entities:
            by_rule.setdefault(index, []).extend(named_entity_findings(entities, request))
    for rules, own in caller_findings(book.caller_entities, request) if request.entities else ():
        for index in rules.rule_indexes:
            by_rule.setdefault(index, []).extend(own)
    if not by_rule:
        return []
    groups = book.groups_of(request.subject)
    collected: list[RuleFindings] = []
    parts = RequestParts(request)
    for index in sorted(by_rule):
        rule = book.rules[index]
        setting = rule.setting(groups)
        if setting is None:
            continue
        result = _rule_findings(rule, setting, by_rule[index], parts)
        placed = [result]
        if rule.placement is not None:
            placed = _placed(result, rule.placement, parts, findings, facts)
        for each in placed:
            if each.findings and exceptions is not NO_BOOK and exceptions:
                collected += _lifted(each, exceptions, parts, findings, facts)
            else:
                collected.append(each)
    return collected


def _lifted(
    result: RuleFindings,
    book: ExceptionBook,
    parts: RequestParts,
    findings: Findings,
    facts: FactSource,
) -> list[RuleFindings]:
    """Returns the findings of a rule by the exception that lifts them, those without one first."""
    rule_id = result.rule.rule.id
    types = {each.entity_type for each in result.findings} | {result.rule.rule.entity_type}
    holding = {
        name: that_hold(book.of_dlp_finding(rule_id, name), parts.request, findings, facts)
        for name in types
    }
    if not any(holding.values()):
        return [result]
    of_rule = holding[result.rule.rule.entity_type]
    kept: list[EntityFinding] = []
    lifted: dict[str, tuple[PolicyException, list[EntityFinding]]] = {}
    for each in result.findings:
        location = each.location
        lifting = that_lifts(
            (*of_rule, *holding[each.entity_type]), parts.scope_of(location), location.value
        )
        if lifting is None:
            kept.append(each)
            continue
        exception = lifting.exception
        lifted.setdefault(exception.id, (exception, []))[1].append(each)
    results = [result._replace(findings=kept)] if kept else []
    results += (
        result._replace(findings=entities, exception=exception)
        for exception, entities in lifted.values()
    )
    return results


def _placed(
    own: RuleFindings,
    placement: Placement,
    parts: RequestParts,
    findings: Findings,
    facts: FactSource,
) -> list[RuleFindings]:
    """Returns the findings of a rule by the tier in their place, strictest first."""
    if placement.expression is not None:
        judgement = placement.expression.judge(parts.request, findings, facts)
        if not judgement.is_met:
            return [own._replace(findings=(), obstacle=judgement.reason)]
    by_rank: dict[int, list[EntityFinding]] = {}
    for each in own.findings:
        rank = own.rule.rank_in(parts.scope_of(each.location), own.setting)
        by_rank.setdefault(rank, []).append(each)
    elsewhere = by_rank.pop(0, None)
    if not by_rank:
        obstacle = "it does not look there" if elsewhere else ""
        return [own._replace(findings=(), obstacle=obstacle)]
    return [
        own._replace(
            setting=own.setting._replace(rank=rank),
            findings=by_rank[rank],
            scope=parts.scope_of(by_rank[rank][0].location),
        )
        for rank in sorted(by_rank, reverse=True)
    ]


def collect_unsearched_labels(book: RuleBook, request: Request) -> list[UnsearchedLabel]:
    """Returns the labels that nothing has searched for, of the rules in force for the subject."""
    groups = book.groups_of(request.subject)
    return [
        label
        for index in book.model_rules
        if book.rules[index].setting(groups) is not None and not _is_monitored(book.rules[index])
        for label in unsearched_labels(book.rules[index].rule, request, book.pattern_types)
    ]


def _pattern_findings(book: RuleBook, findings: Findings) -> dict[int, list[EntityFinding]]:
    """Returns the findings of detectors, by the index of each rule that uses the detector."""
    by_pattern = book.by_pattern
    uses = {
        use.detector.id: use
        for pattern in findings.hits
        if pattern in by_pattern
        for use in by_pattern[pattern]
    }
    by_rule: dict[int, list[EntityFinding]] = {}
    for use in uses.values():
        entities = findings.entities(use.detector)
        for index in use.rule_indexes:
            by_rule.setdefault(index, []).extend(entities)
    return by_rule


def _is_monitored(rule: CompiledDlpRule) -> bool:
    return rule.placement is not None and rule.placement.is_monitored


def _rule_findings(
    rule: CompiledDlpRule,
    setting: RuleSetting,
    findings: Sequence[EntityFinding],
    parts: RequestParts,
) -> RuleFindings:
    counted: list[EntityFinding] = []
    below_threshold: list[EntityFinding] = []
    for each in findings:
        if each.location.start == each.location.end and each.detector_id != CALLER:
            continue  # an empty match is not data
        (counted if each.confidence >= setting.threshold else below_threshold).append(each)
    scope = parts.scope_of(counted[0].location) if counted else ""
    return RuleFindings(rule, setting, counted, below_threshold, scope)


def describe(result: RuleFindings) -> str:
    """Describes the findings of a rule and the location of the first, without any value."""
    rule = result.rule.rule
    if result.findings:
        first = result.findings[0]
        count = len(result.findings)
        times = "1 time" if count == 1 else f"{count} times"
        return f"{rule.entity_type} found {times}, first in {_describe_location(first)}"
    if result.obstacle:
        return f"{rule.entity_type} found, but {result.obstacle}"
    if result.below_threshold:
        best = max(result.below_threshold, key=lambda each: each.confidence)
        least = result.setting.threshold
        return f"{rule.entity_type} looks likely at {best.confidence:g} only, below {least:g}"
    pattern = "pattern" if rule.detector_type == REGEX else "pattern for it"
    return f"its {pattern} was found, but no value passed the check"


def _describe_location(finding: EntityFinding) -> str:
    text = f"{locations.describe(finding.location)}, at confidence {finding.confidence:g}"
    return f"{text}, as the request says" if finding.detector_id == CALLER else text
