"""Policy files: what an import makes of a document, and what an export makes of that."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.catalog.compliance import compliance_bundles, user_groups
from pdp.catalog.dlp import dlp_rules
from pdp.domain import (
    compliance_bundle,
    customer_policy,
    dlp_rule,
    limits,
    org_policy,
    policy_chain,
    policy_exception,
    policy_pack,
    static_policy,
    tenant_settings,
    user_group,
)
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.policy_set import PolicySet
from pdp.errors import InvalidArgument
from pdp.policy_files.builder import Author
from pdp.policy_files.change import changes_between, state_after
from pdp.policy_files.differences import differences
from pdp.policy_files.directory import read_directory
from pdp.policy_files.entries import read_entries
from pdp.policy_files.schema import FILE, render
from pdp.policy_files.secrets import STAND_IN, masked, resolve, restore_secrets, with_references
from pdp.policy_files.shape import SECTIONS
from pdp.policy_files.state import KINDS
from pdp.policy_files.target import target_of
from pdp.policy_files.text import format_text, read_text, write_text
from pdp.policy_files.writing import document_of

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.policy_files.state import State

AUTHOR: Final = Author("ann", is_admin=True, may_be_permanent=True)
NOTHING: Final[State] = {kind: {} for kind in KINDS}


def shipped_policies() -> PolicySet:
    """Returns the policies of the platform that files can name, without most of them."""
    bundles = compliance_bundles()
    rules = [*dlp_rules(), *(rule for bundle in bundles for rule in bundle.rules)]
    return PolicySet.of(
        [
            *((dlp_rule.KIND, rule.id, rule) for rule in rules),
            *((compliance_bundle.KIND, each.bundle.id, each.bundle) for each in bundles),
            *((user_group.KIND, group.id, group) for group in user_groups()),
            (
                static_policy.KIND,
                "sys_x",
                static_policy.StaticPolicy("sys_x", "X", "security", "x", "block", system=True),
            ),
            (policy_pack.KIND, "pack-1", policy_pack.PolicyPack("pack-1", "Shipped")),
        ]
    )


SHIPPED: Final = shipped_policies()


def import_into(present: State, document: dict[str, Any], *, replace: bool = False) -> State:
    """Returns the policies after an import."""
    entries = read_entries(resolve(document, STAND_IN))
    target = target_of(entries, present, SHIPPED, AUTHOR, replace=replace)
    return state_after(present, changes_between(present, target.state))


WHOLE: Final[dict[str, Any]] = {
    "tenant_settings": {"unknown_customer": "warn", "require_customer": True},
    "org_policy": {
        "logging_level": "full",
        "frameworks": {"gdpr": False, "soc2": True},
        "blocking_rules": {"enabled": True, "block_on": "high"},
    },
    "static_policies": [
        {
            "name": "A",
            "category": "custom",
            "pattern": "a+",
            "action": "block",
            "scope": ["text"],
            "scope_actions": {"text": "warn"},
            "expression": 'direction = "input"',
            "mode": "monitor",
        },
        {"name": "B", "category": "security", "pattern": "b", "action": "log", "enabled": False},
    ],
    "overrides": [{"policy_id": "sys_x", "action": "warn", "reason": "r", "mode": "monitor"}],
    "dlp": [
        {
            "detector_name": "ticket",
            "detector_type": "regex",
            "entity_type": "TICKET",
            "action_tier": "redact",
            "confidence_threshold": 0.25,
            "config_json": {"pattern": "T-[0-9]+"},
        }
    ],
    "dlp_settings": [
        {"rule": "email", "action_tier": "block"},
        {"rule": "pci_dss/card", "confidence_threshold": 0.5, "scope": ["output"]},
    ],
    "compliance_bundles": [
        {"name": "Ours", "enabled": True, "rule_ids": ["ticket"], "description": "d"}
    ],
    "bundle_settings": [{"bundle": "pci_dss", "name": "Cards", "enabled": True}],
    "user_groups": [
        {
            "name": "Auditors",
            "members": ["ann", "bob"],
            "bundle_ids": ["Ours", "hipaa"],
            "dlp_rules": [{"rule_id": "ticket", "action_tier": "block"}],
        }
    ],
    "limits": [
        {"scope": "user", "subject_id": "ann", "daily_cost_limit_usd": 0.29},
        {"scope": "group", "subject_id": "ann", "requests_per_minute": 0},
    ],
    "packs": [
        {
            "name": "Words",
            "compliance_standard": "S",
            "rules": [
                {"name": "R", "action": {"type": "BLOCK"}, "conditions": {"content_regex": "r"}},
                {"name": "R", "action": {"type": "ALLOW"}, "applies_to": "both"},
                {"sequence": 9, "name": "Q", "action": {"type": "BLOCK"}, "is_active": False},
            ],
        }
    ],
    "pack_settings": [{"pack": "Shipped", "is_active": False}],
    "chain": {"packs": ["Words", {"pack": "Shipped", "sequence": 4}]},
    "user_chains": [
        {"user_id": "ann", "packs": ["Shipped"], "combining_algorithm": "deny_overrides"}
    ],
    "exceptions": [
        {
            "name": "E",
            "reason": "r",
            "ticket": "T-1",
            "owner": "ann",
            "valid_until": "2099-01-01T12:30:00.500000Z",
            "users": ["ann"],
            "policies": ["A", "sys_x"],
            "dlp_rules": ["ticket", "email"],
            "rules": ["Q"],
        }
    ],
    "customer_policies": [{"customer_id": "c", "policies": {"blocked_actions": ["a:b:c"]}}],
}
"""An entry of each section, in the form of an export."""


class TestRoundTrip:
    """A document, imported and exported."""

    def test_the_example_has_every_section(self) -> None:
        """The other two are short forms, which an export does not write."""
        assert SECTIONS.keys() - WHOLE.keys() == {"active_bundles", "upgraded_bundles"}

    @pytest.mark.parametrize("replace", [False, True])
    def test_a_round_trip_changes_nothing(self, replace: bool) -> None:
        state = import_into(NOTHING, WHOLE, replace=replace)
        assert document_of(state, SHIPPED) == WHOLE
        again = read_entries(WHOLE)
        target = target_of(again, state, SHIPPED, AUTHOR, replace=replace)
        assert changes_between(state, target.state) == ()

    def test_a_round_trip_through_text_changes_nothing(self) -> None:
        text = write_text(WHOLE, "acme")
        assert read_text(text.encode()).policies == WHOLE
        assert format_text(text.encode()) == text

    @given(st.permutations([*WHOLE]))
    def test_all_can_be_removed_and_added_again(self, order: list[str]) -> None:
        """The order of sections in a file does not matter: one may name policies of later ones."""
        whole = import_into(NOTHING, WHOLE)
        empty = import_into(whole, {key: [] for key in order}, replace=True)
        assert document_of(empty, SHIPPED) == {}
        again = import_into(empty, {key: WHOLE[key] for key in order})
        assert document_of(again, SHIPPED) == WHOLE
        assert {kind: set(again[kind]) for kind in again} == {
            kind: set(whole[kind]) for kind in whole
        }

    def test_short_forms_of_bundles(self) -> None:
        """They change one setting of a bundle, and enable the tenant's own rules in it."""
        off = [{**WHOLE["dlp"][0], "enabled": False}]
        bundles = [{"name": "Ours", "rule_ids": ["ticket"]}]
        document = {
            "dlp": off,
            "compliance_bundles": bundles,
            "active_bundles": [{"bundle": "Ours"}, {"bundle": "hipaa"}],
        }
        assert document_of(import_into(NOTHING, document), SHIPPED) == {
            "dlp": WHOLE["dlp"],
            "compliance_bundles": [{"name": "Ours", "enabled": True, "rule_ids": ["ticket"]}],
            "bundle_settings": [{"bundle": "hipaa", "enabled": True}],
        }

    def test_packs_of_one_name_are_told_apart_by_id(self) -> None:
        """An export can always be imported, even if the API made two packs of one name."""
        packs = {each: {"id": each, "name": "P", "rule_count": 0} for each in ("p1", "p2")}
        chain = {"id": "c", "packs": [{"id": "e", "pack_id": "p2", "sequence": 0}]}
        state = {**NOTHING, policy_pack.KIND: packs, policy_chain.KIND: {"org": chain}}
        document = document_of(state, SHIPPED)
        assert document == {
            "packs": [{"id": "p1", "name": "P"}, {"id": "p2", "name": "P"}],
            "chain": {"packs": ["p2"]},
        }
        assert document_of(import_into(NOTHING, document), SHIPPED) == document


