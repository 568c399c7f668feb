"""The snapshots in force: one reference for each tenant, replaced by one assignment.

Use it only from one thread, the server's event loop. A decision takes a reference without a lock,
and a snapshot never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import empty_snapshot
from pdp.engine.snapshot_cache import SnapshotCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdp.engine.snapshot import Platform, Snapshot

DEFAULT_CACHE_MB: Final = 512
"""Memory of the snapshots in the cache, in MB of `Snapshot.own_bytes`."""

MEGABYTE: Final = 1_000_000

_MAX_WITHOUT_POLICIES: Final = 1_000
"""Tenants without policies of their own whose snapshots are kept until the next change."""


def _no_op(_: Snapshot) -> None:
    """No-op: the garbage collector is left alone, outside a server."""


class Publisher:
    """Holds the compiled policies of the platform and of the tenants.

    Tenants without policies of their own share one snapshot, so that no tenant id that a caller
    makes up takes memory that lasts.

    Attributes:
        revision: the revision of the store that is in force.
        cache: the snapshots of tenants with policies of their own.
        hits: how often a tenant's snapshot was in the cache.
        misses: how often a decision waited for a load. The caller that loads counts it, since it
            may call `current` several times.
        on_publish: called with each snapshot that enters the cache.
        from_files: the platform comes from saved policies, because the store could not be read. No
            snapshot is given out until `restart`: `pdp.admin.saved_policies` checks each time
            whether they may still be used.
    """

    def __init__(
        self,
        platform: Platform,
        revision: int,
        changed: Mapping[str, int],
        cache_mb: float = DEFAULT_CACHE_MB,
        *,
        from_files: bool = False,
    ) -> None:
        """Args:
        platform: the policies that all tenants share.
        revision: the revision of the store that `platform` and `changed` represent.
        changed: for each tenant with its own policies: the minimum revision of its snapshot.
        cache_mb: the memory of the snapshots in the cache.
        from_files: see the attribute.
        """
        self.revision = revision
        self.from_files = from_files
        self.cache = SnapshotCache(int(cache_mb * MEGABYTE))
        self.hits = self.misses = 0
        self.on_publish: Callable[[Snapshot], None] = _no_op
        self._min_revisions = dict(changed)
        # Of these tenants: those that had no policies, each with the revision.
        self._without_policies: dict[str, int] = {}
        # Copies of `_empty` since the last change, so that a decision takes one look-up.
        self._empty_by_tenant: dict[str, Snapshot] = {}
        self._platform = platform
        self._empty = empty_snapshot(platform, revision)

    @property
    def platform(self) -> Platform:
        """The policies that all tenants share."""
        return self._platform

    def current(self, tenant_id: str) -> Snapshot | None:
        """Returns the snapshot in force; None if the tenant's policies must be loaded first."""
        snapshot = self.cache.use(tenant_id)
        if snapshot is not None:
            self.hits += 1
            return self._advanced(snapshot)
        return self._empty_by_tenant.get(tenant_id) or self._empty_for(tenant_id)

    def min_revision(self, tenant_id: str) -> int:
        """Returns the lowest revision that a tenant's policies may be of; 0 if any will do."""
        return self._min_revisions.get(tenant_id, 0)

    def cached(self, tenant_id: str) -> Snapshot | None:
        """Returns the snapshot in the cache at the revision in force; None if there is none."""
        snapshot = self.cache.peek(tenant_id)
        return None if snapshot is None else self._advanced(snapshot)

    def latest(self, tenant_id: str) -> Snapshot | None:
        """Returns the snapshot in force, for the next compilation. Does not count as a use."""
        return self.cached(tenant_id) or self._empty_for(tenant_id)

    def _advanced(self, snapshot: Snapshot) -> Snapshot:
        if snapshot.revision < self.revision or snapshot.platform is not self._platform:
            # No change since its revision concerns the tenant: `advance` would have removed it.
            revision = max(snapshot.revision, self.revision)
            snapshot = snapshot.rebase(self._platform, revision)
            self.cache.replace(snapshot)
        return snapshot

    def _empty_for(self, tenant_id: str) -> Snapshot | None:
        """Returns the snapshot of a tenant without policies; None if it may have policies."""
        if self.from_files:
            return None
        revision = self.revision
        if tenant_id in self._min_revisions:
            since = self._without_policies.get(tenant_id)
            if since is None:
                return None
            revision = max(revision, since)
        if len(self._empty_by_tenant) >= _MAX_WITHOUT_POLICIES:
            self._empty_by_tenant.clear()
        snapshot = self._empty.for_tenant(tenant_id, revision)
        self._empty_by_tenant[tenant_id] = snapshot
        return snapshot

    def publish(self, snapshot: Snapshot) -> bool:
        """Puts a snapshot in force, unless a newer one is in force.

        Returns False if the snapshot must be loaded again: it does not include the tenant's last
        change, or its platform is not compatible with the current one.
        """
        tenant_id = snapshot.tenant_id
        if not snapshot.platform.compatible_with(self._platform):
            return False
        present = self.cache.peek(tenant_id)
        if present is not None and present.revision > snapshot.revision:
            return True
        if snapshot.revision < self._min_revisions.get(tenant_id, 0):
            return False
        # An older one may still be on its way from another thread.
        self._min_revisions[tenant_id] = snapshot.revision
        self._empty_by_tenant.pop(tenant_id, None)
        if snapshot.policies:
            self._without_policies.pop(tenant_id, None)
            self.cache.put(snapshot)
            self.on_publish(snapshot)
        else:
            self._without_policies[tenant_id] = snapshot.revision
            self.cache.remove(tenant_id)
        return True

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
            fresh: new snapshots of some of these tenants. The snapshots of the others are removed
                from the cache and loaded on demand.
            platform: the new platform; None if it has not changed.
        """
        if platform is not None:
            self._change_platform(platform, revision)
        for tenant_id, at in changed.items():
            if tenant_id != PLATFORM:
                self._min_revisions[tenant_id] = max(at, self._min_revisions.get(tenant_id, 0))
        for snapshot in fresh:
            self.publish(snapshot)
        for tenant_id, at in changed.items():
            snapshot_in_cache = self.cache.peek(tenant_id)
            if snapshot_in_cache is not None and snapshot_in_cache.revision < at:
                self.cache.remove(tenant_id)
            if self._without_policies.get(tenant_id, at) < at:
                del self._without_policies[tenant_id]
        self.revision = max(self.revision, revision)
        self._empty_by_tenant.clear()

    def restart(self, revision: int, tenants: Iterable[str], platform: Platform) -> None:
        """Replaces everything, because the store has lost changes or could not be read before.

        Args:
            revision: the revision of the store; it may be lower than the one in force.
            tenants: the tenants with policies.
            platform: the policies of all tenants. It must not be compatible with the present one,
                so that `publish` rejects snapshots that another thread still compiles.
        """
        self._min_revisions = dict.fromkeys(tenants, 0)
        self._without_policies.clear()
        self._empty_by_tenant.clear()
        self.cache.clear()
        self._platform = platform
        self._empty = empty_snapshot(platform, revision)
        self.revision = revision
        self.from_files = False

    def _change_platform(self, platform: Platform, revision: int) -> None:
        if platform.compatible_with(self._platform):
            # The cached snapshots stay valid; `current` rebases each on demand.
            self._empty = self._empty.rebase(platform, revision)
        else:
            self.cache.clear()
            self._empty = empty_snapshot(platform, revision)
        self._platform = platform
