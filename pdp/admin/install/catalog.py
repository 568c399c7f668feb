"""Installs the catalog that ships with the product into the store, and upgrades it.

Settings of tenants are never changed here: whether a bundle is active, which definition of a bundle
a tenant has, how it has customised a rule, and its own copies of user groups.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pdp import catalog
from pdp.admin.install.model_catalog import install_models
from pdp.admin.install.release import is_newer, release
from pdp.catalog.compliance import compliance_bundles, user_groups
from pdp.catalog.dlp import dlp_rules
from pdp.domain import compliance_bundle, dlp_rule, policy_pack, static_policy, user_group
from pdp.domain.compliance_bundle import ComplianceBundle
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.policy_pack import PolicyPack, PolicyRule
from pdp.domain.static_policy import StaticPolicy
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.domain.user_group import UserGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdp.store.port import Reader, Store, Transaction

Entity = TypeVar("Entity", ComplianceBundle, DlpRule, PolicyPack, PolicyRule, UserGroup)

_DIGEST_KIND: Final = "catalog"


class Part(NamedTuple):
    """One part of the catalog.

    Attributes:
        name: the name of its file or folder in `pdp/catalog`. The store keeps the digest of the
            installed part under the same name.
        install: brings the part in the store to this release.
    """

    name: str
    install: Callable[[Transaction], None]


def install_catalog(store: Store) -> bool:
    """Brings the catalog in the store to this release, in one transaction.

    Does nothing if the store has this release already. Returns whether anything was written.

    Raises:
        StoreUnavailable: the store cannot be read or written.
    """
    with store.view() as reader:
        if not _outdated_parts(reader):
            return False
    with store.write() as transaction:
        outdated = _outdated_parts(transaction)
        for part, digest in outdated.items():
            part.install(transaction)
            body = {"digest": digest, "release": release()}
            entity = StoredEntity(_DIGEST_KIND, PLATFORM, part.name, body)
            transaction.put(entity, actor=catalog.ACTOR, summary="Installed the catalog")
    return bool(outdated)


def _outdated_parts(reader: Reader) -> dict[Part, str]:
    """Returns the parts that differ between the store and this release, with their new digests.

    Those of a newer release stay: replicas are replaced one after the other.
    """
    installed = {entity.id: entity.body for entity in reader.list(_DIGEST_KIND, PLATFORM)}
    outdated = {}
    for part in PARTS:
        present = installed.get(part.name, {})
        digest = catalog.digest(part.name)
        if present.get("digest") != digest and not is_newer(present.get("release", ""), release()):
            outdated[part] = digest
    return outdated


def install_static_policies(transaction: Transaction) -> None:
    """Brings the system policies in the store to this release; a changed policy gets a version."""
    kind = static_policy.KIND
    present = {
        entity.id: StaticPolicy(**entity.body) for entity in transaction.list(kind, PLATFORM)
    }
    shipped = {each.policy.id: each.policy for each in catalog.static_policies()}
    for policy_id in present.keys() - shipped.keys():
        _delete(transaction, kind, policy_id)
    for policy in shipped.values():
        old = present.get(policy.id)
        if old is None:
            new = replace(policy, created_at=transaction.now, updated_at=transaction.now)
            _put_static_policy(transaction, new, "Installed")
            continue
        unchanged = replace(
            policy, version=old.version, created_at=old.created_at, updated_at=old.updated_at
        )
        if unchanged != old:
            new = replace(unchanged, version=old.version + 1, updated_at=transaction.now)
            _put_static_policy(transaction, new, "Changed by a release")


def _put_static_policy(transaction: Transaction, policy: StaticPolicy, summary: str) -> None:
    body = static_policy.body_of(policy)
    entity = StoredEntity(static_policy.KIND, PLATFORM, policy.id, body, name=policy.name)
    transaction.put(entity, actor=catalog.ACTOR, summary=summary)


def install_policy_packs(transaction: Transaction) -> None:
    """Brings the bundles in the store, and their rules, to this release."""
    packs = catalog.policy_packs()
    rules = [rule for each in packs for rule in each.rules]
    present_rules = _read_present(transaction, policy_pack.RULE_KIND, PolicyRule)
    _install(transaction, policy_pack.RULE_KIND, present_rules, rules, policy_pack.body_of)
    present_packs = _read_present(transaction, policy_pack.KIND, PolicyPack)
    shipped_packs = [each.pack for each in packs]
    _install(transaction, policy_pack.KIND, present_packs, shipped_packs, policy_pack.body_of)


def install_dlp_rules(transaction: Transaction) -> None:
    """Brings the rules for the detectors that ship to this release.

    The rules of compliance bundles are installed with their bundles; see
    `install_compliance_bundles`.
    """
    rules = _read_present(transaction, dlp_rule.KIND, DlpRule)
    present = {rule_id: rule for rule_id, rule in rules.items() if not rule.bundle_id}
    _install(transaction, dlp_rule.KIND, present, dlp_rules(), dlp_rule.body_of)


def install_compliance_bundles(transaction: Transaction) -> None:
    """Brings the seeded bundles in the store, and their rules, to this release."""
    seeded = compliance_bundles()
    all_rules = _read_present(transaction, dlp_rule.KIND, DlpRule)
    present_rules = {rule_id: rule for rule_id, rule in all_rules.items() if rule.bundle_id}
    rules = [rule for each in seeded for rule in each.rules]
    _install(transaction, dlp_rule.KIND, present_rules, rules, dlp_rule.body_of)
    kind, body_of = compliance_bundle.KIND, compliance_bundle.body_of
    present = _read_present(transaction, kind, ComplianceBundle)
    _install(transaction, kind, present, [each.bundle for each in seeded], body_of)


def install_user_groups(transaction: Transaction) -> None:
    """Brings the platform's user groups in the store to this release."""
    present = _read_present(transaction, user_group.KIND, UserGroup)
    _install(transaction, user_group.KIND, present, user_groups(), user_group.body_of)