KIND_OF: Final = {
    "tenant_settings": tenant_settings.KIND,
    "org_policy": org_policy.KIND,
    "static_policies": static_policy.KIND,
    "overrides": static_policy.OVERRIDE_KIND,
    "dlp": dlp_rule.KIND,
    "dlp_settings": dlp_rule.CUSTOMISATION_KIND,
    "compliance_bundles": compliance_bundle.KIND,
    "bundle_settings": compliance_bundle.STATE_KIND,
    "user_groups": user_group.KIND,
    "limits": limits.KIND,
    "packs": policy_pack.KIND,
    "pack_settings": policy_pack.TOGGLE_KIND,
    "chain": policy_chain.KIND,
    "user_chains": policy_chain.KIND,
    "exceptions": policy_exception.KIND,
    "customer_policies": customer_policy.KIND,
}
CONVERTED: Final = {
    "org_policy": {"frameworks", "blocking_rules"},
    "overrides": {"id"},
    "dlp_settings": {"detector_name", "detector_type", "entity_type", "config_json"},
    "compliance_bundles": {"rule_ids"},
    "bundle_settings": {"rule_ids"},
    "limits": {"daily_cost_limit_usd", "monthly_cost_limit_usd"},
    "packs": {"rules"},
    "customer_policies": {"policies"},
}
"""The fields that have another form in the store, or are refused."""


