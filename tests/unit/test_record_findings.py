"""The record of a decision uses what the decision found, as if it had searched for it itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from bench.detectors import corpus
from bench.detectors import snapshot as snapshot_with_all_rules
from pdp.decisions import record_redaction
from pdp.decisions.record_builder import PendingRecord, RecordBuilder
from pdp.domain.decision import NO_VERDICT, Outcome, Verdict
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.request import Request
from pdp.engine.evaluate import begin, evaluate
from pdp.engine.findings import Scan
from pdp.engine.scan import scan
from pdp.engine.text.patterns import PatternDetector
from pdp.engine.work import MAX_FINDS, MAX_MATCHES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.domain.decision_record import Recorded
    from pdp.engine.findings import Findings
    from pdp.engine.snapshot import Snapshot

CARD: Final = "4539578763621486"
MAIL: Final = "ada@acme.test"
EVERY: Final = 23
"""Which texts of the corpora are tried: every one of this number."""


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return replace(snapshot_with_all_rules(), org=OrgPolicy(logging_level="full"))


def recorded(snapshot: Snapshot, request: Request, scan_: object) -> Recorded:
    decision = evaluate(snapshot, request, "d1")._replace(scan=scan_)
    return RecordBuilder().make(PendingRecord(snapshot, request, decision, 2.0, 0.001))


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of requests that records were searched for, without those of ids and names."""
    texts: list[str] = []

    def spy(shards: Any, text: str, *rest: Any) -> Any:
        if CARD in text:
            texts.append(text)
        return scan(shards, text, *rest)

    monkeypatch.setattr(record_redaction, "scan", spy)
    return texts


def requests() -> Iterator[Request]:
    texts = corpus()[::EVERY]
    for index, text in enumerate(texts):
        yield Request(text=text)
        yield Request(arguments={"a": text, text[:40]: [texts[index - 1], {"password": text[:9]}]})


def test_records_are_the_same_without_a_search(snapshot: Snapshot) -> None:
    """For texts and arguments of all corpora: what is found, and what remains of the text."""
    used = 0
    for request in requests():
        known = evaluate(snapshot, request, "d1").scan
        used += known is not None
        assert recorded(snapshot, request, known) == recorded(snapshot, request, None), request
    assert used > 100


def test_the_text_is_not_searched_again(snapshot: Snapshot, searched: list[str]) -> None:
    request = Request(text=f"my card is {CARD}")
    known = evaluate(snapshot, request, "d1").scan
    assert CARD not in (recorded(snapshot, request, known).record.redacted_text or CARD)
    assert searched == []


def test_the_findings_are_those_of_that_request_alone(
    snapshot: Snapshot, searched: list[str]
) -> None:
    """A decision on the beginning of a stream says nothing of the rest."""
    whole = Request(text=f"write to {MAIL}, and my card is {CARD}")
    known = evaluate(snapshot, whole._replace(text=f"write to {MAIL}"), "d1").scan
    assert isinstance(known, Scan)
    record = recorded(snapshot, whole, known).record
    assert record.redacted_text is not None
    assert CARD not in record.redacted_text
    assert searched == [whole.text]


@pytest.mark.parametrize(("count", "is_kept"), [(20, True), (300, False)])
def test_many_findings_are_not_kept(snapshot: Snapshot, count: int, is_kept: bool) -> None:
    request = Request(text=" ".join([f"card {CARD}"] * count))
    assert (evaluate(snapshot, request, "d1").scan is not None) == is_kept


@pytest.mark.parametrize(("repetitions", "is_kept"), [(1, True), (20_000, False)])
def test_long_texts_are_not_kept(snapshot: Snapshot, repetitions: int, is_kept: bool) -> None:
    request = Request(text=f"card {CARD}{' and more' * repetitions}")
    assert (evaluate(snapshot, request, "d1").scan is not None) == is_kept


