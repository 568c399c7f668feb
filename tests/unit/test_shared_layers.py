"""Tenants share the layers of the platform, and decide as if each had compiled its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain import dlp_rule, org_policy, static_policy, tenant_settings
from pdp.domain.dlp_rule import DlpCustomisation, DlpRule
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Entity, Request
from pdp.domain.static_policy import StaticOverride, StaticPolicy
from pdp.domain.tenant_settings import TenantSettings
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.engine.layers.dlp import DlpLayer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.decision import Decision
    from pdp.engine.snapshot import Platform

WORDS: Final = ("alpha", "beta", "gamma")
IDS: Final = ("one", "two", "three", "four")


def _dlp(rule_id: str, tier: str, config: Mapping[str, object], entity_type: str) -> DlpRule:
    return DlpRule(rule_id, rule_id, dlp_rule.REGEX, entity_type, tier, config_json=dict(config))


SYSTEM: Final = PolicySet(
    {
        static_policy.KIND: {
            each.id: each
            for each in (
                StaticPolicy("one", "One", "sql", "alpha", "block"),
                StaticPolicy("two", "Two", "sql", "alpha", "warn"),
                StaticPolicy("three", "Three", "sql", "beta", "log"),
                StaticPolicy("four", "Four", "sql", "beta", "block", enabled=False),
            )
        },
        dlp_rule.KIND: {
            "email": _dlp("email", "redact", {"detector": "email"}, "EMAIL"),
            "iban": _dlp("iban", "none", {"detector": "iban"}, "IBAN"),
        },
    }
)
PLATFORM: Final = compile_platform(SYSTEM, VALIDATORS, detectors=catalog.detectors())
EMAIL: Final = catalog.detectors()["email"]
UNSHARED: Final = replace(PLATFORM, layers=())

_actions: Final = st.sampled_from(("block", "warn", "log"))
_static: Final = st.builds(
    StaticPolicy,
    st.sampled_from((*IDS, "five", "six")),
    st.just("Own"),
    st.just("custom"),
    st.sampled_from(WORDS),
    _actions,
    enabled=st.booleans(),
)
_overrides: Final = st.builds(StaticOverride, st.sampled_from((*IDS, "gone")), _actions)
_tiers: Final = st.sampled_from(dlp_rule.ACTION_TIERS)
_rules: Final = st.builds(
    DlpRule,
    st.sampled_from(("own1", "own2", "own3", "email")),
    st.just("Own"),
    st.just(dlp_rule.REGEX),
    st.sampled_from(("EMPLOYEE", "EMAIL", "IBAN")),
    _tiers,
    st.booleans(),
    config_json=st.sampled_from(
        ({"pattern": "alpha"}, {"pattern": "x@y"}, {"pattern": EMAIL.patterns[0]})
    ),
)
_model_rules: Final = st.builds(
    DlpRule,
    st.sampled_from(("own1", "own4")),
    st.just("Own"),
    st.just(dlp_rule.NER),
    st.sampled_from(("PERSON", "EMAIL")),
    _tiers,
    config_json=st.sampled_from(({"entities": ["EMAIL"]}, {"entities": ["PERSON", "IBAN"]})),
)
_customised: Final = st.builds(
    DlpCustomisation,
    st.sampled_from(("email", "iban")),
    st.sampled_from((True, False, None)),
    st.one_of(st.none(), _tiers),
)


@st.composite
def _policy_sets(draw: st.DrawFn) -> PolicySet:
    static = draw(st.lists(_static, max_size=3))
    overrides = draw(st.lists(_overrides, max_size=2))
    rules = draw(st.lists(st.one_of(_rules, _model_rules), max_size=3))
    customised = draw(st.lists(_customised, max_size=1))
    return PolicySet(
        {
            static_policy.KIND: {each.id: each for each in static},
            static_policy.OVERRIDE_KIND: {each.policy_id: each for each in overrides},
            dlp_rule.KIND: {each.id: each for each in rules},
            dlp_rule.CUSTOMISATION_KIND: {each.rule_id: each for each in customised},
        }
    )


_texts: Final = st.lists(
    st.sampled_from((*WORDS, "x@y", "ann@example.com", "DE89370400440532013000")), max_size=4
).map(" ".join)
_entities: Final = st.lists(
    st.sampled_from(("EMPLOYEE", "EMAIL", "IBAN")).map(lambda name: Entity(name, 0.9, 0, 3)),
    max_size=2,
)


def comparable(decision: Decision) -> Decision:
    """Returns what callers see of a decision, with faults that compare equal."""
    faults: Any = tuple(map(repr, decision.faults))
    return decision._replace(layers=(), faults=faults, scan=None, unmatched=None)


def decide(platform: Platform, own: PolicySet, request: Request) -> Decision:
    return comparable(evaluate(compile_tenant(platform, "acme", own, 1), request, "id"))


@settings(max_examples=120, deadline=None)
@given(_policy_sets(), _texts, _entities, st.booleans())
def test_sharing_changes_no_decision(
    own: PolicySet, text: str, entities: list[Entity], explain: bool
) -> None:
    request = Request(text=text, entities=tuple(entities), explain=explain)
    assert decide(PLATFORM, own, request) == decide(UNSHARED, own, request)


@settings(max_examples=60, deadline=None)
@given(_policy_sets(), _policy_sets(), _texts)
def test_a_change_gives_the_same_decisions_as_a_new_compilation(
    before: PolicySet, after: PolicySet, text: str
) -> None:
    previous = compile_tenant(PLATFORM, "acme", before, 1)
    changed = compile_tenant(PLATFORM, "acme", after, 1, previous)
    request = Request(text=text, explain=True)
    assert comparable(evaluate(changed, request, "id")) == decide(UNSHARED, after, request)


def test_a_tenant_without_policies_has_the_layers_of_the_platform() -> None:
    snapshot = compile_tenant(PLATFORM, "acme", PolicySet(), 1)
    assert [id(each) for each in snapshot.layers] == [id(each) for each in PLATFORM.layers]
    assert snapshot.pattern_sets == (PLATFORM.patterns,)


def test_a_tenant_compiles_only_the_layers_that_its_policies_change() -> None:
    policy = StaticPolicy("five", "Five", "custom", "delta", "block")
    own = PolicySet(
        {
            static_policy.KIND: {"five": policy},
            org_policy.KIND: {org_policy.ID: OrgPolicy()},
            tenant_settings.KIND: {tenant_settings.ID: TenantSettings(unknown_model="block")},
        }
    )
    snapshot = compile_tenant(PLATFORM, "acme", own, 1)
    shared = {id(each) for each in PLATFORM.layers}
    assert [each.name for each in snapshot.layers if id(each) not in shared] == ["static"]
    assert list(snapshot.patterns.compiled) == ["delta"]
    (static,) = [each for each in snapshot.layers if each.name == "static"]
    assert list(static.patterns) == ["delta"]


def test_a_dlp_rule_of_a_tenant_extends_those_of_the_platform() -> None:
    own = PolicySet({dlp_rule.KIND: {"own": _dlp("own", "block", {"pattern": "delta"}, "X")}})
    (shared,) = [each for each in PLATFORM.layers if isinstance(each, DlpLayer)]
    for previous in (None, compile_tenant(PLATFORM, "acme", PolicySet(), 1)):
        snapshot = compile_tenant(PLATFORM, "acme", own, 1, previous)
        (layer,) = [each for each in snapshot.layers if isinstance(each, DlpLayer)]
        assert list(layer.patterns) == ["delta"]
        assert layer.book.rules[:-1] == shared.book.rules
        assert list(layer.book.by_pattern) == ["delta", *shared.book.by_pattern]
        assert len(layer.book.by_pattern) == 1 + len(shared.book.by_pattern)
        assert snapshot.own_bytes < 15_000


def test_a_tenant_that_loses_its_policies_shares_again() -> None:
    policy = StaticPolicy("five", "Five", "custom", "delta", "block")
    own = PolicySet().with_changes([(static_policy.KIND, "five", policy)])
    previous = compile_tenant(PLATFORM, "acme", own, 1)
    none = own.with_changes([(static_policy.KIND, "five", None)])
    snapshot = compile_tenant(PLATFORM, "acme", none, 2, previous)
    assert [id(each) for each in snapshot.layers] == [id(each) for each in PLATFORM.layers]
    assert not snapshot.patterns.shards


def test_the_own_memory_grows_with_the_own_policies_only() -> None:
    def own_bytes(count: int) -> int:
        own = {
            f"p{number}": StaticPolicy(f"p{number}", "P", "custom", f"word{number}", "block")
            for number in range(count)
        }
        return compile_tenant(PLATFORM, "t", PolicySet({static_policy.KIND: own}), 1).own_bytes

    assert own_bytes(0) < 3_000
    first, tenth = own_bytes(1), own_bytes(10)
    assert 3_000 < first < 20_000
    assert 5 < (tenth - own_bytes(0)) / (first - own_bytes(0)) < 11


def test_the_memory_of_changed_policies_is_that_of_new_ones() -> None:
    policies = [
        StaticPolicy(f"p{number}", "P", "custom", "x" * number, "log") for number in range(1, 5)
    ]
    grown = PolicySet()
    assert grown.size == 0
    for each in policies:
        grown = grown.with_changes([(static_policy.KIND, each.id, each)])
    longer = replace(policies[0], pattern="y" * 2_000)
    changed = grown.with_changes(
        [(static_policy.KIND, "p1", longer), (static_policy.KIND, "p2", None)]
    )
    assert changed.size == PolicySet({static_policy.KIND: changed.of_kind(static_policy.KIND)}).size
    assert changed.size > grown.size
