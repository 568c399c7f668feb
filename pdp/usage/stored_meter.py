"""The meter of an engine that decides in its caller's process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pdp.errors import PdpError
from pdp.usage.flush import FLUSH_INTERVAL_S, Flusher
from pdp.usage.meter import Charge, Meter

if TYPE_CHECKING:
    import threading

    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.store.port import Store

_log: Final = logging.getLogger("pdp.engine")
_NEVER: Final = float("-inf")


class StoredMeter:
    """A meter that many threads may use, and that its engine keeps in step with the store."""

    def __init__(self, store: Store, lock: threading.Lock) -> None:
        """Reads the counters of the store.

        Args:
            store: the store; one thread at a time may call `flush`.
            lock: protects the meter; held only while a few numbers are added.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        self._meter = Meter()
        self._flusher = Flusher(self._meter)
        self._store = store
        self._lock = lock
        self._flushed_at = _NEVER
        self.flush()

    def charge(self, snapshot: Snapshot, request: Request) -> Charge | None:
        """See `Meter.charge`."""
        if snapshot.limits is None:
            return None
        with self._lock:
            return self._meter.charge(snapshot, request)

    def settle(self, charge: Charge, decision: Decision) -> None:
        """See `Meter.settle`."""
        with self._lock:
            self._meter.settle(charge, decision)

    def is_due(self) -> bool:
        """Whether there are additions that should be written now."""
        meter = self._meter
        return bool(meter.unwritten) and meter.clock() - self._flushed_at >= FLUSH_INTERVAL_S

    def flush(self) -> None:
        """Writes the additions to the store and reads the totals of all processes.

        Raises:
            StoreUnavailable: the store cannot be used; the additions are kept for the next flush.
        """
        self._flushed_at = self._meter.clock()
        with self._lock:
            flush = self._flusher.begin()
        try:
            if flush.additions:
                with self._store.write() as transaction:
                    counters = flush.write(transaction)
            else:
                with self._store.view() as reader:
                    counters = flush.read(reader)
        except BaseException:
            with self._lock:
                self._flusher.abandon()
            raise
        with self._lock:
            self._flusher.finish(flush, counters)

    def close(self) -> None:
        """Writes the last additions. If that fails, logs the error and drops them."""
        try:
            if self._meter.unwritten:
                self.flush()
        except PdpError as error:
            _log.error("counters of limits are lost: %s", error.message)
