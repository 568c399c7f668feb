"""The policies in force, as the decider reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.errors import StoreUnavailable

if TYPE_CHECKING:
    from pdp.admin.saved_policies.policies import SavedPolicies
    from pdp.admin.workspace import Workspace
    from pdp.engine.snapshot import Snapshot
    from pdp.publisher import Publisher


class PublishedPolicies:
    """Snapshots from the publisher; the workspace loads those that are not in memory.

    If the store cannot be read, it falls back to saved policies.
    """

    def __init__(
        self, publisher: Publisher, workspace: Workspace, saved: SavedPolicies | None = None
    ) -> None:
        """Takes the sources of snapshots; None for no saved policies."""
        self._publisher = publisher
        self._workspace = workspace
        self._saved = saved

    @property
    def revision(self) -> int:
        """The revision that is in force in this process."""
        return self._publisher.revision

    def current(self, tenant_id: str) -> Snapshot | None:
        """Returns the tenant's snapshot, or None if it is not in memory."""
        return self._publisher.current(tenant_id)

    async def load(self, tenant_id: str) -> Snapshot:
        """Loads and compiles the tenant's policies; see `Workspace.load`."""
        self._publisher.misses += 1
        saved = self._saved
        if saved is None:
            return await self._workspace.load(tenant_id)
        if self._workspace.is_unavailable():
            return await saved.load(tenant_id)
        try:
            return await self._workspace.load(tenant_id)
        except StoreUnavailable:
            return await saved.load(tenant_id)

    async def reach(self, revision: int, timeout_s: float) -> bool:
        """Waits for a revision; see `Workspace.reach`."""
        return await self._workspace.reach(revision, timeout_s)
