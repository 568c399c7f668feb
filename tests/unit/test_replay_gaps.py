"""What a replay cannot see is a gap or an obstacle, never a wrong answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdp import catalog
from pdp.decisions import replay as replays
from pdp.decisions.record_builder import PendingRecord, RecordBuilder
from pdp.decisions.replay import replay
from pdp.decisions.replay_summary import replay_records
from pdp.decisions.replay_tally import CHANGED, Responsible
from pdp.detect.validators import VALIDATORS
from pdp.domain import dlp_rule, org_policy, policy_exception, static_policy
from pdp.domain.decision import Outcome
from pdp.domain.dlp_rule import REGEX, DlpRule
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.policy_exception import APPROVED, PolicyException
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request, Subject
from pdp.domain.static_policy import StaticPolicy
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from pdp.domain.decision_record import DecisionRecord
    from pdp.engine.snapshot import Snapshot

POLICIES = {each.policy.id: each.policy for each in catalog.static_policies()}
PLATFORM = compile_platform(
    PolicySet({static_policy.KIND: POLICIES}), VALIDATORS, detectors=catalog.detectors()
)


def snapshot(level: str = "full", **kinds: dict[str, Any]) -> Snapshot:
    org = {org_policy.ID: OrgPolicy(logging_level=level)}
    return compile_tenant(PLATFORM, "acme", PolicySet({org_policy.KIND: org, **kinds}), 7)


def static(**fields: Any) -> dict[str, Any]:
    policy = StaticPolicy("p", "No rivals", "custom", "rival", "block", **fields)
    return {static_policy.KIND: {"p": policy}}


def record_of(request: Request, policies: Snapshot, rate: float = 0.0) -> DecisionRecord:
    decision = evaluate(policies, request, "d1")
    pending = PendingRecord(policies, request, decision, 1.0, sample_rate=rate)
    return RecordBuilder().make(pending).record


def text(value: str, **fields: Any) -> Request:
    return Request(text=value, tenant_id="acme", timestamp=1.0, **fields)


def gaps(record: DecisionRecord, before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    again = replay(record, before, after)
    assert again.decision is not None
    return again.gaps


def test_a_new_pattern_sees_a_text_that_is_recorded_as_it_was() -> None:
    before, after = snapshot(), snapshot(**static())
    assert gaps(record_of(text("a rival"), before), before, after) == ()


def test_a_redacted_part_of_a_text_is_a_gap_for_new_patterns() -> None:
    before, after = snapshot(), snapshot(**static())
    record = record_of(text("card 4111111111111111"), before)
    assert gaps(record, before, after) == (replays.REDACTED_TEXT,)
    assert gaps(record, before, before) == ()


def test_unrecorded_and_redacted_arguments_are_gaps_for_new_patterns() -> None:
    lean, after = snapshot("standard"), snapshot(**static())
    record = record_of(text("", tool="t", arguments={"a": "b"}), lean)
    assert gaps(record, lean, after) == (replays.NO_ARGUMENT_VALUES,)
    full = snapshot()
    seen = record_of(text("", tool="t", arguments={"a": "b", "n": 1.5}), full)
    assert gaps(seen, full, after) == ()
    hidden = record_of(text("", tool="t", arguments={"a": "mail a.b@example.org"}), full)
    assert gaps(hidden, full, after) == (replays.REDACTED_ARGUMENTS,)


def test_an_expression_of_the_context_is_a_gap() -> None:
    before = snapshot()
    after = snapshot(**static(expression="env = 'prod'"))
    assert replays.NO_NAMES in gaps(record_of(text("hi"), before), before, after)


def test_a_match_by_an_expression_of_the_context_is_not_replayed() -> None:
    policies = snapshot(**static(expression="env = 'prod'"))
    record = record_of(text("a rival", context={"env": "prod"}), policies)
    assert record.outcome is Outcome.BLOCK
    again = replay(record, policies, policies)
    assert (again.decision, again.obstacle) == (None, replays.NO_MATCHED_EXPRESSION)


def test_expressions_of_the_session_and_the_groups_are_replayed() -> None:
    expression = "session.id = 's1' AND 'ops' IN groups"
    policies = snapshot(**static(expression=expression))
    record = record_of(text("a rival", session_id="s1", subject=Subject("u", ("ops",))), policies)
    assert (record.outcome, record.session_id) == (Outcome.BLOCK, "s1")
    again = replay(record, policies, policies)
    assert again.decision is not None
    assert (again.decision.outcome, again.gaps) == (Outcome.BLOCK, ())


def dlp(detector: str, **fields: Any) -> dict[str, Any]:
    config = {"detector": detector}
    rule = DlpRule("cards", "Cards", REGEX, "CREDIT_CARD", "block", config_json=config, **fields)
    return {dlp_rule.KIND: {"cards": rule}}


def test_a_finding_in_arguments_is_replayed_in_the_arguments() -> None:
    before = snapshot()
    arguments = {"note": "card 4111111111111111"}
    record = record_of(text("", tool="t", arguments=arguments), before)
    detector = next(
        each.detector_id
        for each in record.entities
        if each.path and each.detector_id in PLATFORM.detectors
    )
    outcomes = []
    for scope in (["text"], ["arguments"]):
        again = replay(record, before, snapshot(**dlp(detector, scope=scope)))
        assert again.decision is not None
        outcomes.append([match.layer for match in again.decision.matches].count("dlp"))
    assert outcomes == [0, 1]


def exception(**fields: Any) -> dict[str, Any]:
    lifted = PolicyException(
        "e1", "Rivals", everyone=True, policies=["p"], state=APPROVED, **fields
    )
    return {policy_exception.KIND: {"e1": lifted}}


def test_exceptions_are_judged_by_the_clock_of_now() -> None:
    policies = snapshot(**static(), **exception())
    record = record_of(text("a rival"), policies)
    assert [match.excepted_by for match in record.matches] == ["e1"]
    assert gaps(record, policies, policies) == (replays.CLOCK_OF_NOW,)
    assert gaps(record_of(text("hi"), policies), policies, policies) == ()


def test_an_exception_by_value_is_not_replayed() -> None:
    policies = snapshot(**static(), **exception(values=["rival"]))
    record = record_of(text("a rival"), policies)
    assert [match.excepted_by for match in record.matches] == ["e1"]
    again = replay(record, policies, policies)
    assert (again.decision, again.obstacle) == (None, replays.NO_EXCEPTED_VALUE)


def test_an_example_names_the_user_the_policy_and_why() -> None:
    before = snapshot(**static())
    warn = StaticPolicy("p", "No rivals", "custom", "rival", "warn")
    kinds: dict[str, Any] = {static_policy.KIND: {"p": warn}}
    after = snapshot(**kinds)
    record = record_of(text("a rival", subject=Subject("ada")), before)
    tally = replay_records([(1, record)], before, after, examples=1)
    [(outcomes, change)] = tally.changes.items()
    assert outcomes == (Outcome.BLOCK, Outcome.WARN)
    [example] = change.examples
    policy = Responsible("static", "p", "No rivals", CHANGED, "block", "warn")
    assert (example.user_id, example.policy) == ("ada", policy)
    assert example.reason
    assert change.policies == {policy: 1}


def test_records_of_a_sample_are_counted_by_their_rate() -> None:
    before, after = snapshot(), snapshot(**static())
    records = [record_of(text("a rival"), before, rate) for rate in (0.1, 0.1, 0.0)]
    records.append(record_of(text("hi"), before))
    tally = replay_records(enumerate(records), before, after, examples=0)
    assert dict(tally.samples) == {0.1: 2, 1.0: 2}
    assert dict(tally.changed_samples) == {0.1: 2, 1.0: 1}
    assert tally.is_sampled
