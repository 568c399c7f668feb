"""The snapshots in force: one reference for each tenant, replaced by one assignment.

Confined to one thread (the server's event loop): a decision takes a reference without a lock,
and a snapshot, once taken, never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import empty_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdp.engine.snapshot import Platform, Snapshot

DEFAULT_CAPACITY: Final = 10_000
"""Tenants that are kept compiled; the least recently used one is compiled again when needed."""

_MAX_ANSWERED: Final = 1_000


class Publisher:
    """Holds the platform's and the tenants' compiled policies."""

    def __init__(
        self,
        platform: Platform,
        revision: int,
        changed: Mapping[str, int],
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        """Args:
        platform: what all tenants share.
        revision: of the store, that `platform` and `changed` are true of.
        changed: for each tenant with policies of its own, a revision that a snapshot of it must
            have seen at least.
        capacity: how many tenants are kept compiled.
        """
        self.revision = revision
        self._changed = dict(changed)
        self._snapshots: LRUCache[str, Snapshot] = LRUCache(capacity)
        # What `current` answered since anything changed: decisions are spared the book-keeping.
        self._answered: dict[str, Snapshot] = {}
        self._platform = platform
        self._empty = empty_snapshot(platform, revision)

    @property
    def platform(self) -> Platform:
        """What all tenants share."""
        return self._platform

    def current(self, tenant_id: str) -> Snapshot | None:
        """Returns the snapshot in force; None where the tenant's policies must be loaded first."""
        snapshot = self._answered.get(tenant_id)
        if snapshot is not None:
            return snapshot
        snapshot = self._snapshots.get(tenant_id)
        if snapshot is None:
            if tenant_id in self._changed:
                return None
            snapshot = self._empty
        if snapshot is self._empty:
            snapshot = self._snapshots[tenant_id] = snapshot.of(tenant_id, self.revision)
        elif snapshot.revision < self.revision or snapshot.platform is not self._platform:
            # Nothing between its revision and ours has changed it, or `advance` had dropped it.
            revision = max(snapshot.revision, self.revision)
            snapshot = self._snapshots[tenant_id] = snapshot.on(self._platform, revision)
        if len(self._answered) >= _MAX_ANSWERED:
            self._answered.clear()
        self._answered[tenant_id] = snapshot
        return snapshot

    def publish(self, snapshot: Snapshot) -> bool:
        """Puts a snapshot in force, unless a newer one is.

        Returns False where the snapshot has not seen the tenant's last change, or was compiled
        with another platform, other models apart: it must then be loaded again.
        """
        tenant_id = snapshot.tenant_id
        if not snapshot.platform.akin(self._platform):
            return False
        if snapshot.revision < self._changed.get(tenant_id, 0):
            return False
        present = self._snapshots.get(tenant_id)
        if present is None or present.revision <= snapshot.revision:
            self._snapshots[tenant_id] = snapshot
            self._answered.pop(tenant_id, None)
            if snapshot.policies:
                self._changed.setdefault(tenant_id, snapshot.revision)
        return True

    def is_stale(self, tenant_id: str, revision: int) -> bool:
        """Whether a snapshot of the tenant is held that has not seen `revision`."""
        present = self._snapshots.get(tenant_id)
        return present is not None and present.revision < revision

    def held(self, tenant_id: str) -> Snapshot | None:
        """Returns the compiled snapshot as it is held, for the next compilation."""
        return self._snapshots.get(tenant_id)

    def advance(
        self,
        revision: int,
        changed: Mapping[str, int],
        fresh: Iterable[Snapshot] = (),
        platform: Platform | None = None,
    ) -> None:
        """Moves on to `revision`.

        Args:
            revision: of the store.
            changed: the tenants that changed since, each with the revision of its last change.
            fresh: snapshots of some of them; the others that are held are dropped, and loaded
                when they are needed.
            platform: what all tenants share from now on, where that has changed.
        """
        if platform is not None:
            self._change_platform(platform, revision)
        self._changed.update(
            (tenant_id, at) for tenant_id, at in changed.items() if tenant_id != PLATFORM
        )
        for snapshot in fresh:
            self.publish(snapshot)
        for tenant_id, at in changed.items():
            if self.is_stale(tenant_id, at):
                del self._snapshots[tenant_id]
        self.revision = max(self.revision, revision)
        self._answered.clear()

    def _change_platform(self, platform: Platform, revision: int) -> None:
        if platform.akin(self._platform):
            # What is held stays, and is led over when it is asked for.
            self._empty = self._empty.on(platform, revision)
        else:
            self._snapshots.clear()
            self._empty = empty_snapshot(platform, revision)
        self._platform = platform

    def __len__(self) -> int:
        """How many tenants are held compiled."""
        return len(self._snapshots)
