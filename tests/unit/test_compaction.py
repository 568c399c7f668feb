"""The compaction of the change log: no reader from before it misses a change without notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog.testing

from pdp.admin import compaction
from pdp.admin.change_log import ChangeLog
from pdp.admin.compaction import ChangeLogCompactor
from pdp.admin.customer_policies import CustomerPolicies
from pdp.admin.pages import PageRequest
from pdp.domain.decision import Outcome
from pdp.domain.limits import KIND as LIMIT
from pdp.domain.static_policy import KIND, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.embedded import Engine
from pdp.errors import InvalidArgument, StoreUnavailable
from pdp.policy_files.state import state_at
from pdp.store.sql import compaction as steps
from tests.support.nodes import DRAFT, Policies, node, node_class, other

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.store.port import Transaction

__all__ = ["node", "node_class", "other"]

SECOND = 1 / 86_400


async def compact(node: Policies, days: float = -60 * SECOND) -> int:
    """Compacts the log as if all changes were older than the retention."""
    compactor = ChangeLogCompactor(node.workspace, days)
    while (await compactor.step()).more:
        pass
    return compactor.removed


async def put(node: Policies, kind: str, tenant: str, entity_id: str, number: int) -> int:
    """Writes an entity without a version history; returns the revision."""
    body = {"scope": "user", "subject_id": entity_id, "id": entity_id, "requests_per_day": number}

    def work(transaction: Transaction) -> None:
        entity = StoredEntity(kind, tenant, entity_id, body)
        transaction.put(entity, actor="me", summary="Put")

    return (await node.workspace.write(tenant, work)).revision


async def other_changes(node: Policies, count: int = 5, tenant: str = "acme") -> int:
    """Writes entities of a kind that no layer reads; returns the last revision."""
    for number in range(count):
        revision = await put(node, "note", tenant, "n", number)
    return revision


async def test_a_process_that_was_suspended_loads_everything_anew(
    node: Policies, other: Policies
) -> None:
    for tenant in ("acme", "rival"):
        await other.outcome("x", tenant)
    await other_changes(node)
    for tenant in ("acme", "new"):
        await node.policies.create(tenant, "me", DRAFT)
    revision = await other_changes(node)
    assert await compact(node) > 0
    await other.workspace.catch_up()
    assert other.publisher.revision == revision
    assert await other.outcome("our rival") is Outcome.BLOCK
    assert await other.outcome("our rival", "new") is Outcome.BLOCK
    assert await other.outcome("our rival", "rival") is Outcome.ALLOW


async def test_a_suspended_process_gets_the_changes_of_the_platform(
    node: Policies, other: Policies
) -> None:
    await other.outcome("x")
    policy = StoredEntity(KIND, PLATFORM, "sys", {**body_of(DRAFT), "id": "sys", "system": True})

    def work(transaction: Transaction) -> None:
        transaction.put(policy, actor="me", summary="Shipped")

    await node.workspace.write(PLATFORM, work)
    await other_changes(node)
    await compact(node)
    await other.workspace.catch_up()
    assert await other.outcome("our rival") is Outcome.BLOCK
    assert await other.outcome("our rival", "another") is Outcome.BLOCK


async def test_a_tenant_that_was_idle_during_the_compaction_can_be_written(
    node: Policies,
) -> None:
    await node.policies.create("acme", "me", DRAFT)
    await other_changes(node, tenant="busy")
    await compact(node)
    draft = DRAFT.__class__("", "Foes", "custom", "foe", "block")
    await node.policies.create("acme", "me", draft)
    assert await node.outcome("our rival") is Outcome.BLOCK
    assert await node.outcome("our foe") is Outcome.BLOCK


async def test_an_embedded_engine_that_was_idle_loads_everything_anew(
    node: Policies, path: Path
) -> None:
    with Engine.open(f"sqlite:///{path}") as engine:
        assert engine.decide(text="our rival", tenant_id="acme").outcome is Outcome.ALLOW
        await other_changes(node)
        written = await node.policies.create("acme", "me", DRAFT)
        await other_changes(node)
        await compact(node)
        decision = engine.decide(text="our rival", tenant_id="acme", min_revision=written.revision)
        assert decision.outcome is Outcome.BLOCK


async def test_version_histories_are_complete_also_of_deleted_policies(node: Policies) -> None:
    customers = CustomerPolicies(node.workspace)
    for name in ("one", "two"):
        await customers.put("acme", "me", "c", {"sensitive_fields": [name]})
    created = (await node.policies.create("acme", "me", DRAFT)).value.value
    for action in ("warn", "log"):
        await node.policies.update("acme", "me", created.id, {"action": action}, None)
    await node.policies.delete("acme", "me", created.id)
    request = PageRequest(100)
    before = await node.policies.versions("acme", created.id, request)
    assert before.current == 3
    await other_changes(node)
    await compact(node)
    assert await node.policies.versions("acme", created.id, request) == before
    history = await customers.versions("acme", "c", number=1, size=10)
    assert [each.policy.version for each in history.versions] == [2, 1]


async def test_rollbacks_go_back_to_the_oldest_kept_revision(node: Policies) -> None:
    first = (await node.policies.create("acme", "me", DRAFT)).revision
    oldest = await other_changes(node)
    await compact(node)
    created = await node.policies.create("acme", "me", DRAFT.__class__("", "F", "x", "y", "log"))
    with node.store.view() as reader:
        assert reader.removed_changes().through == oldest - 1
        for revision in range(oldest - 1, created.revision + 1):
            count = 2 if revision == created.revision else 1
            assert len(state_at(reader, "acme", revision)[KIND]) == count
        for revision in (first, oldest - 2):
            with pytest.raises(InvalidArgument, match=f"must be from {oldest - 1} to"):
                state_at(reader, "acme", revision)
        with pytest.raises(InvalidArgument, match="PDP_CHANGE_LOG_DAYS"):
            state_at(reader, "acme", 0)


async def test_the_trail_says_that_entries_were_removed(node: Policies) -> None:
    await node.policies.create("acme", "me", DRAFT)
    removed = await other_changes(node, 3) - 1
    trail = ChangeLog(node.workspace)
    assert (await trail.list("acme", None, 10)).removed_through == 0
    await compact(node)
    await other_changes(node, 3)
    page = await trail.list("acme", None, 2)
    assert (len(page.changes), page.removed_through) == (2, 0)
    assert (await trail.list("acme", page.more, 10)).removed_through == removed
    assert (await trail.list("acme", None, 10, kind=LIMIT)).removed_through == removed
    assert (await trail.list("acme", None, 10, kind=KIND)).removed_through == 0
    assert (await trail.list(PLATFORM, None, 10)).removed_through == 0
    later = page.changes[0].at
    assert (await trail.list("acme", None, 10, since=later)).removed_through == 0


async def test_without_a_retention_nothing_is_removed(node: Policies) -> None:
    await other_changes(node, 20)
    await ChangeLogCompactor(node.workspace, 0).run()
    with node.store.view() as reader:
        assert len(reader.changes(0)) == 20


async def test_a_step_is_short_however_long_the_log_is(
    node: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "STEP_S", 0.0)
    monkeypatch.setattr(steps, "WINDOW", 10)
    await other_changes(node, 25)
    compactor = ChangeLogCompactor(node.workspace, -60 * SECOND)
    results = [await compactor.step() for _ in range(4)]
    assert [each.removed for each in results] == [10, 10, 4, 0]
    assert [each.more for each in results] == [True] * 3 + [False]


async def test_a_failing_store_is_reported_once_and_tried_again(
    node: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    compactor = ChangeLogCompactor(node.workspace, 1.0)
    attempts = 0

    class Ended(BaseException):
        pass

    async def fail() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 3:
            raise Ended
        raise StoreUnavailable("gone")

    monkeypatch.setattr(compactor, "step", fail)
    monkeypatch.setattr(compaction, "PAUSE_S", 0.0)
    monkeypatch.setattr(compaction, "INTERVAL_S", 0.0)
    with structlog.testing.capture_logs() as logs, pytest.raises(Ended):
        await compactor.run()
    assert [each["reason"] for each in logs] == ["gone"]
