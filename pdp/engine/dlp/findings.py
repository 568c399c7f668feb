"""What the DLP rules of a tenant find in one request, for the layer and for dry runs alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdp.domain.detector import PII
from pdp.domain.dlp_rule import REGEX
from pdp.engine.dlp.caller_entities import CALLER, caller_findings
from pdp.engine.dlp.entities import EntityFinding
from pdp.engine.dlp.named_entities import entity_type_of, found_by, unanswered_by
from pdp.engine.scan import strings_in
from pdp.engine.text.locations import Location, Segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.domain.ner import NamedEntity
    from pdp.domain.request import Request
    from pdp.engine.dlp.named_entities import Unanswered
    from pdp.engine.dlp.rules import CompiledDlpRule, RuleBook, Setting
    from pdp.engine.scan import Findings


class DlpFinding(NamedTuple):
    """A rule that was looked at, and what it found.

    Attributes:
        setting: how strict it is for who asks.
        findings: those that count; empty where the rule does not match.
        passed_over: those that its threshold keeps out.
    """

    rule: CompiledDlpRule
    setting: Setting
    findings: Sequence[EntityFinding]
    passed_over: Sequence[EntityFinding]


def look(book: RuleBook, request: Request, findings: Findings) -> list[DlpFinding]:
    """Returns every rule for which anything turned up, in the order of the rules.

    Args:
        book: the rules.
        request: what is judged.
        findings: of the scan.
    """
    by_place = _by_place(book, findings)
    for place in book.models:
        named = found_by(book.rules[place].rule, request, book.patterned)
        if named:
            by_place.setdefault(place, []).extend(named_entities(named, request))
    for told, own in caller_findings(book.told, request) if request.entities else ():
        for place in told.places:
            by_place.setdefault(place, []).extend(own)
    if not by_place:
        return []
    groups = book.groups_of(request.subject)
    return [
        _found(rule, setting, by_place[place])
        for place in sorted(by_place)
        for rule in (book.rules[place],)
        if (setting := rule.setting(groups)) is not None
    ]


def unanswered(book: RuleBook, request: Request) -> list[Unanswered]:
    """Returns what rules that are in force for who asks want, and nothing has looked for."""
    groups = book.groups_of(request.subject)
    return [
        missing
        for place in book.models
        if book.rules[place].setting(groups) is not None
        for missing in unanswered_by(book.rules[place].rule, request, book.patterned)
    ]


def _by_place(book: RuleBook, findings: Findings) -> dict[int, list[EntityFinding]]:
    by_pattern = book.by_pattern
    watches = {
        watch.detector.id: watch
        for pattern in findings.hits
        if pattern in by_pattern
        for watch in by_pattern[pattern]
    }
    found: dict[int, list[EntityFinding]] = {}
    for watch in watches.values():
        entities = findings.entities(watch.detector)
        for place in watch.places:
            found.setdefault(place, []).extend(entities)
    return found


def _found(
    rule: CompiledDlpRule, setting: Setting, all_found: Sequence[EntityFinding]
) -> DlpFinding:
    counting: list[EntityFinding] = []
    passed_over: list[EntityFinding] = []
    for each in all_found:
        if each.where.start == each.where.end and each.detector_id != CALLER:
            continue  # a pattern that is met by nothing at all finds no data
        (counting if each.confidence >= setting.threshold else passed_over).append(each)
    return DlpFinding(rule, setting, counting, passed_over)


def named_entities(named: Sequence[NamedEntity], request: Request) -> Iterator[EntityFinding]:
    """Yields what models found in a request, as findings."""
    if not named:
        return
    segments: dict[str | None, Segment] = {None: Segment(None, request.text, b"")}
    if any(each.path is not None for each in named):
        segments.update((each.path, each) for each in strings_in(request.arguments))
    for each in named:
        where = Location(segments[each.path], each.start, each.end)
        kind, label = each.label
        yield EntityFinding(kind, entity_type_of(label), PII, each.confidence, where)


def describe(found: DlpFinding) -> str:
    """Says what a rule found, and where first; never the value itself."""
    rule = found.rule.rule
    if found.findings:
        first = found.findings[0]
        count = len(found.findings)
        times = "1 time" if count == 1 else f"{count} times"
        return f"{rule.entity_type} found {times}, first in {_where(first)}"
    if found.passed_over:
        best = max(found.passed_over, key=lambda each: each.confidence)
        least = found.setting.threshold
        return f"{rule.entity_type} looks likely at {best.confidence:g} only, below {least:g}"
    what = "pattern" if rule.detector_type == REGEX else "pattern for it"
    return f"its {what} was found, but no value passed the check"


def _where(finding: EntityFinding) -> str:
    where = finding.where
    path = where.segment.path
    place = "the text" if path is None else f"arguments at {path}"
    found = f"{place}, {where.start} to {where.end}, at confidence {finding.confidence:g}"
    return f"{found}, as the request says" if finding.detector_id == CALLER else found
