"""Use cases of bundles and groups that HTTP tests do not reach: bounds and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pdp.admin import user_groups
from pdp.admin.compliance import bundles, changes
from pdp.admin.compliance.bundles import ComplianceBundles
from pdp.admin.dlp.rules import DlpRules
from pdp.admin.pages import PageRequest
from pdp.admin.user_groups import UserGroups
from pdp.admin.workspace import Workspace
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.catalog import detectors
from pdp.catalog.compliance import bundle_id, bundle_rule_id
from pdp.domain import compliance_bundle, dlp_rule, user_group
from pdp.domain.compliance_bundle import ComplianceBundle
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.user_group import UserGroup
from pdp.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.admin.compliance.versions import BundleVersion

PCI = bundle_id("pci_dss")
DRAFT = ComplianceBundle("", "Ours", "INTERNAL")
GROUP = UserGroup("", "Clerks")


class Node:
    """A store and its use cases."""

    def __init__(self, path: Path) -> None:
        self.store = open_policies(f"sqlite:///{path}/pdp.db")
        self.workspace = Workspace(self.store, create_publisher(self.store, DEFAULT_RISK_TABLE))
        self.bundles = ComplianceBundles(self.workspace)
        self.groups = UserGroups(self.workspace)
        self.rules = DlpRules(self.workspace, detectors())

    async def rule(self, name: str = "Code") -> str:
        """Creates a rule of the tenant; returns its id."""
        draft = DlpRule("", name, "regex", "CODE", "redact", config_json={"pattern": "CODE"})
        result = await self.rules.create("acme", "me", draft)
        return result.value.value.rule.id

    async def revision(self) -> int:
        return await self.workspace.read(lambda reader: reader.revision())

    async def count(self, kind: str) -> int:
        return await self.workspace.read(lambda reader: reader.count(kind, "acme"))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.workspace.close()
    node.store.close()


async def test_the_number_of_bundles_is_bounded(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "MAX_BUNDLES", 1)
    await node.bundles.create("acme", "me", DRAFT)
    with pytest.raises(InvalidArgument, match="at most 1 compliance bundles"):
        await node.bundles.create("acme", "me", ComplianceBundle("", "More", "X"))
    assert await node.count(compliance_bundle.KIND) == 1


async def test_the_number_of_own_rules_in_a_bundle_is_bounded(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_RULES", 1)
    rules = [await node.rule("One"), await node.rule("Two")]
    defined = [bundle_rule_id("pci_dss", "card"), bundle_rule_id("pci_dss", "track")]
    await node.bundles.update("acme", "me", PCI, {}, rule_ids=[*defined, rules[0], rules[0]])
    with pytest.raises(InvalidArgument, match="rule_ids: must have at most 1 items"):
        await node.bundles.update("acme", "me", PCI, {}, rule_ids=rules)


async def test_the_number_of_groups_is_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_groups, "MAX_GROUPS", 4)
    await node.groups.create("acme", "me", GROUP)  # beside the three groups of the platform
    with pytest.raises(InvalidArgument, match="at most 4 user groups"):
        await node.groups.create("acme", "me", UserGroup("", "More"))


@pytest.mark.parametrize("name", ["members", "bundle_ids", "dlp_rules"])
async def test_the_lists_of_a_group_are_bounded(
    node: Node, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(user_groups, "MAX_LENGTHS", {name: 1})
    values: dict[str, list[Any]] = {
        "members": ["u1", "u2"],
        "bundle_ids": [PCI, bundle_id("sox")],
        "dlp_rules": [
            {"rule_id": bundle_rule_id("pci_dss", key), "enabled": True}
            for key in ("card", "track")
        ],
    }
    group = (await node.groups.create("acme", "me", GROUP)).value.value
    await node.groups.update("acme", "me", group.id, {name: values[name][:1]})
    with pytest.raises(InvalidArgument, match=f"{name}: must have at most 1 items"):
        await node.groups.update("acme", "me", group.id, {name: values[name]})


async def test_an_update_without_changes_writes_nothing(node: Node) -> None:
    bundle = (await node.bundles.create("acme", "me", DRAFT)).value.value.bundle
    group = (await node.groups.create("acme", "me", GROUP)).value.value
    await node.bundles.switch("acme", "me", PCI, enabled=True)
    before = await node.revision()
    await node.bundles.switch("acme", "me", PCI, enabled=True)
    await node.bundles.update("acme", "me", PCI, {"enabled": True, "name": "PCI-DSS"})
    await node.bundles.update("acme", "me", bundle.id, {"name": "Ours"}, rule_ids=[])
    await node.groups.update("acme", "me", group.id, {"name": "Clerks", "members": []})
    await node.groups.remove_member("acme", "me", group.id, "nobody")
    await node.groups.unassign("acme", "me", group.id, PCI)
    assert await node.revision() == before


async def test_a_field_that_is_set_back_is_not_stored(node: Node) -> None:
    """It has the bundle's own value again, and follows the releases."""
    await node.bundles.update("acme", "me", PCI, {"name": "Cards"})
    await node.bundles.update("acme", "me", PCI, {"name": "PCI-DSS"})
    (entity,) = await node.workspace.read(
        lambda reader: list(reader.list(compliance_bundle.STATE_KIND, "acme"))
    )
    assert (entity.body["name"], entity.body["version"]) == (None, "1.0")


