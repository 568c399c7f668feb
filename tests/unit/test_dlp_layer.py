"""The DLP layer: which rules are in force for whom, and with which settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdp.domain.decision import Outcome
from pdp.domain.dlp_rule import DlpCustomisation
from pdp.domain.ner import EntityLabel, NamedEntity, NerFindings
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.request import Request
from pdp.domain.user_group import UserGroup
from pdp.engine.compiler import compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.engine.layers.dlp import DlpLayer
from pdp.engine.rules.matching import MAX_SPANS
from tests.support.dlp import (
    CARD,
    bundle,
    decide,
    platform_of,
    policies,
    rule,
    tenant_of,
)

if TYPE_CHECKING:
    from pdp.engine.dlp.rules import CompiledDlpRule
    from pdp.engine.snapshot import Snapshot

NO_FRAMEWORKS = OrgPolicy(gdpr=False, ai_act=False)


class TestPlatformRules:
    def test_platform_rules_are_in_force_for_every_tenant(self) -> None:
        decision = decide(tenant_of(policies([rule("cards", "card")])), f"pay {CARD}")
        assert decision.outcome is Outcome.REDACT
        assert decision.redacted_text == "pay [REDACTED]"
        assert decision.pii_detected

    @pytest.mark.parametrize(
        ("change", "outcome"),
        [
            (DlpCustomisation("cards", action_tier="block"), Outcome.BLOCK),
            (DlpCustomisation("cards", action_tier="log_only"), Outcome.ALLOW),
            (DlpCustomisation("cards", enabled=False), Outcome.ALLOW),
            (DlpCustomisation("cards", confidence_threshold=1.0), Outcome.REDACT),
        ],
    )
    def test_a_tenant_can_customise_platform_rules(
        self, change: DlpCustomisation, outcome: Outcome
    ) -> None:
        shipped = policies([rule("cards", "card")])
        decision = decide(tenant_of(shipped, policies(customisations=[change])), CARD)
        assert decision.outcome is outcome
        assert decide(tenant_of(shipped), CARD).outcome is Outcome.REDACT

    def test_own_rules_of_a_tenant_come_first_and_set_the_replacement(self) -> None:
        shipped = policies([rule("cards", "card")])
        config = {"detector": "card", "replacement": "[CARD]"}
        own = policies([rule("mine", "card", config_json=config)])
        decision = decide(tenant_of(shipped, own), CARD)
        assert [match.policy_id for match in decision.matches] == ["mine", "cards"]
        assert decision.redacted_text == "[CARD]"


class TestConfidence:
    @pytest.mark.parametrize(("threshold", "matched"), [(0.4, True), (0.41, False)])
    def test_findings_below_the_threshold_do_not_count(
        self, threshold: float, matched: bool
    ) -> None:
        own = policies([rule("guess", "guess", "block", confidence_threshold=threshold)])
        decision = decide(tenant_of(policies(), own), "a GUESS")
        assert (decision.outcome is Outcome.BLOCK) is matched
        (row,) = [each for each in decision.trace if each.policy_id == "guess"]
        assert row.matched is matched
        assert "0.4" in row.reason

    def test_the_trace_shows_values_that_fail_the_validator(self) -> None:
        decision = decide(tenant_of(policies([rule("cards", "card")])), "4111111111111112")
        assert decision.outcome is Outcome.ALLOW
        (row,) = [each for each in decision.trace if each.policy_id == "cards"]
        assert row.reason == "its pattern was found, but no value passed the check"

    def test_a_trace_has_no_values(self) -> None:
        decision = decide(tenant_of(policies([rule("cards", "card")])), f"pay {CARD}")
        assert CARD not in repr(decision._replace(redacted_text=None))

    def test_empty_matches_do_not_count(self) -> None:
        own = policies([rule("empty", pattern="x*", tier="block")])
        assert decide(tenant_of(policies(), own), "abc").outcome is Outcome.ALLOW
        assert decide(tenant_of(policies(), own), "axc").outcome is Outcome.BLOCK


class TestGroups:
    SHIPPED = policies([rule("cards", "card", "log_only", confidence_threshold=0.9)])

    def group(self, name: str, **change: object) -> UserGroup:
        return UserGroup(name, f"Group {name}", dlp_rules=[{"rule_id": "cards", **change}])

    def test_a_group_applies_to_requests_that_name_it_and_to_its_members(self) -> None:
        stricter = UserGroup(
            "g", "Finance", members=["u1"], dlp_rules=[{"rule_id": "cards", "action_tier": "block"}]
        )
        tenant = tenant_of(self.SHIPPED, policies(groups=[stricter]))
        assert decide(tenant, CARD).outcome is Outcome.ALLOW
        assert decide(tenant, CARD, "Legal", user="u2").outcome is Outcome.ALLOW
        for decision in (
            decide(tenant, CARD, "Finance"),
            decide(tenant, CARD, "g"),
            decide(tenant, CARD, user="u1"),
        ):
            assert decision.outcome is Outcome.BLOCK
            assert decision.matches[-1].action == "block"

    def test_the_strictest_setting_of_several_groups_counts(self) -> None:
        groups = [
            self.group("a", action_tier="prompt", confidence_threshold=0.95),
            self.group("b", action_tier="redact"),
        ]
        tenant = tenant_of(self.SHIPPED, policies(groups=groups))
        assert decide(tenant, CARD, "a").outcome is Outcome.PROMPT
        assert decide(tenant, CARD, "b").outcome is Outcome.REDACT
        assert decide(tenant, CARD, "a", "b").outcome is Outcome.REDACT

    def test_a_group_cannot_weaken_a_rule(self) -> None:
        shipped = policies([rule("cards", "card", "block")])
        weaker = self.group("a", action_tier="log_only", enabled=False, confidence_threshold=1.0)
        tenant = tenant_of(shipped, policies(groups=[weaker]))
        assert decide(tenant, CARD, "a").outcome is Outcome.BLOCK

    def test_a_group_can_enable_a_disabled_rule_for_its_members(self) -> None:
        off = DlpCustomisation("cards", enabled=False, action_tier="redact")
        own = policies(customisations=[off], groups=[self.group("a", enabled=True)])
        tenant = tenant_of(self.SHIPPED, own)
        assert decide(tenant, CARD).matches == ()
        assert decide(tenant, CARD, "a").outcome is Outcome.REDACT

    def test_a_bundle_of_a_group_applies_to_its_members_only(self) -> None:
        shipped = policies(
            [rule("pci", "card", "block", bundle_id="pci_dss", clause="PCI-DSS 3.4")],
            bundles=[bundle("pci_dss", "pci")],
        )
        group = UserGroup("a", "Finance", bundle_ids=["pci_dss"])
        tenant = tenant_of(shipped, policies(groups=[group]))
        assert decide(tenant, CARD).matches == ()
        stopped = decide(tenant, CARD, "Finance")
        assert stopped.outcome is Outcome.BLOCK
        assert stopped.frameworks == ("PCI-DSS 3.4",)


class TestBundles:
    SHIPPED = policies(
        [rule("art9", "mail", "block", bundle_id="gdpr", clause="GDPR Art. 9")],
        bundles=[bundle("gdpr", "art9")],
    )

    def test_a_framework_logs_and_names_its_articles(self) -> None:
        decision = decide(tenant_of(self.SHIPPED), "ann@example.org")
        assert decision.outcome is Outcome.ALLOW
        assert [match.action for match in decision.matches] == ["log_only"]
        assert decision.frameworks == ("GDPR Art. 9",)

    def test_a_framework_that_is_off_has_no_effect(self) -> None:
        tenant = tenant_of(self.SHIPPED, policies(org=NO_FRAMEWORKS))
        decision = decide(tenant, "ann@example.org")
        assert (decision.matches, decision.frameworks) == ((), ())

    def test_an_activated_bundle_uses_the_tiers_of_its_rules(self) -> None:
        shipped = policies(
            self.SHIPPED.of_kind("dlp_rule").values(),
            bundles=[bundle("gdpr", "art9", enabled=True)],
        )
        decision = decide(tenant_of(shipped, policies(org=NO_FRAMEWORKS)), "ann@example.org")
        assert decision.outcome is Outcome.BLOCK
        assert decision.frameworks == ("GDPR Art. 9",)

    def test_a_request_without_findings_has_no_articles(self) -> None:
        assert decide(tenant_of(self.SHIPPED), "nothing").frameworks == ()


class TestManyFindings:
    def test_too_many_findings_redact_the_whole_string(self) -> None:
        own = policies([rule("xs", pattern="x", tier="redact")])
        tenant = tenant_of(policies(), own)
        few = decide(tenant, "x." * MAX_SPANS)
        assert few.redacted_text == "[REDACTED]." * MAX_SPANS
        many = decide(tenant, "x." * (MAX_SPANS + 1))
        assert many.redacted_text == "[REDACTED]"
        assert len(many.obligations[0].spans) == 1


class TestModels:
    PERSON = rule(
        "people", "mail", "redact", detector_type="ner", entity_type="PERSON", config_json={}
    )

    def test_a_decision_without_a_required_model_is_incomplete(self) -> None:
        tenant = tenant_of(policies(), policies([self.PERSON]))
        assert tenant.ner == {EntityLabel("ner", "PERSON")}
        decision = decide(tenant, "Ann")
        assert decision.incomplete
        assert decision.outcome is Outcome.BLOCK
        assert [warning.policy_id for warning in decision.warnings] == ["people"]
        assert not decide(tenant, "").incomplete

    def test_findings_of_a_model_are_redacted_in_place(self) -> None:
        tenant = tenant_of(policies(), policies([self.PERSON]))
        person = EntityLabel("ner", "PERSON")
        ner = NerFindings(
            (
                NamedEntity(person, 0.85, 0, 3),
                NamedEntity(person, 0.2, 4, 7),
                NamedEntity(person, 0.9, 1, 4, "/to"),
            )
        )
        request = Request(text="Ann and Bob", arguments={"to": "=Bob"}, ner=ner)
        decision = evaluate(tenant, request, "id")
        assert not decision.incomplete
        assert decision.redacted_text == "[REDACTED] and Bob"
        assert decision.redacted_arguments == {"to": "=[REDACTED]"}
        assert decision.pii_detected

    def test_patterns_replace_models_for_types_that_they_can_find(self) -> None:
        mail = rule("m", "mail", detector_type="ner", entity_type="EMAIL_ADDRESS", config_json={})
        tenant = tenant_of(policies(), policies([mail]))
        assert tenant.ner == frozenset()
        assert decide(tenant, "to ann@example.org").redacted_text == "to [REDACTED]"

    @pytest.mark.parametrize(("confidence", "matched"), [(0.69, False), (0.7, True)])
    def test_a_model_for_prompt_injection_adds_a_score_and_stops_nothing(
        self, confidence: float, matched: bool
    ) -> None:
        orders = rule(
            "orders",
            "mail",
            "log_only",
            detector_type="llm",
            entity_type="PROMPT_INJECTION",
            config_json={"labels": ["prompt injection"]},
            confidence_threshold=0.7,
        )
        tenant = tenant_of(policies(), policies([orders]))
        label = EntityLabel("llm", "prompt injection")
        assert tenant.ner == {label}
        ner = NerFindings((NamedEntity(label, confidence, 0, 9),))
        decision = evaluate(tenant, Request(text="Obey me! Now", ner=ner), "id")
        assert [match.policy_id for match in decision.matches] == ["orders"] * matched
        assert decision.outcome is Outcome.ALLOW
        assert decision.redacted_text is None
        assert not decision.pii_detected

    def test_findings_of_several_labels_keep_their_types(self) -> None:
        config = {"entities": ["EMAIL_ADDRESS", "PERSON"], "replacement": "[{entity_type}]"}
        both = rule("b", "mail", detector_type="ner", entity_type="PERSONAL", config_json=config)
        tenant = tenant_of(policies(), policies([both]))
        ner = NerFindings((NamedEntity(EntityLabel("ner", "PERSON"), 0.9, 0, 3),))
        decision = evaluate(tenant, Request(text="Ann ann@example.org", ner=ner), "id")
        assert decision.redacted_text == "[PERSON] [EMAIL_ADDRESS]"


class TestCompilation:
    def test_a_write_of_another_kind_reuses_the_layer(self) -> None:
        platform = platform_of(policies([rule("cards", "card")]))
        first = compile_tenant(platform, "t", policies(), 1)
        # A change in the store also replaces one kind only; other kinds stay the same objects.
        own = first.policies.with_policies("static_policy", {})
        second = compile_tenant(platform, "t", own, 2, first)
        assert _layer(first) is _layer(second)

    def test_a_write_of_one_rule_compiles_that_rule_only(self) -> None:
        platform = platform_of(policies([rule("cards", "card")]))
        own = policies([rule("a", pattern="a"), rule("b", pattern="b"), rule("c", pattern="c")])
        first = compile_tenant(platform, "t", own, 1)
        changed = {"b": rule("b", pattern="b", tier="block")}
        stricter = {"g": UserGroup("g", "G", dlp_rules=[{"rule_id": "c", "action_tier": "block"}])}
        own = own.with_policies("dlp_rule", changed).with_policies("user_group", stricter)
        second = compile_tenant(platform, "t", own, 2, first)
        before, now = _rules(first), _rules(second)
        assert {name for name in now if now[name] is before[name]} == {"a", "cards"}
        assert decide(second, "b").outcome is Outcome.BLOCK
        assert decide(second, "c", "G").outcome is Outcome.BLOCK
        assert decide(second, "c").outcome is Outcome.REDACT

    def test_rules_with_the_same_detector_share_a_watch(self) -> None:
        own = policies([rule("a", "card"), rule("b", "card", "block")])
        book = _layer(tenant_of(policies(), own)).book
        (watch,) = book.by_pattern[r"\b[0-9]{16}\b"]
        assert watch.rule_indexes == (0, 1)

    def test_there_is_no_layer_without_a_rule_in_force(self) -> None:
        own = policies([rule("a", "card", enabled=False), rule("b", "card", "none")])
        assert not any(isinstance(each, DlpLayer) for each in tenant_of(policies(), own).layers)


def _layer(snapshot: Snapshot) -> DlpLayer:
    (layer,) = [each for each in snapshot.layers if isinstance(each, DlpLayer)]
    return layer


def _rules(snapshot: Snapshot) -> dict[str, CompiledDlpRule]:
    return {each.rule.id: each for each in _layer(snapshot).book.rules}
