"""Writes: compiled inside the transaction, published after it, followed by other processes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.admin.meter import Meter
from pdp.admin.static_policies import StaticPolicies
from pdp.admin.workspace import Workspace
from pdp.bootstrap import first_publisher
from pdp.detect.ner import open_engine
from pdp.domain.decision import Outcome
from pdp.domain.record import Record
from pdp.domain.request import Request
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.static_policy import KIND, StaticPolicy, body_of
from pdp.engine.evaluate import evaluate
from pdp.errors import InvalidPattern, PolicyNameExists, StoreUnavailable
from pdp.store.sqlite import SqliteStore
from pdp.transport.call import Call
from pdp.transport.methods import methods
from pdp.transport.metrics import Metrics
from pdp.transport.servicers.decide import DecideServicer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pdp.publisher import Publisher
    from pdp.store.port import Reader, Transaction

DRAFT = StaticPolicy("", "No rivals", "custom", "(?i)rival", "block")


class Node:
    """One process's part: a store, a publisher, a workspace, use cases."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore.open(f"sqlite:///{path}", busy_timeout_s=0.2)
        self.publisher: Publisher = first_publisher(self.store, DEFAULT_RISK_TABLE)
        self.workspace = Workspace(self.store, self.publisher)
        self.policies = StaticPolicies(self.workspace)

    async def outcome(self, text: str, tenant_id: str = "acme") -> Outcome:
        snapshot = self.publisher.current(tenant_id) or await self.workspace.load(tenant_id)
        return evaluate(snapshot, Request(text=text), "id").outcome

    def close(self) -> None:
        self.workspace.close()
        self.store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pdp.db"


@pytest.fixture
def node(path: Path) -> Iterator[Node]:
    node = Node(path)
    yield node
    node.close()


@pytest.fixture
def other(path: Path, node: Node) -> Iterator[Node]:
    other = Node(path)
    yield other
    other.close()


async def test_a_write_is_in_force_when_it_returns(node: Node) -> None:
    written = await node.policies.create("acme", "me", DRAFT)
    assert await node.outcome("our rival") is Outcome.BLOCK
    assert await node.outcome("our rival", "another") is Outcome.ALLOW
    assert node.publisher.revision >= written.revision


async def test_a_write_that_fails_leaves_nothing(node: Node) -> None:
    await node.policies.create("acme", "me", DRAFT)
    revision = node.publisher.revision
    with pytest.raises(PolicyNameExists):
        await node.policies.create("acme", "me", replace(DRAFT, pattern="harmless"))
    with pytest.raises(InvalidPattern):
        await node.policies.create("acme", "me", replace(DRAFT, name="Other", pattern="("))
    assert node.publisher.revision == revision
    assert await node.outcome("harmless") is Outcome.ALLOW


async def test_what_does_not_compile_is_rolled_back_and_the_last_snapshot_stays(node: Node) -> None:
    """Past the use case's own check, the compilation within the transaction refuses."""
    await node.policies.create("acme", "me", DRAFT)

    def work(transaction: Transaction) -> None:
        broken = replace(DRAFT, id="pol_broken", name="Broken", pattern="(")
        record = Record(KIND, "acme", broken.id, body_of(broken), name=broken.name)
        transaction.put(record, actor="me", summary="")

    with pytest.raises(InvalidPattern, match="static policy pol_broken"):
        await node.workspace.write("acme", work)
    page = await node.policies.list("acme", enabled=None, category="custom", number=1, size=50)
    assert [policy.name for policy in page.policies] == ["No rivals"]
    assert await node.outcome("our rival") is Outcome.BLOCK


async def test_another_process_sees_the_write(node: Node, other: Node) -> None:
    assert await other.outcome("our rival") is Outcome.ALLOW
    following = asyncio.create_task(other.workspace.follow())
    await asyncio.sleep(0)  # lets it look at the store once
    written = await node.policies.create("acme", "me", DRAFT)
    assert await other.workspace.reach(written.revision, 10)
    assert await other.outcome("our rival") is Outcome.BLOCK
    following.cancel()


