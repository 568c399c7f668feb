"""The use cases of limits, and counters that are shared through the store."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

import pytest

from pdp.admin.limits import Limits
from pdp.admin.pages import PageRequest
from pdp.admin.preconditions import Precondition
from pdp.domain.limits import KIND, Limit
from pdp.domain.request import Request, Subject, Usage
from pdp.domain.usage import Counts
from pdp.embedded import Engine
from pdp.engine.evaluate import evaluate
from pdp.errors import (
    InvalidArgument,
    LimitExists,
    LimitNotFound,
    PreconditionFailed,
    StoreUnavailable,
)
from pdp.store import open_store
from pdp.usage import synchronization
from pdp.usage.flush import Flush
from pdp.usage.meter import Meter
from pdp.usage.stored_meter import StoredMeter
from pdp.usage.synchronization import UsageSynchronizer
from tests.support.meters import Clock
from tests.support.nodes import Node, node, other

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pdp.domain.usage import Counter
    from pdp.store.port import Transaction

T = TypeVar("T")

DRAFT = Limit("", "user", "u", daily_request_limit=3)

__all__ = ["node", "other"]


class Counting(Node):
    """A node with limits and usage counters."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.metering = UsageSynchronizer(self.workspace, Meter(Clock()))
        self.limits = Limits(self.workspace, self.metering)

    async def allowed(self, user_id: str = "u", **usage: int) -> bool:
        await self.workspace.catch_up()
        snapshot = self.publisher.current("acme") or await self.workspace.load("acme")
        request = Request(subject=Subject(user_id), usage=Usage(**usage))
        charge = self.metering.meter.charge(snapshot, request)
        decision = evaluate(snapshot, charge.request if charge else request, "d")
        if charge:
            self.metering.meter.settle(charge, decision)
        return decision.allowed

    async def used(self) -> dict[str, Counts]:
        report = await self.limits.usage("acme", PageRequest(100))
        limits = report.page.items
        return {limit.subject_id: report.spent.by_limit[limit.id].day for limit in limits}


@pytest.fixture
def node_class() -> type[Counting]:
    return Counting


class TestAdministration:
    async def test_a_limit_is_in_force_from_its_creation_to_its_deletion(
        self, node: Counting
    ) -> None:
        draft = Limit("x", "user", "u", daily_request_limit=0)
        created = (await node.limits.create("acme", "me", draft)).value
        assert created.value.id != "x"
        assert not await node.allowed()
        await node.limits.delete("acme", "me", created.value.id)
        assert await node.allowed()
        with pytest.raises(LimitNotFound):
            await node.limits.get("acme", created.value.id)

    async def test_a_subject_has_at_most_one_limit(self, node: Counting) -> None:
        created = (await node.limits.create("acme", "me", DRAFT)).value.value
        with pytest.raises(LimitExists) as error:
            await node.limits.create("acme", "me", DRAFT)
        assert error.value.violations[0].reason == f"has the limit {created.id}"
        await node.limits.create("acme", "me", Limit("", "group", "u"))
        await node.limits.create("other", "me", DRAFT)
        await node.limits.delete("acme", "me", created.id)
        await node.limits.create("acme", "me", DRAFT)

    async def test_an_update_keeps_the_counters(self, node: Counting) -> None:
        created = (await node.limits.create("acme", "me", DRAFT)).value.value
        assert [await node.allowed() for _ in range(4)] == [True, True, True, False]
        changed = await node.limits.update("acme", "me", created.id, {"daily_request_limit": 4})
        assert changed.value.value.daily_request_limit == 4
        assert [await node.allowed() for _ in range(2)] == [True, False]
        assert await node.used() == {"u": Counts(4)}

    async def test_an_update_without_changes_writes_nothing(self, node: Counting) -> None:
        created = (await node.limits.create("acme", "me", DRAFT)).value
        same = await node.limits.update("acme", "me", created.value.id, {"subject_id": "u"})
        assert same.value == created

    async def test_the_subject_of_a_limit_cannot_be_changed(self, node: Counting) -> None:
        created = (await node.limits.create("acme", "me", DRAFT)).value.value
        with pytest.raises(InvalidArgument, match="subject_id: cannot be changed"):
            await node.limits.update("acme", "me", created.id, {"subject_id": "v"})

    async def test_a_stale_precondition_is_rejected(self, node: Counting) -> None:
        created = (await node.limits.create("acme", "me", DRAFT)).value
        stale = Precondition(frozenset({created.revision - 1}))
        with pytest.raises(PreconditionFailed):
            await node.limits.update("acme", "me", created.value.id, {"is_active": False}, stale)
        with pytest.raises(PreconditionFailed):
            await node.limits.delete("acme", "me", created.value.id, stale)
        assert (await node.limits.get("acme", created.value.id)).value.is_active

    @pytest.mark.parametrize("subject_id", ["nul\0", "\ud800"])
    async def test_an_id_that_cannot_be_stored_is_rejected(
        self, node: Counting, subject_id: str
    ) -> None:
        with pytest.raises(InvalidArgument):
            await node.limits.create("acme", "me", Limit("", "user", subject_id))

    async def test_the_change_log_has_all_writes_and_no_counts(self, node: Counting) -> None:
        created = (await node.limits.create("acme", "me", DRAFT)).value.value
        await node.limits.update("acme", "you", created.id, {"is_active": False})
        await node.limits.update("acme", "you", created.id, {"is_active": True})
        await node.allowed()
        await node.metering.sync()
        await node.limits.delete("acme", "me", created.id)
        history = await node.workspace.read(lambda reader: reader.history(KIND, "acme", created.id))
        assert [change.summary for change in history] == [
            "Deleted the limit of user u",
            "Updated is_active",
            "Updated is_active",
            "Created the limit of user u",
        ]
        assert await node.workspace.read(lambda reader: reader.revision()) == history[0].revision


