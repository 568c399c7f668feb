"""The snapshots in memory, bounded by their memory. The least recently used one is evicted."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdp.engine.snapshot import Snapshot


class SnapshotCache:
    """Snapshots by tenant.

    Attributes:
        max_bytes: how much memory the snapshots may take, by `Snapshot.own_bytes`. The snapshot
            that was put last stays even if it is larger.
        size: how much they take.
        evictions: how many snapshots have been evicted.
    """

    __slots__ = ("_snapshots", "evictions", "max_bytes", "size")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size = 0
        self.evictions = 0
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()  # the most recently used last

    def use(self, tenant_id: str) -> Snapshot | None:
        """Returns a snapshot, and makes it the most recently used one; None if it is not there."""
        snapshot = self._snapshots.get(tenant_id)
        if snapshot is not None:
            self._snapshots.move_to_end(tenant_id)
        return snapshot

    def peek(self, tenant_id: str) -> Snapshot | None:
        """Returns a snapshot without using it; None if it is not there."""
        return self._snapshots.get(tenant_id)

    def put(self, snapshot: Snapshot) -> None:
        """Adds or replaces the snapshot of a tenant, as the most recently used one."""
        self.remove(snapshot.tenant_id)
        self._snapshots[snapshot.tenant_id] = snapshot
        self.size += snapshot.own_bytes
        while self.size > self.max_bytes and len(self._snapshots) > 1:
            _, evicted = self._snapshots.popitem(last=False)
            self.size -= evicted.own_bytes
            self.evictions += 1

    def replace(self, snapshot: Snapshot) -> None:
        """Replaces a snapshot that is there by one of the same policies, without using it."""
        self._snapshots[snapshot.tenant_id] = snapshot

    def remove(self, tenant_id: str) -> None:
        """Removes the snapshot of a tenant, if it is there. That is no eviction."""
        removed = self._snapshots.pop(tenant_id, None)
        if removed is not None:
            self.size -= removed.own_bytes

    def clear(self) -> None:
        """Removes all snapshots. That is no eviction."""
        self._snapshots.clear()
        self.size = 0

    def recent(self, count: int) -> list[str]:
        """Returns up to `count` tenants, the most recently used first."""
        return list(islice(reversed(self._snapshots), count))

    def __len__(self) -> int:
        """The number of snapshots."""
        return len(self._snapshots)
