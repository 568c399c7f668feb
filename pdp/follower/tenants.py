"""The tenants that a follower follows. It begins to when it is asked about one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from pdp.domain.tenant import is_tenant_id
from pdp.errors import ServerNeeded
from pdp.follower.replica import PlatformCache
from pdp.follower.tenant import TenantFollower

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.engine.snapshot import Snapshot
    from pdp.follower.central import Central
    from pdp.follower.options import FollowOptions

CLOSE_S = 5.0
"""How long closing waits for each thread."""


class TenantState(NamedTuple):
    """How a tenant is followed.

    Attributes:
        revision: the revision of its policies; 0 without policies that may be used.
        age_s: how long ago the policies were last known to be in force; infinite without policies.
        problem: why they are not in step now; empty if they are.
    """

    revision: int
    age_s: float
    problem: str


class FollowedTenants:
    """Snapshots of the tenants that are followed, for any number of threads."""

    def __init__(self, central: Central, options: FollowOptions) -> None:
        """Takes the server, and how to follow it."""
        self._central = central
        self._options = options
        self._platforms = PlatformCache()
        self._tenants: dict[str, TenantFollower] = {}
        self._lock = threading.Lock()
        self._closed = False

    def follow(self, tenant_id: str) -> TenantFollower:
        """Returns how a tenant is followed; begins to follow it if that is new.

        Args:
            tenant_id: the tenant; empty for that of the credential.

        Raises:
            ServerNeeded: too many tenants are followed already, or it is the id of no tenant.
        """
        return self._tenants.get(tenant_id) or self._begin(tenant_id)

    def snapshot(self, tenant_id: str) -> Snapshot:
        """Returns the compiled policies of a tenant.

        Raises:
            ServerNeeded: they are not here, or the server must decide by them.
        """
        return (self._tenants.get(tenant_id) or self._begin(tenant_id)).snapshot()

    def states(self) -> Mapping[str, TenantState]:
        """Returns how each tenant is followed."""
        return {
            tenant_id: TenantState(
                each.replica.revision if each.replica else 0, each.age_s, each.problem
            )
            for tenant_id, each in list(self._tenants.items())
        }

    def close(self) -> None:
        """Ends all streams and threads."""
        with self._lock:
            self._closed = True
            tenants = set(self._tenants.values())
        for each in tenants:
            each.stop()
        for each in tenants:
            each.join(CLOSE_S)

    def _begin(self, tenant_id: str) -> TenantFollower:
        if tenant_id and not is_tenant_id(tenant_id):  # files have its name
            raise ServerNeeded("tenant")
        with self._lock:
            known = self._tenants.get(tenant_id) or self._own(tenant_id)
            if known is None:
                if self._closed:
                    raise ServerNeeded("closed")
                self._make_room()
                known = TenantFollower(tenant_id, self._central, self._options, self._platforms)
            self._tenants[tenant_id] = known
            return known

    def _own(self, tenant_id: str) -> TenantFollower | None:
        """Returns what follows the credential's own tenant, if that is the given one."""
        own = self._tenants.get("")
        replica = None if own is None else own.replica
        return own if replica is not None and replica.tenant_id == tenant_id else None

    def _make_room(self) -> None:
        """Stops to follow a tenant without usable policies, if there are too many tenants.

        Raises:
            ServerNeeded: all tenants have usable policies.
        """
        followers = dict.fromkeys(self._tenants.values())
        if len(followers) < self._options.max_tenants:
            return
        unusable = next((each for each in followers if each.replica is None), None)
        if unusable is None:
            raise ServerNeeded("too many tenants")
        unusable.stop()
        names = [name for name, each in self._tenants.items() if each is unusable]
        for name in names:
            del self._tenants[name]
