"""Static policies, their versions, and a tenant's overrides of system policies.

This is the static policy API. System policies ship with the product; a tenant can override their
action but cannot change them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.pages import Page, PageRequest, list_page, version_page
from pdp.admin.placements import check_placement
from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.static_policy import (
    ACTIONS,
    KIND,
    OVERRIDE_KIND,
    StaticOverride,
    StaticPolicy,
    body_of,
)
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import (
    InvalidArgument,
    OverrideNotFound,
    PolicyNameExists,
    PolicyNotFound,
    SystemPolicyReadonly,
    Violation,
)
from pdp.store.port import NameTaken, Reader, Transaction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.domain.stored_entity import Change

MAX_POLICIES: Final = 10_000
"""How many static policies one tenant may have."""


@dataclass(frozen=True, slots=True)
class StaticPolicyPage:
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
    """A past or present version of a policy.

    Attributes:
        changed_by: who made the change.
        changed_at: seconds since the epoch.
        summary: what was changed, as a sentence.
    """

    policy: StaticPolicy
    changed_by: str
    changed_at: float
    summary: str


@dataclass(frozen=True, slots=True)
class EffectiveStaticPolicy:
    """A policy and the tenant's override of it, if the tenant has one."""

    policy: StaticPolicy
    override: StaticOverride | None


@dataclass(frozen=True, slots=True)
class StaticPolicyHistory:
    """A page of a policy's versions.

    Attributes:
        current: the number of the newest version.
    """

    page: Page[StaticPolicyVersion]
    current: int


@dataclass(frozen=True, slots=True)
class EffectiveStaticPolicies:
    """A page of all policies, and how many policies and overrides of the system's there are."""

    page: Page[EffectiveStaticPolicy]
    system: int
    own: int
    overridden: int


class StaticPolicies:
    """Administers the static policies of a tenant."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(
        self, tenant_id: str, *, enabled: bool | None, category: str, number: int, size: int
    ) -> StaticPolicyPage:
        """Returns a page of the system's policies followed by the tenant's."""
        matching: dict[str, str | bool] = {} if enabled is None else {"enabled": enabled}
        if category:
            matching["category"] = category
        start = (number - 1) * size

        def work(reader: Reader) -> StaticPolicyPage:
            system = [each for each in _read_owned(reader, PLATFORM) if _matches(each, matching)]
            total = len(system) + reader.count(KIND, tenant_id, matching)
            policies = system[start : start + size]
            skip = max(0, start - len(system))
            own = reader.page(
                KIND, tenant_id, skip=skip, limit=size - len(policies), matching=matching
            )
            policies += map(_policy, own.entities)
            return StaticPolicyPage(policies, number, size, total)

        return await self._workspace.read(work)

    async def get(self, tenant_id: str, policy_id: str) -> Versioned[StaticPolicy]:
        """Returns a policy of the system or the tenant.

        Raises:
            PolicyNotFound: there is no such policy.
        """

        def work(reader: Reader) -> Versioned[StaticPolicy]:
            entity = _find_entity(reader, tenant_id, policy_id)
            return Versioned(StaticPolicy(**entity.body), entity.revision)

        return await self._workspace.read(work)

    async def create(
        self, tenant_id: str, actor: str, draft: StaticPolicy
    ) -> WriteResult[Versioned[StaticPolicy]]:
        """Creates a policy of the tenant from `draft`; its id, version and times are set here.

        Raises:
            InvalidArgument: the tenant has too many policies, or the placement is invalid.
            InvalidPattern: the pattern is not RE2.
            PolicyNameExists: the name is in use.
        """
        CompiledPattern(draft.pattern)
        check_placement(draft, ACTIONS)

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
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[StaticPolicy]]:
        """Changes the fields in `changes`, and adds a version.

        Args:
            tenant_id: the tenant.
            actor: who makes the change.
            policy_id: the policy.
            changes: new values by field name.
            summary: what was changed, as a sentence; None to build it from `changes`.
            precondition: checked against the revision of the policy.

        Raises:
            InvalidArgument: the placement is invalid.
            InvalidPattern: the pattern is not RE2.
            PolicyNotFound: the tenant has no such policy.
            PolicyNameExists: the name is in use.
            PreconditionFailed: `precondition` does not hold.
            SystemPolicyReadonly: it is a system policy.
        """
        if "pattern" in changes:
            CompiledPattern(changes["pattern"])

        def work(transaction: Transaction) -> Versioned[StaticPolicy]:
            policy = _find_editable(transaction, tenant_id, policy_id, precondition)
            changed = replace(
                policy, **changes, version=policy.version + 1, updated_at=transaction.now
            )
            check_placement(changed, ACTIONS)
            text = _summary(policy, changed) if summary is None else summary
            return _put(transaction, tenant_id, actor, changed, text)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        policy_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Deletes a policy; its history is kept.

        Raises:
            PolicyNotFound: the tenant has no such policy.
            PreconditionFailed: `precondition` does not hold.
            SystemPolicyReadonly: it is a system policy.
        """

        def work(transaction: Transaction) -> None:
            _find_editable(transaction, tenant_id, policy_id, precondition)
            transaction.delete(KIND, tenant_id, policy_id, actor=actor, summary="Deleted")

        return await self._workspace.write(tenant_id, work)

    async def versions(
        self, tenant_id: str, policy_id: str, request: PageRequest
    ) -> StaticPolicyHistory:
        """Returns a page of a policy's history, newest first, also if the policy was deleted.

        Raises:
            InvalidArgument: there is no such page.
            PolicyNotFound: there has never been such a policy.
        """

        def work(reader: Reader) -> StaticPolicyHistory:
            for owner in (PLATFORM, tenant_id):
                newest = version_page(reader, KIND, owner, policy_id, PageRequest(1)).items
                if newest:
                    page = version_page(reader, KIND, owner, policy_id, request)
                    versions = Page(list(map(_version, page.items)), page.next_token, page.total)
                    return StaticPolicyHistory(versions, _version(newest[0]).policy.version)
            raise _not_found(policy_id)

        return await self._workspace.read(work)


