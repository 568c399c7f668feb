"""User groups: who is in them, and which bundles and stricter DLP rules hold for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pdp.admin.compliance.entities import BUNDLE_KINDS, GROUP_KINDS, holdings
from pdp.admin.groups.entities import find_group, put_group
from pdp.admin.versioned import ANYTHING, Expectation, Versioned
from pdp.domain.compliance_bundle import all_bundles
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.domain.user_group import KIND, MAX_GROUPS, UserGroup, all_groups, body_of
from pdp.errors import BundleNotFound, InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Transaction


class UserGroups:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, tenant_id: str) -> Sequence[UserGroup]:
        """Returns the platform's groups as the tenant has them, then its own."""
        return await self._workspace.read(
            lambda reader: list(all_groups(*holdings(reader, tenant_id, GROUP_KINDS)).values())
        )

    async def get(self, tenant_id: str, group_id: str) -> Versioned[UserGroup]:
        """Returns a group.

        Raises:
            GroupNotFound: the tenant has none.
        """
        return await self._workspace.read(lambda reader: find_group(reader, tenant_id, group_id))

    async def create(
        self, tenant_id: str, actor: str, draft: UserGroup
    ) -> Written[Versioned[UserGroup]]:
        """Makes a group; its id and times are those of `draft` no longer.

        Raises:
            InvalidArgument: it names a bundle or a rule that there is not, or is too large.
            NameExists: another group has the name.
        """

        def work(transaction: Transaction) -> Versioned[UserGroup]:
            present = all_groups(*holdings(transaction, tenant_id, GROUP_KINDS))
            if len(present) >= MAX_GROUPS:
                reason = f"a tenant may have at most {MAX_GROUPS} user groups"
                raise InvalidArgument(reason, Violation("name", reason))
            group = replace(draft, id=str(uuid4()), created_at=transaction.now)
            return put_group(transaction, tenant_id, actor, None, group)

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        changes: Mapping[str, Any],
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[UserGroup]]:
        """Changes the fields in `changes`; lists are replaced whole. Without any change nothing is
        written.

        Raises:
            GroupNotFound: the tenant has no such group.
            InvalidArgument: it is to name a bundle or a rule that there is not, or is too large.
            NameExists: another group has the name.
            PreconditionFailed: the group is not as expected.
        """
        return await self._change(
            tenant_id, actor, group_id, lambda group: replace(group, **changes), expected
        )

    async def delete(
        self, tenant_id: str, actor: str, group_id: str, expected: Expectation = ANYTHING
    ) -> Written[None]:
        """Deletes a group; one of the platform's, for the tenant alone.

        Raises:
            GroupNotFound: the tenant has no such group.
            PreconditionFailed: the group is not as expected.
        """

        def work(transaction: Transaction) -> None:
            present = find_group(transaction, tenant_id, group_id)
            expected.check(present.revision)
            summary = f'Deleted user group "{present.value.name}"'
            if transaction.get(KIND, PLATFORM, group_id) is None:
                transaction.delete(KIND, tenant_id, group_id, actor=actor, summary=summary)
                return
            bare = UserGroup(present.value.id, present.value.name, removed=True)
            record = StoredEntity(KIND, tenant_id, group_id, body_of(bare))
            transaction.put(record, actor=actor, summary=summary)

        return await self._workspace.write(tenant_id, work)

    async def add_members(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        user_ids: Sequence[str],
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[UserGroup]]:
        """Adds users to a group; those that are in it stay.

        Raises:
            GroupNotFound: the tenant has no such group.
            InvalidArgument: there would be too many members.
            PreconditionFailed: the group is not as expected.
        """
        return await self._change(
            tenant_id,
            actor,
            group_id,
            lambda group: replace(group, members=_with(group.members, user_ids)),
            expected,
        )

    async def remove_member(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        user_id: str,
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[UserGroup]]:
        """Takes a user out of a group.

        Raises:
            GroupNotFound: the tenant has no such group.
            PreconditionFailed: the group is not as expected.
        """
        return await self._change(
            tenant_id,
            actor,
            group_id,
            lambda group: replace(group, members=_without(group.members, user_id)),
            expected,
        )

    async def assign(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        bundle_id: str,
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[UserGroup]]:
        """Puts a bundle in force for a group's users.

        Raises:
            BundleNotFound: the tenant has no such bundle.
            GroupNotFound: the tenant has no such group.
            InvalidArgument: the group has too many bundles.
            PreconditionFailed: the group is not as expected.
        """

        def work(transaction: Transaction) -> Versioned[UserGroup]:
            present = find_group(transaction, tenant_id, group_id)
            if bundle_id not in all_bundles(*holdings(transaction, tenant_id, BUNDLE_KINDS)):
                raise BundleNotFound(f"there is no compliance bundle {bundle_id}")
            expected.check(present.revision)
            ids = _with(present.value.bundle_ids, [bundle_id])
            new = replace(present.value, bundle_ids=ids)
            return put_group(transaction, tenant_id, actor, present, new)

        return await self._workspace.write(tenant_id, work)

    async def unassign(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        bundle_id: str,
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[UserGroup]]:
        """Takes a bundle away from a group.

        Raises:
            GroupNotFound: the tenant has no such group.
            PreconditionFailed: the group is not as expected.
        """
        return await self._change(
            tenant_id,
            actor,
            group_id,
            lambda group: replace(group, bundle_ids=_without(group.bundle_ids, bundle_id)),
            expected,
        )

    async def _change(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        change: Callable[[UserGroup], UserGroup],
        expected: Expectation,
    ) -> Written[Versioned[UserGroup]]:
        def work(transaction: Transaction) -> Versioned[UserGroup]:
            present = find_group(transaction, tenant_id, group_id)
            expected.check(present.revision)
            new = change(present.value)
            return put_group(transaction, tenant_id, actor, present, new)

        return await self._workspace.write(tenant_id, work)


def _with(present: Sequence[str], added: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*present, *added]))


def _without(present: Sequence[str], gone: str) -> list[str]:
    return [each for each in present if each != gone]