async def test_activation_removes_customisations_that_switch_rules_off(node: Node) -> None:
    card, track = (bundle_rule_id("pci_dss", key) for key in ("card", "track"))
    await node.rules.update("acme", "me", card, {"action_tier": "none"})
    await node.rules.update("acme", "me", track, {"enabled": False, "action_tier": "prompt"})
    await node.bundles.switch("acme", "me", PCI, enabled=True)
    rules = {rule.id: rule for rule in (await node.bundles.get("acme", PCI)).value.rules}
    assert (rules[card].enabled, rules[card].action_tier) == (True, "redact")
    assert (rules[track].enabled, rules[track].action_tier) == (True, "prompt")
    await node.bundles.switch("acme", "me", PCI, enabled=False)
    rules = {rule.id: rule for rule in (await node.bundles.get("acme", PCI)).value.rules}
    assert (rules[track].enabled, rules[track].action_tier) == (False, "prompt")


async def test_a_rule_keeps_its_name_and_history_in_a_bundle(node: Node) -> None:
    rule_id = await node.rule("Code")
    await node.bundles.update("acme", "me", PCI, {}, rule_ids=[rule_id])
    await node.bundles.switch("acme", "me", PCI, enabled=True)
    await node.bundles.switch("acme", "me", PCI, enabled=False)
    entity = await node.workspace.read(lambda reader: reader.find(dlp_rule.KIND, "acme", "Code"))
    assert entity is not None
    assert (entity.body["bundle_id"], entity.body["enabled"]) == (PCI, False)
    history = await node.workspace.read(
        lambda reader: [each.summary for each in reader.history(dlp_rule.KIND, "acme", rule_id)]
    )
    assert history[:2] == ["Disabled with PCI-DSS", "Added to PCI-DSS"]


async def test_versions_are_read_in_pages_up_to_the_bundle_as_it_ships(node: Node) -> None:
    for description in ("one", "two", "three"):
        await node.bundles.update("acme", "me", PCI, {"description": description})
    whole = await node.bundles.versions("acme", PCI, PageRequest(100))
    assert whole.total == 4
    assert not whole.next_token
    token = ""
    paged: list[BundleVersion] = []
    for _ in range(4):
        page = await node.bundles.versions("acme", PCI, PageRequest(1, token))
        token = page.next_token
        paged += page.items
    assert not token
    assert paged == whole.items
    assert [each.bundle.description for each in paged[:3]] == ["three", "two", "one"]


async def test_a_group_may_keep_references_to_deleted_rules(node: Node) -> None:
    rule_id = await node.rule()
    bundle = (await node.bundles.create("acme", "me", DRAFT)).value.value.bundle
    changes = [{"rule_id": rule_id, "action_tier": "block"}]
    draft = UserGroup("", "Clerks", bundle_ids=[bundle.id], dlp_rules=changes)
    group = (await node.groups.create("acme", "me", draft)).value.value
    await node.rules.delete("acme", "me", rule_id)
    await node.bundles.delete("acme", "me", bundle.id)
    stored = (await node.groups.get("acme", group.id)).value
    assert (stored.bundle_ids, stored.dlp_rules) == ([], changes)
    update = {"dlp_rules": changes, "description": "Still the same"}
    assert (await node.groups.update("acme", "me", group.id, update)).value.value.dlp_rules
    assert await node.count(user_group.KIND) == 1
