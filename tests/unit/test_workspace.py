"""Writes are compiled inside the transaction and published after it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pdp.domain.decision import Outcome
from pdp.domain.static_policy import KIND, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import InvalidPattern, PolicyNameExists, StoreUnavailable
from tests.support.nodes import DRAFT, Policies, node, node_class, other
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from pdp.store.port import Transaction

__all__ = ["node", "node_class", "other"]


async def test_a_write_is_in_force_when_it_returns(node: Policies) -> None:
    written = await node.policies.create("acme", "me", DRAFT)
    assert await node.outcome("our rival") is Outcome.BLOCK
    assert await node.outcome("our rival", "another") is Outcome.ALLOW
    assert node.publisher.revision >= written.revision


async def test_a_failed_write_changes_nothing(node: Policies) -> None:
    await node.policies.create("acme", "me", DRAFT)
    revision = node.publisher.revision
    with pytest.raises(PolicyNameExists):
        await node.policies.create("acme", "me", replace(DRAFT, pattern="harmless"))
    with pytest.raises(InvalidPattern):
        await node.policies.create("acme", "me", replace(DRAFT, name="Other", pattern="("))
    assert node.publisher.revision == revision
    assert await node.outcome("harmless") is Outcome.ALLOW


async def test_policies_that_do_not_compile_are_rolled_back(node: Policies) -> None:
    """The compilation inside the transaction rejects what the use case has not checked."""
    await node.policies.create("acme", "me", DRAFT)

    def work(transaction: Transaction) -> None:
        broken = replace(DRAFT, id="pol_broken", name="Broken", pattern="(")
        entity = StoredEntity(KIND, "acme", broken.id, body_of(broken), name=broken.name)
        transaction.put(entity, actor="me", summary="")

    with pytest.raises(InvalidPattern, match="static policy pol_broken"):
        await node.workspace.write("acme", work)
    page = await node.policies.list("acme", enabled=None, category="custom", number=1, size=50)
    assert [policy.name for policy in page.policies] == ["No rivals"]
    assert await node.outcome("our rival") is Outcome.BLOCK


async def test_concurrent_writes_are_all_stored(node: Policies) -> None:
    drafts = [replace(DRAFT, name=f"Policy {index}", pattern=f"w{index}x") for index in range(20)]
    await asyncio.gather(*(node.policies.create("acme", "me", draft) for draft in drafts))
    for index in range(20):
        assert await node.outcome(f"w{index}x") is Outcome.BLOCK


async def test_a_cancelled_caller_does_not_stop_a_write(node: Policies) -> None:
    task = asyncio.create_task(node.policies.create("acme", "me", DRAFT))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    before = node.publisher.revision
    assert await node.workspace.reach(before + 1, TIMEOUT_S)
    assert await node.outcome("rival") is Outcome.BLOCK


async def test_decisions_continue_when_the_store_is_closed(node: Policies) -> None:
    await node.policies.create("acme", "me", DRAFT)
    node.store.close()
    assert await node.outcome("rival") is Outcome.BLOCK
    assert await node.outcome("rival", "fresh") is Outcome.ALLOW
    with pytest.raises(StoreUnavailable):
        await node.policies.create("acme", "me", replace(DRAFT, name="Other"))


async def test_a_write_succeeds_when_the_writes_of_others_cannot_be_read(
    node: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable() -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(node.workspace, "catch_up", unreadable)
    assert (await node.policies.create("acme", "me", DRAFT)).value.value.name == "No rivals"
    assert await node.outcome("our rival") is Outcome.BLOCK


@pytest.mark.parametrize("tenant_id", ["acme", PLATFORM], ids=["a tenant", "the platform"])
async def test_other_processes_are_notified_after_the_commit(
    node: Policies, other: Policies, tenant_id: str
) -> None:
    changes: list[int] = []

    def notify() -> None:
        with other.store.view() as reader:
            changes.append(len(reader.history(KIND, tenant_id, "pol_x")))

    def work(transaction: Transaction) -> None:
        body = body_of(replace(DRAFT, id="pol_x"))
        entity = StoredEntity(KIND, tenant_id, "pol_x", body, name=DRAFT.name)
        transaction.put(entity, actor="me", summary="")

    node.workspace.notify = notify
    await node.workspace.write(tenant_id, work)
    assert changes == [1]
    with pytest.raises(ZeroDivisionError):
        await node.workspace.write(tenant_id, lambda _: 1 // 0)
    assert changes == [1]
