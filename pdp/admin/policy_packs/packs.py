"""Policy packs: bundles that ship with the product, and a tenant's own (the policy pack API)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from pdp.admin.policy_packs.entities import (
    StoredPack,
    find_editable_pack,
    find_pack,
    put_pack,
    put_rule,
    read_packs,
    read_rules,
)
from pdp.admin.policy_packs.rules import build_rules, check_drafts, check_rule_count
from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain import policy_chain
from pdp.domain.policy_chain import PolicyChain
from pdp.domain.policy_pack import (
    BUNDLE,
    CUSTOM,
    KIND,
    MAX_PACKS,
    RULE_KIND,
    TOGGLE_KIND,
    BundleToggle,
    PolicyPack,
    PolicyRule,
    body_of,
)
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import BundleReadonly, InvalidArgument, PackInUse, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.policy_packs.rules import RuleDraft
    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction


class PackDetail(NamedTuple):
    """A pack with its rules by sequence."""

    stored_pack: StoredPack
    rules: Sequence[PolicyRule]


class PolicyPacks:
    """Administers the policy packs of a tenant."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, tenant_id: str) -> Sequence[StoredPack]:
        """Returns the bundles, then the tenant's packs, each sorted by name."""
        packs = await self._workspace.read(lambda reader: read_packs(reader, tenant_id))
        return list(packs.values())

    async def bundles(self, tenant_id: str) -> Sequence[StoredPack]:
        """Returns the bundles with the tenant's settings, sorted by name."""
        return [each for each in await self.list(tenant_id) if each.pack.pack_type == BUNDLE]

    async def get(self, tenant_id: str, pack_id: str) -> Versioned[PackDetail]:
        """Returns a pack with its rules.

        Raises:
            PackNotFound: the tenant has no such pack.
        """

        def work(reader: Reader) -> Versioned[PackDetail]:
            stored_pack = find_pack(reader, tenant_id, pack_id)
            detail = PackDetail(stored_pack, read_rules(reader, stored_pack))
            return Versioned(detail, stored_pack.revision)

        return await self._workspace.read(work)

    async def create(
        self, tenant_id: str, actor: str, draft: PolicyPack, rules: Sequence[RuleDraft] = ()
    ) -> WriteResult[Versioned[StoredPack]]:
        """Creates a pack of the tenant with `rules`.

        Args:
            tenant_id: the tenant.
            actor: who makes the change.
            draft: the pack; its id, rule count and times are set here.
            rules: the first rules of the pack.

        Raises:
            BundleReadonly: the draft is a bundle.
            InvalidArgument: a rule is not well-formed, or there are too many packs or rules.
            InvalidPattern: a rule's pattern is not RE2.
        """
        if draft.pack_type != CUSTOM:
            raise BundleReadonly(
                "bundles ship with the product; create a custom pack",
                Violation("pack_type", "must be custom"),
            )
        # A thousand patterns take a while; they must not block the event loop.
        await asyncio.to_thread(check_drafts, rules)
        places: dict[str, str] = {}

        def work(transaction: Transaction) -> Versioned[StoredPack]:
            if transaction.count(KIND, tenant_id) >= MAX_PACKS:
                reason = f"a tenant may have at most {MAX_PACKS} policy packs"
                raise InvalidArgument(reason, Violation("name", reason))
            check_rule_count(transaction, tenant_id, 0, len(rules), "rules")
            now = transaction.now
            pack = replace(draft, id=str(uuid4()), rule_count=len(rules), created_at=now)
            for index, rule in enumerate(build_rules(pack.id, (), rules, now, "rules")):
                places[rule.id] = f"rules[{index}]."
                put_rule(transaction, tenant_id, rule, actor=actor, summary="Created")
            created = put_pack(transaction, tenant_id, pack, actor=actor, summary="Created")
            return Versioned(created, created.revision)

        return await self._workspace.write(tenant_id, work, places)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        pack_id: str,
        changes: Mapping[str, Any],
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[StoredPack]]:
        """Changes the fields in `changes`. A bundle's `is_active` is set for this tenant only.

        Raises:
            BundleReadonly: `changes` would change another field of a bundle.
            PackNotFound: the tenant has no such pack.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> Versioned[StoredPack]:
            current = find_pack(transaction, tenant_id, pack_id)
            if current.owner == PLATFORM:
                _check_bundle_changes(current.pack, changes)
            precondition.check(current.revision)
            if current.owner == PLATFORM:
                changed = _toggle_bundle(transaction, tenant_id, actor, current, changes)
            else:
                summary = f"Updated {', '.join(changes)}" if changes else "No change"
                pack = replace(current.pack, **changes)
                changed = put_pack(transaction, tenant_id, pack, actor=actor, summary=summary)
            return Versioned(changed, changed.revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        pack_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Deletes a pack of the tenant with its rules.

        Raises:
            BundleReadonly: the pack is a bundle.
            PackInUse: a chain uses the pack.
            PackNotFound: the tenant has no such pack.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> None:
            hint = "bundles cannot be deleted"
            current = find_editable_pack(transaction, tenant_id, pack_id, hint)
            precondition.check(current.revision)
            _check_not_in_use(transaction, tenant_id, current.pack)
            for rule in read_rules(transaction, current):
                summary = "Deleted with its pack"
                transaction.delete(RULE_KIND, tenant_id, rule.id, actor=actor, summary=summary)
            transaction.delete(KIND, tenant_id, pack_id, actor=actor, summary="Deleted")

        return await self._workspace.write(tenant_id, work)


def _check_bundle_changes(pack: PolicyPack, changes: Mapping[str, Any]) -> None:
    violations = [
        Violation(name, "is read-only in a bundle")
        for name, value in changes.items()
        if name != "is_active" and value != getattr(pack, name)
    ]
    if violations:
        message = f'"{pack.name}" is a bundle; only its is_active can be set'
        raise BundleReadonly(message, *violations)


def _toggle_bundle(
    transaction: Transaction,
    tenant_id: str,
    actor: str,
    current: StoredPack,
    changes: Mapping[str, Any],
) -> StoredPack:
    """Writes whether a bundle is active for the tenant."""
    if "is_active" not in changes:
        return current
    pack_id = current.pack.id
    toggle = BundleToggle(pack_id, changes["is_active"], transaction.now)
    entity = StoredEntity(TOGGLE_KIND, tenant_id, pack_id, body_of(toggle))
    summary = "Activated" if toggle.is_active else "Deactivated"
    transaction.put(entity, actor=actor, summary=summary)
    return find_pack(transaction, tenant_id, pack_id)


def _check_not_in_use(reader: Reader, tenant_id: str, pack: PolicyPack) -> None:
    for entity in reader.list(policy_chain.KIND, tenant_id):
        chain = PolicyChain(**entity.body)
        if any(entry.pack_id == pack.id for entry in chain.packs):
            user = f"the chain of user {chain.user_id}" if chain.user_id else "the org chain"
            raise PackInUse(
                f'{user} uses policy pack "{pack.name}"; take it out of the chain first',
                Violation("pack_id", f"is used by {user}"),
            )
