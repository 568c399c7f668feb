"""The policies of an embedded engine: loaded from the store, and kept in step with it.

Other processes write to the same store. At most every `POLL_INTERVAL_S` one decision first asks the
store whether anyone has written, and puts what is new in force.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from pdp.admin.snapshots import (
    RefreshResult,
    compile_snapshot,
    plan_refresh,
    read_all_policies,
    read_changes,
    refresh,
)
from pdp.errors import RevisionUnavailable

if TYPE_CHECKING:
    import threading

    from pdp.admin.snapshots import ChangeMark, FullReload
    from pdp.engine.snapshot import Snapshot
    from pdp.publisher import Publisher
    from pdp.store.port import Store
    from pdp.usage.stored_meter import StoredMeter

POLL_INTERVAL_S: Final = 0.025
"""The shortest time between two looks at the store."""

MAX_WAIT_S: Final = 1.0
"""How long `reach` waits for a revision."""

_log: Final = logging.getLogger("pdp.engine")


class StoredPolicies:
    """Snapshots for any number of threads.

    A decision takes one short lock to find its tenant's snapshot. It waits for the store only if
    its tenant's policies are not in memory yet.
    """

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        meter: StoredMeter,
        *,
        publishing: threading.Lock,
        storing: threading.Lock,
    ) -> None:
        """Takes the store and the policies that were read from it.

        Args:
            store: the store.
            publisher: the policies in force.
            meter: exchanges its counters with the store when the store has changed.
            publishing: held while the publisher is read or changed.
            storing: held while the store is used.
        """
        self._store = store
        self._publisher = publisher
        self._meter = meter
        self._publishing = publishing
        self._storing = storing
        self._closed = False
        self._data_version = -1
        self._mark: ChangeMark | None = None
        self._next_poll = 0.0
        self._failing = False

    @property
    def revision(self) -> int:
        """The revision that is in force in this process."""
        return self._publisher.revision

    def snapshot(self, tenant_id: str) -> Snapshot:
        """Returns the tenant's snapshot; loads and compiles it if it is not in memory.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        with self._publishing:
            snapshot = self._publisher.current(tenant_id)
        return snapshot or self._load(tenant_id)

    def follow(self) -> None:
        """Catches up with the store, if that is due and no other thread does it. Never raises."""
        now = time.monotonic()
        if now < self._next_poll or self._closed or not self._storing.acquire(blocking=False):
            return
        try:
            self._next_poll = now + POLL_INTERVAL_S
            self._catch_up()
            self._failing = False
        except Exception as error:
            if not self._failing:
                _log.error("the store cannot be followed; deciding goes on: %s", error)
            self._failing = True
        finally:
            self._storing.release()

    def reach(self, revision: int) -> None:
        """Waits until a revision is in force.

        Raises:
            RevisionUnavailable: it was not within `MAX_WAIT_S`.
        """
        deadline = time.monotonic() + MAX_WAIT_S
        while self.revision < revision:
            if time.monotonic() >= deadline:
                raise RevisionUnavailable(
                    f"revision {revision} was not reached in time; "
                    f"this engine is at {self.revision}"
                )
            time.sleep(max(0.0, self._next_poll - time.monotonic()) + 0.001)
            self.follow()

    def _reload(self, store: FullReload) -> None:
        """Puts all policies of the store in force, because it has lost changes, and logs it."""
        before = self.revision
        with self._publishing:
            self._publisher.restart(store.revision, store.tenants, store.platform)
        self._mark = store.mark
        _log.error("the store has lost changes: revision %s, before %s", store.revision, before)

    def close(self) -> None:
        """Stops following the store. The caller holds the lock of the store."""
        self._closed = True

    def _load(self, tenant_id: str) -> Snapshot:
        with self._storing:
            with self._publishing:
                snapshot = self._publisher.current(tenant_id)
            if snapshot is not None:  # another thread has loaded it meanwhile
                return snapshot
            with self._store.view() as reader:
                snapshot = compile_snapshot(reader, tenant_id, self._publisher.platform, None)
            with self._publishing:
                self._publisher.misses += 1
                self._publisher.publish(snapshot)
            return snapshot

    def _catch_up(self) -> None:
        version = self._store.data_version()
        if version != self._data_version or self._meter.is_due():
            self._meter.flush()
        if version == self._data_version:
            return
        publisher = self._publisher
        with self._store.view() as reader:
            changes = read_changes(reader, publisher.revision, self._mark)
            if changes.replaced:
                self._reload(read_all_policies(reader, publisher.platform))
                self._data_version = version
                return
            with self._publishing:
                plan = plan_refresh(publisher, changes)
            result = refresh(reader, plan) if plan else RefreshResult()
        self._mark = changes.mark
        with self._publishing:
            publisher.advance(changes.revision, changes.tenants, result.snapshots, result.platform)
        self._data_version = version
