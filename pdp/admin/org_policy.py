"""The org policy of a tenant: read whole, changed in part (seed 000)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pdp.admin.versioned import ANYTHING, Expectation, Versioned
from pdp.domain.org_policy import DEFAULT_ORG_POLICY, ID, KIND, OrgPolicy, body_of
from pdp.domain.stored_entity import StoredEntity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction


class OrgPolicies:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def get(self, tenant_id: str) -> Versioned[OrgPolicy]:
        """Returns the tenant's policy; the default one, at revision 0, until it is changed."""
        return await self._workspace.read(lambda reader: _policy(reader, tenant_id))

    async def update(
        self,
        tenant_id: str,
        actor: str,
        changes: Mapping[str, Any],
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[OrgPolicy]]:
        """Changes the fields in `changes`. Where they change nothing, nothing is written.

        Args:
            tenant_id: whose policy it is.
            actor: who changes it.
            changes: new values by field name.
            expected: what the policy's revision must be.

        Raises:
            PreconditionFailed: the policy is not as expected.
        """

        def work(transaction: Transaction) -> Versioned[OrgPolicy]:
            present = _policy(transaction, tenant_id)
            expected.check(present.revision)
            changed = replace(present.value, **changes)
            if changed == present.value:
                return present
            record = StoredEntity(KIND, tenant_id, ID, body_of(changed))
            summary = _summary(present.value, changed)
            kept = transaction.put(record, actor=actor, summary=summary)
            return Versioned(changed, kept.revision)

        return await self._workspace.write(tenant_id, work)


def _policy(reader: Reader, tenant_id: str) -> Versioned[OrgPolicy]:
    record = reader.get(KIND, tenant_id, ID)
    if record is None:
        return Versioned(DEFAULT_ORG_POLICY, 0)
    return Versioned(OrgPolicy(**record.body), record.revision)


def _summary(before: OrgPolicy, after: OrgPolicy) -> str:
    """Says which fields changed, in words."""
    changed = [
        name for name in OrgPolicy.__slots__ if getattr(before, name) != getattr(after, name)
    ]
    return f"Updated {', '.join(changed)}"