def test_nothing_is_kept_of_a_decision_with_an_error(
    snapshot: Snapshot, searched: list[str]
) -> None:
    """It may have been in the middle of a search."""

    class Broken:
        name = "static"
        patterns: Final[dict[str, str]] = {}

        def evaluate(self, _request: Request, findings: Findings) -> Verdict:
            for source in findings.hits:
                next(iter(findings.matches(source)))
            raise ValueError

    broken = replace(snapshot, layers=(Broken(), *snapshot.layers))
    request = Request(text=f"my cards are {CARD} and {CARD}")
    decision = evaluate(broken, request, "d1")
    assert (decision.outcome, decision.incomplete, decision.scan) == (Outcome.BLOCK, True, None)
    record = RecordBuilder().make(PendingRecord(broken, request, decision, 2.0, 0.001)).record
    assert CARD not in (record.redacted_text or CARD)
    assert searched == [request.text]


def test_findings_that_a_caller_gives_are_not_kept(snapshot: Snapshot) -> None:
    request = Request(text=f"my card is {CARD}")
    known = begin(snapshot, request, "d1").findings
    assert evaluate(snapshot, request, "d1", known).scan is None


def test_the_record_has_a_budget_of_its_own(snapshot: Snapshot) -> None:
    request = Request(text=f"my card is {CARD}, or is it {CARD}?")
    known = evaluate(snapshot, request, "d1").scan
    assert isinstance(known, Scan)
    expected = recorded(snapshot, request, None)
    work = known.findings.work
    work.matches, work.finds = MAX_MATCHES, MAX_FINDS
    assert recorded(snapshot, request, known) == expected
    assert (work.matches, work.finds) == (MAX_MATCHES, MAX_FINDS)


def test_a_search_that_was_stopped_begins_anew(snapshot: Snapshot) -> None:
    """Its generator would go on behind the match at which an error has stopped it."""
    request = Request(text=f"{CARD} {CARD} {CARD}")
    whole = begin(snapshot, request, "d1").findings
    stopped = begin(snapshot, request, "d1").findings
    assert whole is not None
    assert stopped is not None
    for source in stopped.hits:
        expected = [match[1:] for match in whole.matches(source)]
        next(iter(stopped.matches(source)))
        assert [match[1:] for match in stopped.copy().matches(source)] == expected
        assert [match[1:] for match in whole.copy().matches(source)] == expected


def test_a_search_for_the_first_match_goes_on_behind_it(snapshot: Snapshot) -> None:
    request = Request(text=f"{CARD} {CARD} {CARD}")
    findings = begin(snapshot, request, "d1").findings
    assert findings is not None
    for source in findings.hits:
        first = findings.first(PatternDetector(source))
        copied = [match[1:3] for match in findings.copy().matches(source)]
        assert copied == [match[1:3] for match in findings.matches(source)]
        assert first is not None
        assert (first.start, first.end) == copied[0]


def test_two_copies_do_not_share_a_place(snapshot: Snapshot) -> None:
    request = Request(text=f"{CARD} {CARD} {CARD}")
    findings = begin(snapshot, request, "d1").findings
    assert findings is not None
    for source in findings.hits:
        findings.first(PatternDetector(source))
        one, other = findings.copy().matches(source), findings.copy().matches(source)
        pairs = list(zip(one, other, strict=True))
        assert all(first[1:] == second[1:] for first, second in pairs)
        assert len(list(findings.matches(source))) == len(pairs)


def test_a_decision_does_not_show_what_it_keeps(snapshot: Snapshot) -> None:
    decision = evaluate(snapshot, Request(text=f"my card is {CARD}"), "d1")
    assert decision.scan is not None
    assert CARD not in repr(decision)


def test_nothing_is_kept_if_nothing_was_found(snapshot: Snapshot) -> None:
    decision = evaluate(snapshot, Request(text="a quiet text"), "d1")
    assert decision.scan is None
    assert decision.unmatched is not None
    assert NO_VERDICT.outcome is decision.outcome
