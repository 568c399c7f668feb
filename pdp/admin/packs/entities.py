"""Policy packs and rules as the store has them, for the use cases on packs, rules and chains."""

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


class KeptPack(NamedTuple):
    """A pack as a tenant has it.

    Attributes:
        pack: with the tenant's own `is_active`, where it is a bundle.
        owner: whose it is; `PLATFORM` for a bundle.
        revision: of the last change of it or, but for a bundle, of one of its rules.
    """

    pack: PolicyPack
    owner: str
    revision: int


def all_packs(reader: Reader, tenant_id: str) -> dict[str, KeptPack]:
    """Returns the bundles and the tenant's packs by id, in the order that lists show them in."""
    toggles = {record.id: record for record in reader.list(TOGGLE_KIND, tenant_id)}
    found = [
        _kept(record, PLATFORM, toggles.get(record.id)) for record in reader.list(KIND, PLATFORM)
    ]
    found += [_kept(record, tenant_id, None) for record in reader.list(KIND, tenant_id)]
    found.sort(key=lambda each: (each.pack.pack_type != BUNDLE, each.pack.name.casefold()))
    return {each.pack.id: each for each in found}


def find_pack(reader: Reader, tenant_id: str, pack_id: str) -> KeptPack:
    """Returns a bundle or a pack of the tenant.

    Raises:
        PackNotFound: there is none.
    """
    for owner in (PLATFORM, tenant_id):
        record = reader.get(KIND, owner, pack_id)
        if record is not None:
            toggle = reader.get(TOGGLE_KIND, tenant_id, pack_id) if owner == PLATFORM else None
            return _kept(record, owner, toggle)
    raise PackNotFound(f"there is no policy pack {pack_id}")


def own_pack(reader: Reader, tenant_id: str, pack_id: str, what: str) -> KeptPack:
    """Returns a pack of the tenant, to be changed.

    Args:
        reader: of the store.
        tenant_id: whose it must be.
        pack_id: the pack.
        what: what is to be done, that cannot be done to a bundle.

    Raises:
        BundleReadonly: it is a bundle.
        PackNotFound: there is none.
    """
    kept = find_pack(reader, tenant_id, pack_id)
    if kept.owner == PLATFORM:
        raise BundleReadonly(
            f'"{kept.pack.name}" is a bundle; {what}', Violation("pack_id", "names a bundle")
        )
    return kept


def rules_of(reader: Reader, kept: KeptPack) -> list[PolicyRule]:
    """Returns a pack's rules by sequence."""
    found = (PolicyRule(**record.body) for record in reader.list(RULE_KIND, kept.owner))
    return sorted((rule for rule in found if rule.pack_id == kept.pack.id), key=sequence_key)


def put_rule(
    transaction: Transaction, owner: str, rule: PolicyRule, *, actor: str, summary: str
) -> int:
    """Writes a rule; returns its revision. Its pack is to be written after it."""
    record = StoredEntity(RULE_KIND, owner, rule.id, body_of(rule))
    return transaction.put(record, actor=actor, summary=summary).revision


def put_pack(
    transaction: Transaction, owner: str, pack: PolicyPack, *, actor: str, summary: str
) -> KeptPack:
    """Writes a pack, changed now."""
    pack = replace(pack, updated_at=transaction.now)
    record = StoredEntity(KIND, owner, pack.id, body_of(pack))
    return KeptPack(pack, owner, transaction.put(record, actor=actor, summary=summary).revision)


def _kept(record: StoredEntity, owner: str, toggle: StoredEntity | None) -> KeptPack:
    pack = PolicyPack(**record.body)
    if toggle is None:
        return KeptPack(pack, owner, record.revision)
    revision = max(record.revision, toggle.revision)
    return KeptPack(apply_toggle(pack, BundleToggle(**toggle.body)), owner, revision)
