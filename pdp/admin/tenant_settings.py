"""The settings of a tenant: read as a whole, changed field by field (docs/decide.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant_settings import DEFAULT_SETTINGS, ID, KIND, TenantSettings, body_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction


class TenantSettingsAdmin:
    """Reads and updates the settings of tenants."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def get(self, tenant_id: str) -> Versioned[TenantSettings]:
        """Returns the tenant's settings. Until they are changed: the defaults, at revision 0."""
        return await self._workspace.read(lambda reader: read_settings(reader, tenant_id))

    async def update(
        self,
        tenant_id: str,
        actor: str,
        changes: Mapping[str, Any],
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[TenantSettings]]:
        """Changes the settings in `changes`. Writes nothing if they have these values already.

        Args:
            tenant_id: the tenant.
            actor: who makes the change.
            changes: new values by the name of the setting, within the bounds of the contract.
            precondition: checked against the revision of the settings.

        Raises:
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> Versioned[TenantSettings]:
            current = read_settings(transaction, tenant_id)
            precondition.check(current.revision)
            settings = replace(current.value, **changes)
            if settings == current.value:
                return current
            entity = StoredEntity(KIND, tenant_id, ID, body_of(settings))
            values = ", ".join(f"{name} to {value}" for name, value in sorted(changes.items()))
            stored = transaction.put(entity, actor=actor, summary=f"Set {values}")
            return Versioned(settings, stored.revision)

        return await self._workspace.write(tenant_id, work)


def read_settings(reader: Reader, tenant_id: str) -> Versioned[TenantSettings]:
    """Returns a tenant's settings: see `TenantSettingsAdmin.get`."""
    entity = reader.get(KIND, tenant_id, ID)
    if entity is None:
        return Versioned(DEFAULT_SETTINGS, 0)
    return Versioned(TenantSettings(**entity.body), entity.revision)
