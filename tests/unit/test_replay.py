"""Replay: evaluates recorded decisions with changed policies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.engine import catalog_platform
from pdp import catalog
from pdp.decisions import replay as replays
from pdp.decisions.policy_hash import PolicyHasher
from pdp.decisions.record_builder import PendingRecord, RecordBuilder, sha256_of_text
from pdp.decisions.replay import replay
from pdp.decisions.replay_summary import replay_records, replay_requests
from pdp.decisions.replay_tally import ADDED, CHANGED, Responsible
from pdp.detect.validators import VALIDATORS
from pdp.domain import (
    customer_policy,
    dlp_rule,
    org_policy,
    policy_chain,
    policy_pack,
    static_policy,
)
from pdp.domain.customer_policy import CustomerPolicy
from pdp.domain.decision import Outcome
from pdp.domain.decision_record import DecisionRecord, RecordedSubject
from pdp.domain.dlp_rule import REGEX, DlpRule
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.policy_chain import ChainEntry, PolicyChain
from pdp.domain.policy_pack import PolicyPack, PolicyRule
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request, Subject
from pdp.domain.static_policy import StaticOverride, StaticPolicy
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from pdp.engine.snapshot import Snapshot

PLATFORM = catalog_platform()
SQLI = "SELECT name FROM users WHERE id = 1 UNION SELECT password FROM users"


def snapshot(**kinds: dict[str, Any]) -> Snapshot:
    return compile_tenant(PLATFORM, "acme", PolicySet(kinds), 7)


def record_of(request: Request, before: Snapshot, *, redacted: str | None = None) -> DecisionRecord:
    """Returns the record of the decision on `request`, with `redacted` as its text."""
    decision = evaluate(before, request, "d1")
    return DecisionRecord(
        decision_id=decision.decision_id,
        request_id="r1",
        time=1.0,
        tenant_id="acme",
        outcome=decision.outcome,
        risk=decision.risk,
        revision=before.revision,
        policy_hash=PolicyHasher().of(before),
        subject=RecordedSubject(
            request.subject.user_id, request.subject.groups, "", request.subject.risk_score
        ),
        customer_id=request.customer_id,
        provider=request.provider,
        model=request.model,
        action=request.action,
        tool=request.tool,
        session_id=request.session_id,
        text_sha256=sha256_of_text(request.text) if request.text else "",
        text_length=len(request.text),
        redacted_text=redacted,
        matches=decision.matches,
        incomplete=decision.incomplete,
        reason_code=decision.reason_code,
    )


def test_the_same_policies_give_the_same_outcome() -> None:
    same = snapshot()
    for text in (SQLI, "hello", "rm -rf / --no-preserve-root", "my card: 4111111111111111"):
        record = record_of(Request(text=text), same)
        again = replay(record, same, same)
        assert again.decision is not None
        assert again.decision.outcome is record.outcome, text
        assert again.gaps == ()


def test_what_a_request_only_talked_about_is_talk_in_a_replay() -> None:
    """A record has no text to judge, so it says what was judged then."""
    same = snapshot()
    talk = "Write a query with UNION SELECT of two tables, and explain it."
    document = {"path": "docs/danger.md", "content": "Never run `rm -rf /home/old`."}
    for request in (Request(text=talk), Request(tool="write_file", arguments=document)):
        record = DecisionRecord.from_json(record_of(request, same).to_json())
        assert record.outcome is Outcome.WARN
        assert any(match.talk for match in record.matches)
        again = replay(record, same, same)
        assert again.decision is not None
        assert again.decision.outcome is Outcome.WARN
    used = record_of(Request(text=SQLI), same)
    assert not any(match.talk for match in used.matches)


def test_an_override_can_change_a_block_to_an_allow() -> None:
    before = snapshot()
    record = record_of(Request(text=SQLI), before)
    assert record.outcome is Outcome.BLOCK
    overrides = {
        match.policy_id: StaticOverride(match.policy_id, "log") for match in record.matches
    }
    after = snapshot(**{static_policy.OVERRIDE_KIND: overrides})
    again = replay(record, before, after)
    assert again.decision is not None
    assert again.decision.outcome is Outcome.ALLOW


def test_blocking_by_risk_uses_the_recorded_matches() -> None:
    before = snapshot()
    record = record_of(Request(text="my card: 4111111111111111"), before)
    assert record.outcome < Outcome.BLOCK
    strict = {org_policy.ID: OrgPolicy(blocking_enabled=True, block_on="low")}
    again = replay(record, before, snapshot(**{org_policy.KIND: strict}))
    assert again.decision is not None
    assert again.decision.outcome is Outcome.BLOCK


def rule(**conditions: Any) -> dict[str, dict[str, Any]]:
    new_rule = PolicyRule(
        "rule", "pack", 0, "A rule", {"type": "BLOCK", "message": "no"}, conditions
    )
    return {
        policy_pack.KIND: {"pack": PolicyPack("pack", "Pack")},
        policy_pack.RULE_KIND: {"rule": new_rule},
        policy_chain.KIND: {"org": PolicyChain("org", packs=(ChainEntry("e", "pack", 0),))},
    }


def test_a_rule_for_groups_can_be_replayed_without_text() -> None:
    before = snapshot()
    record = record_of(Request(text="hi", subject=Subject("u", ("contractors",))), before)
    again = replay(record, before, snapshot(**rule(user_groups=["contractors"])))
    assert again.decision is not None
    assert again.decision.outcome is Outcome.BLOCK
    assert again.gaps == ()


def escalating(**action: Any) -> Snapshot:
    kinds = rule(user_groups=["contractors"])
    escalates = replace(kinds[policy_pack.RULE_KIND]["rule"], action={"type": "ESCALATE", **action})
    return snapshot(**{**kinds, policy_pack.RULE_KIND: {"rule": escalates}})


def test_what_was_approved_is_taken_as_approved() -> None:
    """Otherwise each approved request would look like one that the policies have changed."""
    before = escalating()
    request = Request(text="hi", subject=Subject("u", ("contractors",)))
    held = record_of(request, before)
    assert held.outcome is Outcome.ESCALATE
    (hold,) = evaluate(before, request, "d1").holds
    passed = record_of(request._replace(passed={hold.key: "approval"}), before)
    assert passed.outcome is Outcome.ALLOW
    for after in (before, escalating(approvers=["admin"])):
        again = replay(passed, before, after)
        assert again.decision is not None
        assert again.decision.outcome is Outcome.ALLOW
        waiting = replay(held, before, after)
        assert waiting.decision is not None
        assert waiting.decision.outcome is Outcome.ESCALATE
    blocking = snapshot(**rule(user_groups=["contractors"]))
    blocked = replay(passed, before, blocking)
    assert blocked.decision is not None
    assert blocked.decision.outcome is Outcome.BLOCK


def test_a_refused_token_is_not_judged_again() -> None:
    before = escalating()
    record = record_of(Request(text="hi", subject=Subject("u", ("contractors",))), before)
    for code in ("TOKEN_USED", "APPROVAL_DENIED"):
        refused = record._replace(outcome=Outcome.BLOCK, reason_code=code)
        assert replay(refused, before, before).obstacle == replays.NO_APPROVALS


def test_a_recorded_match_of_a_rule_still_blocks() -> None:
    before = snapshot(**rule(content_regex="(?i)project x"))
    record = record_of(Request(text="about Project X"), before)
    assert record.outcome is Outcome.BLOCK
    again = replay(record, before, before)
    assert again.decision is not None
    assert (again.decision.reason_code, again.decision.incomplete) == ("CHAIN_BLOCK", False)


def test_a_recorded_redaction_of_a_rule_still_redacts() -> None:
    policies = rule(content_regex="(?i)project x")
    block = policies[policy_pack.RULE_KIND]["rule"]
    policies[policy_pack.RULE_KIND]["rule"] = replace(block, action={"type": "REDACT"})
    before = snapshot(**policies)
    again = replay(record_of(Request(text="about Project X"), before), before, before)
    assert again.decision is not None
    assert (again.decision.outcome, again.decision.reason_code) == (Outcome.REDACT, "CHAIN_REDACT")


EXAMPLES = [
    example
    for part, key in (("detectors", "detectors"), ("static_policies", "policies"))
    for entry in catalog.entries(part, key)
    for kind in ("match", "no_match")
    for example in entry["examples"][kind]
]


def test_every_example_of_the_catalog_has_the_same_outcome_in_a_replay() -> None:
    """In the recorder's own records, findings count again, and example values do not."""
    platform = compile_platform(PLATFORM.policies, VALIDATORS, detectors=catalog.detectors())
    rules = {
        key: DlpRule(key, key, REGEX, each.entity_type, "redact", config_json={"detector": key})
        for key, each in platform.detectors.items()
    }
    policies = compile_tenant(platform, "acme", PolicySet({dlp_rule.KIND: rules}), 7)
    builder, outcomes, differences = RecordBuilder(), set(), []
    for text in EXAMPLES:
        request = Request(text=text, tenant_id="acme", timestamp=1.0)
        decision = evaluate(policies, request, "d1")
        record = builder.make(PendingRecord(policies, request, decision, 1.0)).record
        again = replay(record, policies, policies).decision
        outcomes.add(decision.outcome)
        if again is None or (again.outcome, again.incomplete) != (decision.outcome, False):
            differences.append(text)
    assert differences == []
    assert outcomes == {Outcome.ALLOW, Outcome.WARN, Outcome.REDACT, Outcome.BLOCK}


