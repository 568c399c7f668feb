"""The snapshots in force: one reference for each tenant, replaced by one assignment.

Use it only from one thread, the server's event loop. A decision takes a reference without a lock,
and a snapshot never changes.
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
"""Snapshots in the cache. The least recently used one is evicted, and compiled again on demand."""

_MAX_CURRENT: Final = 1_000


class Publisher:
    """Holds the compiled policies of the platform and of the tenants."""

    def __init__(
        self,
        platform: Platform,
        revision: int,
        changed: Mapping[str, int],
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        """Args:
        platform: the policies that all tenants share.
        revision: the revision of the store that `platform` and `changed` represent.
        changed: for each tenant with its own policies: the minimum revision of its snapshot.
        capacity: the number of snapshots in the cache.
        """
        self.revision = revision
        self._min_revisions = dict(changed)
        self._snapshots: LRUCache[str, Snapshot] = LRUCache(capacity)
        # Results of `current` since the last change, so that a decision takes one look-up.
        self._current: dict[str, Snapshot] = {}
        self._platform = platform
        self._empty = empty_snapshot(platform, revision)

    @property
    def platform(self) -> Platform:
        """The policies that all tenants share."""
        return self._platform

    def current(self, tenant_id: str) -> Snapshot | None:
        """Returns the snapshot in force; None if the tenant's policies must be loaded first."""
        snapshot = self._current.get(tenant_id)
        if snapshot is not None:
            return snapshot
        snapshot = self._snapshots.get(tenant_id)
        if snapshot is None:
            if tenant_id in self._min_revisions:
                return None
            snapshot = self._empty
        if snapshot is self._empty:
            snapshot = self._snapshots[tenant_id] = snapshot.for_tenant(tenant_id, self.revision)
        elif snapshot.revision < self.revision or snapshot.platform is not self._platform:
            # No change since its revision concerns the tenant: `advance` would have evicted it.
            revision = max(snapshot.revision, self.revision)
            snapshot = self._snapshots[tenant_id] = snapshot.rebase(self._platform, revision)
        if len(self._current) >= _MAX_CURRENT:
            self._current.clear()
        self._current[tenant_id] = snapshot
        return snapshot

    def publish(self, snapshot: Snapshot) -> bool:
        """Puts a snapshot in force, unless a newer one is in force.

        Returns False if the snapshot must be loaded again: it does not include the tenant's last
        change, or its platform is not compatible with the current one.
        """
        tenant_id = snapshot.tenant_id
        if not snapshot.platform.compatible_with(self._platform):
            return False
        if snapshot.revision < self._min_revisions.get(tenant_id, 0):
            return False
        present = self._snapshots.get(tenant_id)
        if present is None or present.revision <= snapshot.revision:
            self._snapshots[tenant_id] = snapshot
            self._current.pop(tenant_id, None)
            if snapshot.policies:
                self._min_revisions.setdefault(tenant_id, snapshot.revision)
        return True

    def is_stale(self, tenant_id: str, revision: int) -> bool:
        """Whether the snapshot in the cache is older than `revision`; False if there is none."""
        present = self._snapshots.get(tenant_id)
        return present is not None and present.revision < revision

    def cached(self, tenant_id: str) -> Snapshot | None:
        """Returns the snapshot in the cache, which may be old, for the next compilation."""
        return self._snapshots.get(tenant_id)

    def advance(
        self,
        revision: int,
        changed: Mapping[str, int],
        fresh: Iterable[Snapshot] = (),
        platform: Platform | None = None,
    ) -> None:
        """Advances to a revision of the store.

        Args:
            revision: the revision.
            changed: the tenants that changed since, each with the revision of its last change.
            fresh: new snapshots of some of these tenants. The snapshots of the others are evicted
                from the cache and loaded on demand.
            platform: the new platform; None if it has not changed.
        """
        if platform is not None:
            self._change_platform(platform, revision)
        self._min_revisions.update(
            (tenant_id, at) for tenant_id, at in changed.items() if tenant_id != PLATFORM
        )
        for snapshot in fresh:
            self.publish(snapshot)
        for tenant_id, at in changed.items():
            if self.is_stale(tenant_id, at):
                del self._snapshots[tenant_id]
        self.revision = max(self.revision, revision)
        self._current.clear()

    def _change_platform(self, platform: Platform, revision: int) -> None:
        if platform.compatible_with(self._platform):
            # The cached snapshots stay valid; `current` rebases each on demand.
            self._empty = self._empty.rebase(platform, revision)
        else:
            self._snapshots.clear()
            self._empty = empty_snapshot(platform, revision)
        self._platform = platform

    def __len__(self) -> int:
        """The number of snapshots in the cache."""
        return len(self._snapshots)