async def test_own_and_foreign_writes_of_one_tenant_are_both_in_force(
    node: Node, other: Node
) -> None:
    await other.outcome("x")
    await node.policies.create("acme", "me", DRAFT)
    await other.policies.create("acme", "me", replace(DRAFT, name="No foes", pattern="foe"))
    assert await other.outcome("rival") is Outcome.BLOCK
    assert await other.outcome("foe") is Outcome.BLOCK
    await node.workspace.catch_up()
    assert await node.outcome("foe") is Outcome.BLOCK


async def test_a_revision_that_does_not_come_is_not_waited_for_forever(node: Node) -> None:
    assert not await node.workspace.reach(node.publisher.revision + 1, 0.01)


async def test_writes_at_once_are_all_kept(node: Node) -> None:
    drafts = [replace(DRAFT, name=f"Policy {index}", pattern=f"w{index}x") for index in range(20)]
    await asyncio.gather(*(node.policies.create("acme", "me", draft) for draft in drafts))
    for index in range(20):
        assert await node.outcome(f"w{index}x") is Outcome.BLOCK


async def test_a_caller_that_goes_away_does_not_stop_a_write_half_way(node: Node) -> None:
    task = asyncio.create_task(node.policies.create("acme", "me", DRAFT))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    before = node.publisher.revision
    assert await node.workspace.reach(before + 1, 10)
    assert await node.outcome("rival") is Outcome.BLOCK


async def test_decisions_go_on_with_the_store_closed(node: Node) -> None:
    await node.policies.create("acme", "me", DRAFT)
    node.store.close()
    assert await node.outcome("rival") is Outcome.BLOCK
    assert await node.outcome("rival", "fresh") is Outcome.ALLOW
    with pytest.raises(StoreUnavailable):
        await node.policies.create("acme", "me", replace(DRAFT, name="Other"))


async def test_a_tenant_that_is_not_in_memory_is_not_guessed(path: Path, node: Node) -> None:
    await node.policies.create("acme", "me", DRAFT)
    late = Node(path)
    late.store.close()
    assert late.publisher.current("acme") is None
    with pytest.raises(StoreUnavailable):
        await late.workspace.load("acme")
    late.workspace.close()


@pytest.mark.parametrize("fault", ["store closed", "policy that does not compile"])
async def test_a_request_whose_policies_cannot_be_had_is_blocked(
    path: Path, node: Node, fault: str
) -> None:
    await node.policies.create("acme", "me", DRAFT)
    if fault == "policy that does not compile":
        with node.store.write() as transaction:  # as another release might have
            broken = replace(DRAFT, id="pol_broken", name="Broken", pattern="(")
            record = Record(KIND, "acme", broken.id, body_of(broken), name=broken.name)
            transaction.put(record, actor="me", summary="")
    late = Node(path)
    if fault == "store closed":
        late.store.close()
    servicer = DecideServicer(late.publisher, late.workspace, Meter(), Metrics(), open_engine())
    method = next(method for method in methods() if method.name == "Decide")
    call = Call(method, {}, "grpc", request=Request(text="harmless", tenant_id="acme"))
    answer = await servicer.decide(call, decide_pb2.DecideRequest())
    assert answer.outcome == decide_pb2.OUTCOME_BLOCK
    assert answer.incomplete
    assert answer.reason_code == "ENGINE_ERROR"
    late.close()


async def test_a_write_that_is_in_force_is_no_error_though_others_cannot_be_read(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable() -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(node.workspace, "catch_up", unreadable)
    assert (await node.policies.create("acme", "me", DRAFT)).value.value.name == "No rivals"
    assert await node.outcome("our rival") is Outcome.BLOCK


async def test_many_first_requests_of_a_tenant_share_one_compilation(
    path: Path, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.policies.create("acme", "me", DRAFT)
    late = Node(path)
    reads: list[int] = []
    read = late.store.read

    def counted() -> AbstractContextManager[Reader]:
        reads.append(1)
        return read()

    monkeypatch.setattr(late.store, "read", counted)
    snapshots = await asyncio.gather(*(late.workspace.load("acme") for _ in range(10)))
    assert len(reads) == 1
    assert len({id(snapshot) for snapshot in snapshots}) == 1
    late.close()
