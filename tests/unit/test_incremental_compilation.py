"""One rule's change compiles one rule, and gives the layers that compiling all of them gives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain import dlp_rule, static_policy
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.limits import Limit, LimitIndex
from pdp.domain.policy_set import PolicySet, changed_ids
from pdp.domain.request import Request
from pdp.domain.static_policy import StaticPolicy
from pdp.engine import pattern_set
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.dlp import rules as dlp_rules
from pdp.engine.dlp.config import read_stored_config
from pdp.engine.evaluate import evaluate
from pdp.engine.text.patterns import CompiledPattern

if TYPE_CHECKING:
    from pdp.domain.decision import Decision
    from pdp.engine.snapshot import Snapshot

PLATFORM = compile_platform(PolicySet(), {})
TEXT = "alpha beta gamma delta"
WORDS = ("alpha", "beta", "gamma", "delta", "absent")


def static(name: str, pattern: str, *, action: str = "warn", enabled: bool = True) -> StaticPolicy:
    return StaticPolicy(
        id=name,
        name=name,
        description="",
        category="custom",
        pattern=pattern,
        action=action,
        severity="low",
        enabled=enabled,
    )


def rule(name: str, pattern: str, **fields: Any) -> DlpRule:
    settings = {"entity_type": "WORD", "action_tier": "log_only", "enabled": True, **fields}
    return DlpRule(
        id=name,
        detector_name=name,
        detector_type="regex",
        confidence_threshold=0.5,
        config_json={"pattern": pattern},
        **settings,
    )


def policies(kind: str, *items: StaticPolicy | DlpRule) -> PolicySet:
    return PolicySet.of((kind, each.id, each) for each in items)


def compiled(own: PolicySet, previous: Snapshot | None = None) -> Snapshot:
    return compile_tenant(PLATFORM, "acme", own, 1, previous)


def decide(snapshot: Snapshot) -> Decision:
    decision = evaluate(snapshot, Request(text=TEXT, tenant_id="acme", explain=True), "d")
    # The order of the trace follows the shards of patterns, which depend on their history.
    # A shard may still have a pattern that no policy has: the text matches then, without effect.
    return decision._replace(
        trace=tuple(sorted(decision.trace, key=str)), scan=None, unmatched=None
    )


STATIC = st.builds(
    static,
    st.sampled_from("abcd"),
    st.sampled_from(WORDS),
    action=st.sampled_from(("block", "warn", "log")),
    enabled=st.booleans(),
)
RULES = st.builds(
    rule,
    st.sampled_from("abcd"),
    st.sampled_from(WORDS),
    action_tier=st.sampled_from(("block", "redact", "log_only", "none")),
    enabled=st.booleans(),
    entity_type=st.sampled_from(("WORD", "SSN")),
    bundle_id=st.sampled_from(("", "bundle")),
)


@given(st.lists(st.lists(st.tuples(STATIC, st.booleans()), max_size=3), max_size=6))
def test_static_policies_changed_one_by_one_decide_as_all_compiled_at_once(
    steps: list[list[tuple[StaticPolicy, bool]]],
) -> None:
    own, snapshot = PolicySet(), compiled(PolicySet())
    for step in steps:
        own = own.with_changes(
            (static_policy.KIND, policy.id, None if deleted else policy) for policy, deleted in step
        )
        snapshot = compiled(own, snapshot)
        assert decide(snapshot) == decide(compiled(own))


@given(st.lists(st.lists(st.tuples(RULES, st.booleans()), max_size=3), max_size=6))
def test_dlp_rules_changed_one_by_one_decide_as_all_compiled_at_once(
    steps: list[list[tuple[DlpRule, bool]]],
) -> None:
    own, snapshot = PolicySet(), compiled(PolicySet())
    for step in steps:
        own = own.with_changes(
            (dlp_rule.KIND, each.id, None if deleted else each) for each, deleted in step
        )
        snapshot = compiled(own, snapshot)
        assert decide(snapshot) == decide(compiled(own))


LIMITS = st.builds(
    Limit,
    id=st.sampled_from("abcd"),
    scope=st.sampled_from(("user", "group")),
    subject_id=st.sampled_from(("u", "U", "v", "w")),
    is_active=st.booleans(),
    daily_request_limit=st.integers(1, 9),
)


@given(st.lists(st.lists(st.tuples(LIMITS, st.booleans()), max_size=3), max_size=6))
def test_limits_changed_one_by_one_are_as_all_indexed_at_once(
    steps: list[list[tuple[Limit, bool]]],
) -> None:
    before: dict[str, Limit] = {}
    index = LimitIndex.from_limits(())
    for step in steps:
        now = dict(before)
        for limit, deleted in step:
            now.pop(limit.id, None)
            subjects = {(each.scope, each.subject_id) for each in now.values()}
            if not deleted and (limit.scope, limit.subject_id) not in subjects:
                now[limit.id] = limit
        index = index.with_changes(before, now)
        assert index == LimitIndex.from_limits(now.values())
        before = now


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz")),
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz")),
)
def test_ids_of_changed_policies(before: dict[str, str], now: dict[str, str]) -> None:
    expected = {key for key in "abcdef" if before.get(key) is not now.get(key)}
    assert changed_ids(before, now) == expected
    assert changed_ids(before, dict(before)) == set()


@pytest.mark.parametrize("change", [{"action_tier": "block"}, {"enabled": False}, {"config_json": {
    "pattern": "new"}}])  # fmt: skip
def test_the_change_of_one_dlp_rule_compiles_that_rule_only(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    own = policies(dlp_rule.KIND, *(rule(f"r{each}", f"word{each}") for each in range(100)))
    before = compiled(own)
    rules: list[str] = []
    compile_one = read_stored_config

    def counted(each: DlpRule, *args: Any) -> Any:
        rules.append(each.id)
        return compile_one(each, *args)

    monkeypatch.setattr(dlp_rules, "read_stored_config", counted)
    changed = replace(rule("r7", "word7"), **change)
    after = compiled(own.with_policies(dlp_rule.KIND, {"r7": changed}), before)
    assert rules == ["r7"]
    assert after.policies.of_kind(dlp_rule.KIND)["r7"] == changed


def test_the_change_of_one_pattern_compiles_that_pattern_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = policies(static_policy.KIND, *(static(f"p{each}", f"word{each}") for each in range(100)))
    before = compiled(own)
    sources: list[str] = []
    compile_pattern = CompiledPattern

    def counted(source: str) -> Any:
        sources.append(source)
        return compile_pattern(source)

    monkeypatch.setattr(pattern_set, "CompiledPattern", counted)
    compiled(own.with_policies(static_policy.KIND, {"p7": static("p7", "new")}), before)
    assert sources == ["new"]
