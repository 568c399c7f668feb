"""Writes warn of patterns that match nearly everywhere, and their number has a bound."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.admin.customer_policies import CustomerPolicies
from pdp.admin.dlp.import_export import DlpRuleImportExport
from pdp.admin.dlp.rules import DlpRules
from pdp.admin.pages import PageRequest
from pdp.admin.policy_packs.chains import ChainEntryDraft, PolicyChains
from pdp.admin.policy_packs.packs import PolicyPacks
from pdp.admin.policy_packs.rules import PolicyRules, RuleDraft
from pdp.admin.user_groups import UserGroups
from pdp.domain.decision import Outcome
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.policy_chain import FIRST_APPLICABLE
from pdp.domain.policy_pack import PolicyPack
from pdp.domain.static_policy import KIND, StaticPolicy, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.user_group import UserGroup
from pdp.domain.write_warning import MAX_WARNINGS, PATTERN_MATCHES_NEARLY_EVERYTHING
from pdp.engine.broad_patterns import MAX_BROAD_PATTERNS
from pdp.errors import InvalidArgument
from tests.support.nodes import DRAFT, Policies, node, node_class, other

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.admin.workspace import WriteResult
    from pdp.domain.write_warning import WriteWarning

__all__ = ["node", "node_class", "other"]

BROAD: Final = r"[a-z]+"
NARROW: Final = r"\bproject-[a-z]+\b"
LOG: Final = replace(DRAFT, action="log")
RULE: Final = DlpRule("", "Words", "regex", "WORD", "log_only", config_json={"pattern": BROAD})
ALLOW: Final = {"type": "ALLOW"}


def fields(warnings: Sequence[WriteWarning]) -> list[str]:
    return [each.field for each in warnings if each.code == PATTERN_MATCHES_NEARLY_EVERYTHING]


def dlp_document(number: int, pattern: str = BROAD, **members: Any) -> dict[str, Any]:
    return {
        "detector_name": f"Rule {number}",
        "detector_type": "regex",
        "entity_type": "WORD",
        "action_tier": "log_only",
        "config_json": {"pattern": pattern},
        **members,
    }


class TestWarnings:
    async def test_a_broad_pattern_is_stored_with_a_warning(self, node: Policies) -> None:
        written = await node.policies.create("acme", "me", replace(DRAFT, pattern=BROAD))
        assert fields(written.warnings) == ["pattern"]
        assert written.warnings[0].message.startswith("matches nearly everywhere: ")
        assert await node.outcome("hello") is Outcome.BLOCK

    async def test_a_narrow_pattern_has_none(self, node: Policies) -> None:
        written = await node.policies.create("acme", "me", replace(DRAFT, pattern=NARROW))
        assert written.warnings == ()

    async def test_a_pattern_that_matches_the_empty_text(self, node: Policies) -> None:
        written = await node.policies.create("acme", "me", replace(DRAFT, pattern="rival|"))
        assert "the empty text" in written.warnings[0].message

    async def test_every_write_of_the_policy_warns(self, node: Policies) -> None:
        created = await node.policies.create("acme", "me", replace(DRAFT, pattern=BROAD))
        policy_id = created.value.value.id
        for changes in ({"name": "Renamed"}, {"enabled": False}, {"pattern": r"\w+"}):
            changed = await node.policies.update("acme", "me", policy_id, changes, None)
            assert fields(changed.warnings) == ["pattern"]
        narrowed = await node.policies.update("acme", "me", policy_id, {"pattern": NARROW}, None)
        assert narrowed.warnings == ()
        deleted = await node.policies.delete("acme", "me", policy_id)
        assert deleted.warnings == ()

    async def test_dlp_rules(self, node: Policies) -> None:
        rules = DlpRules(node.workspace, {})
        broad = await rules.create("acme", "me", RULE)
        assert fields(broad.warnings) == ["config_json.pattern"]
        narrow = {"pattern": NARROW}
        changed = await rules.update(
            "acme", "me", broad.value.value.rule.id, {"config_json": narrow}
        )
        assert changed.warnings == ()

    async def test_rules_of_packs(self, node: Policies) -> None:
        packs, rules = PolicyPacks(node.workspace), PolicyRules(node.workspace)
        drafts = [
            RuleDraft("narrow", ALLOW, {"content_regex": NARROW}),
            RuleDraft("broad", ALLOW, {"content_regex": BROAD}),
            RuleDraft("broad too", ALLOW, {"content_regex": r"\s"}),
            RuleDraft("without", ALLOW, {}),
        ]
        created = await packs.create("acme", "me", PolicyPack("", "Pack"), drafts)
        paths = [f"rules[{index}].conditions.content_regex" for index in (1, 2)]
        assert fields(created.warnings) == paths
        pack_id = created.value.value.pack.id
        one = await rules.create("acme", "me", pack_id, drafts[1])
        assert fields(one.warnings) == ["conditions.content_regex"]
        order = [(each.id, 9 - each.sequence) for each in await rules.list("acme", pack_id)]
        reordered = await rules.reorder("acme", "me", pack_id, order)
        by_name = {each.name: each.id for each in reordered.value}
        assert f"policies.policy_rule.{by_name['broad']}.conditions.content_regex" in fields(
            reordered.warnings
        )

    async def test_customer_policies(self, node: Policies) -> None:
        policies = CustomerPolicies(node.workspace)

        async def warn(**document: Any) -> list[str]:
            written = await policies.put("acme", "me", "cust", document)
            return fields(written.warnings)

        rules = {
            "matches": r"arguments.q MATCHES '[a-z]+' OR arguments.q MATCHES '\w'",
            "like": "arguments.q LIKE '%'",
            "narrow": f"arguments.q MATCHES '{NARROW}' OR arguments.q LIKE 'project-%'",
            "none": "risk.score > 5",
        }
        document = {name: {"condition": text, "score_impact": 1} for name, text in rules.items()}
        expected = ["custom_rules.like.condition", "custom_rules.matches.condition"]
        assert await warn(custom_rules=document) == expected
        assert await warn(blocked_action_patterns=["a:*:*", "*:*:*"]) == [
            "blocked_action_patterns[1]"
        ]
        assert await warn(allowed_action_patterns=["*:*:*"]) == ["allowed_action_patterns[0]"]
        assert await warn(allowed_action_patterns=["*:*:read"]) == []

    async def test_an_import_names_the_rule_in_the_list(self, node: Policies) -> None:
        documents = [
            dlp_document(0, NARROW),
            dlp_document(1, "("),
            dlp_document(2, warnings=[{"field": "x"}]),
            dlp_document(0),
        ]
        transfer = DlpRuleImportExport(node.workspace, {})
        imported = await transfer.import_rules("acme", "me", documents, "rename")
        assert fields(imported.warnings) == [
            "rules[2].config_json.pattern",
            "rules[3].config_json.pattern",
        ]
        assert [each.detector_name for each in imported.value.errors] == ["Rule 1"]

    @pytest.mark.parametrize("extra", [-1, 0, 1])
    async def test_the_number_of_warnings_has_a_bound(self, node: Policies, extra: int) -> None:
        count = MAX_WARNINGS + extra
        documents = [dlp_document(number, enabled=False) for number in range(count)]
        transfer = DlpRuleImportExport(node.workspace, {})
        imported = await transfer.import_rules("acme", "me", documents, "skip")
        assert imported.value.created == count
        assert len(imported.warnings) == min(count, MAX_WARNINGS)


async def import_broad(node: Policies, count: int, first: int = 0) -> WriteResult[Any]:
    documents = [dlp_document(number) for number in range(first, first + count)]
    transfer = DlpRuleImportExport(node.workspace, {})
    return await transfer.import_rules("acme", "me", documents, "skip")


class TestBound:
    async def test_the_bound_can_be_reached_and_not_passed(self, node: Policies) -> None:
        await import_broad(node, MAX_BROAD_PATTERNS - 1)
        last = await node.policies.create("acme", "me", replace(LOG, pattern=BROAD))
        assert fields(last.warnings) == ["pattern"]
        with pytest.raises(InvalidArgument, match="at most 100 patterns") as refused:
            await node.policies.create("acme", "me", replace(LOG, name="More", pattern=BROAD))
        [violation] = refused.value.violations
        assert violation.field == "pattern"
        assert "narrow the pattern, or disable another one first" in violation.reason
        narrow = replace(LOG, name="More", pattern=NARROW)
        assert (await node.policies.create("acme", "me", narrow)).warnings == ()
        other_tenant = await node.policies.create("other", "me", replace(LOG, pattern=BROAD))
        assert fields(other_tenant.warnings) == ["pattern"]

    async def test_an_import_names_the_first_rule_beyond_the_bound(self, node: Policies) -> None:
        await import_broad(node, 60)
        with pytest.raises(InvalidArgument) as refused:
            await import_broad(node, 60, first=60)
        assert refused.value.violations[0].field == "rules[40].config_json.pattern"
        assert (await import_broad(node, 40, first=60)).value.created == 40

    async def test_a_policy_that_is_disabled_does_not_count(self, node: Policies) -> None:
        await import_broad(node, MAX_BROAD_PATTERNS)
        disabled = replace(LOG, pattern=BROAD, enabled=False)
        created = await node.policies.create("acme", "me", disabled)
        policy_id = created.value.value.id
        with pytest.raises(InvalidArgument, match="at most 100 patterns"):
            await node.policies.update("acme", "me", policy_id, {"enabled": True}, None)
        rules = DlpRules(node.workspace, {})
        page = await rules.list("acme", PageRequest(1), enabled=True, detector_type="")
        first = page.items[0].rule
        await rules.update("acme", "me", first.id, {"enabled": False})
        await node.policies.update("acme", "me", policy_id, {"enabled": True}, None)
        with pytest.raises(InvalidArgument, match="at most 100 patterns"):
            await rules.update("acme", "me", first.id, {"enabled": True})

    async def test_a_group_cannot_put_more_in_force(self, node: Policies) -> None:
        await import_broad(node, MAX_BROAD_PATTERNS)
        rules = DlpRules(node.workspace, {})
        extra = await rules.create("acme", "me", replace(RULE, detector_name="x", enabled=False))
        change = {"rule_id": extra.value.value.rule.id, "enabled": True}
        group = UserGroup("", "Staff", dlp_rules=[{**change, "action_tier": "block"}])
        with pytest.raises(InvalidArgument, match="at most 100 patterns") as refused:
            await UserGroups(node.workspace).create("acme", "me", group)
        assert refused.value.violations[0].field == "policies"

    async def test_a_chain_cannot_put_more_in_force(self, node: Policies) -> None:
        await import_broad(node, MAX_BROAD_PATTERNS)
        draft = RuleDraft("broad", ALLOW, {"content_regex": BROAD})
        packs, chains = PolicyPacks(node.workspace), PolicyChains(node.workspace)
        pack = (await packs.create("acme", "me", PolicyPack("", "Pack"), [draft])).value.value
        with pytest.raises(InvalidArgument, match="at most 100 patterns"):
            await chains.replace("acme", "me", [ChainEntryDraft(pack.pack.id)], FIRST_APPLICABLE)
        await packs.update("acme", "me", pack.pack.id, {"is_active": False})
        await chains.replace("acme", "me", [ChainEntryDraft(pack.pack.id)], FIRST_APPLICABLE)
        with pytest.raises(InvalidArgument, match="at most 100 patterns"):
            await packs.update("acme", "me", pack.pack.id, {"is_active": True})

    async def test_conditions_of_customers_do_not_count(self, node: Policies) -> None:
        """A condition ends at its first match, so a broad pattern in it costs little."""
        await import_broad(node, MAX_BROAD_PATTERNS)
        rules = {"r": {"condition": "arguments.q MATCHES '[a-z]+'", "score_impact": 1}}
        written = await CustomerPolicies(node.workspace).put(
            "acme", "me", "cust", {"custom_rules": rules}
        )
        assert fields(written.warnings) == ["custom_rules.r.condition"]


def store_broad(node: Policies, count: int) -> list[str]:
    """Stores policies with broad patterns, as a release without the bound did."""
    ids = [f"pol_{number}" for number in range(count)]
    with node.store.write() as transaction:
        for policy_id in ids:
            policy = StaticPolicy(policy_id, policy_id, "custom", BROAD, "block")
            entity = StoredEntity(KIND, "acme", policy_id, body_of(policy), name=policy_id)
            transaction.put(entity, actor="me", summary="")
    return ids


class TestStoredPolicies:
    async def test_more_than_the_bound_stay_in_force(self, node: Policies) -> None:
        store_broad(node, MAX_BROAD_PATTERNS + 5)
        await node.workspace.catch_up()
        assert await node.outcome("hello") is Outcome.BLOCK

    @pytest.mark.parametrize("loaded", [False, True])
    async def test_they_can_be_changed_but_not_added_to(
        self, node: Policies, *, loaded: bool
    ) -> None:
        first, second, *_ = store_broad(node, MAX_BROAD_PATTERNS + 5)
        if loaded:
            await node.workspace.load("acme")
        changed = await node.policies.update("acme", "me", first, {"name": "Renamed"}, None)
        assert fields(changed.warnings) == ["pattern"]
        await node.policies.update("acme", "me", first, {"pattern": r"\w+"}, None)
        await node.policies.create("acme", "me", replace(LOG, pattern=NARROW))
        with pytest.raises(InvalidArgument, match="this would be number 106"):
            await node.policies.create("acme", "me", replace(LOG, name="x", pattern=BROAD))
        await node.policies.update("acme", "me", first, {"pattern": NARROW}, None)
        await node.policies.delete("acme", "me", second)
        assert await node.outcome("hello") is Outcome.BLOCK