def test_a_new_pattern_runs_on_the_recorded_text() -> None:
    before = snapshot()
    rivals = StaticPolicy("p", "No rivals", "custom", "rival-product", "block")
    after = snapshot(**{static_policy.KIND: {"p": rivals}})
    record = record_of(Request(text="the rival-product"), before, redacted="the rival-product")
    again = replay(record, before, after)
    assert again.decision is not None
    assert (again.decision.outcome, again.gaps) == (Outcome.BLOCK, ())


def test_a_new_pattern_without_a_recorded_text_is_a_gap() -> None:
    before = snapshot()
    rivals = StaticPolicy("p", "No rivals", "custom", "rival-product", "block")
    after = snapshot(**{static_policy.KIND: {"p": rivals}})
    again = replay(record_of(Request(text="the rival-product"), before), before, after)
    assert again.decision is not None
    assert (again.decision.outcome, again.gaps) == (Outcome.ALLOW, (replays.NO_TEXT,))


def test_an_expression_of_a_rule_sees_what_is_recorded() -> None:
    """The session is recorded, too."""
    before, after = snapshot(), snapshot(**rule(expression="session.id = 's-1'"))
    record = record_of(Request(session_id="s-1"), before)
    assert record.to_json()["session_id"] == "s-1"
    again = replay(DecisionRecord.from_json(record.to_json()), before, after)
    assert again.decision is not None
    assert (again.decision.outcome, again.gaps) == (Outcome.BLOCK, ())
    assert "session_id" not in record_of(Request(), before).to_json()


