"""Policy packs (seed 002): bundles that ship with the product, and a tenant's own packs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from pdp.admin.packs.entities import (
    KeptPack,
    all_packs,
    find_pack,
    own_pack,
    put_pack,
    put_rule,
    rules_of,
)
from pdp.admin.packs.rule_drafts import check_drafts, check_room, new_rules
from pdp.admin.versioned import ANYTHING, Expectation, Versioned
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

    from pdp.admin.packs.rule_drafts import RuleDraft
    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction


class PackDetail(NamedTuple):
    """A pack with its rules by sequence."""

    kept: KeptPack
    rules: Sequence[PolicyRule]


class PolicyPacks:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, tenant_id: str) -> Sequence[KeptPack]:
        """Returns the bundles, then the tenant's packs, each by name."""
        found = await self._workspace.read(lambda reader: all_packs(reader, tenant_id))
        return list(found.values())

    async def bundles(self, tenant_id: str) -> Sequence[KeptPack]:
        """Returns the bundles by name, as the tenant has them."""
        return [each for each in await self.list(tenant_id) if each.pack.pack_type == BUNDLE]

    async def get(self, tenant_id: str, pack_id: str) -> Versioned[PackDetail]:
        """Returns a pack with its rules.

        Raises:
            PackNotFound: the tenant has none.
        """

        def work(reader: Reader) -> Versioned[PackDetail]:
            kept = find_pack(reader, tenant_id, pack_id)
            return Versioned(PackDetail(kept, rules_of(reader, kept)), kept.revision)

        return await self._workspace.read(work)

    async def create(
        self, tenant_id: str, actor: str, draft: PolicyPack, rules: Sequence[RuleDraft] = ()
    ) -> Written[Versioned[KeptPack]]:
        """Makes a pack of the tenant with `rules`.

        Args:
            tenant_id: whose it will be.
            actor: who makes it.
            draft: whose id, count and times do not count.
            rules: its first rules.

        Raises:
            BundleReadonly: the draft is a bundle.
            InvalidArgument: a rule is not well-formed, or there are too many packs or rules.
            InvalidPattern: a rule's pattern is not RE2.
        """
        if draft.pack_type != CUSTOM:
            raise BundleReadonly(
                "bundles ship with the product; make a custom pack",
                Violation("pack_type", "must be custom"),
            )
        # A thousand patterns take a while: others need not wait for them.
        await asyncio.to_thread(check_drafts, rules)

        def work(transaction: Transaction) -> Versioned[KeptPack]:
            if transaction.count(KIND, tenant_id) >= MAX_PACKS:
                reason = f"a tenant may have at most {MAX_PACKS} policy packs"
                raise InvalidArgument(reason, Violation("name", reason))
            check_room(transaction, tenant_id, 0, len(rules), "rules")
            now = transaction.now
            pack = replace(draft, id=str(uuid4()), rule_count=len(rules), created_at=now)
            for rule in new_rules(pack.id, (), rules, now, "rules"):
                put_rule(transaction, tenant_id, rule, actor=actor, summary="Created")
            kept = put_pack(transaction, tenant_id, pack, actor=actor, summary="Created")
            return Versioned(kept, kept.revision)

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        pack_id: str,
        changes: Mapping[str, Any],
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[KeptPack]]:
        """Changes the fields in `changes`. A bundle's `is_active` is set for the tenant alone.

        Raises:
            BundleReadonly: another field of a bundle was to be changed.
            PackNotFound: the tenant has no such pack.
            PreconditionFailed: the pack is not as expected.
        """

        def work(transaction: Transaction) -> Versioned[KeptPack]:
            kept = find_pack(transaction, tenant_id, pack_id)
            if kept.owner == PLATFORM:
                _check_bundle(kept.pack, changes)
            expected.check(kept.revision)
            if kept.owner == PLATFORM:
                changed = _toggle(transaction, tenant_id, actor, kept, changes)
            else:
                summary = f"Updated {', '.join(changes)}" if changes else "No change"
                pack = replace(kept.pack, **changes)
                changed = put_pack(transaction, tenant_id, pack, actor=actor, summary=summary)
            return Versioned(changed, changed.revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self, tenant_id: str, actor: str, pack_id: str, expected: Expectation = ANYTHING
    ) -> Written[None]:
        """Deletes a pack of the tenant with its rules.

        Raises:
            BundleReadonly: it is a bundle.
            PackInUse: a chain uses it.
            PackNotFound: the tenant has no such pack.
            PreconditionFailed: the pack is not as expected.
        """

        def work(transaction: Transaction) -> None:
            kept = own_pack(transaction, tenant_id, pack_id, "bundles cannot be deleted")
            expected.check(kept.revision)
            _check_unused(transaction, tenant_id, kept.pack)
            for rule in rules_of(transaction, kept):
                summary = "Deleted with its pack"
                transaction.delete(RULE_KIND, tenant_id, rule.id, actor=actor, summary=summary)
            transaction.delete(KIND, tenant_id, pack_id, actor=actor, summary="Deleted")

        return await self._workspace.write(tenant_id, work)


def _check_bundle(pack: PolicyPack, changes: Mapping[str, Any]) -> None:
    violations = [
        Violation(name, "is read-only in a bundle")
        for name, value in changes.items()
        if name != "is_active" and value != getattr(pack, name)
    ]
    if violations:
        message = f'"{pack.name}" is a bundle; only its is_active can be set'
        raise BundleReadonly(message, *violations)


def _toggle(
    transaction: Transaction,
    tenant_id: str,
    actor: str,
    kept: KeptPack,
    changes: Mapping[str, Any],
) -> KeptPack:
    """Keeps what the tenant sets of a bundle as its own."""
    if "is_active" not in changes:
        return kept
    toggle = BundleToggle(kept.pack.id, changes["is_active"], transaction.now)
    record = StoredEntity(TOGGLE_KIND, tenant_id, kept.pack.id, body_of(toggle))
    summary = "Activated" if toggle.is_active else "Deactivated"
    transaction.put(record, actor=actor, summary=summary)
    return find_pack(transaction, tenant_id, kept.pack.id)


def _check_unused(reader: Reader, tenant_id: str, pack: PolicyPack) -> None:
    for record in reader.list(policy_chain.KIND, tenant_id):
        chain = PolicyChain(**record.body)
        if any(entry.pack_id == pack.id for entry in chain.packs):
            user = f"the chain of user {chain.user_id}" if chain.user_id else "the org chain"
            raise PackInUse(
                f'{user} uses policy pack "{pack.name}"; take it out of the chain first',
                Violation("pack_id", f"is used by {user}"),
            )
