"""The queue of decisions that are to be recorded, and the thread that writes them down.

A decision comes in as it is, a few references. The thread makes records of those that wait, writes
them as one batch (a group commit) and then passes them on to the consumers.

Durable: who put a decision in gets a ticket, and answers when that says that the batch is on disk.
Where it could not be written, the ticket says so and nothing is answered as allowed. Async: nobody
waits; the queue is bounded, and what finds it full is dropped: counted, logged, shown in `/readyz`.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from pdp.audit.failure_log import FailureLog
from pdp.audit.maintenance import Housekeeping
from pdp.audit.record_json import body_of
from pdp.errors import PdpError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.audit.acknowledgements import Acknowledgements
    from pdp.audit.consumer import Consumer
    from pdp.domain.audit_log import AuditLog, Retention
    from pdp.domain.decision_record import Recorded

T = TypeVar("T")

MAX_BATCH: Final = 256
"""Records that are written at once."""

MAX_WEIGHT: Final = 64 << 20
"""Characters of texts that may wait in async mode, and be written at once in both, whatever the
number of decisions: SQLite takes no more than 1,000,000,000 bytes at once."""

LINGER_S: Final = 0.02
"""In async mode nobody waits, so a batch is let grow for this long: fewer are cheaper."""

GATHER_S: Final = 0.00025
"""In durable mode, how long a batch is let grow for each record that the last one had: a commit
and the change of threads around it cost as much as ten records. Who comes alone waits for none."""

MOST_GATHER_S: Final = 0.003

RETRY_S: Final = 0.5
"""In async mode, how long a store that cannot be written is left alone."""

_log: Final = logging.getLogger("pdp.audit")


class _Entry(NamedTuple, Generic[T]):
    pending: T
    weight: int
    ticket: Any


class _Made(NamedTuple):
    recorded: Recorded
    body: str


class Recorder(Generic[T]):
    """Takes decisions of type `T` and sees to it that they are recorded."""

    def __init__(
        self,
        log: AuditLog,
        make: Callable[[T], Recorded],
        tickets: Acknowledgements | None,
        *,
        bound: int,
        retention: Retention,
    ) -> None:
        """Starts the thread.

        Args:
            log: where records are kept; the thread alone appends to it.
            make: makes the record of a decision; called on the thread alone.
            tickets: makes what callers wait for; None for async mode.
            bound: how many decisions may wait in async mode.
            retention: what the log keeps.
        """
        self._log = log
        self._make = make
        self._tickets = tickets
        self._bound = bound
        self._housekeeping = Housekeeping(log, retention)
        self._queue: queue.SimpleQueue[_Entry[T] | None] = queue.SimpleQueue()
        self._weight = 0
        self._last_batch = 0
        self._consumers: tuple[Consumer, ...] = ()
        self._closing = threading.Event()
        self._ended = False
        self.written = 0
        self.dropped = 0
        self.unwritten = 0
        self.consumer_failures = 0
        self._trouble = FailureLog()
        self._thread = threading.Thread(target=self._run, name="pdp-audit", daemon=True)
        self._thread.start()

    def subscribe(self, consumer: Consumer) -> None:
        """Passes records on to `consumer`, from the next batch on."""
        self._consumers = (*self._consumers, consumer)

    @property
    def depth(self) -> int:
        """How many decisions wait."""
        return self._queue.qsize()

    @property
    def alive(self) -> bool:
        """Whether it still records."""
        return not self._ended

    def status(self) -> str:
        """Returns how recording is, in words for `/readyz`."""
        if self._ended:
            return "ended: decisions are not recorded"
        if self._trouble.reason:
            return f"failing: {self._trouble.reason}"
        if self.dropped:
            return f"ok; {self.dropped} records were dropped since the start"
        return "ok"

    def record(self, pending: T, weight: int = 0) -> Any:
        """Takes a decision; never raises, and waits for nothing.

        Args:
            pending: what `make` makes a record of.
            weight: how much memory it holds, roughly, in characters.

        Returns:
            A ticket to wait for, in durable mode; else None.
        """
        if self._tickets is None:
            if self._ended or self.depth >= self._bound or self._weight + weight > MAX_WEIGHT:
                self._failed("the queue is full", 1)
            else:
                # Not exact where threads meet, until the queue is empty again: enough for a bound.
                self._weight += weight
                self._queue.put(_Entry(pending, weight, None))
            return None
        ticket = self._tickets.new()
        self._queue.put(_Entry(pending, weight, ticket))
        if self._ended:  # looked at after the entry is in: nobody may wait for a thread that ended
            self._abandon()
        return ticket

    def close(self, timeout_s: float = 10.0) -> None:
        """Writes down what waits, and ends; what cannot be written in that time is given up."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.error("%d decision records could not be written down in time", self.depth)
        self._ended = True
        self._abandon()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            _log.critical("decisions are not recorded any more: %s", type(error).__name__)
            raise
        finally:
            self._ended = True
            self._abandon()

    def _turn(self) -> bool:
        """Writes down what waits; returns False once the recorder is closed and nothing waits."""
        try:
            first = self._queue.get(timeout=self._housekeeping.due_in())
        except queue.Empty:
            self._housekeeping.work()
            return True
        if first is not None and self.depth < MAX_BATCH:
            self._gather()
        batch, last = self._rest(first)
        self._last_batch = len(batch)
        self._write(batch)
        if not last:
            self._housekeeping.work_if_due()
        return not last

    def _gather(self) -> None:
        """Lets a batch grow, where that costs less than it saves."""
        if self._tickets is None:
            self._closing.wait(LINGER_S)
        elif self._last_batch > 1:
            time.sleep(min(MOST_GATHER_S, GATHER_S * self._last_batch))

    def _rest(self, first: _Entry[T] | None) -> tuple[list[_Entry[T]], bool]:
        """Returns what waits, up to the size of a batch, and whether it is the last."""
        batch: list[_Entry[T]] = []
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

    def _write(self, batch: Sequence[_Entry[T]]) -> None:
        made: list[tuple[_Entry[T], _Made | None]] = [(entry, None) for entry in batch]
        written: list[_Made] = []
        try:
            made = [(entry, self._made(entry)) for entry in batch]
            whole = [each for _, each in made if each is not None]
            self._append([each.body for each in whole])
            written = whole
        except Exception as error:
            reason = error.message if isinstance(error, PdpError) else type(error).__name__
            self._failed(reason, sum(each is not None for _, each in made))
        finally:
            if self._tickets is None:
                weight = sum(entry.weight for entry in batch)
                self._weight = 0 if self._queue.empty() else self._weight - weight
            self._settle([entry for entry, each in made if each is None], written=False)
            self._settle([entry for entry, each in made if each], written=bool(written))
        if written:
            self.written += len(written)
            if self.depth < self._bound:
                self._trouble.over(self._toll())
            self._pass_on([each.recorded for each in written])

    def _made(self, entry: _Entry[T]) -> _Made | None:
        """Returns a record; None where it cannot be made, which is not the others' fault."""
        try:
            recorded = self._make(entry.pending)
            return _Made(recorded, body_of(recorded.record))
        except Exception as error:
            # The error's own words may hold what a request said.
            self._failed(f"a record cannot be made ({type(error).__name__})", 1)
            return None

    def _settle(self, entries: Sequence[_Entry[T]], *, written: bool) -> None:
        if self._tickets is not None and entries:
            self._tickets.settle([entry.ticket for entry in entries], written=written)

    def _append(self, bodies: list[str]) -> None:
        if not bodies:
            return
        if self._tickets is not None:
            self._log.append(bodies)
            return
        while True:
            try:
                self._log.append(bodies)
            except PdpError as error:
                if self._closing.is_set():
                    raise
                self._trouble.met(error.message, self._toll())
                self._closing.wait(RETRY_S)
            else:
                return

    def _pass_on(self, made: Sequence[Recorded]) -> None:
        for consumer in self._consumers:
            try:
                consumer.consume(made)
            except Exception as error:
                self.consumer_failures += 1
                kind = type(error).__name__
                _log.error("%s did not take a batch of records: %s", consumer.name, kind)

    def _failed(self, reason: str, count: int) -> None:
        if self._tickets is None:
            self.dropped += count
        else:
            self.unwritten += count
        self._trouble.met(reason, self._toll())

    def _toll(self) -> str:
        return f"so far {self.dropped} dropped, {self.unwritten} decisions blocked for it"

    def _abandon(self) -> None:
        """Gives up whatever waits: nobody will write it."""
        given_up: list[_Entry[T]] = []
        with suppress(queue.Empty):
            while True:
                entry = self._queue.get_nowait()
                given_up += () if entry is None else (entry,)
        if given_up:
            self._failed("recording has ended", len(given_up))
            self._settle(given_up, written=False)