class StaticOverrides:
    """Administers a tenant's overrides of system policies."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def effective(self, tenant_id: str, request: PageRequest) -> EffectiveStaticPolicies:
        """Returns a page of the system's policies, then the tenant's, each with its override.

        Raises:
            InvalidArgument: there is no such page.
        """

        def work(reader: Reader) -> EffectiveStaticPolicies:
            overrides = _read_overrides(reader, tenant_id)
            system = [
                EffectiveStaticPolicy(policy, overrides.get(policy.id))
                for policy in _read_owned(reader, PLATFORM)
            ]
            page = list_page(
                reader,
                KIND,
                tenant_id,
                request,
                shipped=lambda: system,
                own=lambda entity: EffectiveStaticPolicy(_policy(entity), overrides.get(entity.id)),
            )
            overridden = sum(each.override is not None for each in system)
            return EffectiveStaticPolicies(
                page, len(system), reader.count(KIND, tenant_id), overridden
            )

        return await self._workspace.read(work)

    async def set(
        self, tenant_id: str, actor: str, draft: StaticOverride
    ) -> WriteResult[StaticOverride]:
        """Sets the action of a system policy for the tenant, and replaces an earlier override.

        Args:
            tenant_id: the tenant.
            actor: who makes the change.
            draft: the override; its time is set here.

        Raises:
            PolicyNotFound: there is no such policy.
            InvalidArgument: it is a policy of the tenant, or the placement is invalid.
        """
        check_placement(draft, ACTIONS)
        policy_id = draft.policy_id

        def work(transaction: Transaction) -> StaticOverride:
            policy = _find(transaction, tenant_id, policy_id)
            if not policy.system:
                why = "is not a system policy; edit the policy itself"
                raise InvalidArgument.of(Violation("id", why))
            override = replace(draft, created_at=transaction.now)
            entity = StoredEntity(OVERRIDE_KIND, tenant_id, policy_id, body_of(override))
            summary = f"Overrode {policy.action} with {draft.action}"
            transaction.put(entity, actor=actor, summary=summary)
            return override

        return await self._workspace.write(tenant_id, work)

    async def remove(self, tenant_id: str, actor: str, policy_id: str) -> WriteResult[None]:
        """Removes the override, so that the system policy has its own action again.

        Raises:
            PolicyNotFound: there is no such policy.
            OverrideNotFound: the tenant has not overridden it.
        """

        def work(transaction: Transaction) -> None:
            _find(transaction, tenant_id, policy_id)
            if transaction.get(OVERRIDE_KIND, tenant_id, policy_id) is None:
                raise OverrideNotFound(f"{policy_id} has no override")
            transaction.delete(
                OVERRIDE_KIND, tenant_id, policy_id, actor=actor, summary="Removed the override"
            )

        return await self._workspace.write(tenant_id, work)

    async def list(self, tenant_id: str) -> Sequence[EffectiveStaticPolicy]:
        """Returns the system policies that the tenant has overridden, oldest override first."""

        def work(reader: Reader) -> Sequence[EffectiveStaticPolicy]:
            system = {policy.id: policy for policy in _read_owned(reader, PLATFORM)}
            return [
                EffectiveStaticPolicy(system[policy_id], override)
                for policy_id, override in _read_overrides(reader, tenant_id).items()
                if policy_id in system
            ]

        return await self._workspace.read(work)


def _read_owned(reader: Reader, owner: str) -> list[StaticPolicy]:
    """Returns the policies of one owner: a tenant or the platform."""
    return list(map(_policy, reader.list(KIND, owner)))


def _policy(entity: StoredEntity) -> StaticPolicy:
    return StaticPolicy(**entity.body)


def _matches(policy: StaticPolicy, fields: Mapping[str, str | bool]) -> bool:
    return all(getattr(policy, name) == value for name, value in fields.items())


def _version(change: Change) -> StaticPolicyVersion:
    body: Mapping[str, Any] = change.after or {}
    return StaticPolicyVersion(StaticPolicy(**body), change.actor, change.at, change.summary)


def _read_overrides(reader: Reader, tenant_id: str) -> dict[str, StaticOverride]:
    """Returns the tenant's overrides by policy id, oldest first."""
    entities = reader.list(OVERRIDE_KIND, tenant_id)
    return {entity.id: StaticOverride(**entity.body) for entity in entities}


