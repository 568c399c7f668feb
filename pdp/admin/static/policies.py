"""Static policies, their versions and overrides (seed 003)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.versioned import ANYTHING, Expectation, Versioned
from pdp.domain.static_policy import (
    KIND,
    StaticPolicy,
    body_of,
)
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import (
    InvalidArgument,
    PolicyNameExists,
    PolicyNotFound,
    SystemPolicyReadonly,
    Violation,
)
from pdp.store.port import NameTaken, Reader, Transaction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace, Written

MAX_POLICIES: Final = 10_000
"""Policies that one tenant may have."""


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """One page of a list; `number` counts from 1."""

    policies: Sequence[StaticPolicy]
    number: int
    size: int
    total: int

    @property
    def count(self) -> int:
        """How many pages the whole list has."""
        return -(-self.total // self.size)


@dataclass(frozen=True, slots=True)
class StaticPolicyVersion:
    """A policy as it once was, with who made it so, when (seconds since the epoch) and why."""

    policy: StaticPolicy
    changed_by: str
    changed_at: float
    summary: str


class StaticPolicies:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(
        self, tenant_id: str, *, enabled: bool | None, category: str, number: int, size: int
    ) -> PolicyPage:
        """Returns a page of the system's and the tenant's policies, in that order."""
        policies = [
            policy
            for policy in await self._workspace.read(lambda reader: all_policies(reader, tenant_id))
            if (enabled is None or policy.enabled is enabled)
            and (not category or policy.category == category)
        ]
        start = (number - 1) * size
        return PolicyPage(policies[start : start + size], number, size, len(policies))

    async def get(self, tenant_id: str, policy_id: str) -> Versioned[StaticPolicy]:
        """Returns a policy of the system or the tenant.

        Raises:
            PolicyNotFound: there is none.
        """

        def work(reader: Reader) -> Versioned[StaticPolicy]:
            record = _record(reader, tenant_id, policy_id)
            return Versioned(StaticPolicy(**record.body), record.revision)

        return await self._workspace.read(work)

    async def create(
        self, tenant_id: str, actor: str, draft: StaticPolicy
    ) -> Written[Versioned[StaticPolicy]]:
        """Makes a policy of the tenant from `draft`, whose id, version and times do not count.

        Raises:
            InvalidPattern: the pattern is not RE2.
            PolicyNameExists: the name is in use.
        """
        CompiledPattern(draft.pattern)

        def work(transaction: Transaction) -> Versioned[StaticPolicy]:
            if transaction.count(KIND, tenant_id) >= MAX_POLICIES:
                reason = f"a tenant may have at most {MAX_POLICIES} static policies"
                raise InvalidArgument(reason, Violation("name", reason))
            policy = replace(
                draft,
                id=f"pol_{secrets.token_hex(8)}",
                system=False,
                family="",
                validator="",
                version=1,
                created_at=transaction.now,
                updated_at=transaction.now,
            )
            return _put(transaction, tenant_id, actor, policy, "Created")

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        policy_id: str,
        changes: Mapping[str, Any],
        summary: str | None,
        *,
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[StaticPolicy]]:
        """Changes the fields in `changes`, and makes a version.

        Args:
            tenant_id: whose policy it is.
            actor: who changes it.
            policy_id: the policy.
            changes: new values by field name.
            summary: what was changed, in words; made from `changes` where None.
            expected: what the policy's revision must be.

        Raises:
            InvalidPattern: the pattern is not RE2.
            PolicyNotFound: the tenant has no such policy.
            PolicyNameExists: the name is in use.
            PreconditionFailed: the policy is not as expected.
            SystemPolicyReadonly: it is a system policy.
        """
        if "pattern" in changes:
            CompiledPattern(changes["pattern"])

        def work(transaction: Transaction) -> Versioned[StaticPolicy]:
            policy = _own(transaction, tenant_id, policy_id, expected)
            changed = replace(
                policy, **changes, version=policy.version + 1, updated_at=transaction.now
            )
            text = _summary(policy, changed) if summary is None else summary
            return _put(transaction, tenant_id, actor, changed, text)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self, tenant_id: str, actor: str, policy_id: str, expected: Expectation = ANYTHING
    ) -> Written[None]:
        """Takes a policy out of force and out of sight; its history stays.

        Raises:
            PolicyNotFound: the tenant has no such policy.
            PreconditionFailed: the policy is not as expected.
            SystemPolicyReadonly: it is a system policy.
        """

        def work(transaction: Transaction) -> None:
            _own(transaction, tenant_id, policy_id, expected)
            transaction.delete(KIND, tenant_id, policy_id, actor=actor, summary="Deleted")

        return await self._workspace.write(tenant_id, work)

    async def versions(self, tenant_id: str, policy_id: str) -> Sequence[StaticPolicyVersion]:
        """Returns a policy's history, newest first; a deleted policy's too.

        Raises:
            PolicyNotFound: there has never been such a policy.
        """

        def work(reader: Reader) -> Sequence[StaticPolicyVersion]:
            for owner in (PLATFORM, tenant_id):
                history = reader.history(KIND, owner, policy_id)
                if history:
                    return [
                        StaticPolicyVersion(
                            StaticPolicy(**change.after), change.actor, change.at, change.summary
                        )
                        for change in history
                        if change.after is not None
                    ]
            raise _unknown(policy_id)

        return await self._workspace.read(work)


def policies_of(reader: Reader, owner: str) -> list[StaticPolicy]:
    """Returns the policies that `owner` (a tenant, or the platform) has of its own."""
    return [StaticPolicy(**record.body) for record in reader.list(KIND, owner)]


def all_policies(reader: Reader, tenant_id: str) -> list[StaticPolicy]:
    """Returns the system's policies, then the tenant's, each in order of creation."""
    return policies_of(reader, PLATFORM) + policies_of(reader, tenant_id)


def find_policy(reader: Reader, tenant_id: str, policy_id: str) -> StaticPolicy:
    """Returns a policy of the system or the tenant.

    Raises:
        PolicyNotFound: there is none.
    """
    return StaticPolicy(**_record(reader, tenant_id, policy_id).body)


def _record(reader: Reader, tenant_id: str, policy_id: str) -> StoredEntity:
    for owner in (PLATFORM, tenant_id):
        record = reader.get(KIND, owner, policy_id)
        if record is not None:
            return record
    raise _unknown(policy_id)


def _own(reader: Reader, tenant_id: str, policy_id: str, expected: Expectation) -> StaticPolicy:
    record = _record(reader, tenant_id, policy_id)
    policy = StaticPolicy(**record.body)
    if policy.system:
        raise SystemPolicyReadonly(
            f"{policy_id} is a system policy; create an override instead",
            Violation("id", "system policies are read-only"),
        )
    expected.check(record.revision)
    return policy


def _put(
    transaction: Transaction, tenant_id: str, actor: str, policy: StaticPolicy, summary: str
) -> Versioned[StaticPolicy]:
    holder = transaction.find(KIND, PLATFORM, policy.name)
    if holder is not None:
        raise _name_taken(policy.name, holder.id)
    record = StoredEntity(KIND, tenant_id, policy.id, body_of(policy), name=policy.name)
    try:
        kept = transaction.put(record, actor=actor, summary=summary)
    except NameTaken as taken:
        raise _name_taken(policy.name, taken.holder_id) from None
    return Versioned(policy, kept.revision)


def _unknown(policy_id: str) -> PolicyNotFound:
    return PolicyNotFound(f"there is no static policy {policy_id}")


def _name_taken(name: str, holder_id: str) -> PolicyNameExists:
    return PolicyNameExists(
        f'a policy named "{name}" exists already', Violation("name", f"in use by {holder_id}")
    )


def _summary(before: StaticPolicy, after: StaticPolicy) -> str:
    """Says which fields changed, in words."""
    changed = [
        field
        for field in StaticPolicy.__slots__
        if field not in {"version", "updated_at"}
        and getattr(before, field) != getattr(after, field)
    ]
    if changed == ["enabled"]:
        return "Enabled" if after.enabled else "Disabled"
    return f"Updated {', '.join(changed)}" if changed else "No change"