def test_an_expression_of_a_rule_that_reads_the_context_is_a_gap() -> None:
    before = snapshot()
    for source in ("team = 'red'", "subject.team = 'red'", 'context["x-team"] = 1'):
        after = snapshot(**rule(expression=source))
        again = replay(record_of(Request(context={"team": "red"}), before), before, after)
        assert again.decision is not None
        assert (again.decision.outcome, again.gaps) == (Outcome.ALLOW, (replays.NO_NAMES,))


def customer(condition: str) -> Snapshot:
    document = {"custom_rules": {"late": {"condition": condition, "score_impact": 30}}}
    return snapshot(**{customer_policy.KIND: {"c1": CustomerPolicy("c1", document)}})


def test_custom_rules_that_read_the_context_cannot_be_replayed() -> None:
    policies = customer("batch_size > 100")
    record = record_of(Request(customer_id="c1", action="a:b:c"), policies)
    again = replay(record, policies, policies)
    assert again.decision is None
    assert again.obstacle == replays.NO_CONTEXT


def test_custom_rules_that_read_recorded_fields_can_be_replayed() -> None:
    policies = customer("action.verb = 'c' AND subject.user_id IS NOT NULL")
    record = record_of(Request(customer_id="c1", action="a:b:c", subject=Subject("u")), policies)
    again = replay(record, policies, policies)
    assert again.decision is not None
    assert again.decision.risk.score == record.risk.score > 0


def test_an_incomplete_decision_is_not_replayed() -> None:
    before = snapshot()
    record = record_of(Request(text="hi"), before)._replace(incomplete=True)
    assert replay(record, before, before).obstacle == replays.NOT_EVALUATED


def test_the_tally_names_changes_and_responsible_policies() -> None:
    before = snapshot()
    records = [
        *(record_of(Request(text=SQLI), before) for _ in range(3)),
        *(record_of(Request(text="hi"), before) for _ in range(5)),
        record_of(Request(text="hi"), before)._replace(incomplete=True),
    ]
    blocking = [match for match in records[0].matches if match.action == "block"]
    overrides = {
        match.policy_id: StaticOverride(match.policy_id, "warn") for match in records[0].matches
    }
    after = snapshot(**{static_policy.OVERRIDE_KIND: overrides})
    tally = replay_records(enumerate(records), before, after, examples=2)
    assert (tally.replayed, tally.changed) == (8, 3)
    assert dict(tally.not_replayed) == {replays.NOT_EVALUATED: 1}
    change = tally.changes[Outcome.BLOCK, Outcome.WARN]
    assert (change.count, len(change.examples)) == (3, 2)
    for match in blocking:
        each = Responsible("static", match.policy_id, match.name, CHANGED, "block", "warn")
        assert change.policies[each] == 3


def test_decisions_of_other_policies_are_counted_separately() -> None:
    """A write of another tenant makes a revision, but does not change this tenant's policies."""
    before = snapshot()
    same = record_of(Request(text="hi"), before)._replace(revision=before.revision - 3)
    other = record_of(Request(text="hi"), snapshot(**rule(user_groups=["contractors"])))
    tally = replay_records(enumerate([same, other]), before, before, examples=0)
    assert (tally.replayed, tally.elsewhere) == (2, 1)


def test_requests_are_evaluated_before_and_after_the_change() -> None:
    before = snapshot()
    after = snapshot(**rule(content_regex="(?i)project x"))
    requests = [Request(text="about Project X", request_id="1"), Request(text="hi", request_id="2")]
    tally = replay_requests(requests, before, after, examples=5)
    assert (tally.replayed, tally.changed) == (2, 1)
    change = tally.changes[Outcome.ALLOW, Outcome.BLOCK]
    assert [each.decision_id for each in change.examples] == ["1"]
    assert change.policies == {Responsible("chain", "rule", "A rule", ADDED, "", "BLOCK"): 1}
