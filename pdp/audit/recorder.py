"""The recorder: a queue of decisions, and the thread that writes their records to the log.

The queue holds references only. The thread makes the records of the queued decisions, writes them
as one batch (a group commit), and passes them to the consumers.

There are two modes:

- Durable: the caller waits for an acknowledgement before it answers. If the batch cannot be
  written, the acknowledgement says so, and the caller must not answer ALLOW.
- Async: no caller waits. The queue is bounded, and decisions that do not fit are dropped, counted,
  logged, and shown in `/readyz`.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from pdp.audit.failure_log import FailureLog
from pdp.audit.maintenance import RetentionSource, RetentionTask
from pdp.audit.record_json import encode_record
from pdp.errors import PdpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pdp.audit.acknowledgements import Acknowledgements
    from pdp.audit.consumer import Consumer
    from pdp.domain.audit_log import AuditLog, Retention
    from pdp.domain.decision_record import Recorded

T = TypeVar("T")

MAX_BATCH: Final = 256
"""The most records in a batch."""

MAX_WEIGHT: Final = 64 << 20
"""The most characters of text in the queue (async mode) and in a batch (both modes), for any number
of decisions. SQLite accepts at most 1,000,000,000 bytes at a time."""

MAX_PART: Final = 1 << 19
"""Characters of encoded records from which the rest of a batch is appended on its own. Packing them
holds the interpreter's lock, about 1 ms for a million characters."""

LINGER_S: Final = 0.02
"""Async mode: how long a batch may grow. No caller waits, and larger batches are cheaper."""

GATHER_S: Final = 0.00025
"""Durable mode: how long a batch may grow for each record of the last batch. A commit and its
thread switches cost as much as ten records. After a batch of one record there is no wait."""

MAX_GATHER_S: Final = 0.003

RETRY_S: Final = 0.5
"""Async mode: the pause after a failed write."""

_log: Final = logging.getLogger("pdp.audit")


class _QueuedDecision(NamedTuple, Generic[T]):
    pending: T
    weight: int
    acknowledgement: Any
    is_optional: bool = False


def _count_nothing(_pending: object, *, written: bool) -> None:
    """Counts nothing."""


class _EncodedRecord(NamedTuple):
    recorded: Recorded
    body: str


class RecordGroup(Generic[T]):
    """Decisions of one caller that are queued together; see `Recorder.group`."""

    def __init__(
        self,
        make_entry: Callable[[T, int, bool], _QueuedDecision[T]],
        put: Callable[[Iterable[_QueuedDecision[T]]], None],
    ) -> None:
        self._make_entry = make_entry
        self._put = put
        self._entries: list[_QueuedDecision[T]] = []

    def record(self, pending: T, weight: int = 0, *, optional: bool = False) -> Any:
        """Adds a decision; see `Recorder.record`."""
        entry = self._make_entry(pending, weight, optional)
        self._entries.append(entry)
        if len(self._entries) == MAX_BATCH:
            self.put()
        return entry.acknowledgement

    def put(self) -> None:
        """Queues the decisions that were added since the last time."""
        entries, self._entries = self._entries, []
        self._put(entries)


