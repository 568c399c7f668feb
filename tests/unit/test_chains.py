"""Policy chains in the engine: rule documents, redactions and compilation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pdp.admin.simulation.dry_runs import dry_run_chain
from pdp.domain import policy_chain, policy_exception, policy_pack
from pdp.domain.decision import Outcome, Redaction, Span
from pdp.domain.layers import CHAIN
from pdp.domain.policy_chain import ChainEntry, PolicyChain
from pdp.domain.policy_exception import PolicyException
from pdp.domain.policy_pack import PolicyPack, PolicyRule
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Entity, Request
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.engine.layers.chain import ChainLayer
from pdp.engine.rules.documents import read_rule
from pdp.engine.text.redaction import merge, redact
from pdp.errors import InvalidArgument, InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.engine.snapshot import Snapshot

PLATFORM = compile_platform(PolicySet(), {})
BLOCK: Mapping[str, Any] = {"type": "BLOCK"}


def rule(
    action: Mapping[str, Any],
    conditions: Mapping[str, Any] | None = None,
    *,
    sequence: int = 0,
) -> PolicyRule:
    """Returns a rule of the pack `p`."""
    return PolicyRule(f"r{sequence}", "p", sequence, f"rule {sequence}", action, conditions or {})


def chain_of(*rules: PolicyRule) -> PolicySet:
    """Returns the policies of a tenant whose org chain is one pack with these rules."""
    return PolicySet(
        {
            policy_pack.KIND: {"p": PolicyPack("p", "Pack")},
            policy_pack.RULE_KIND: {each.id: each for each in rules},
            policy_chain.KIND: {
                policy_chain.ORG_ID: PolicyChain("c", packs=(ChainEntry("e", "p", 0),))
            },
        }
    )


def snapshot_of(policies: PolicySet, previous: Snapshot | None = None) -> Snapshot:
    return compile_tenant(PLATFORM, "t", policies, 1, previous)


@pytest.mark.parametrize(
    ("conditions", "field", "reason"),
    [
        ({"foo": 1}, "conditions.foo", "unknown field"),
        ({"usergroups": []}, "conditions.usergroups", "unknown field; did you mean user_groups?"),
        ({"user_groups": "x"}, "conditions.user_groups", "must be a list of strings"),
        (
            {"user_groups": [1]},
            "conditions.user_groups",
            "must be a list of strings that are not empty",
        ),
        ({"user_groups": ["x"] * 1001}, "conditions.user_groups", "must have at most 1000 entries"),
        (
            {"models": ["x" * 257]},
            "conditions.models",
            "must have entries of at most 256 characters",
        ),
        ({"entity_confidence_min": 1.1}, "conditions.entity_confidence_min", "must be from 0 to 1"),
        ({"entity_confidence_min": True}, "conditions.entity_confidence_min", "must be a number"),
        ({"user_risk_score_min": "high"}, "conditions.user_risk_score_min", "must be a number"),
        (
            {"intent_complexity": "hard"},
            "conditions.intent_complexity",
            "must be one of simple, medium, complex",
        ),
        ({"channel": ["mail"]}, "conditions.channel", "must be a list of interactive, api"),
        ({"channel": [["api"]]}, "conditions.channel", "must be a list of interactive, api"),
        ({"content_regex": 7}, "conditions.content_regex", "must be a string"),
    ],
)
def test_invalid_conditions_are_refused(
    conditions: Mapping[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_rule(conditions, BLOCK)
    assert caught.value.violations == ((field, reason),)


@pytest.mark.parametrize("pattern", ["(?=x)", "(", "x{2000}", "a" * 1001, r"(x)\1"])
def test_a_pattern_that_is_not_re2_is_refused_with_all_other_faults(pattern: str) -> None:
    with pytest.raises(InvalidPattern) as caught:
        read_rule({"content_regex": pattern, "foo": 1}, BLOCK, "rules[3].")
    assert [each.field for each in caught.value.violations] == [
        "rules[3].conditions.content_regex",
        "rules[3].conditions.foo",
    ]


@pytest.mark.parametrize(
    ("action", "field", "reason"),
    [
        ({}, "action.type", "is required"),
        (
            {"type": "block"},
            "action.type",
            "must be one of ALLOW, BLOCK, CANCEL, REDACT, ROUTE_TO, PROMPT, ALLOW_WITH_OVERRIDE,"
            " ESCALATE",
        ),
        ({"type": "BLOCK", "messag": "x"}, "action.messag", "unknown field; did you mean message?"),
        ({"type": "BLOCK", "bar": 1}, "action.bar", "unknown field"),
        ({"type": "BLOCK", "message": 1}, "action.message", "must be a string"),
        (
            {"type": "ALLOW", "message": "x"},
            "action.message",
            "is not a field of ALLOW, which has no fields",
        ),
        ({"type": "PROMPT"}, "action.prompt_message", "is required for PROMPT"),
        (
            {"type": "PROMPT", "prompt_message": " "},
            "action.prompt_message",
            "is required for PROMPT",
        ),
        (
            {"type": "ALLOW_WITH_OVERRIDE"},
            "action.override_message",
            "is required for ALLOW_WITH_OVERRIDE",
        ),
        (
            {"type": "ROUTE_TO"},
            "action.route_to_model",
            "exactly one of route_to_model and route_to_tier is required for ROUTE_TO",
        ),
        (
            {"type": "ROUTE_TO", "route_to_model": "m", "route_to_tier": "opus"},
            "action.route_to_model",
            "exactly one of route_to_model and route_to_tier is required for ROUTE_TO",
        ),
        (
            {"type": "ROUTE_TO", "route_to_tier": "large"},
            "action.route_to_tier",
            "must be one of haiku, sonnet, opus",
        ),
        (
            {"type": "REDACT", "redact_replacement": "x" * 257},
            "action.redact_replacement",
            "must be at most 256 characters",
        ),
    ],
)
def test_invalid_actions_are_refused(action: Mapping[str, Any], field: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_rule({}, action)
    assert (field, reason) in caught.value.violations


def test_null_and_empty_fields_are_not_set() -> None:
    conditions, action = read_rule(
        {"user_groups": None, "models": [], "content_regex": "", "intent_complexity": ""},
        {"type": "REDACT", "redact_replacement": None},
    )
    assert not any(conditions)
    assert action.replacement == "[REDACTED]"


def test_overlaps_merge_with_the_replacement_of_the_first_in_order() -> None:
    def at(start: int, end: int, replacement: str, path: str | None = None) -> Redaction:
        return Redaction(replacement, Span(start, end, replacement, path))

    redactions = [
        at(8, 12, "third"),
        at(4, 9, "second"),
        at(0, 5, "first"),
        at(0, 2, "other", "/a"),
        at(12, 13, "fourth"),
        at(20, 20, "empty"),
    ]
    assert merge(redactions) == [
        Redaction("third", Span(0, 12, "third")),
        Redaction("fourth", Span(12, 13, "fourth")),
        Redaction("other", Span(0, 2, "other", "/a")),
    ]


def test_arguments_are_redacted_at_the_json_pointer() -> None:
    arguments = {"a/b": [{"~x": "secret"}, 7, None], "c": "secret"}
    request = Request(text="t", arguments=arguments)
    redacted = redact(request, [Redaction("-", Span(0, 6, "", "/a~1b/0/~0x"))])
    assert redacted.text is None
    assert redacted.arguments == {"a/b": [{"~x": "-"}, 7, None], "c": "secret"}
    assert arguments["c"] == "secret"


def test_a_text_with_too_many_matches_is_redacted_whole() -> None:
    snapshot = snapshot_of(chain_of(rule({"type": "REDACT"}, {"content_regex": "."})))
    some = evaluate(snapshot, Request(text="x" * 1000), "id")
    assert some.redacted_text == "[REDACTED]" * 1000
    many = evaluate(snapshot, Request(text="x" * 1001), "id")
    assert many.redacted_text == "[REDACTED]"
    assert many.obligations[0].spans == (Span(0, 1001),)


def test_a_pattern_with_empty_matches_redacts_the_whole_string() -> None:
    snapshot = snapshot_of(chain_of(rule({"type": "REDACT"}, {"content_regex": r"\b"})))
    assert evaluate(snapshot, Request(text="a b"), "id").redacted_text == "[REDACTED]"


def test_findings_are_redacted_within_the_text() -> None:
    snapshot = snapshot_of(chain_of(rule({"type": "REDACT"}, {"entity_types": ["SSN"]})))
    request = Request(text="abcdef", entities=(Entity("SSN", 1, 3, 99),))
    assert evaluate(snapshot, request, "id").redacted_text == "abc[REDACTED]"


def test_a_rule_without_conditions_redacts_every_string() -> None:
    snapshot = snapshot_of(chain_of(rule({"type": "REDACT"})))
    decision = evaluate(snapshot, Request(text="t", arguments={"a": ["x", ""], "n": 1}), "id")
    assert decision.redacted_text == "[REDACTED]"
    assert decision.redacted_arguments == {"a": ["[REDACTED]", ""], "n": 1}


def test_there_is_no_layer_without_a_rule_in_force() -> None:
    empty = PolicySet({policy_chain.KIND: {policy_chain.ORG_ID: PolicyChain("c")}})
    for policies in (PolicySet(), empty, chain_of()):
        assert CHAIN not in {layer.name for layer in snapshot_of(policies).layers}


def test_a_missing_pack_is_skipped() -> None:
    policies = chain_of(rule(BLOCK))
    chain = PolicyChain("c", packs=(ChainEntry("e", "missing", 0), ChainEntry("f", "p", 1)))
    policies = policies.with_policies(policy_chain.KIND, {policy_chain.ORG_ID: chain})
    assert evaluate(snapshot_of(policies), Request(text="x"), "id").outcome is Outcome.BLOCK


def test_unchanged_chains_are_reused() -> None:
    policies = chain_of(rule(BLOCK, {"content_regex": "x"}))
    first = snapshot_of(policies)
    again = snapshot_of(policies.with_policies("customer_policy", {}), first)
    changed = snapshot_of(policies.with_policies(policy_pack.RULE_KIND, {"r0": rule(BLOCK)}), first)

    def chains(snapshot: Snapshot) -> object:
        (layer,) = (each for each in snapshot.layers if isinstance(each, ChainLayer))
        return layer.chains

    assert chains(again) is chains(first)
    assert chains(changed) is not chains(first)


def lifting(policies: PolicySet, rule_id: str) -> PolicySet:
    """Returns the policies with an exception that lifts a rule for everyone."""
    exception = PolicyException("e", "Pilot", everyone=True, rules=(rule_id,))
    chain_kinds = (policy_pack.KIND, policy_pack.RULE_KIND, policy_chain.KIND)
    return PolicySet(
        {kind: policies.of_kind(kind) for kind in chain_kinds}
        | {policy_exception.KIND: {"e": exception}}
    )


@pytest.mark.parametrize(
    ("lifted", "deciding", "reasons"),
    [
        ("", "r0", {"r0": ""}),
        ("r0", "r2", {"r0": '; excepted by "Pilot"', "r1": "", "r2": ""}),
        ("r1", "r0", {"r0": ""}),
    ],
)
def test_a_dry_run_goes_on_after_a_rule_that_is_lifted(
    lifted: str, deciding: str, reasons: Mapping[str, str]
) -> None:
    policies = chain_of(rule(BLOCK), rule({"type": "REDACT"}, sequence=1), rule(BLOCK, sequence=2))
    policies = lifting(policies, lifted) if lifted else policies
    dry_run = dry_run_chain(snapshot_of(policies), Request(text="hi"))
    plain = "no conditions: every request matches"
    assert dry_run.deciding is not None
    assert dry_run.deciding.chain_rule.rule.id == deciding
    assert {each.chain_rule.rule.id: each.result.reason for each in dry_run.rules} == {
        rule_id: plain + effect for rule_id, effect in reasons.items()
    }
