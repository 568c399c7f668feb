"""Writes of other processes come into force: through the change log, and at first use."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import structlog.testing

from pdp._gen.pdp.v1 import decide_pb2
from pdp.admin import workspace
from pdp.admin.published_policies import PublishedPolicies
from pdp.decisions.decider import Decider
from pdp.decisions.recording import DecisionRecorder
from pdp.decisions.text_streams import TextStreams
from pdp.detect.ner import open_engine
from pdp.domain.decision import Outcome
from pdp.domain.request import Request
from pdp.domain.static_policy import KIND, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.engine.evaluate import evaluate
from pdp.errors import StoreUnavailable
from pdp.store.sql.transactions import SqlTransaction
from pdp.transport.call import Call
from pdp.transport.decision_observer import DecisionObserver
from pdp.transport.methods import methods
from pdp.transport.metrics import Metrics
from pdp.transport.servicers.decide import DecideServicer
from pdp.usage.meter import Meter
from tests.support.nodes import DRAFT, Policies, node, node_class, other
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pdp.domain.stored_entity import Change
    from pdp.engine.snapshot import Snapshot
    from pdp.store.port import Reader, Transaction

__all__ = ["node", "node_class", "other"]


async def test_another_process_follows_the_write(node: Policies, other: Policies) -> None:
    assert await other.outcome("our rival") is Outcome.ALLOW
    following = asyncio.create_task(other.workspace.follow())
    await asyncio.sleep(0)  # lets it read the store once
    written = await node.policies.create("acme", "me", DRAFT)
    assert await other.workspace.reach(written.revision, TIMEOUT_S)
    assert await other.outcome("our rival") is Outcome.BLOCK
    following.cancel()


async def test_writes_of_two_processes_for_one_tenant_are_both_in_force(
    node: Policies, other: Policies
) -> None:
    await other.outcome("x")
    await node.policies.create("acme", "me", DRAFT)
    await other.policies.create("acme", "me", replace(DRAFT, name="No foes", pattern="foe"))
    assert await other.outcome("rival") is Outcome.BLOCK
    assert await other.outcome("foe") is Outcome.BLOCK
    await node.workspace.catch_up()
    assert await node.outcome("foe") is Outcome.BLOCK


def put(transaction: Transaction, tenant_id: str, number: int, pattern: str) -> int:
    policy = replace(DRAFT, id=f"pol_{number}", name=f"Policy {number}", pattern=pattern)
    entity = StoredEntity(KIND, tenant_id, policy.id, body_of(policy), name=policy.name)
    return transaction.put(entity, actor="me", summary="").revision


async def test_writes_of_another_tenant_have_no_effect(node: Policies, other: Policies) -> None:
    """Although both are read from the same change log."""
    await node.policies.create("acme", "me", DRAFT)
    await other.policies.create("another", "me", replace(DRAFT, pattern="foe"))
    await node.policies.create("acme", "me", replace(DRAFT, name="More", pattern="enemy"))
    outcomes = [await node.outcome(text) for text in ("rival", "enemy", "foe")]
    assert outcomes == [Outcome.BLOCK, Outcome.BLOCK, Outcome.ALLOW]
    assert await node.outcome("foe", "another") is Outcome.BLOCK


async def test_the_change_log_is_read_to_its_end(node: Policies, other: Policies) -> None:
    """The changes are read in pages."""
    await node.policies.create("acme", "me", DRAFT)
    await other.outcome("x")
    with node.store.write() as transaction:
        for number in range(1000):
            put(transaction, "another", number, "foe")
        last = put(transaction, "acme", 1000, "enemy")
    await other.workspace.catch_up()
    assert other.publisher.revision == last
    assert await other.outcome("enemy") is Outcome.BLOCK


async def test_waiting_for_a_revision_times_out(node: Policies) -> None:
    assert not await node.workspace.reach(node.publisher.revision + 1, 0.01)


async def test_a_tenant_that_is_not_in_memory_must_be_loaded(path: Path, node: Policies) -> None:
    await node.policies.create("acme", "me", DRAFT)
    late = Policies(path)
    late.store.close()
    assert late.publisher.current("acme") is None
    with pytest.raises(StoreUnavailable):
        await late.workspace.load("acme")
    late.workspace.close()


@pytest.mark.parametrize("fault", ["store closed", "policy that does not compile"])
async def test_a_request_is_blocked_if_its_policies_cannot_be_loaded(
    path: Path, node: Policies, fault: str
) -> None:
    await node.policies.create("acme", "me", DRAFT)
    if fault == "policy that does not compile":
        with node.store.write() as transaction:  # as another release might
            put(transaction, "acme", 1, "(")
    late = Policies(path)
    if fault == "store closed":
        late.store.close()
    decider = Decider(
        PublishedPolicies(late.publisher, late.workspace),
        Meter(),
        open_engine(),
        DecisionRecorder(),
        DecisionObserver(Metrics()).observe,
    )
    servicer = DecideServicer(decider, TextStreams(decider))
    method = next(method for method in methods() if method.name == "Decide")
    call = Call(method, {}, "grpc", request=Request(text="harmless", tenant_id="acme"))
    answer = await servicer.decide(call, decide_pb2.DecideRequest())
    assert answer.outcome == decide_pb2.OUTCOME_BLOCK
    assert answer.incomplete
    assert answer.reason_code == "ENGINE_ERROR"
    late.close()


async def test_concurrent_loads_of_a_tenant_share_one_compilation(
    path: Path, node: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.policies.create("acme", "me", DRAFT)
    late = Policies(path)
    reads: list[int] = []
    view = late.store.view

    def counted() -> AbstractContextManager[Reader]:
        reads.append(1)
        return view()

    monkeypatch.setattr(late.store, "view", counted)
    snapshots = await asyncio.gather(*(late.workspace.load("acme") for _ in range(10)))
    assert len(reads) == 1
    assert len({id(snapshot) for snapshot in snapshots}) == 1
    late.close()


async def test_a_load_does_not_wait_for_a_write(path: Path, node: Policies) -> None:
    await node.policies.create("acme", "me", DRAFT)
    late = Policies(path)
    writing, end = threading.Event(), threading.Event()

    def work(_: Transaction) -> None:
        writing.set()
        assert end.wait(TIMEOUT_S)

    write = asyncio.create_task(late.workspace.write("another", work))
    await asyncio.to_thread(writing.wait, TIMEOUT_S)
    try:
        async with asyncio.timeout(TIMEOUT_S / 2):
            assert await late.outcome("our rival") is Outcome.BLOCK
        assert not write.done()
    finally:
        end.set()
        await write
        late.close()


async def test_a_load_returns_what_a_write_has_published_meanwhile(
    path: Path, node: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.policies.create("acme", "me", DRAFT)
    late = Policies(path)
    loading, end = threading.Event(), threading.Event()
    view = late.store.view

    @contextmanager
    def slow() -> Iterator[Reader]:
        with view() as reader:
            if not loading.is_set():  # only the load is slow, not what follows the write
                loading.set()
                assert end.wait(TIMEOUT_S)
            yield reader

    monkeypatch.setattr(late.store, "view", slow)
    load = asyncio.create_task(late.workspace.load("acme"))
    await asyncio.to_thread(loading.wait, TIMEOUT_S)
    await late.policies.create("acme", "me", replace(DRAFT, name="No foes", pattern="foe"))
    end.set()
    assert evaluate(await load, Request(text="foe"), "id").outcome is Outcome.BLOCK
    late.close()


async def test_a_write_of_an_idle_tenant_does_not_read_the_changes_of_others(
    node: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.policies.create("acme", "me", DRAFT)
    for number in range(5):
        await node.policies.create(f"another-{number}", "me", DRAFT)
    changes: list[Change] = []
    read = SqlTransaction.changes

    def counted(self: SqlTransaction, since: int, limit: int = 1000) -> Sequence[Change]:
        page = read(self, since, limit)
        changes.extend(page)
        return page

    monkeypatch.setattr(SqlTransaction, "changes", counted)
    await node.policies.create("acme", "me", replace(DRAFT, name="No foes", pattern="foe"))
    assert [each.tenant_id for each in changes] == ["acme"]
    assert await node.outcome("foe") is Outcome.BLOCK
    assert await node.outcome("rival") is Outcome.BLOCK


async def test_the_changes_of_others_are_read_once_for_all_tenants(
    node: Policies, other: Policies
) -> None:
    tenants = [f"tenant-{number}" for number in range(5)]
    for tenant_id in tenants:
        await node.policies.create(tenant_id, "me", DRAFT)
    await other.workspace.catch_up()
    for tenant_id in tenants:
        assert await other.outcome("rival", tenant_id) is Outcome.BLOCK
        await node.policies.create(tenant_id, "me", replace(DRAFT, name="No foes", pattern="foe"))
    await other.workspace.catch_up()
    for tenant_id in tenants:
        current = other.publisher.current(tenant_id)
        assert current is not None
        assert current.revision == node.publisher.revision
        assert evaluate(current, Request(text="foe"), "id").outcome is Outcome.BLOCK


async def test_each_load_reads_the_store_again(path: Path, node: Policies) -> None:
    """As after an eviction, during which the tenant was changed."""
    await node.policies.create("acme", "me", DRAFT)
    late = Policies(path)
    first = await late.workspace.load("acme")
    await node.policies.create("acme", "me", replace(DRAFT, name="No foes", pattern="foe"))
    second = await late.workspace.load("acme")
    assert second.revision > first.revision
    assert evaluate(second, Request(text="foe"), "id").outcome is Outcome.BLOCK
    late.close()


async def test_a_cancelled_caller_does_not_stop_a_load_that_others_wait_for(
    path: Path, node: Policies
) -> None:
    await node.policies.create("acme", "me", DRAFT)
    late = Policies(path)
    first, second = (asyncio.create_task(late.workspace.load("acme")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).revision == node.publisher.revision
    assert first.cancelled()
    late.close()


async def test_a_snapshot_that_misses_a_change_is_loaded_again(
    path: Path, node: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.policies.create("acme", "me", DRAFT)
    late = Policies(path)
    publish = late.publisher.publish
    published: list[bool] = []

    def publish_after_a_write(snapshot: Snapshot) -> bool:
        if not published:
            with node.store.write() as transaction:
                revision = put(transaction, "acme", 1, "foe")
            late.publisher.advance(revision, {"acme": revision})
        published.append(publish(snapshot))
        return published[-1]

    monkeypatch.setattr(late.publisher, "publish", publish_after_a_write)
    assert await late.outcome("foe") is Outcome.BLOCK
    assert published == [False, True]
    late.close()


@pytest.mark.parametrize("fault", [StoreUnavailable("gone"), ValueError("odd")], ids=repr)
async def test_following_continues_after_any_error(
    node: Policies, other: Policies, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """Without it, kill switch changes would not arrive. Until then the old policies stay."""
    monkeypatch.setattr(workspace, "RETRY_INTERVAL_S", 0.001)
    catch_up = other.workspace.catch_up
    attempts: list[bool] = []

    async def fail_twice() -> None:
        attempts.append(len(attempts) > 1)
        if not attempts[-1]:
            raise fault
        await catch_up()

    monkeypatch.setattr(other.workspace, "catch_up", fail_twice)
    written = await node.policies.create("acme", "me", DRAFT)
    current_at = other.workspace.stats.current_at
    with structlog.testing.capture_logs() as logs:
        following = asyncio.create_task(other.workspace.follow())
        assert await other.workspace.reach(written.revision, TIMEOUT_S)
    following.cancel()
    assert other.workspace.stats.current_at > current_at
    assert attempts[:3] == [False, False, True]
    assert [entry["event"] for entry in logs] == ["cannot read policy changes from the store"]
    assert await other.outcome("our rival") is Outcome.BLOCK
