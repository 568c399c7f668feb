"""Records of decisions: which decisions are recorded, and the redacted contents of a record."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp import catalog
from pdp.decisions import policy_hash as hashing
from pdp.decisions import record_redaction
from pdp.decisions.policy_hash import PolicyHasher
from pdp.decisions.record_builder import (
    MAX_KEPT_VALUES,
    MAX_TEXT,
    PendingRecord,
    RecordBuilder,
)
from pdp.decisions.recording import DecisionRecorder
from pdp.decisions.recording_level import is_recorded
from pdp.detect.validators import VALIDATORS
from pdp.domain.decision import (
    Decision,
    Obligation,
    ObligationType,
    Outcome,
    Risk,
    Span,
    Verdict,
)
from pdp.domain.decision_record import DecisionRecord
from pdp.domain.ner import EntityLabel, NamedEntity, NerFindings
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Entity, Request, Subject, Target
from pdp.domain.static_policy import KIND, StaticPolicy
from pdp.engine.compiler import compile_platform, compile_tenant, empty_snapshot
from pdp.engine.evaluate import evaluate, failed_decision
from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan

if TYPE_CHECKING:
    from pdp.engine.snapshot import Snapshot

CARD: Final = "4539578763621486"
ATTACK: Final = "1 UNION SELECT password FROM users"


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    policies = {each.policy.id: each.policy for each in catalog.static_policies()}
    platform = compile_platform(
        PolicySet({KIND: policies}), VALIDATORS, detectors=catalog.detectors()
    )
    return empty_snapshot(platform, 1)


def at(snapshot: Snapshot, level: str) -> Snapshot:
    return replace(snapshot, org=OrgPolicy(logging_level=level))


def record_of(snapshot: Snapshot, **fields: Any) -> DecisionRecord:
    request = Request(**fields)
    decision = evaluate(snapshot, request, "d1")
    return RecordBuilder().make(PendingRecord(snapshot, request, decision, 2.0, 0.001)).record


def decision(**fields: Any) -> Decision:
    values: dict[str, Any] = {"outcome": Outcome.ALLOW, "risk": Risk(0, "none"), **fields}
    return Decision(
        decision_id="d", request_id="r", message="", reason_code="", status_hint=200, revision=1,
        **values,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "levels"),
    [
        ({}, {"full", "paranoid"}),
        ({"risk": Risk(20, "low")}, {"full", "paranoid"}),
        ({"risk": Risk(40, "medium")}, {"standard", "full", "paranoid"}),
        ({"outcome": Outcome.WARN}, {"full", "paranoid"}),
        ({"outcome": Outcome.PROMPT}, {"standard", "full", "paranoid"}),
        ({"outcome": Outcome.BLOCK}, {"standard", "full", "paranoid"}),
        ({"pii_detected": True}, {"minimal", "standard", "full", "paranoid"}),
        (
            {"incomplete": True, "risk": Risk(90, "critical")},
            {"minimal", "standard", "full", "paranoid"},
        ),
        (
            {"incomplete": True, "outcome": Outcome.BLOCK, "risk": Risk(90, "critical")},
            {"standard", "full", "paranoid"},
        ),
    ],
)
def test_the_logging_level_selects_the_recorded_decisions(
    fields: dict[str, Any], levels: set[str]
) -> None:
    every = ("minimal", "standard", "full", "paranoid")
    assert {level for level in every if is_recorded(level, decision(**fields))} == levels


class TestBounds:
    """What is longer than a record keeps is cut; the hash and the length are those of the whole."""

    @pytest.mark.parametrize(("length", "rest"), [(MAX_TEXT, ""), (MAX_TEXT + 1, "… (1 char")])
    def test_a_text(self, snapshot: Snapshot, length: int, rest: str) -> None:
        record = record_of(at(snapshot, "full"), text="a " * (length // 2) + "b" * (length % 2))
        assert record.text_length == length
        assert record.redacted_text is not None
        assert record.redacted_text[MAX_TEXT:].startswith(rest)
        assert len(record.redacted_text[MAX_TEXT:]) <= 30

    def test_the_strings_of_arguments(self, snapshot: Snapshot) -> None:
        """All strings together have the room of one text."""
        half = "a " * (MAX_TEXT // 4 - 8)
        arguments = {"n": 7, "x": half, "y": half, "z": {"w": half}, "last": 8}
        cut = record_of(at(snapshot, "full"), arguments=arguments).redacted_arguments
        assert cut is not None
        assert (cut["n"], cut["x"], cut["y"]) == (7, half, half)
        assert "last" not in cut
        assert "characters more)" in cut["z"]["w"]
        assert sum(map(len, (cut["x"], cut["y"], cut["z"]["w"]))) < MAX_TEXT + 50

    @pytest.mark.parametrize(
        ("count", "kept"), [(990, 990), (MAX_KEPT_VALUES + 50, MAX_KEPT_VALUES - 2)]
    )
    def test_the_values_of_arguments(self, snapshot: Snapshot, count: int, kept: int) -> None:
        arguments = {"a": list(range(count))}
        cut = record_of(at(snapshot, "full"), arguments=arguments).redacted_arguments
        assert cut == {"a": list(range(kept))}


class TestText:
    def test_below_the_level_full_a_record_has_a_hash_and_no_text(self, snapshot: Snapshot) -> None:
        record = record_of(snapshot, text=f"{ATTACK} {CARD}")
        digest = hashlib.sha256(f"{ATTACK} {CARD}".encode()).hexdigest()
        assert (record.text_sha256, record.text_length) == (digest, 51)
        assert record.redacted_text is None

    def test_redactions_of_policies_keep_their_replacement(self, snapshot: Snapshot) -> None:
        text = f"secret plan, card {CARD}"
        obligation = Obligation(ObligationType.REDACT, "[PLAN]", (Span(0, 11),))
        redaction = decision(outcome=Outcome.REDACT, obligations=(obligation,))
        record = (
            RecordBuilder().make(PendingRecord(snapshot, Request(text=text), redaction, 0.0)).record
        )
        assert record.redacted_text == "[PLAN], card [CREDIT_CARD]"

    def test_findings_of_models_and_callers_are_redacted(self, snapshot: Snapshot) -> None:
        person = NamedEntity(EntityLabel("ner", "PERSON"), 0.9, 3, 6)
        record = record_of(
            at(snapshot, "full"),
            text="Dr Who lives at 1 Elm Road",
            entities=(Entity("ADDRESS", 0.8, 16, 26),),
            ner=NerFindings((person,)),
        )
        assert record.redacted_text == "Dr [PERSON] lives at [ADDRESS]"
        assert {each.entity_type for each in record.entities} == {"PERSON", "ADDRESS"}

    def test_a_text_with_too_many_findings_is_redacted_whole(
        self, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(record_redaction, "MAX_FINDINGS", 3)
        record = record_of(at(snapshot, "full"), text=f"{CARD}, " * 5)
        assert (record.redacted_text, len(record.entities)) == ("[REDACTED]", 3)

    def test_a_long_text_is_truncated_after_the_redaction(self, snapshot: Snapshot) -> None:
        record = record_of(at(snapshot, "full"), text="word " * 20_000 + CARD)
        assert record.redacted_text is not None
        assert record.redacted_text.endswith("… (83629 characters more)")

    def test_values_that_cannot_be_scanned_are_withheld_and_counted(
        self, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise MemoryError

        request = Request(text=CARD, tool=CARD, subject=Subject(CARD))
        block = evaluate(snapshot, request, "d1")._replace(scan=None)
        monkeypatch.setattr(record_redaction, "scan", fail)
        builder = RecordBuilder()
        record = builder.make(PendingRecord(at(snapshot, "full"), request, block, 0.0)).record
        assert builder.withheld == 2
        assert CARD not in json.dumps(record.to_json())
        assert (record.decision_id, record.outcome) == ("d1", block.outcome)

    def test_without_a_snapshot_no_value_of_the_caller_is_recorded(self) -> None:
        request = Request(text=CARD, tool=CARD, tenant_id="acme")
        failure = failed_decision("r1", "d1")
        record = RecordBuilder().make(PendingRecord(None, request, failure, 0.0)).record
        assert CARD not in json.dumps(record.to_json())
        assert (record.tenant_id, record.reason_code) == ("acme", "ENGINE_ERROR")


class TestUnmatchedRequests:
    """A request in which the decision's scan found nothing is not searched again."""

    def test_it_is_recorded_as_it_is(
        self, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts: list[str] = []

        def spy(sets: Any, text: str, *rest: Any) -> Any:
            texts.append(text)
            return scan(sets, text, *rest)

        monkeypatch.setattr(record_redaction, "scan", spy)
        record = record_of(at(snapshot, "full"), text="a quiet text", request_id="r1")
        assert (record.redacted_text, texts) == ("a quiet text", ["r1"])

    def test_the_flag_holds_for_that_request_alone(self, snapshot: Snapshot) -> None:
        """A decision on the beginning of a stream says nothing of the rest."""
        whole = Request(text=f"a quiet text and {CARD}")
        begin = evaluate(snapshot, whole._replace(text="a quiet text"), "d1")
        assert begin.unmatched is not None
        pending = PendingRecord(at(snapshot, "full"), whole, begin, 2.0, 0.001)
        assert CARD not in (RecordBuilder().make(pending).record.redacted_text or CARD)

    @pytest.mark.parametrize("text", ["host db7.prod.internal", CARD, ATTACK])
    def test_a_request_with_a_finding_is_no_such_request(
        self, snapshot: Snapshot, text: str
    ) -> None:
        """Also a finding that no rule of the tenant asks for."""
        assert evaluate(snapshot, Request(text=text), "d1").unmatched is None

    def test_a_request_that_is_stopped_before_the_scan_is_no_such_request(
        self, snapshot: Snapshot
    ) -> None:
        class Closed:
            name = "kill_switch"

            def admit(self, _request: Request) -> Verdict:
                return Verdict(outcome=Outcome.BLOCK)

        request = Request(text=CARD)
        stopped = evaluate(replace(snapshot, gates=(Closed(),)), request, "d1")
        assert (stopped.outcome, stopped.unmatched) == (Outcome.BLOCK, None)
        pending = PendingRecord(at(snapshot, "full"), request, stopped, 2.0, 0.001)
        assert CARD not in (RecordBuilder().make(pending).record.redacted_text or CARD)

    def test_a_detector_that_decisions_do_not_look_for_is_searched_for(
        self, snapshot: Snapshot
    ) -> None:
        """It holds for a platform that was compiled without all detectors, too."""
        few = replace(snapshot.platform, patterns=PatternSet())
        bare = replace(empty_snapshot(few, 1), pattern_sets=(), org=OrgPolicy(logging_level="full"))
        assert CARD not in (record_of(bare, text=f"pay {CARD}").redacted_text or CARD)


class TestArguments:
    def test_values_keys_and_numbers_are_redacted(self, snapshot: Snapshot) -> None:
        arguments = {"a": [f"card {CARD}", {CARD: 1}], "n": float(CARD), "small": 42, "t": True}
        record = record_of(at(snapshot, "full"), arguments=arguments)
        assert record.redacted_arguments == {
            "a": ["card [CREDIT_CARD]", {"[CREDIT_CARD]": 1}],
            "n": "[CREDIT_CARD]",
            "small": 42,
            "t": True,
        }
        assert len(record.arguments_sha256) == 64

    def test_fields_that_a_policy_masks_are_masked(self, snapshot: Snapshot) -> None:
        obligation = Obligation(ObligationType.MASK_FIELDS, fields=("dob",))
        redaction = decision(outcome=Outcome.REDACT, obligations=(obligation,))
        request = Request(arguments={"who": {"dob": "1990-01-01", "name": "x"}})
        record = RecordBuilder().make(PendingRecord(snapshot, request, redaction, 0.0)).record
        assert record.redacted_arguments == {"who": {"dob": "[MASKED]", "name": "x"}}


class TestNames:
    def test_secrets_are_redacted_and_addresses_of_persons_are_not(
        self, snapshot: Snapshot
    ) -> None:
        record = record_of(
            snapshot,
            text=ATTACK,
            request_id=f"r {CARD}",
            tool="ghp_1B4a2e77838347a7E420ce178F2E7c6912E1",
            subject=Subject("jane@bigco-payroll.com", (CARD,)),
            target=Target("table", CARD, None, (), (CARD,)),
        )
        assert record.request_id == "r [CREDIT_CARD]"
        assert record.tool == "[GITHUB_TOKEN]"
        assert record.subject == ("jane@bigco-payroll.com", ("[CREDIT_CARD]",), "", None)
        assert record.target == ("table", "[CREDIT_CARD]", None, (), ("[CREDIT_CARD]",))
        assert record.matches
        assert record.policy_hash
        assert record.outcome is Outcome.BLOCK


def test_a_record_survives_json(snapshot: Snapshot) -> None:
    record = record_of(
        at(snapshot, "full"),
        text=f"{ATTACK} {CARD}",
        arguments={"k": [CARD, None]},
        subject=Subject("u", ("g",), "a", 0.5),
        entities=(Entity("X", 0.5, 1, 2),),
    )
    text = json.dumps(record.to_json())
    assert DecisionRecord.from_json(json.loads(text)) == record
    assert DecisionRecord.from_json({**json.loads(text), "later": 1}) == record


def test_the_policy_hash_depends_only_on_the_content_of_policies(snapshot: Snapshot) -> None:
    def policy_hash(**fields: Any) -> str:
        policy = StaticPolicy("p", "P", "custom", "rival", "block", **fields)
        own = PolicySet({KIND: {"p": policy}})
        return PolicyHasher().of(compile_tenant(snapshot.platform, "t", own, 7))

    assert policy_hash() == policy_hash(created_at=1.0, updated_at=2.0, version=9)
    assert policy_hash() != policy_hash(severity="high")
    assert policy_hash() != PolicyHasher().of(snapshot)


def test_the_hash_of_policies_is_computed_once_for_any_number_of_tenants(
    monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> None:
    hasher = PolicyHasher()
    tenants = []
    for number in range(200):
        policy = StaticPolicy("p", "P", "custom", f"word{number}", "block")
        own = PolicySet({KIND: {"p": policy}})
        tenants.append(compile_tenant(snapshot.platform, f"t{number}", own, 7))
    hashes = [hasher.of(each) for each in tenants]
    assert len(set(hashes)) == len(tenants)
    monkeypatch.setattr(hashing, "_digest", None)  # computing one again would fail
    assert [hasher.of(each) for each in tenants] == hashes


def test_the_size_of_a_pending_record_includes_all_values() -> None:
    class FakeRecorder:
        weight = 0

        def record(self, pending: PendingRecord, weight: int, *, optional: bool) -> None:
            self.weight = weight

    recorder = FakeRecorder()
    records = DecisionRecorder(recorder)  # type: ignore[arg-type] # has all methods that are used
    request = Request(
        text="x" * 100,
        arguments={"a": ["y" * 1000]},
        context={"b": "z" * 10_000},
        subject=Subject(attributes={"c": "w" * 100_000}),
    )
    records.take(None, request, decision(outcome=Outcome.BLOCK))
    assert 111_100 <= recorder.weight < 112_000