def _read_present(reader: Reader, kind: str, entity_class: type[Entity]) -> dict[str, Entity]:
    """Returns the platform's entities of a kind, by id."""
    return {entity.id: entity_class(**entity.body) for entity in reader.list(kind, PLATFORM)}


def _install(
    transaction: Transaction,
    kind: str,
    present: Mapping[str, Entity],
    shipped: Iterable[Entity],
    body_of: Callable[[Entity], dict[str, Any]],
) -> None:
    """Adds, changes and deletes entities of the platform until the store has those of the release.

    Args:
        transaction: writes the entities.
        kind: their kind.
        present: the entities that are in the store, by id.
        shipped: the entities of the release.
        body_of: returns the body of an entity for the store.
    """
    now = transaction.now
    obsolete = dict(present)
    for each in shipped:
        old = obsolete.pop(each.id, None)
        if old is None:
            new, summary = replace(each, created_at=now, updated_at=now), "Installed"
        else:
            new = replace(each, created_at=old.created_at, updated_at=old.updated_at)
            if _as_json(body_of(new)) == _as_json(body_of(old)):
                continue
            new, summary = replace(new, updated_at=now), "Changed by a release"
        entity = StoredEntity(kind, PLATFORM, new.id, body_of(new))
        transaction.put(entity, actor=catalog.ACTOR, summary=summary)
    for entity_id in obsolete:
        _delete(transaction, kind, entity_id)


def _as_json(body: Mapping[str, Any]) -> str:
    """Returns a body as the store has it, in which a tuple is equal to a list."""
    return json.dumps(body, sort_keys=True)


def _delete(transaction: Transaction, kind: str, entity_id: str) -> None:
    summary = "No longer in the catalog"
    transaction.delete(kind, PLATFORM, entity_id, actor=catalog.ACTOR, summary=summary)


PARTS: Final = (
    Part("static_policies", install_static_policies),
    Part("models", install_models),
    Part("policy_packs", install_policy_packs),
    Part("detectors", install_dlp_rules),
    Part("compliance_bundles", install_compliance_bundles),
    Part("user_groups", install_user_groups),
)
"""All parts of the catalog, in the order of their installation."""
