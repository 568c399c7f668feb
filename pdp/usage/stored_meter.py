"""The counters of limits in an engine that decides in a caller's own process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pdp.errors import PdpError
from pdp.usage.meter import Charge, Meter
from pdp.usage.synchronization import (
    FLUSH_INTERVAL_S,
    PRUNE_INTERVAL_S,
    read_counters,
    write_counters,
)

if TYPE_CHECKING:
    import threading

    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.store.port import Store

_log: Final = logging.getLogger("pdp.engine")
_NEVER: Final = float("-inf")


class StoredMeter:
    """A meter that many threads use, and that its engine keeps of one mind with the store."""

    def __init__(self, store: Store, lock: threading.Lock) -> None:
        """Takes what the store has counted so far.

        Args:
            store: to which one thread at a time may call `flush`.
            lock: held for as long as a few numbers are added.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        self._meter = Meter()
        self._store = store
        self._lock = lock
        self._flushed_at = self._pruned_at = _NEVER
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
        """Whether there is anything that should be written down by now."""
        meter = self._meter
        return bool(meter.unwritten) and meter.clock() - self._flushed_at >= FLUSH_INTERVAL_S

    def flush(self) -> None:
        """Writes down what was counted, and learns what others have counted.

        Raises:
            StoreUnavailable: the store cannot be used; what was counted is kept for the next time.
        """
        meter = self._meter
        now = self._flushed_at = meter.clock()
        with self._lock:
            additions, since = meter.begin(), meter.stamp
        prune_at = now if now - self._pruned_at >= PRUNE_INTERVAL_S else 0.0
        try:
            if additions:
                with self._store.write() as transaction:
                    counters = write_counters(transaction, additions, since, prune_at=prune_at)
                self._pruned_at = prune_at or self._pruned_at
            else:
                with self._store.read() as reader:
                    counters = read_counters(reader, since)
        except BaseException:
            with self._lock:
                meter.abandon()
            raise
        with self._lock:
            meter.finish(counters)

    def close(self) -> None:
        """Writes down what is left; what cannot be is logged, and lost."""
        try:
            if self._meter.unwritten:
                self.flush()
        except PdpError as error:
            _log.error("counters of limits are lost: %s", error.message)
