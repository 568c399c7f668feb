"""User groups: their members, and the bundles and stricter DLP rules that apply to the members."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from pdp.admin.policy_sets import BUNDLE_KINDS, DLP_RULE_KINDS, GROUP_KINDS, read_policy_sets
from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain import org_policy
from pdp.domain.compliance_bundle import all_bundles
from pdp.domain.effective_dlp_rules import apply_group_rule, effective_dlp_rules, tenant_rules
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.domain.user_group import (
    KIND,
    MAX_GROUP_BUNDLES,
    MAX_GROUP_RULES,
    MAX_GROUPS,
    MAX_MEMBERS,
    UserGroup,
    all_groups,
    body_of,
)
from pdp.errors import BundleNotFound, GroupNotFound, InvalidArgument, NameExists, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.domain.dlp_rule import DlpRule
    from pdp.store.port import Reader, Transaction

MAX_LENGTHS: Final = {
    "members": MAX_MEMBERS,
    "bundle_ids": MAX_GROUP_BUNDLES,
    "dlp_rules": MAX_GROUP_RULES,
}
"""How many items each list of a group may have."""

FIELDS: Final = ("name", "description", *MAX_LENGTHS)


class UserGroups:
    """Administers the user groups of a tenant."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, tenant_id: str) -> Sequence[UserGroup]:
        """Returns the platform's groups with the tenant's changes, then the tenant's own."""
        groups = await self._workspace.read(lambda reader: _read_groups(reader, tenant_id))
        return list(groups.values())

    async def get(self, tenant_id: str, group_id: str) -> Versioned[UserGroup]:
        """Returns a group.

        Raises:
            GroupNotFound: the tenant has no such group.
        """
        return await self._workspace.read(lambda reader: _find(reader, tenant_id, group_id))

    async def create(
        self, tenant_id: str, actor: str, draft: UserGroup
    ) -> WriteResult[Versioned[UserGroup]]:
        """Creates a group from `draft`; its id and times are set here.

        Raises:
            InvalidArgument: the group names an unknown bundle or rule, or has too many items, or
                there are too many groups.
            NameExists: another group has the name.
        """

        def work(transaction: Transaction) -> Versioned[UserGroup]:
            if len(_read_groups(transaction, tenant_id)) >= MAX_GROUPS:
                reason = f"a tenant may have at most {MAX_GROUPS} user groups"
                raise InvalidArgument(reason, Violation("name", reason))
            group = replace(draft, id=str(uuid4()), created_at=transaction.now)
            return _put(transaction, tenant_id, actor, None, group)

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        changes: Mapping[str, Any],
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[UserGroup]]:
        """Changes the fields in `changes`; lists are replaced as a whole.

        Writes nothing if the fields have these values already.

        Raises:
            GroupNotFound: the tenant has no such group.
            InvalidArgument: the group would name an unknown bundle or rule, or have too many items.
            NameExists: another group has the name.
            PreconditionFailed: `precondition` does not hold.
        """
        return await self._change(
            tenant_id, actor, group_id, lambda group: replace(group, **changes), precondition
        )

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Deletes a group. A group of the platform is deleted for this tenant only.

        Raises:
            GroupNotFound: the tenant has no such group.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> None:
            current = _find(transaction, tenant_id, group_id)
            precondition.check(current.revision)
            summary = f'Deleted user group "{current.value.name}"'
            if transaction.get(KIND, PLATFORM, group_id) is None:
                transaction.delete(KIND, tenant_id, group_id, actor=actor, summary=summary)
                return
            tombstone = UserGroup(current.value.id, current.value.name, removed=True)
            entity = StoredEntity(KIND, tenant_id, group_id, body_of(tombstone))
            transaction.put(entity, actor=actor, summary=summary)

        return await self._workspace.write(tenant_id, work)

    async def add_members(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        user_ids: Sequence[str],
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[UserGroup]]:
        """Adds users to a group; its present members stay.

        Raises:
            GroupNotFound: the tenant has no such group.
            InvalidArgument: the group would have too many members.
            PreconditionFailed: `precondition` does not hold.
        """
        return await self._change(
            tenant_id,
            actor,
            group_id,
            lambda group: replace(group, members=_add(group.members, user_ids)),
            precondition,
        )

    async def remove_member(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        user_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[UserGroup]]:
        """Removes a user from a group.

        Raises:
            GroupNotFound: the tenant has no such group.
            PreconditionFailed: `precondition` does not hold.
        """
        return await self._change(
            tenant_id,
            actor,
            group_id,
            lambda group: replace(group, members=_remove(group.members, user_id)),
            precondition,
        )

    async def assign(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        bundle_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[UserGroup]]:
        """Assigns a bundle to a group, so that the bundle is in force for the group's users.

        Raises:
            BundleNotFound: the tenant has no such bundle.
            GroupNotFound: the tenant has no such group.
            InvalidArgument: the group has too many bundles.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> Versioned[UserGroup]:
            current = _find(transaction, tenant_id, group_id)
            bundles = all_bundles(*read_policy_sets(transaction, tenant_id, BUNDLE_KINDS))
            if bundle_id not in bundles:
                raise BundleNotFound(f"there is no compliance bundle {bundle_id}")
            precondition.check(current.revision)
            bundle_ids = _add(current.value.bundle_ids, [bundle_id])
            group = replace(current.value, bundle_ids=bundle_ids)
            return _put(transaction, tenant_id, actor, current, group)

        return await self._workspace.write(tenant_id, work)

    async def unassign(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        bundle_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[UserGroup]]:
        """Removes a bundle from a group.

        Raises:
            GroupNotFound: the tenant has no such group.
            PreconditionFailed: `precondition` does not hold.
        """
        return await self._change(
            tenant_id,
            actor,
            group_id,
            lambda group: replace(group, bundle_ids=_remove(group.bundle_ids, bundle_id)),
            precondition,
        )

    async def _change(
        self,
        tenant_id: str,
        actor: str,
        group_id: str,
        change: Callable[[UserGroup], UserGroup],
        precondition: Precondition,
    ) -> WriteResult[Versioned[UserGroup]]:
        def work(transaction: Transaction) -> Versioned[UserGroup]:
            current = _find(transaction, tenant_id, group_id)
            precondition.check(current.revision)
            return _put(transaction, tenant_id, actor, current, change(current.value))

        return await self._workspace.write(tenant_id, work)


def _add(items: Sequence[str], new_items: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*items, *new_items]))


def _remove(items: Sequence[str], item: str) -> list[str]:
    return [each for each in items if each != item]


def _read_groups(reader: Reader, tenant_id: str) -> Mapping[str, UserGroup]:
    return all_groups(*read_policy_sets(reader, tenant_id, GROUP_KINDS))


def _find(reader: Reader, tenant_id: str, group_id: str) -> Versioned[UserGroup]:
    """Returns a group of the tenant or the platform.

    Raises:
        GroupNotFound: the tenant has no such group.
    """
    for owner in (tenant_id, PLATFORM):
        entity = reader.get(KIND, owner, group_id)
        if entity is not None:
            group = UserGroup(**entity.body)
            if group.removed:
                break
            return Versioned(group, entity.revision)
    raise GroupNotFound(f"there is no user group {group_id}")


def _put(
    transaction: Transaction,
    tenant_id: str,
    actor: str,
    current: Versioned[UserGroup] | None,
    new: UserGroup,
) -> Versioned[UserGroup]:
    """Writes a group. Writes nothing if it has not changed.

    Args:
        transaction: the transaction of the use case.
        tenant_id: the tenant; a group of the platform becomes the tenant's own copy.
        actor: who makes the change.
        current: the group before the change; None for a new group.
        new: the group after the change.

    Raises:
        InvalidArgument: the group names an unknown bundle or rule, a rule is not stricter, or a
            list has too many items.
        NameExists: another group has the name.
    """
    before = current.value if current else UserGroup("", "")
    changed = [name for name in FIELDS if getattr(new, name) != getattr(before, name)]
    if current and not changed:
        return current
    if "name" in changed:
        _check_name(transaction, tenant_id, new)
    violations = [
        *list_violations(new),
        *_reference_violations(transaction, tenant_id, before, new),
    ]
    if violations:
        raise InvalidArgument.of(*violations)
    new = replace(new, updated_at=transaction.now)
    verb = f"Updated {', '.join(changed)} of" if current else "Created"
    summary = f'{verb} user group "{new.name}"'
    entity = StoredEntity(KIND, tenant_id, new.id, body_of(new))
    return Versioned(new, transaction.put(entity, actor=actor, summary=summary).revision)


def _check_name(reader: Reader, tenant_id: str, group: UserGroup) -> None:
    for each in _read_groups(reader, tenant_id).values():
        if each.name == group.name and each.id != group.id:
            raise NameExists(
                f'there is a user group "{group.name}" already',
                Violation("name", f"is the name of {each.id}"),
            )


def list_violations(group: UserGroup) -> Iterator[Violation]:
    """Yields the lists of a group that are too long."""
    for name, max_length in MAX_LENGTHS.items():
        if len(getattr(group, name)) > max_length:
            yield Violation(name, f"must have at most {max_length} items")


def _reference_violations(
    reader: Reader, tenant_id: str, before: UserGroup, group: UserGroup
) -> Iterator[Violation]:
    """Yields the new references of a group that are wrong.

    References that the group had before stay valid, even if their bundle or rule is gone.
    """
    kinds = (*BUNDLE_KINDS, *DLP_RULE_KINDS, org_policy.KIND)
    policies = read_policy_sets(reader, tenant_id, kinds)
    bundle_ids = {*all_bundles(*policies), *before.bundle_ids}
    for index, bundle_id in enumerate(group.bundle_ids):
        if bundle_id not in bundle_ids:
            yield Violation(f"bundle_ids[{index}]", "names no compliance bundle")
    if group.dlp_rules != before.dlp_rules:
        unchanged = [each for each in before.dlp_rules if each in group.dlp_rules]
        rules = {**tenant_rules(*policies), **effective_dlp_rules(*policies).everyone}
        yield from rule_violations(group.dlp_rules, rules, unchanged)


def rule_violations(
    changes: Iterable[Mapping[str, object]],
    rules: Mapping[str, DlpRule],
    unchanged: Iterable[Mapping[str, object]],
) -> Iterator[Violation]:
    """Yields the changes of a group that are no stricter rules.

    Args:
        changes: the stricter rules of the group.
        rules: the tenant's rules by id.
        unchanged: the changes that the group had before; they stay valid.
    """
    rule_ids: set[object] = set()
    for index, each in enumerate(changes):
        path, rule_id = f"dlp_rules[{index}]", str(each["rule_id"])
        if rule_id in rule_ids:
            yield Violation(f"{path}.rule_id", "is named twice")
        elif each not in unchanged:
            rule = rules.get(rule_id)
            if rule is None:
                yield Violation(f"{path}.rule_id", "names no DLP rule")
            elif each.get("enabled") is False:
                yield Violation(f"{path}.enabled", "can only be true: a group's rules are stricter")
            elif apply_group_rule(rule, each) == rule:
                yield Violation(path, "must be stricter than the rule is for all users")
        rule_ids.add(rule_id)
