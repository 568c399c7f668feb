"""Reads and writes policy packs and rules in the store, for the use cases of this folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pdp.domain.policy_pack import (
    BUNDLE,
    KIND,
    RULE_KIND,
    TOGGLE_KIND,
    BundleToggle,
    PolicyPack,
    PolicyRule,
    apply_toggle,
    body_of,
    sequence_key,
)
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import BundleReadonly, PackNotFound, Violation

if TYPE_CHECKING:
    from pdp.store.port import Reader, Transaction


class StoredPack(NamedTuple):
    """A pack with its owner and revision.

    Attributes:
        pack: the pack; a bundle with the tenant's own `is_active`.
        owner: the tenant, or `PLATFORM` for a bundle.
        revision: the revision of the last change. In a pack of the tenant, changes of its rules
            count too.
    """

    pack: PolicyPack
    owner: str
    revision: int


def read_packs(reader: Reader, tenant_id: str) -> dict[str, StoredPack]:
    """Returns the bundles and the tenant's packs by id, in the order of lists."""
    toggles = {entity.id: entity for entity in reader.list(TOGGLE_KIND, tenant_id)}
    packs = [
        _stored_pack(entity, PLATFORM, toggles.get(entity.id))
        for entity in reader.list(KIND, PLATFORM)
    ]
    packs += [_stored_pack(entity, tenant_id, None) for entity in reader.list(KIND, tenant_id)]
    packs.sort(key=lambda each: (each.pack.pack_type != BUNDLE, each.pack.name.casefold()))
    return {each.pack.id: each for each in packs}


def find_pack(reader: Reader, tenant_id: str, pack_id: str) -> StoredPack:
    """Returns a bundle or a pack of the tenant.

    Raises:
        PackNotFound: there is no such pack.
    """
    for owner in (PLATFORM, tenant_id):
        entity = reader.get(KIND, owner, pack_id)
        if entity is not None:
            toggle = reader.get(TOGGLE_KIND, tenant_id, pack_id) if owner == PLATFORM else None
            return _stored_pack(entity, owner, toggle)
    raise PackNotFound(f"there is no policy pack {pack_id}")


def find_editable_pack(reader: Reader, tenant_id: str, pack_id: str, hint: str) -> StoredPack:
    """Returns a pack of the tenant, for a change.

    Args:
        reader: a view of the store.
        tenant_id: the tenant that must own the pack.
        pack_id: the pack.
        hint: the end of the error message for a bundle: what cannot be done with it.

    Raises:
        BundleReadonly: the pack is a bundle.
        PackNotFound: there is no such pack.
    """
    stored_pack = find_pack(reader, tenant_id, pack_id)
    if stored_pack.owner == PLATFORM:
        raise BundleReadonly(
            f'"{stored_pack.pack.name}" is a bundle; {hint}',
            Violation("pack_id", "names a bundle"),
        )
    return stored_pack


def read_rules(reader: Reader, stored_pack: StoredPack) -> list[PolicyRule]:
    """Returns a pack's rules by sequence."""
    rules = (PolicyRule(**entity.body) for entity in reader.list(RULE_KIND, stored_pack.owner))
    return sorted((rule for rule in rules if rule.pack_id == stored_pack.pack.id), key=sequence_key)


def put_rule(
    transaction: Transaction, owner: str, rule: PolicyRule, *, actor: str, summary: str
) -> int:
    """Writes a rule and returns its revision. The caller must write the rule's pack after it."""
    entity = StoredEntity(RULE_KIND, owner, rule.id, body_of(rule))
    return transaction.put(entity, actor=actor, summary=summary).revision


def put_pack(
    transaction: Transaction, owner: str, pack: PolicyPack, *, actor: str, summary: str
) -> StoredPack:
    """Writes a pack and sets its `updated_at`."""
    pack = replace(pack, updated_at=transaction.now)
    entity = StoredEntity(KIND, owner, pack.id, body_of(pack))
    return StoredPack(pack, owner, transaction.put(entity, actor=actor, summary=summary).revision)


def _stored_pack(entity: StoredEntity, owner: str, toggle: StoredEntity | None) -> StoredPack:
    pack = PolicyPack(**entity.body)
    if toggle is None:
        return StoredPack(pack, owner, entity.revision)
    revision = max(entity.revision, toggle.revision)
    return StoredPack(apply_toggle(pack, BundleToggle(**toggle.body)), owner, revision)