class Recorder(Generic[T]):
    """Records decisions of type `T`."""

    def __init__(
        self,
        log: AuditLog,
        make: Callable[[T], Recorded],
        acknowledgements: Acknowledgements | None,
        *,
        bound: int,
        retention: Retention | RetentionSource,
        count: Callable[..., None] = _count_nothing,
    ) -> None:
        """Starts the thread.

        Args:
            log: the log; only the thread appends to it.
            make: makes the record of a decision; called on the thread only.
            acknowledgements: creates what callers wait for; None for async mode.
            bound: the most decisions in the queue in async mode.
            retention: when records are removed.
            count: called once with each decision, and whether its record was `written`.
        """
        self._log = log
        self._make = make
        self._count = count
        self._acknowledgements = acknowledgements
        self._bound = bound
        self._retention_task = RetentionTask(log, retention)
        self._queue: queue.SimpleQueue[_QueuedDecision[T] | None] = queue.SimpleQueue()
        self._weight = 0
        self._last_batch = 0
        self._consumers: tuple[Consumer, ...] = ()
        self._closing = threading.Event()
        self._ended = False
        self.written = 0
        self.dropped = 0
        self.unwritten = 0
        self.consumer_failures = 0
        self._failures = FailureLog()
        self._thread = threading.Thread(target=self._run, name="pdp-audit", daemon=True)
        self._thread.start()

    def subscribe(self, consumer: Consumer) -> None:
        """Passes records to `consumer`, from the next batch on."""
        self._consumers = (*self._consumers, consumer)

    @property
    def depth(self) -> int:
        """The number of decisions in the queue."""
        return self._queue.qsize()

    @property
    def alive(self) -> bool:
        """Whether the recorder still records."""
        return not self._ended

    def status(self) -> str:
        """Returns the status of recording for `/readyz`."""
        if self._ended:
            return "ended: decisions are not recorded"
        if self._failures.reason:
            return f"failing: {self._failures.reason}"
        losses = [
            f"{count} records were {what} since the start"
            for count, what in (
                (self.dropped, "dropped"),
                (self.removed_early, "removed before their time"),
            )
            if count
        ]
        return "; ".join(("ok", *losses))

    @property
    def removed_early(self) -> int:
        """Records that the retention removed before their time, because the log was full."""
        return self._retention_task.removed_early

    def record(self, pending: T, weight: int = 0, *, optional: bool = False) -> Any:
        """Queues a decision. Never raises and never waits.

        Args:
            pending: the argument of `make`.
            weight: the approximate memory that it holds, in characters.
            optional: whether no caller waits for the record. It is left out if the queue is long.

        Returns:
            The acknowledgement to wait for in durable mode, else None.
        """
        entry = self._entry(pending, weight, optional)
        self._put((entry,))
        return entry.acknowledgement

    def group(self) -> RecordGroup[T]:
        """Returns a group of decisions that are queued together, so that one commit writes them."""
        return RecordGroup(self._entry, self._put)

    def _entry(self, pending: T, weight: int, optional: bool) -> _QueuedDecision[T]:
        acknowledgements = self._acknowledgements
        acknowledgement = None
        if acknowledgements is not None and not optional:
            acknowledgement = acknowledgements.new()
        return _QueuedDecision(pending, weight, acknowledgement, optional)

    def _put(self, entries: Iterable[_QueuedDecision[T]]) -> None:
        if self._acknowledgements is not None:
            for entry in entries:
                if entry.is_optional and self.depth >= MAX_BATCH:
                    self._count(entry.pending, written=False)
                else:
                    self._queue.put(entry)
            if self._ended:  # checked after the put, so that no caller waits for an ended thread
                self._abandon_queue()
            return
        for entry in entries:
            if self._ended or self.depth >= self._bound or self._weight + entry.weight > MAX_WEIGHT:
                self._failed("the queue is full", 1)
                self._count(entry.pending, written=False)
            else:
                # Concurrent updates may get lost until the queue is empty again. The bound need
                # not be exact.
                self._weight += entry.weight
                self._queue.put(entry)

    def close(self, timeout_s: float = 10.0) -> None:
        """Writes the queued decisions and ends. Decisions that take longer are given up."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.error("%d decision records could not be written in time", self.depth)
        self._ended = True
        self._abandon_queue()

    def _run(self) -> None:
        try:
            while self._run_once():
                pass
        except BaseException as error:
            _log.critical("decisions are no longer recorded: %s", type(error).__name__)
            raise
        finally:
            self._ended = True
            self._abandon_queue()

    def _run_once(self) -> bool:
        """Writes the next batch. Returns False when the recorder is closed and the queue empty."""
        try:
            first = self._queue.get(timeout=self._retention_task.due_in())
        except queue.Empty:
            self._retention_task.run()
            return True
        if first is not None and self.depth < MAX_BATCH:
            self._gather()
        batch, is_last = self._next_batch(first)
        self._last_batch = len(batch)
        self._write(batch)
        if not is_last:
            self._retention_task.run_if_due()
        return not is_last

    def _gather(self) -> None:
        """Lets a batch grow if this costs less than it saves."""
        if self._acknowledgements is None:
            self._closing.wait(LINGER_S)
        elif self._last_batch > 1:
            time.sleep(min(MAX_GATHER_S, GATHER_S * self._last_batch))

    def _next_batch(
        self, first: _QueuedDecision[T] | None
    ) -> tuple[list[_QueuedDecision[T]], bool]:
        """Returns the queued entries, up to the batch limits, and whether the queue has ended."""
        batch: list[_QueuedDecision[T]] = []
        entry, weight = first, 0
        while entry is not None:
            batch.append(entry)
            weight += entry.weight
            if len(batch) == MAX_BATCH or weight >= MAX_WEIGHT:
                return batch, False
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _write(self, batch: Sequence[_QueuedDecision[T]]) -> None:
        settled = 0
        try:
            for part in self._encoded_parts(batch):
                settled += len(part)
                self._write_part(part)
        except BaseException:
            self._settle(batch[settled:], written=False)  # the thread ends: no caller may wait
            raise
        finally:
            if self._acknowledgements is None:
                weight = sum(entry.weight for entry in batch)
                self._weight = 0 if self._queue.empty() else self._weight - weight

    def _encoded_parts(
        self, batch: Sequence[_QueuedDecision[T]]
    ) -> Iterator[list[tuple[_QueuedDecision[T], _EncodedRecord | None]]]:
        """Yields the entries of a batch with their records, in parts of bounded size."""
        part: list[tuple[_QueuedDecision[T], _EncodedRecord | None]] = []
        size = 0
        for entry in batch:
            record = self._encode(entry)
            part.append((entry, record))
            size += len(record.body) if record is not None else 0
            if size >= MAX_PART:
                yield part
                part, size = [], 0
        if part:
            yield part

    def _write_part(self, part: Sequence[tuple[_QueuedDecision[T], _EncodedRecord | None]]) -> None:
        """Appends records. However it ends, it settles the acknowledgements of their decisions."""
        records = [record for _, record in part if record is not None]
        written = False
        try:
            self._append([each.body for each in records])
            written = True
            self._wrote(len(records))  # a caller may ask for the status when it has its answer
        except Exception as error:
            reason = error.message if isinstance(error, PdpError) else type(error).__name__
            self._failed(reason, len(records))
        finally:
            self._settle([entry for entry, record in part if record is None], written=False)
            self._settle([entry for entry, record in part if record], written=written)
        if written and records:
            self._notify_consumers([each.recorded for each in records])

    def _wrote(self, count: int) -> None:
        """Notes that some records were written."""
        if count:
            self.written += count
            if self.depth < self._bound:
                self._failures.recovered(self._totals())

    def _encode(self, entry: _QueuedDecision[T]) -> _EncodedRecord | None:
        """Returns the encoded record; None if it cannot be made. The rest of the batch goes on."""
        try:
            recorded = self._make(entry.pending)
            return _EncodedRecord(recorded, encode_record(recorded.record))
        except Exception as error:
            # Only the class: the message may contain text of the request.
            self._failed(f"a record cannot be made ({type(error).__name__})", 1)
            return None

    def _settle(self, entries: Sequence[_QueuedDecision[T]], *, written: bool) -> None:
        for entry in entries:
            self._count(entry.pending, written=written)
        awaited = [entry.acknowledgement for entry in entries if not entry.is_optional]
        if self._acknowledgements is not None and awaited:
            self._acknowledgements.settle(awaited, written=written)

    def _append(self, bodies: list[str]) -> None:
        if not bodies:
            return
        if self._acknowledgements is not None:
            self._log.append(bodies)
            return
        while True:
            try:
                self._log.append(bodies)
            except PdpError as error:
                if self._closing.is_set():
                    raise
                self._failures.failed(error.message, self._totals())
                self._closing.wait(RETRY_S)
            else:
                return

    def _notify_consumers(self, records: Sequence[Recorded]) -> None:
        for consumer in self._consumers:
            try:
                consumer.consume(records)
            except Exception as error:
                self.consumer_failures += 1
                kind = type(error).__name__
                _log.error("%s failed to process a batch of records: %s", consumer.name, kind)

    def _failed(self, reason: str, count: int) -> None:
        if self._acknowledgements is None:
            self.dropped += count
        else:
            self.unwritten += count
        self._failures.failed(reason, self._totals())

    def _totals(self) -> str:
        return f"so far {self.dropped} records dropped, {self.unwritten} decisions blocked"

    def _abandon_queue(self) -> None:
        """Empties the queue after the end of the thread: its entries are never written."""
        abandoned: list[_QueuedDecision[T]] = []
        with suppress(queue.Empty):
            while True:
                entry = self._queue.get_nowait()
                abandoned += () if entry is None else (entry,)
        if abandoned:
            self._failed("recording has ended", len(abandoned))
            self._settle(abandoned, written=False)
