"""User groups as the store has them, for their use cases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pdp.admin.compliance.entities import BUNDLE_KINDS, GROUP_KINDS, RULE_KINDS, holdings
from pdp.admin.versioned import Versioned
from pdp.domain import org_policy
from pdp.domain.compliance_bundle import all_bundles
from pdp.domain.effective_dlp_rules import apply_group_rule, effective_dlp_rules, tenant_rules
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.domain.user_group import (
    KIND,
    MAX_GROUP_BUNDLES,
    MAX_GROUP_RULES,
    MAX_MEMBERS,
    UserGroup,
    all_groups,
    body_of,
)
from pdp.errors import GroupNotFound, InvalidArgument, NameExists, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pdp.domain.dlp_rule import DlpRule
    from pdp.store.port import Reader, Transaction

BOUNDS: Final = {
    "members": MAX_MEMBERS,
    "bundle_ids": MAX_GROUP_BUNDLES,
    "dlp_rules": MAX_GROUP_RULES,
}

FIELDS: Final = ("name", "description", *BOUNDS)


def find_group(reader: Reader, tenant_id: str, group_id: str) -> Versioned[UserGroup]:
    """Returns a group as a tenant has it.

    Raises:
        GroupNotFound: the tenant has none.
    """
    for owner in (tenant_id, PLATFORM):
        record = reader.get(KIND, owner, group_id)
        if record is not None:
            group = UserGroup(**record.body)
            if group.removed:
                break
            return Versioned(group, record.revision)
    raise GroupNotFound(f"there is no user group {group_id}")


def put_group(
    transaction: Transaction,
    tenant_id: str,
    actor: str,
    old: Versioned[UserGroup] | None,
    new: UserGroup,
) -> Versioned[UserGroup]:
    """Writes a group, changed now, unless it is as it was.

    Args:
        transaction: to write in.
        tenant_id: whose it is; one of the platform's is the tenant's own from now on.
        actor: who writes it.
        old: as it was; None for a new one.
        new: as it is to be.

    Raises:
        InvalidArgument: it names a bundle or a rule that there is not, a rule is not stricter, or
            there is too much of something.
        NameExists: another group has the name.
    """
    before = old.value if old else UserGroup("", "")
    changed = [name for name in FIELDS if getattr(new, name) != getattr(before, name)]
    if old and not changed:
        return old
    if "name" in changed:
        _check_name(transaction, tenant_id, new)
    faults = [*_too_many(new), *_unknown(transaction, tenant_id, before, new)]
    if faults:
        raise InvalidArgument.of(*faults)
    new = replace(new, updated_at=transaction.now)
    what = f"Updated {', '.join(changed)} of" if old else "Created"
    summary = f'{what} user group "{new.name}"'
    record = StoredEntity(KIND, tenant_id, new.id, body_of(new))
    return Versioned(new, transaction.put(record, actor=actor, summary=summary).revision)


def _check_name(reader: Reader, tenant_id: str, group: UserGroup) -> None:
    for each in all_groups(*holdings(reader, tenant_id, GROUP_KINDS)).values():
        if each.name == group.name and each.id != group.id:
            raise NameExists(
                f'there is a user group "{group.name}" already',
                Violation("name", f"is the name of {each.id}"),
            )


def _too_many(group: UserGroup) -> Iterator[Violation]:
    for name, bound in BOUNDS.items():
        if len(getattr(group, name)) > bound:
            yield Violation(name, f"may be {bound} at most")


def _unknown(
    reader: Reader, tenant_id: str, before: UserGroup, group: UserGroup
) -> Iterator[Violation]:
    """What a group newly names that there is not; what has gone since it was named may stay."""
    held = holdings(reader, tenant_id, (*BUNDLE_KINDS, *RULE_KINDS, org_policy.KIND))
    known = {*all_bundles(*held), *before.bundle_ids}
    for index, bundle_id in enumerate(group.bundle_ids):
        if bundle_id not in known:
            yield Violation(f"bundle_ids[{index}]", "names no compliance bundle")
    if group.dlp_rules != before.dlp_rules:
        kept = [each for each in before.dlp_rules if each in group.dlp_rules]
        rules = {**tenant_rules(*held), **effective_dlp_rules(*held).everyone}
        yield from _loose(group.dlp_rules, rules, kept)


def _loose(
    changes: Iterable[Mapping[str, object]],
    rules: Mapping[str, DlpRule],
    kept: Iterable[Mapping[str, object]],
) -> Iterator[Violation]:
    seen: set[object] = set()
    for index, each in enumerate(changes):
        path, rule_id = f"dlp_rules[{index}]", str(each["rule_id"])
        if rule_id in seen:
            yield Violation(f"{path}.rule_id", "is named twice")
        elif each not in kept:
            rule = rules.get(rule_id)
            if rule is None:
                yield Violation(f"{path}.rule_id", "names no DLP rule")
            elif each.get("enabled") is False:
                yield Violation(f"{path}.enabled", "can only be true: a group's rules are stricter")
            elif apply_group_rule(rule, each) == rule:
                yield Violation(path, "must be stricter than the rule is for all")
        seen.add(rule_id)