@pytest.mark.parametrize("key", KIND_OF)
def test_every_field_of_a_request_is_kept(key: str) -> None:
    """A new field of a contract is a field of the entity too, so an import does not drop it."""
    section = SECTIONS[key]
    requested = {field.name for field in section.descriptor.fields} - section.omitted
    stored = {field.name for field in fields(ENTITY_CLASSES[KIND_OF[key]])}
    assert requested - stored == CONVERTED.get(key, set())


def test_every_field_of_a_rule_is_kept() -> None:
    draft = SECTIONS["packs"].descriptor.fields_by_name["rules"].message_type
    stored = {field.name for field in fields(policy_pack.PolicyRule)}
    assert {field.name for field in draft.fields} <= stored


def test_the_schema_matches_the_contracts() -> None:
    """`python -m pdp.policy_files.schema` writes the file."""
    assert FILE.read_text(encoding="utf-8") == render()
    assert set(json.loads(render())["properties"]["policies"]["properties"]) == set(SECTIONS)


def test_differences_name_policies_and_fields() -> None:
    before = {"dlp": WHOLE["dlp"], "chain": {"packs": ["A"]}, "limits": WHOLE["limits"][:1]}
    after = {"dlp": [{**WHOLE["dlp"][0], "enabled": False}], "chain": {"packs": ["A", "B"]}}
    assert [(*each[:3], *each.fields) for each in differences(before, after)] == [
        ("changed", "dlp", "ticket", ("enabled", None, False)),
        ("removed", "limits", "user ann"),
        ("changed", "chain", "", ("packs", ["A"], ["A", "B"])),
    ]


