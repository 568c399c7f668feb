"""The kill switch is in force at once in all processes, and needs no compilation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pdp.admin.kill_switch import KillSwitches
from pdp.admin.model_catalog import ModelCatalog
from pdp.admin.static_policies import StaticPolicies
from pdp.cases import ClientTarget
from pdp.client.local import LocalClient
from pdp.domain.decision import Outcome
from pdp.domain.model_catalog import KIND, ModelConfig, config_id
from pdp.domain.request import Request
from pdp.domain.static_policy import KIND as POLICY_KIND
from pdp.domain.static_policy import StaticPolicy, body_of
from pdp.domain.stored_entity import Change, StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.embedded import Engine
from pdp.engine.evaluate import evaluate
from pdp.engine.shards import Shard
from pdp.errors import InvalidPattern, ModelDisabled, ModelNotFound, ProviderNotFound
from tests.support.nodes import Node, node, other
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.store.port import Transaction

GPT = config_id("openai", "gpt-4o")
RIVALS = StaticPolicy("", "No rivals", "custom", "(?i)rival", "block")

__all__ = ["node", "other"]


class Models(Node):
    """A node with kill switches, the model catalog and static policies."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, catalog=True)
        self.switches = KillSwitches(self.workspace)
        self.catalog = ModelCatalog(self.workspace)
        self.policies = StaticPolicies(self.workspace)

    async def outcome(
        self, text: str = "", tenant_id: str = "acme", model: str = "gpt-4o"
    ) -> Outcome:
        return await super().outcome(text, tenant_id, model)

    def changes(self, since: int) -> list[Change]:
        with self.store.view() as reader:
            return list(reader.changes(since))


@pytest.fixture
def node_class() -> type[Models]:
    return Models


class TestInForce:
    async def test_a_switch_is_in_force_for_every_tenant_when_the_write_returns(
        self, node: Models
    ) -> None:
        await node.policies.create("acme", "me", RIVALS)
        assert await node.outcome(tenant_id="fresh") is Outcome.ALLOW
        result = await node.switches.disable_model("me", GPT, "other")
        for tenant_id in ("acme", "fresh", "never-seen"):
            assert await node.outcome(tenant_id=tenant_id) is Outcome.BLOCK
        snapshot = node.publisher.current("acme")
        assert snapshot is not None
        assert snapshot.revision >= result.revision
        await node.switches.enable_model("me", GPT)
        for tenant_id in ("acme", "fresh", "never-seen"):
            assert await node.outcome(tenant_id=tenant_id) is Outcome.ALLOW

    async def test_a_switch_does_not_change_the_policies_of_tenants(self, node: Models) -> None:
        await node.policies.create("acme", "me", RIVALS)
        await node.switches.disable_model("me", GPT, "other")
        assert await node.outcome("our rival", model="gpt-4o-mini") is Outcome.BLOCK
        assert await node.outcome(model="gpt-4o-mini") is Outcome.ALLOW

    async def test_a_switch_does_not_change_an_older_snapshot(self, node: Models) -> None:
        snapshot = node.publisher.current("acme")
        assert snapshot is not None
        await node.switches.disable_model("me", GPT, "other")
        assert evaluate(snapshot, Request(model="gpt-4o"), "id").outcome is Outcome.ALLOW

    async def test_a_switch_is_in_force_in_other_processes(
        self, node: Models, other: Models
    ) -> None:
        assert await other.outcome() is Outcome.ALLOW
        follower = asyncio.create_task(other.workspace.follow())
        await asyncio.sleep(0)  # lets it read the store once
        result = await node.switches.disable_provider("me", "openai", "security_event")
        assert await other.workspace.reach(result.revision, TIMEOUT_S)
        assert await other.outcome() is Outcome.BLOCK
        follower.cancel()

    async def test_a_switch_is_in_force_after_a_write_in_another_process(
        self, node: Models, other: Models
    ) -> None:
        await other.outcome()
        await node.switches.disable_model("me", GPT, "other")
        await other.policies.create("acme", "me", RIVALS)
        assert await other.outcome() is Outcome.BLOCK
        assert await other.outcome("rival", model="x") is Outcome.BLOCK

    async def test_a_switch_during_writes_of_tenants_is_in_force(self, node: Models) -> None:
        writes = [
            node.policies.create(tenant_id, "me", RIVALS) for tenant_id in ("a", "b", "c", "d")
        ]
        await asyncio.gather(*writes[:2], node.switches.disable_model("me", GPT, "other"))
        await asyncio.gather(*writes[2:])
        for tenant_id in ("a", "b", "c", "d"):
            assert await node.outcome(tenant_id=tenant_id) is Outcome.BLOCK
            assert await node.outcome("rival", tenant_id, "x") is Outcome.BLOCK

    async def test_a_switch_is_in_force_in_an_embedded_engine(
        self, node: Models, path: Path
    ) -> None:
        with Engine.open(f"sqlite:///{path}") as engine:
            assert engine.decide(model="gpt-4o").allowed
            result = await node.switches.disable_model("me", GPT, "other")
            decision = engine.decide(model="gpt-4o", min_revision=result.revision)
            assert (decision.outcome, decision.status_hint) == (Outcome.BLOCK, 503)


