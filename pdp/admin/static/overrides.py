"""A tenant's overrides of system static policies, and what is effective with them (seed 003)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdp.admin.static.policies import all_policies, find_policy, policies_of
from pdp.domain.static_policy import OVERRIDE_KIND, StaticOverride, StaticPolicy, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import InvalidArgument, OverrideNotFound, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction


@dataclass(frozen=True, slots=True)
class Effective:
    """A policy with the tenant's override beside it."""

    policy: StaticPolicy
    override: StaticOverride | None


class StaticOverrides:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def effective(self, tenant_id: str) -> Sequence[Effective]:
        """Returns the system's policies, then the tenant's, each with its override."""

        def work(reader: Reader) -> Sequence[Effective]:
            overrides = overrides_of(reader, tenant_id)
            return [
                Effective(policy, overrides.get(policy.id))
                for policy in all_policies(reader, tenant_id)
            ]

        return await self._workspace.read(work)

    async def set(
        self, tenant_id: str, actor: str, policy_id: str, action: str, reason: str
    ) -> Written[StaticOverride]:
        """Sets what a system policy does for the tenant.

        An override that it has already is replaced.

        Raises:
            PolicyNotFound: there is no such policy.
            InvalidArgument: it is the tenant's own, to be edited instead.
        """

        def work(transaction: Transaction) -> StaticOverride:
            policy = find_policy(transaction, tenant_id, policy_id)
            if not policy.system:
                why = "only system policies are overridden; edit the policy itself"
                raise InvalidArgument.of(Violation("id", why))
            override = StaticOverride(policy_id, action, reason, transaction.now)
            record = StoredEntity(OVERRIDE_KIND, tenant_id, policy_id, body_of(override))
            summary = f"Overrode {policy.action} with {action}"
            transaction.put(record, actor=actor, summary=summary)
            return override

        return await self._workspace.write(tenant_id, work)

    async def remove(self, tenant_id: str, actor: str, policy_id: str) -> Written[None]:
        """Takes a system policy back to its own action.

        Raises:
            PolicyNotFound: there is no such policy.
            OverrideNotFound: the tenant has not overridden it.
        """

        def work(transaction: Transaction) -> None:
            find_policy(transaction, tenant_id, policy_id)
            if transaction.get(OVERRIDE_KIND, tenant_id, policy_id) is None:
                raise OverrideNotFound(f"{policy_id} has no override")
            transaction.delete(
                OVERRIDE_KIND, tenant_id, policy_id, actor=actor, summary="Removed the override"
            )

        return await self._workspace.write(tenant_id, work)

    async def list(self, tenant_id: str) -> Sequence[Effective]:
        """Returns the system policies that the tenant has overridden, oldest override first."""

        def work(reader: Reader) -> Sequence[Effective]:
            system = {policy.id: policy for policy in policies_of(reader, PLATFORM)}
            return [
                Effective(system[policy_id], override)
                for policy_id, override in overrides_of(reader, tenant_id).items()
                if policy_id in system
            ]

        return await self._workspace.read(work)


def overrides_of(reader: Reader, tenant_id: str) -> dict[str, StaticOverride]:
    """Returns the tenant's overrides by policy, oldest first."""
    records = reader.list(OVERRIDE_KIND, tenant_id)
    return {record.id: StaticOverride(**record.body) for record in records}