class TestSecrets:
    """References in place of the URLs of webhooks."""

    def rule(self, url: str, name: str = "Slack!") -> dict[str, Any]:
        return {"name": name, "notify": {"slack_webhook_url": url}}

    @pytest.mark.parametrize("in_list", [False, True])
    def test_references_are_resolved_only_in_urls(self, in_list: bool) -> None:
        policy: Any = {"logging_level": "${A}", "alert_rules": [self.rule("${A}", "${A}")]}
        resolved = resolve({"org_policy": [policy] if in_list else policy}, {"A": "https://x"}.get)
        found = resolved["org_policy"][0] if in_list else resolved["org_policy"]
        assert found == {
            "logging_level": "${A}",
            "alert_rules": [self.rule("https://x", "${A}")],
        }

    @pytest.mark.parametrize("url", ["${B}", "x${A}", "${A}x", "${}", "${A B}", "$A", "${A}${A}"])
    def test_what_is_no_known_reference_stays(self, url: str) -> None:
        document = {"org_policy": {"alert_rules": [self.rule(url)]}}
        assert resolve(document, {"A": "https://x"}.get) == document

    def test_the_references_of_an_export_stand_for_the_present_values(self) -> None:
        present = [self.rule("https://a"), self.rule("https://b"), self.rule("https://c", "…")]
        exported = with_references(present)
        assert [each["notify"]["slack_webhook_url"] for each in exported] == [
            "${ALERT_SLACK_WEBHOOK}",
            "${ALERT_SLACK_WEBHOOK_2}",
            "${ALERT_WEBHOOK}",
        ]
        document = masked({"org_policy": {"alert_rules": exported}})
        rules = document["org_policy"]["alert_rules"]
        assert restore_secrets(rules, present) == (present, [])
        assert [index for index, _ in restore_secrets(rules, present[:1])[1]] == [1, 2]


class TestDirectories:
    """The policy files of a directory."""

    def write(self, folder: Path, **files: str) -> None:
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text)

    def test_files_are_merged_and_suites_are_skipped(self, tmp_path: Path) -> None:
        self.write(
            tmp_path,
            a="tenant: t\npolicies:\n  limits:\n  - {scope: user, subject_id: a}\n",
            b="policies:\n  chain: {packs: []}\n  limits:\n  - {scope: group, subject_id: a}\n",
            c="suite: S\ncases: []\npolicies: {limits: [{scope: user, subject_id: b}]}\n",
        )
        (tmp_path / ".hidden.yaml").write_text("{")
        checkout = read_directory(tmp_path)
        assert checkout.tenant == "t"
        assert [each["scope"] for each in checkout.policies["limits"]] == ["user", "group"]
        assert checkout.place_of("policies.limits[1].scope") == f"{tmp_path}/b.yaml:4"
        assert checkout.place_of("policies.chain[0].packs") == f"{tmp_path}/b.yaml:2"

    @pytest.mark.parametrize(
        ("one", "other", "message"),
        [
            (
                "policies: {limits: [{scope: user, subject_id: a}]}",
                "policies:\n  limits:\n  - {subject_id: a, scope: user}",
                "{0}/b.yaml:3: limits user a is also in {0}/a.yaml:1",
            ),
            (
                "policies: {org_policy: {}}",
                "policies:\n  org_policy: {}",
                "{0}/b.yaml:2: org_policy is also in {0}/a.yaml:1",
            ),
            (
                "tenant: a\npolicies: {}",
                "tenant: b\npolicies: {}",
                "{0}/b.yaml:1: tenant: is b, but another file has a",
            ),
            ("policies: {}", "{", "{0}/b.yaml: FILE: is not YAML"),
            ("policies: {}", "polices: {}", "{0}/b.yaml: polices: is unknown"),
        ],
    )
    def test_conflicts_are_refused_with_their_places(
        self, tmp_path: Path, one: str, other: str, message: str
    ) -> None:
        self.write(tmp_path, a=one, b=other)
        with pytest.raises(InvalidArgument) as refusal:
            read_directory(tmp_path)
        assert message.format(tmp_path) in refusal.value.message

    def test_a_directory_without_policy_files_is_refused(self, tmp_path: Path) -> None:
        """With --prune, it would delete everything."""
        self.write(tmp_path, c="suite: S\ncases: []\n")
        with pytest.raises(InvalidArgument, match="has no policy files"):
            read_directory(tmp_path)
