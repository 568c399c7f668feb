"""The org policy of a tenant: read as a whole, changed field by field (the org policy API)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.org_policy import (
    DEFAULT_ORG_POLICY,
    ID,
    KIND,
    OrgPolicy,
    alert_expressions,
    body_of,
)
from pdp.domain.stored_entity import StoredEntity
from pdp.engine.rules.expressions import compile_expression

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction


class OrgPolicies:
    """Reads and updates the org policies of tenants."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def get(self, tenant_id: str) -> Versioned[OrgPolicy]:
        """Returns the tenant's policy. Until it is changed: the default, at revision 0."""
        return await self._workspace.read(lambda reader: _read(reader, tenant_id))

    async def update(
        self,
        tenant_id: str,
        actor: str,
        changes: Mapping[str, Any],
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[OrgPolicy]]:
        """Changes the fields in `changes`. Writes nothing if they have these values already.

        Args:
            tenant_id: the tenant.
            actor: who makes the change.
            changes: new values by field name.
            precondition: checked against the revision of the policy.

        Raises:
            InvalidCondition: the expression of an alert rule does not compile.
            PreconditionFailed: `precondition` does not hold.
        """
        check_alert_rules(changes.get("alert_rules", ()))

        def work(transaction: Transaction) -> Versioned[OrgPolicy]:
            current = _read(transaction, tenant_id)
            precondition.check(current.revision)
            policy = replace(current.value, **changes)
            if policy == current.value:
                return current
            entity = StoredEntity(KIND, tenant_id, ID, body_of(policy))
            summary = _summary(current.value, policy)
            stored = transaction.put(entity, actor=actor, summary=summary)
            return Versioned(policy, stored.revision)

        return await self._workspace.write(tenant_id, work)


def check_alert_rules(rules: Sequence[Mapping[str, Any]]) -> None:
    """Checks the expressions of alert rules, given as in `OrgPolicy`.

    Raises:
        InvalidCondition: an expression does not compile.
    """
    for index, source in alert_expressions(rules):
        compile_expression(source, f"alert_rules[{index}].condition.expression")


def _read(reader: Reader, tenant_id: str) -> Versioned[OrgPolicy]:
    entity = reader.get(KIND, tenant_id, ID)
    if entity is None:
        return Versioned(DEFAULT_ORG_POLICY, 0)
    return Versioned(OrgPolicy(**entity.body), entity.revision)


def _summary(before: OrgPolicy, after: OrgPolicy) -> str:
    """Returns a sentence that names the changed fields."""
    changed = [
        name for name in OrgPolicy.__slots__ if getattr(before, name) != getattr(after, name)
    ]
    return f"Updated {', '.join(changed)}"