def _find(reader: Reader, tenant_id: str, policy_id: str) -> StaticPolicy:
    return StaticPolicy(**_find_entity(reader, tenant_id, policy_id).body)


def _find_entity(reader: Reader, tenant_id: str, policy_id: str) -> StoredEntity:
    for owner in (PLATFORM, tenant_id):
        entity = reader.get(KIND, owner, policy_id)
        if entity is not None:
            return entity
    raise _not_found(policy_id)


def _find_editable(
    reader: Reader, tenant_id: str, policy_id: str, precondition: Precondition
) -> StaticPolicy:
    entity = _find_entity(reader, tenant_id, policy_id)
    policy = StaticPolicy(**entity.body)
    if policy.system:
        raise SystemPolicyReadonly(
            f"{policy_id} is a system policy; create an override instead",
            Violation("id", "system policies are read-only"),
        )
    precondition.check(entity.revision)
    return policy


def _put(
    transaction: Transaction, tenant_id: str, actor: str, policy: StaticPolicy, summary: str
) -> Versioned[StaticPolicy]:
    system_policy = transaction.find(KIND, PLATFORM, policy.name)
    if system_policy is not None:
        raise _name_exists(policy.name, system_policy.id)
    entity = StoredEntity(KIND, tenant_id, policy.id, body_of(policy), name=policy.name)
    try:
        stored = transaction.put(entity, actor=actor, summary=summary)
    except NameTaken as error:
        raise _name_exists(policy.name, error.holder_id) from None
    return Versioned(policy, stored.revision)


def _not_found(policy_id: str) -> PolicyNotFound:
    return PolicyNotFound(f"there is no static policy {policy_id}")


def _name_exists(name: str, holder_id: str) -> PolicyNameExists:
    return PolicyNameExists(
        f'a policy named "{name}" exists already', Violation("name", f"in use by {holder_id}")
    )


def _summary(before: StaticPolicy, after: StaticPolicy) -> str:
    """Returns a sentence that names the changed fields."""
    changed = [
        field
        for field in StaticPolicy.__slots__
        if field not in {"version", "updated_at"}
        and getattr(before, field) != getattr(after, field)
    ]
    if changed == ["enabled"]:
        return "Enabled" if after.enabled else "Disabled"
    return f"Updated {', '.join(changed)}" if changed else "No change"