class TestCounters:
    async def test_counters_survive_a_restart(self, node: Counting, path: Path) -> None:
        await node.limits.create("acme", "me", DRAFT)
        await node.allowed()
        await node.allowed()
        await node.metering.close()
        late = Counting(path)
        await late.metering.sync()
        assert [await late.allowed() for _ in range(2)] == [True, False]
        late.close()

    async def test_workers_share_their_counts(self, node: Counting, other: Counting) -> None:
        await node.limits.create("acme", "me", DRAFT)
        assert await node.allowed()
        await node.metering.sync()
        await other.metering.sync()
        assert await other.allowed()
        await other.metering.sync()
        assert await node.used() == {"u": Counts(2)}
        assert [await node.allowed() for _ in range(2)] == [True, False]

    async def test_two_workers_exceed_a_limit_only_between_two_flushes(
        self, node: Counting, other: Counting
    ) -> None:
        await node.limits.create("acme", "me", DRAFT)
        allowed_count = sum([await each.allowed() for each in (node, other) for _ in range(5)])
        assert allowed_count == 6
        await node.metering.sync()
        await other.metering.sync()
        assert await node.used() == {"u": Counts(6)}
        assert not await other.allowed()

    async def test_counts_are_written_in_the_background(
        self, node: Counting, other: Counting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await node.limits.create("acme", "me", DRAFT)
        meter, received = other.metering.meter, asyncio.Event()
        finish = meter.finish_flush

        def finish_and_signal(counters: Sequence[Counter]) -> None:
            finish(counters)
            if counters:
                received.set()

        monkeypatch.setattr(meter, "finish_flush", finish_and_signal)
        tasks = [asyncio.create_task(each.metering.run()) for each in (node, other)]
        await node.allowed()
        await asyncio.wait_for(received.wait(), 30)
        assert [await other.allowed() for _ in range(3)] == [True, True, False]
        for task in tasks:
            task.cancel()

    async def test_synchronization_continues_after_any_error(
        self, node: Counting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise other processes would not learn of the usage here."""
        monkeypatch.setattr(synchronization, "RETRY_INTERVAL_S", 0.001)
        await node.limits.create("acme", "me", DRAFT)
        transact, written = node.workspace.transact, asyncio.Event()

        async def fail_once(work: Callable[[Transaction], T]) -> T:
            monkeypatch.setattr(node.workspace, "transact", transact_and_signal)
            raise ValueError("odd")

        async def transact_and_signal(work: Callable[[Transaction], T]) -> T:
            result = await transact(work)
            written.set()
            return result

        monkeypatch.setattr(node.workspace, "transact", fail_once)
        await node.allowed()
        running = asyncio.create_task(node.metering.run())
        await asyncio.wait_for(written.wait(), 30)
        running.cancel()
        assert await node.used() == {"u": Counts(1)}

    async def test_decisions_and_counts_continue_if_the_store_cannot_be_written(
        self, node: Counting, path: Path
    ) -> None:
        await node.limits.create("acme", "me", DRAFT)
        await node.allowed()
        blocker = open_store(f"sqlite:///{path}")
        with blocker.write():
            with pytest.raises(StoreUnavailable):
                await node.metering.sync()
            assert await node.allowed()
        await node.metering.sync()
        assert node.metering.meter.unwritten == 0
        assert await node.used() == {"u": Counts(2)}
        blocker.close()

    async def test_a_cancelled_caller_does_not_count_twice(self, node: Counting) -> None:
        await node.limits.create("acme", "me", DRAFT)
        await node.allowed()
        task = asyncio.create_task(node.metering.sync())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await node.metering.close()
        assert await node.used() == {"u": Counts(1)}

    async def test_counters_of_past_windows_are_removed(self, node: Counting) -> None:
        await node.limits.create("acme", "me", DRAFT)
        now = node.metering.meter.clock()
        node.metering.meter.clock = lambda: now - 70 * 86_400
        await node.allowed()
        await node.metering.sync()
        node.metering.meter.clock = lambda: now
        await node.allowed()
        await node.metering.sync()
        counters = await node.workspace.read(lambda reader: reader.counters(0))
        assert {counter.id.window for counter in counters} == {"second", "day", "month"}
        assert len(counters) == 3


class TestEngine:
    async def test_an_embedded_engine_counts_too(self, node: Counting, path: Path) -> None:
        await node.limits.create("acme", "me", DRAFT)
        with Engine.open(f"sqlite:///{path}") as engine:
            subject = Subject("u")
            decisions = [engine.decide(subject=subject, tenant_id="acme") for _ in range(4)]
            assert [each.allowed for each in decisions] == [True, True, True, False]
        assert await node.used() == {"u": Counts(3)}
        assert not await node.allowed()

    async def test_many_threads_do_not_exceed_a_limit(self, node: Counting, path: Path) -> None:
        await node.limits.create("acme", "me", Limit("", "user", "u", daily_request_limit=100))
        with Engine.open(f"sqlite:///{path}") as engine:

            def work() -> int:
                subject = Subject("u")
                return sum(
                    engine.decide(subject=subject, tenant_id="acme").allowed for _ in range(50)
                )

            counts = await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))
        assert sum(counts) == 100
        assert await node.used() == {"u": Counts(100)}

    @pytest.mark.parametrize("fault", [StoreUnavailable("gone"), ValueError("odd")], ids=repr)
    async def test_additions_of_a_failed_flush_are_kept(
        self, node: Counting, monkeypatch: pytest.MonkeyPatch, fault: Exception
    ) -> None:
        await node.limits.create("acme", "me", DRAFT)
        meter = StoredMeter(node.store, threading.Lock())
        snapshot = node.publisher.current("acme")
        assert snapshot is not None
        assert meter.charge(snapshot, Request(subject=Subject("u"))) is not None

        def fail(*_: object, **__: object) -> Sequence[Counter]:
            raise fault

        with monkeypatch.context() as patched:
            patched.setattr(Flush, "write", fail)
            with pytest.raises(type(fault)):
                meter.flush()
        meter.flush()
        assert await node.used() == {"u": Counts(1)}
