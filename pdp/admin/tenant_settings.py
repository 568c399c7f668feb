"""The settings of a tenant: read whole, changed in part (decide.md, Fail closed and Layers)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pdp.admin.versioned import ANYTHING, Expectation, Versioned
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant_settings import DEFAULT_SETTINGS, ID, KIND, TenantSettings, body_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction


class SettingsOfTenants:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def get(self, tenant_id: str) -> Versioned[TenantSettings]:
        """Returns the tenant's settings; the default ones, at revision 0, until they change."""
        return await self._workspace.read(lambda reader: _settings(reader, tenant_id))

    async def update(
        self,
        tenant_id: str,
        actor: str,
        changes: Mapping[str, str],
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[TenantSettings]]:
        """Changes the settings in `changes`. Where they change nothing, nothing is written.

        Args:
            tenant_id: whose settings they are.
            actor: who changes them.
            changes: new values by the settings' names, within the bounds of the contract.
            expected: what the settings' revision must be.

        Raises:
            PreconditionFailed: the settings are not as expected.
        """

        def work(transaction: Transaction) -> Versioned[TenantSettings]:
            present = _settings(transaction, tenant_id)
            expected.check(present.revision)
            changed = replace(present.value, **changes)  # type: ignore[arg-type] # in bounds
            if changed == present.value:
                return present
            record = StoredEntity(KIND, tenant_id, ID, body_of(changed))
            told = ", ".join(f"{name} to {value}" for name, value in sorted(changes.items()))
            kept = transaction.put(record, actor=actor, summary=f"Set {told}")
            return Versioned(changed, kept.revision)

        return await self._workspace.write(tenant_id, work)


def _settings(reader: Reader, tenant_id: str) -> Versioned[TenantSettings]:
    record = reader.get(KIND, tenant_id, ID)
    if record is None:
        return Versioned(DEFAULT_SETTINGS, 0)
    return Versioned(TenantSettings(**record.body), record.revision)
