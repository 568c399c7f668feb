"""The recorder: it acknowledges a record only when the record is on disk."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import pytest

from pdp.audit import recorder as recorder_module
from pdp.audit.acknowledgements import LoopAcknowledgements, ThreadAcknowledgements
from pdp.audit.recorder import Recorder
from pdp.domain.audit_log import (
    RecordFilter,
    RecordPage,
    Removal,
    Retention,
    StoredRecord,
    Verification,
)
from pdp.domain.decision import Outcome, Risk
from pdp.domain.decision_record import DecisionRecord, Recorded
from pdp.domain.org_policy import DEFAULT_ORG_POLICY
from pdp.errors import StoreUnavailable
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from pdp.audit.acknowledgements import Acknowledgements, ThreadAcknowledgement
    from pdp.domain.decision_counts import CountedBuckets, CountedPeriod, CountKey


class MemoryLog:
    """An `AuditLog` whose appends can be blocked and can fail."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.failure: Exception | BaseException | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.appends = threading.Semaphore(0)
        self.retentions: list[Retention] = []
        self.retained_thrice = threading.Event()

    def append(self, bodies: Sequence[str]) -> None:
        self.appends.release()
        assert self.gate.wait(TIMEOUT_S)
        if self.failure is not None:
            raise self.failure
        self.batches.append(list(bodies))

    @property
    def count(self) -> int:
        return sum(map(len, self.batches))

    def select(self, record_filter: RecordFilter, *, before: int | None, limit: int) -> RecordPage:
        raise NotImplementedError

    def follow(self, record_filter: RecordFilter, *, after: int, limit: int) -> RecordPage:
        raise NotImplementedError

    def read_on(self, after: int, limit: int) -> Sequence[StoredRecord]:
        raise NotImplementedError

    def known(self, tenant_id: str, decision_ids: Collection[str]) -> frozenset[str]:
        return frozenset()

    def get(self, tenant_id: str, decision_id: str) -> StoredRecord | None:
        raise NotImplementedError

    def last(self) -> int:
        raise NotImplementedError

    def verify(self, anchor: str = "") -> Verification:
        raise NotImplementedError

    def retain(self, retention: Retention, now: float) -> Removal:
        self.retentions.append(retention)
        if len(self.retentions) == 3:
            self.retained_thrice.set()
        return Removal(max(0, 3 - len(self.retentions)), 1)

    def size(self) -> int:
        return 0

    def add_counts(self, counts: Mapping[CountKey, int], at: float) -> None:
        raise NotImplementedError

    def counts(
        self,
        tenant_id: str,
        *,
        since: float | None = None,
        until: float | None = None,
        outcomes: Sequence[str] = (),
    ) -> CountedPeriod:
        raise NotImplementedError

    def bucket_counts(
        self, tenant_id: str, *, start: int, width: int, number: int
    ) -> CountedBuckets:
        raise NotImplementedError

    def checkpoint(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Does nothing."""


class Listener:
    """A `Consumer`."""

    name = "listener"

    def __init__(self, *, fails: bool = False) -> None:
        self.decision_ids: list[str] = []
        self.called = threading.Event()
        self._fails = fails

    def consume(self, batch: Sequence[Recorded]) -> None:
        if self._fails:
            raise RuntimeError("a bug")
        self.decision_ids += [each.record.decision_id for each in batch]
        self.called.set()


FATAL: Final = -2


class SettledAcknowledgements:
    """`Acknowledgements` that note how each was settled."""

    def __init__(self) -> None:
        self.settled: SimpleQueue[bool] = SimpleQueue()

    def new(self) -> None:
        """Returns None: the tests only read `settled`."""

    def settle(self, acknowledgements: Sequence[None], *, written: bool) -> None:
        for _ in acknowledgements:
            self.settled.put(written)


def make(number: int) -> Recorded:
    if number == FATAL:
        raise SystemExit
    if number < 0:
        raise ValueError(number)
    record = DecisionRecord(f"d{number}", "", 0.0, "t", Outcome.BLOCK, Risk(90, "critical"))
    return Recorded(record, DEFAULT_ORG_POLICY)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def start(log: MemoryLog) -> Iterator[Callable[..., Recorder[int]]]:
    started: list[Recorder[int]] = []

    def start_recorder(
        acknowledgements: Acknowledgements | None = None, bound: int = 100
    ) -> Recorder[int]:
        started.append(Recorder(log, make, acknowledgements, bound=bound, retention=Retention()))
        return started[-1]

    yield start_recorder
    log.gate.set()
    for each in started:
        each.close()


class TestDurable:
    def test_a_record_is_acknowledged_when_it_is_written(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        log.gate.clear()
        acknowledgement = recorder.record(1)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        assert log.batches == []  # nothing is written yet
        log.gate.set()
        assert acknowledgement.wait() is True
        assert log.count == 1

    def test_a_group_is_written_as_one_batch_when_it_is_put(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        group = recorder.group()
        grouped = [group.record(number) for number in range(1, 40)]
        assert recorder.record(0).wait() is True
        assert [len(each) for each in log.batches] == [1]  # the group is not queued yet
        group.put()
        assert all(each.wait() for each in grouped)
        assert log.count == 40
        group.put()  # puts none twice
        assert recorder.record(99).wait() is True
        assert log.count == 41

    @pytest.mark.parametrize(("count", "queued"), [(255, 0), (256, 256), (257, 256)])
    def test_a_group_is_put_when_it_fills_a_batch(
        self, log: MemoryLog, start: Callable[..., Recorder[int]], count: int, queued: int
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        group = recorder.group()
        acknowledgements = [group.record(number) for number in range(count)]
        assert all(each.wait() for each in acknowledgements[:queued])
        assert recorder.record(999).wait() is True
        assert log.count == queued + 1
        group.put()
        assert all(each.wait() for each in acknowledgements)

    @pytest.mark.parametrize(("size", "parts"), [(1 << 18, [2, 2, 1]), ((1 << 18) - 1, [3, 2])])
    def test_large_records_are_appended_in_parts(
        self,
        log: MemoryLog,
        start: Callable[..., Recorder[int]],
        monkeypatch: pytest.MonkeyPatch,
        size: int,
        parts: list[int],
    ) -> None:
        monkeypatch.setattr(recorder_module, "encode_record", lambda _record: "x" * size)
        recorder = start(ThreadAcknowledgements())
        group = recorder.group()
        acknowledgements = [group.record(number) for number in range(5)]
        log.gate.clear()
        first = recorder.record(5)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        group.put()
        log.gate.set()
        assert all(each.wait() for each in (first, *acknowledgements))
        assert [len(each) for each in log.batches] == [1, *parts]

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    @pytest.mark.parametrize(
        ("failure", "written"),
        [
            (StoreUnavailable("full"), [True, True, False, False, True]),
            (SystemExit(), [True, True, False, False, False]),
        ],
    )
    def test_each_record_of_a_batch_is_answered_if_the_append_of_a_part_fails(
        self,
        log: MemoryLog,
        start: Callable[..., Recorder[int]],
        monkeypatch: pytest.MonkeyPatch,
        failure: BaseException,
        written: list[bool],
    ) -> None:
        monkeypatch.setattr(recorder_module, "encode_record", lambda _record: "x" * (1 << 18))
        append, appends = log.append, iter((None, None, failure, None))

        def fail_once(bodies: Sequence[str]) -> None:
            log.failure = next(appends)
            append(bodies)

        monkeypatch.setattr(log, "append", fail_once)
        recorder = start(ThreadAcknowledgements())
        log.gate.clear()
        first = recorder.record(5)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        group = recorder.group()
        acknowledgements = [group.record(number) for number in range(5)]
        group.put()
        log.gate.set()
        assert first.wait() is True
        assert [each.wait() for each in acknowledgements] == written

    def test_queued_records_are_written_as_one_batch(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        log.gate.clear()
        first = recorder.record(0)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        others = [recorder.record(number) for number in range(1, 40)]
        log.gate.set()
        assert all(each.wait() for each in [first, *others])
        assert [len(each) for each in log.batches] == [1, 39]

    def test_large_requests_are_written_in_several_batches(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        """In one batch they could exceed the limit of the store, and none would be written."""
        recorder = start(ThreadAcknowledgements())
        log.gate.clear()
        first = recorder.record(0)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        others = [
            recorder.record(number, recorder_module.MAX_WEIGHT // 2) for number in range(1, 6)
        ]
        log.gate.set()
        assert all(each.wait() for each in [first, *others])
        assert [len(each) for each in log.batches] == [1, 2, 2, 1]

    def test_a_failed_write_is_reported_and_recording_recovers(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        log.failure = StoreUnavailable("The store's disk is full.")
        assert recorder.record(1).wait() is False
        assert recorder.status() == "failing: The store's disk is full."
        assert recorder.unwritten == 1
        log.failure = None
        assert recorder.record(2).wait() is True
        assert recorder.status() == "ok"

    def test_the_status_is_current_when_a_caller_has_its_answer(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        statuses: list[str] = []

        class Watched(ThreadAcknowledgements):
            def settle(
                self, acknowledgements: Sequence[ThreadAcknowledgement], *, written: bool
            ) -> None:
                statuses.append(recorder.status())
                super().settle(acknowledgements, written=written)

        recorder = start(Watched())
        log.failure = StoreUnavailable("The store's disk is full.")
        assert recorder.record(1).wait() is False
        log.failure = None
        assert recorder.record(2).wait() is True
        assert statuses == ["failing: The store's disk is full.", "ok"]

    def test_a_record_that_cannot_be_made_is_reported_as_not_written(
        self, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        assert recorder.record(-1).wait() is False
        assert "ValueError" in recorder.status()
        assert recorder.record(1).wait() is True

    def test_a_record_that_cannot_be_made_does_not_affect_others(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        """The others may belong to other tenants, and share the batch by chance."""
        recorder = start(ThreadAcknowledgements())
        log.gate.clear()
        first = recorder.record(0)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        others = [recorder.record(number) for number in (1, -1, 2)]
        log.gate.set()
        assert [each.wait() for each in (first, *others)] == [True, True, False, True]
        assert [len(each) for each in log.batches] == [1, 2]
        assert recorder.unwritten == 1

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_fatal_error_while_making_a_record_settles_all_acknowledgements(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        log.gate.clear()
        first = recorder.record(0)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        others = [recorder.record(number) for number in (1, FATAL, 2)]
        log.gate.set()
        assert [each.wait() for each in (first, *others)] == [True, False, False, False]
        assert recorder.record(3).wait() is False

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_the_end_of_the_recorder_settles_all_acknowledgements(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        """Those of the batch that was being written, and those behind it."""
        acknowledgements = SettledAcknowledgements()
        recorder = start(acknowledgements)
        log.gate.clear()
        recorder.record(0)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        for number in range(1, 4):
            recorder.record(number)
        log.failure = SystemExit()
        log.gate.set()
        assert [acknowledgements.settled.get(timeout=TIMEOUT_S) for _ in range(4)] == [False] * 4

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_fatal_error_while_writing_settles_all_acknowledgements(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        log.failure = SystemExit()
        assert recorder.record(1).wait() is False
        recorder.close()
        assert not recorder.alive
        assert recorder.status() == "ended: decisions are not recorded"
        assert recorder.record(2).wait() is False

    def test_closing_writes_the_queue(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        log.gate.clear()
        acknowledgements = [recorder.record(number) for number in range(600)]
        log.gate.set()
        recorder.close()
        assert log.count == 600
        assert all(each.wait() for each in acknowledgements)

    async def test_acknowledgements_of_an_event_loop_are_awaited(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(LoopAcknowledgements(asyncio.get_running_loop()))
        futures = [recorder.record(number) for number in range(5)]
        futures[2].cancel()  # a caller that is cancelled
        assert await asyncio.gather(*futures[:2], *futures[3:]) == [True] * 4
        assert log.count == 5


class TestAsync:
    def test_no_caller_waits_and_all_records_are_written(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start()
        assert [recorder.record(number) for number in range(50)] == [None] * 50
        recorder.close()
        assert (log.count, recorder.dropped) == (50, 0)

    def test_a_full_queue_drops_decisions_and_reports_it(
        self, log: MemoryLog, start: Callable[..., Recorder[int]], caplog: pytest.LogCaptureFixture
    ) -> None:
        recorder = start(bound=10)
        log.gate.clear()
        recorder.record(0)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        for number in range(1, 31):
            recorder.record(number)
        assert (recorder.depth, recorder.dropped) == (10, 20)
        assert recorder.status() == "failing: the queue is full"
        assert "decision records cannot be written: the queue is full" in caplog.text
        log.gate.set()
        recorder.close()
        assert log.count == 11

    def test_dropped_records_stay_in_the_status(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(bound=1)
        listener = Listener()
        recorder.subscribe(listener)
        log.gate.clear()
        recorder.record(0)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        recorder.record(1)
        recorder.record(2)
        log.gate.set()
        assert log.appends.acquire(timeout=TIMEOUT_S)
        assert listener.called.wait(TIMEOUT_S)
        assert recorder.status() == "ok; 1 records were dropped since the start"

    def test_the_size_of_queued_texts_is_bounded(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start()
        log.gate.clear()
        recorder.record(0)
        assert log.appends.acquire(timeout=TIMEOUT_S)
        recorder.record(1, recorder_module.MAX_WEIGHT)
        recorder.record(2, 1)
        assert recorder.dropped == 1

    def test_written_records_free_room_in_the_queue(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start()
        for number in range(3):
            listener = Listener()
            recorder.subscribe(listener)
            recorder.record(number, recorder_module.MAX_WEIGHT)
            assert listener.called.wait(TIMEOUT_S)
        assert (recorder.dropped, log.count) == (0, 3)

    def test_a_failed_write_is_retried(
        self, log: MemoryLog, start: Callable[..., Recorder[int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recorder_module, "RETRY_S", 0.01)
        recorder = start()
        log.failure = StoreUnavailable("The store's disk is full.")
        recorder.record(1)
        for _ in range(3):
            assert log.appends.acquire(timeout=TIMEOUT_S)
        assert recorder.status() == "failing: The store's disk is full."
        log.failure = None
        recorder.close()
        assert (log.count, recorder.dropped) == (1, 0)

    def test_closing_drops_records_that_cannot_be_written(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start()
        log.failure = StoreUnavailable("The store's disk is full.")
        for number in range(5):
            recorder.record(number)
        recorder.close()
        assert (log.count, recorder.dropped) == (0, 5)


class TestRetention:
    def test_expired_records_are_removed_while_no_decisions_come(self, log: MemoryLog) -> None:
        retention = Retention(max_age_s=60)
        recorder: Recorder[int] = Recorder(log, make, None, bound=9, retention=retention)
        assert log.retained_thrice.wait(TIMEOUT_S)
        wait_until(lambda: recorder.removed_early == 3, "three steps have removed a record each")
        early = "ok; 3 records were removed before their time since the start"
        assert recorder.status() == early
        recorder.close()
        assert log.retentions[:3] == [retention] * 3


class TestConsumers:
    def test_consumers_get_written_records_in_order(
        self, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        listeners = [Listener(), Listener(fails=True), Listener()]
        for each in listeners:
            recorder.subscribe(each)
        for number in range(20):
            recorder.record(number).wait()
        recorder.close()
        assert (
            listeners[0].decision_ids == listeners[2].decision_ids == [f"d{n}" for n in range(20)]
        )
        assert recorder.consumer_failures == 20

    def test_consumers_get_no_record_that_was_not_written(
        self, log: MemoryLog, start: Callable[..., Recorder[int]]
    ) -> None:
        recorder = start(ThreadAcknowledgements())
        listener = Listener()
        recorder.subscribe(listener)
        log.failure = StoreUnavailable("The store's disk is full.")
        recorder.record(1).wait()
        recorder.close()
        assert listener.decision_ids == []
