"""Limits' use cases, and counters that outlive the process that counted them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

import pytest

from pdp.admin.limits import Limits
from pdp.admin.versioned import Expectation
from pdp.domain.limits import KIND, Counts, Limit
from pdp.domain.request import Request, Subject, Usage
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
from pdp.usage import stored_meter, synchronization
from pdp.usage.meter import Meter
from pdp.usage.stored_meter import StoredMeter
from pdp.usage.synchronization import UsageSynchronizer
from tests.support.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pdp.domain.counter import Counter
    from pdp.store.port import Transaction

T = TypeVar("T")

DRAFT = Limit("", "user", "u", daily_request_limit=3)


class Counting(Node):
    """With counters, and limits on them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.metering = UsageSynchronizer(self.workspace, Meter())
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
        usage = await self.limits.usage("acme")
        return {limit.subject_id: usage.spent.by_limit[limit.id].day for limit in usage.limits}


@pytest.fixture
def node(path: Path) -> Iterator[Counting]:
    node = Counting(path)
    yield node
    node.close()


@pytest.fixture
def other(path: Path, node: Counting) -> Iterator[Counting]:
    other = Counting(path)
    yield other
    other.close()


class TestAdministration:
    async def test_a_limit_is_in_force_when_it_is_made_and_out_when_it_is_deleted(
        self, node: Counting
    ) -> None:
        draft = Limit("x", "user", "u", daily_request_limit=0)
        made = (await node.limits.create("acme", "me", draft)).value
        assert made.value.id != "x"
        assert not await node.allowed()
        await node.limits.delete("acme", "me", made.value.id)
        assert await node.allowed()
        with pytest.raises(LimitNotFound):
            await node.limits.get("acme", made.value.id)

    async def test_a_subject_has_one_limit_until_it_is_deleted(self, node: Counting) -> None:
        made = (await node.limits.create("acme", "me", DRAFT)).value.value
        with pytest.raises(LimitExists) as refused:
            await node.limits.create("acme", "me", DRAFT)
        assert refused.value.violations[0].reason == f"has the limit {made.id}"
        await node.limits.create("acme", "me", Limit("", "group", "u"))
        await node.limits.create("other", "me", DRAFT)
        await node.limits.delete("acme", "me", made.id)
        await node.limits.create("acme", "me", DRAFT)

    async def test_a_change_keeps_what_was_counted(self, node: Counting) -> None:
        made = (await node.limits.create("acme", "me", DRAFT)).value.value
        assert [await node.allowed() for _ in range(4)] == [True, True, True, False]
        changed = await node.limits.update("acme", "me", made.id, {"daily_request_limit": 4})
        assert changed.value.value.daily_request_limit == 4
        assert [await node.allowed() for _ in range(2)] == [True, False]
        assert await node.used() == {"u": Counts(4)}

    async def test_a_change_of_nothing_writes_nothing(self, node: Counting) -> None:
        made = (await node.limits.create("acme", "me", DRAFT)).value
        same = await node.limits.update("acme", "me", made.value.id, {"subject_id": "u"})
        assert same.value == made

    async def test_a_limit_stays_whose_it_is(self, node: Counting) -> None:
        made = (await node.limits.create("acme", "me", DRAFT)).value.value
        with pytest.raises(InvalidArgument, match="subject_id: cannot be changed"):
            await node.limits.update("acme", "me", made.id, {"subject_id": "v"})

    async def test_a_writer_loses_no_change_of_another(self, node: Counting) -> None:
        made = (await node.limits.create("acme", "me", DRAFT)).value
        stale = Expectation(frozenset({made.revision - 1}))
        with pytest.raises(PreconditionFailed):
            await node.limits.update("acme", "me", made.value.id, {"is_active": False}, stale)
        with pytest.raises(PreconditionFailed):
            await node.limits.delete("acme", "me", made.value.id, stale)
        assert (await node.limits.get("acme", made.value.id)).value.is_active

    @pytest.mark.parametrize("subject_id", ["nul\0", "\ud800"])
    async def test_an_id_that_cannot_be_kept_is_refused(
        self, node: Counting, subject_id: str
    ) -> None:
        with pytest.raises(InvalidArgument):
            await node.limits.create("acme", "me", Limit("", "user", subject_id))

    async def test_every_write_is_in_the_log_and_no_count_is(self, node: Counting) -> None:
        made = (await node.limits.create("acme", "me", DRAFT)).value.value
        await node.limits.update("acme", "you", made.id, {"is_active": False})
        await node.limits.update("acme", "you", made.id, {"is_active": True})
        await node.allowed()
        await node.metering.sync()
        await node.limits.delete("acme", "me", made.id)
        history = await node.workspace.read(lambda reader: reader.history(KIND, "acme", made.id))
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

    async def test_workers_know_what_each_other_counts(
        self, node: Counting, other: Counting
    ) -> None:
        await node.limits.create("acme", "me", DRAFT)
        assert await node.allowed()
        await node.metering.sync()
        await other.metering.sync()
        assert await other.allowed()
        await other.metering.sync()
        assert await node.used() == {"u": Counts(2)}
        assert [await node.allowed() for _ in range(2)] == [True, False]

    async def test_the_error_of_two_workers_is_what_one_lets_pass_between_two_looks(
        self, node: Counting, other: Counting
    ) -> None:
        await node.limits.create("acme", "me", DRAFT)
        passed = sum([await each.allowed() for each in (node, other) for _ in range(5)])
        assert passed == 6
        await node.metering.sync()
        await other.metering.sync()
        assert await node.used() == {"u": Counts(6)}
        assert not await other.allowed()

    async def test_what_is_counted_is_written_without_being_asked(
        self, node: Counting, other: Counting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await node.limits.create("acme", "me", DRAFT)
        meter, learned = other.metering.meter, asyncio.Event()
        finish = meter.finish

        def finished(counters: Sequence[Counter]) -> None:
            finish(counters)
            if counters:
                learned.set()

        monkeypatch.setattr(meter, "finish", finished)
        tasks = [asyncio.create_task(each.metering.keep()) for each in (node, other)]
        await node.allowed()
        await asyncio.wait_for(learned.wait(), 30)
        assert [await other.allowed() for _ in range(3)] == [True, True, False]
        for task in tasks:
            task.cancel()

    async def test_counting_goes_on_whatever_went_wrong(
        self, node: Counting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Or other processes would never learn what was used here."""
        monkeypatch.setattr(synchronization, "RETRY_INTERVAL_S", 0.001)
        await node.limits.create("acme", "me", DRAFT)
        record, written = node.workspace.record, asyncio.Event()

        async def failing_once(work: Callable[[Transaction], T]) -> T:
            monkeypatch.setattr(node.workspace, "record", recording)
            raise ValueError("odd")

        async def recording(work: Callable[[Transaction], T]) -> T:
            done = await record(work)
            written.set()
            return done

        monkeypatch.setattr(node.workspace, "record", failing_once)
        await node.allowed()
        keeping = asyncio.create_task(node.metering.keep())
        await asyncio.wait_for(written.wait(), 30)
        keeping.cancel()
        assert await node.used() == {"u": Counts(1)}

    async def test_a_store_that_cannot_be_written_stops_no_decision_and_no_count(
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

    async def test_a_caller_that_goes_away_makes_nothing_count_twice(self, node: Counting) -> None:
        await node.limits.create("acme", "me", DRAFT)
        await node.allowed()
        task = asyncio.create_task(node.metering.sync())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await node.metering.close()
        assert await node.used() == {"u": Counts(1)}

    async def test_windows_that_have_ended_are_removed(self, node: Counting) -> None:
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
    async def test_an_engine_in_this_process_counts_too(self, node: Counting, path: Path) -> None:
        await node.limits.create("acme", "me", DRAFT)
        with Engine.open(f"sqlite:///{path}") as engine:
            ask = Subject("u")
            decisions = [engine.decide(subject=ask, tenant_id="acme") for _ in range(4)]
            assert [each.allowed for each in decisions] == [True, True, True, False]
        assert await node.used() == {"u": Counts(3)}
        assert not await node.allowed()

    async def test_many_threads_do_not_pass_a_limit(self, node: Counting, path: Path) -> None:
        await node.limits.create("acme", "me", Limit("", "user", "u", daily_request_limit=100))
        with Engine.open(f"sqlite:///{path}") as engine:

            def work() -> int:
                ask = Subject("u")
                return sum(engine.decide(subject=ask, tenant_id="acme").allowed for _ in range(50))

            passed = await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))
        assert sum(passed) == 100
        assert await node.used() == {"u": Counts(100)}

    @pytest.mark.parametrize("fault", [StoreUnavailable("gone"), ValueError("odd")], ids=repr)
    async def test_what_could_not_be_written_is_kept_for_the_next_time(
        self, node: Counting, monkeypatch: pytest.MonkeyPatch, fault: Exception
    ) -> None:
        await node.limits.create("acme", "me", DRAFT)
        meter = StoredMeter(node.store, threading.Lock())
        snapshot = node.publisher.current("acme")
        assert snapshot is not None
        assert meter.charge(snapshot, Request(subject=Subject("u"))) is not None

        def failing(*_: object, **__: object) -> Sequence[Counter]:
            raise fault

        with monkeypatch.context() as patched:
            patched.setattr(stored_meter, "write_counters", failing)
            with pytest.raises(type(fault)):
                meter.flush()
        meter.flush()
        assert await node.used() == {"u": Counts(1)}
