"""Use cases of packs, rules and chains that HTTP tests do not reach: atomicity, history, bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pdp.admin.policy_packs import chains, packs, rules
from pdp.admin.policy_packs.chains import ChainEntryDraft, PolicyChains
from pdp.admin.policy_packs.packs import PolicyPacks
from pdp.admin.policy_packs.rules import PolicyRules, RuleDraft, build_rules
from pdp.admin.simulation.overlay import ChainCandidate, PackCandidate, add_packs
from pdp.admin.workspace import Workspace
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.domain.policy_chain import DENY_OVERRIDES, FIRST_APPLICABLE, ORG_ID
from pdp.domain.policy_chain import KIND as CHAIN_KIND
from pdp.domain.policy_pack import KIND, RULE_KIND, TOGGLE_KIND, PolicyPack
from pdp.domain.policy_set import PolicySet
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.tenant import PLATFORM
from pdp.errors import InvalidArgument, InvalidPattern, RuleNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.domain.stored_entity import StoredEntity

DRAFT = PolicyPack("", "Mine")
ALLOW = RuleDraft("allow", {"type": "ALLOW"}, {})


class Node:
    """A store and its use cases."""

    def __init__(self, path: Path) -> None:
        self.store = open_policies(f"sqlite:///{path}/pdp.db")
        self.publisher = create_publisher(self.store, DEFAULT_RISK_TABLE)
        self.workspace = Workspace(self.store, self.publisher)
        self.packs = PolicyPacks(self.workspace)
        self.rules = PolicyRules(self.workspace)
        self.chains = PolicyChains(self.workspace)

    async def entities(self, kind: str, tenant_id: str = "acme") -> list[StoredEntity]:
        return list(await self.workspace.read(lambda reader: reader.list(kind, tenant_id)))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.workspace.close()
    node.store.close()


async def _pack(node: Node, *rules: RuleDraft) -> str:
    result = await node.packs.create("acme", "me", DRAFT, rules)
    return result.value.value.pack.id


def named(name: str) -> RuleDraft:
    return ALLOW._replace(name=name)


async def test_a_reorder_can_swap_two_rules(node: Node) -> None:
    pack_id = await _pack(node, ALLOW, named("second"))
    first, second = await node.rules.list("acme", pack_id)
    result = await node.rules.reorder("acme", "me", pack_id, [(first.id, 1), (second.id, 0)])
    assert [rule.id for rule in result.value] == [second.id, first.id]
    assert node.publisher.revision >= result.revision


async def test_a_rejected_write_changes_nothing(node: Node) -> None:
    pack_id = await _pack(node, ALLOW)
    revision = node.publisher.revision
    bad = ALLOW._replace(conditions={"content_regex": "("})
    with pytest.raises(InvalidPattern):
        await node.rules.create("acme", "me", pack_id, bad)
    with pytest.raises(InvalidPattern):
        await node.packs.create("acme", "me", DRAFT, [ALLOW, bad])
    with pytest.raises(RuleNotFound):
        await node.rules.delete("acme", "me", pack_id, "nothing")
    assert node.publisher.revision == revision
    assert len(await node.entities(KIND)) == len(await node.entities(RULE_KIND)) == 1


async def test_a_pack_is_deleted_with_its_rules(node: Node) -> None:
    pack_id = await _pack(node, ALLOW, named("second"))
    other_id = await _pack(node, ALLOW)
    await node.packs.delete("acme", "me", pack_id)
    assert [entity.id for entity in await node.entities(KIND)] == [other_id]
    assert {entity.body["pack_id"] for entity in await node.entities(RULE_KIND)} == {other_id}


async def test_the_change_log_has_actors_and_summaries(node: Node) -> None:
    pack_id = await _pack(node)
    rule = (await node.rules.create("acme", "ann", pack_id, ALLOW)).value.value
    await node.rules.update("acme", "bob", pack_id, rule.id, {"name": "new"})
    await node.rules.delete("acme", "eve", pack_id, rule.id)
    rules = await node.workspace.read(lambda reader: reader.history(RULE_KIND, "acme", rule.id))
    assert [(change.actor, change.summary) for change in rules] == [
        ("eve", "Deleted"),
        ("bob", "Updated name"),
        ("ann", "Created"),
    ]
    packs = await node.workspace.read(lambda reader: reader.history(KIND, "acme", pack_id))
    assert packs[0].summary == "Deleted rule new"
    assert packs[0].after is not None
    assert packs[0].after["rule_count"] == 0


async def test_a_toggle_does_not_change_the_bundle_itself(node: Node) -> None:
    (bundle, *_) = await node.packs.bundles("acme")
    before = await node.entities(KIND, PLATFORM)
    await node.packs.update("acme", "me", bundle.pack.id, {"is_active": False})
    assert await node.entities(KIND, PLATFORM) == before
    assert [entity.id for entity in await node.entities(TOGGLE_KIND)] == [bundle.pack.id]


async def test_the_numbers_of_packs_and_rules_are_bounded(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "MAX_PACKS", 2)
    monkeypatch.setattr(rules, "MAX_RULES", 2)
    monkeypatch.setattr(rules, "MAX_TENANT_RULES", 3)
    first = await _pack(node, ALLOW, named("second"))
    with pytest.raises(InvalidArgument, match="at most 2 rules"):
        await node.rules.create("acme", "me", first, ALLOW)
    second = await _pack(node, ALLOW)
    with pytest.raises(InvalidArgument, match="at most 3 policy rules"):
        await node.rules.create("acme", "me", second, ALLOW)
    with pytest.raises(InvalidArgument, match="at most 2 policy packs"):
        await _pack(node)


@pytest.mark.parametrize("order", [["", "u1"], ["u1", ""]], ids=["org first", "org last"])
async def test_the_number_of_user_chains_is_bounded(
    node: Node, monkeypatch: pytest.MonkeyPatch, order: list[str]
) -> None:
    monkeypatch.setattr(chains, "MAX_USER_CHAINS", 1)
    drafts = [ChainEntryDraft(await _pack(node, ALLOW))]

    async def replace(user_id: str, algorithm: str = FIRST_APPLICABLE) -> None:
        await node.chains.replace("acme", "me", drafts, algorithm, user_id=user_id)

    for index, user_id in enumerate(order):
        await replace(user_id)
        if "u1" in order[: index + 1]:
            with pytest.raises(InvalidArgument, match="at most 1 users"):
                await replace("u2")
    await replace("u1", DENY_OVERRIDES)
    listed_chains = [each.chain for each in await node.chains.list("acme")]
    assert [(each.user_id, each.combining_algorithm) for each in listed_chains] == [
        ("", FIRST_APPLICABLE),
        ("u1", DENY_OVERRIDES),
    ]


def test_an_overlay_replaces_a_whole_pack() -> None:
    old = PolicyPack("p1", "Pack")
    candidates = [PackCandidate(PolicyPack("", "Pack"), [ALLOW], [""])]
    rules = {
        f"r{number}": rule for number, rule in enumerate(build_rules("p1", (), [ALLOW, ALLOW], 0.0))
    }
    own = PolicySet({KIND: {"p1": old}, RULE_KIND: rules})
    overlay = add_packs(
        own, PolicySet(), candidates, ChainCandidate([ChainEntryDraft("Pack")], DENY_OVERRIDES)
    )
    assert own.of_kind(KIND) == {"p1": old}
    active = [rule for rule in overlay.of_kind(RULE_KIND).values() if rule.is_active]
    assert [rule.pack_id for rule in active] == ["p1"]
    chain = overlay.of_kind(CHAIN_KIND)[ORG_ID]
    assert [entry.pack_id for entry in chain.packs] == ["p1"]
    assert overlay.of_kind(KIND)["p1"] == replace(old, rule_count=1)