class TestNothingIsCompiled:
    async def test_a_switch_compiles_no_patterns(
        self, node: Models, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await node.policies.create("acme", "me", RIVALS)
        before = node.publisher.current("acme")
        platform = node.publisher.platform
        assert before is not None

        def fail(*arguments: Any) -> None:
            raise AssertionError("a pattern set is compiled")

        monkeypatch.setattr(Shard, "__init__", fail)
        await node.switches.disable_provider("me", "openai", "other")
        after = node.publisher.current("acme")
        assert after is not None
        assert after.pattern_sets is before.pattern_sets
        assert after.policies is before.policies
        unaffected = [layer for layer in before.layers if not hasattr(layer, "with_models")]
        assert unaffected
        assert all(any(layer is each for each in after.layers) for layer in unaffected)
        assert node.publisher.platform.patterns is platform.patterns

    async def test_a_new_system_policy_compiles_only_its_pattern(self, node: Models) -> None:
        await node.policies.create("acme", "me", RIVALS)
        before = node.publisher.platform
        added = StaticPolicy("sys_x", "X", "custom", "xyzzy", "block", system=True)

        def work(transaction: Transaction) -> None:
            entity = StoredEntity(POLICY_KIND, PLATFORM, added.id, body_of(added), name=added.name)
            transaction.put(entity, actor="me", summary="")

        await node.workspace.write(PLATFORM, work)
        compiled = node.publisher.platform.patterns.compiled
        assert all(compiled[source] is each for source, each in before.patterns.compiled.items())
        assert await node.outcome("xyzzy", model="x") is Outcome.BLOCK
        assert await node.outcome("rival", model="x") is Outcome.BLOCK
        assert await node.outcome("xyzzy", "fresh", "x") is Outcome.BLOCK

    async def test_a_system_policy_that_does_not_compile_is_rolled_back(self, node: Models) -> None:
        broken = StaticPolicy("sys_x", "X", "custom", "(", "block", system=True)

        def work(transaction: Transaction) -> None:
            entity = StoredEntity(
                POLICY_KIND, PLATFORM, broken.id, body_of(broken), name=broken.name
            )
            transaction.put(entity, actor="me", summary="")

        revision = node.publisher.revision
        with pytest.raises(InvalidPattern, match="sys_x"):
            await node.workspace.write(PLATFORM, work)
        assert node.changes(revision) == []
        assert await node.outcome() is Outcome.ALLOW


class TestAudit:
    async def test_switching_a_provider_logs_one_change_for_each_model(self, node: Models) -> None:
        since = node.publisher.revision
        result = await node.switches.disable_provider("ann", "openai", "security_event")
        changes = node.changes(since)
        assert [each.entity_id for each in changes] == [each.id for each in result.value.models]
        for change in changes:
            assert change.before is not None
            assert change.after is not None
            assert (change.kind, change.tenant_id, change.op) == (KIND, PLATFORM, "update")
            assert (change.actor, change.summary) == ("ann", "Disabled: security_event")
            assert change.before["kill_switch_disabled_at"] is None
            assert change.after["kill_switch_disabled_at"] == change.at
            assert change.after["disabled_reason"] == "security_event"

    async def test_a_model_in_the_requested_state_is_not_logged(self, node: Models) -> None:
        await node.switches.disable_model("ann", GPT, "other")
        since = node.publisher.revision
        await node.switches.disable_model("bob", GPT, "other")
        assert node.changes(since) == []
        await node.switches.disable_provider("bob", "openai", "other")
        assert GPT not in {each.entity_id for each in node.changes(since)}
        since = node.publisher.revision
        await node.switches.enable_provider("bob", "openai")
        assert {each.summary for each in node.changes(since)} == {"Enabled"}
        since = node.publisher.revision
        await node.switches.enable_provider("bob", "openai")
        await node.switches.enable_model("bob", GPT)
        assert node.changes(since) == []

    async def test_another_reason_is_a_change_and_the_time_is_kept(self, node: Models) -> None:
        first = (await node.switches.disable_model("ann", GPT, "maintenance")).value.value
        since = node.publisher.revision
        second = (await node.switches.disable_model("bob", GPT, "security_event")).value.value
        assert second.kill_switch_disabled_at == first.kill_switch_disabled_at
        assert second.disabled_reason == "security_event"
        [change] = node.changes(since)
        assert change.actor == "bob"

    async def test_an_unknown_provider_or_model_changes_nothing(self, node: Models) -> None:
        since = node.publisher.revision
        with pytest.raises(ProviderNotFound):
            await node.switches.disable_provider("ann", "nobody", "other")
        with pytest.raises(ModelNotFound):
            await node.switches.disable_model("ann", "nothing", "other")
        assert node.changes(since) == []


class TestCatalog:
    async def test_a_model_that_is_added_again_has_the_same_id(self, node: Models) -> None:
        draft = ModelConfig("", "acme", "One", "One")
        first = (await node.catalog.create("ann", draft)).value.value
        await node.catalog.delete("ann", first.id)
        again = (await node.catalog.create("ann", draft)).value.value
        assert again.id == first.id
        with node.store.view() as reader:
            history = reader.history(KIND, PLATFORM, first.id)
        assert [each.op for each in history] == ["create", "delete", "create"]

    async def test_a_disabled_model_cannot_be_removed(self, node: Models) -> None:
        await node.switches.disable_model("ann", GPT, "other")
        with pytest.raises(ModelDisabled):
            await node.catalog.delete("ann", GPT)

    async def test_an_update_without_changes_writes_nothing(self, node: Models) -> None:
        since = node.publisher.revision
        await node.catalog.update("ann", GPT, {"tier": "sonnet", "provider": "openai"})
        assert node.changes(since) == []
        result = await node.catalog.update("ann", GPT, {"tier": "opus", "is_active": False})
        [change] = node.changes(since)
        assert change.summary == "Updated tier, is_active"
        assert result.value.revision == change.revision

    async def test_a_new_model_of_a_tier_is_in_force_at_once(self, node: Models) -> None:
        draft = ModelConfig("", "anthropic", "claude-opus-9", "Opus 9", tier="opus")
        model = (await node.catalog.create("ann", draft)).value.value
        await node.switches.disable_model("ann", model.id, "other")
        assert await node.outcome(model="opus") is Outcome.BLOCK


def test_an_existing_route_to_a_disabled_model_is_blocked_at_once(tmp_path: Path) -> None:
    """A chain layer keeps the catalog's state of its targets, so it must be updated."""
    with LocalClient(f"sqlite:///{tmp_path}/pdp.db") as local:
        target = ClientTarget(local)

        def call(rpc: str, **body: Any) -> Any:
            return target.administer("acme", rpc, body)[0]

        rule = {"name": "Route", "action": {"type": "ROUTE_TO", "route_to_model": "gpt-4o"}}
        pack = call("CreatePolicyPack", name="Routes", rules=[rule])["pack"]
        call("ReplaceOrgPolicyChain", packs=[{"id": pack["id"], "sequence": 0}])
        request = {"content": {"text": "Hello"}}
        assert target.decide("acme", request)["outcome"] == "ROUTE_TO"
        call("DisableModel", model_config_id=GPT, reason="other")
        assert target.decide("acme", request)["outcome"] == "BLOCK"
        call("EnableModel", model_config_id=GPT)
        assert target.decide("acme", request)["outcome"] == "ROUTE_TO"
