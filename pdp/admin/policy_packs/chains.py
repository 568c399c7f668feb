"""Policy chains: the tenant's own, and those of its users (the policy chain API)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from pdp.admin.policy_packs.entities import StoredPack, read_packs
from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.policy_chain import (
    KIND,
    MAX_USER_CHAINS,
    ORG,
    ORG_ID,
    USER,
    ChainEntry,
    PolicyChain,
    body_of,
    entity_id,
)
from pdp.domain.policy_pack import MAX_SEQUENCE
from pdp.domain.stored_entity import StoredEntity
from pdp.errors import ChainNotFound, InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction


class ChainEntryDraft(NamedTuple):
    """A pack to put into a chain; `sequence` is None for the next free one."""

    pack_id: str
    sequence: int | None = None


class ChainView(NamedTuple):
    """A chain, and the packs that it names, by id."""

    chain: PolicyChain
    packs: Mapping[str, StoredPack]


class PolicyChains:
    """Administers the policy chains of a tenant."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, tenant_id: str) -> Sequence[ChainView]:
        """Returns the tenant's own chain, then those of its users, sorted by user."""

        def work(reader: Reader) -> Sequence[ChainView]:
            chains = [PolicyChain(**entity.body) for entity in reader.list(KIND, tenant_id)]
            packs = read_packs(reader, tenant_id) if chains else {}
            chains.sort(key=lambda chain: chain.user_id)
            return [ChainView(chain, packs) for chain in chains]

        return await self._workspace.read(work)

    async def replace(
        self,
        tenant_id: str,
        actor: str,
        drafts: Sequence[ChainEntryDraft],
        combining_algorithm: str,
        *,
        user_id: str = "",
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[ChainView]]:
        """Replaces a chain as a whole, or creates it.

        Args:
            tenant_id: the tenant.
            actor: who makes the change.
            drafts: all packs of the chain.
            combining_algorithm: one of those in `pdp.domain.policy_chain`.
            user_id: the user who owns the chain; empty for the tenant's own chain.
            precondition: checked against the revision of the chain.

        Raises:
            InvalidArgument: a pack does not exist or is named twice, a sequence is used twice, or
                too many users have a chain.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> Versioned[ChainView]:
            current = transaction.get(KIND, tenant_id, entity_id(user_id))
            precondition.check(current.revision if current else None)
            if current is None and user_id:
                _check_chain_count(transaction, tenant_id)
            packs = read_packs(transaction, tenant_id)
            entries = build_entries(drafts, packs)
            now = transaction.now
            scope = USER if user_id else ORG
            new = PolicyChain(str(uuid4()), scope, user_id, created_at=now)
            chain = replace(
                PolicyChain(**current.body) if current else new,
                combining_algorithm=combining_algorithm,
                packs=entries,
                updated_at=now,
            )
            entity = StoredEntity(KIND, tenant_id, entity_id(user_id), body_of(chain))
            summary = "Replaced" if current else "Created"
            revision = transaction.put(entity, actor=actor, summary=summary).revision
            return Versioned(ChainView(chain, packs), revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        user_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Deletes the chain of a user.

        Raises:
            ChainNotFound: the user has no chain.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> None:
            chain_id = entity_id(user_id)
            entity = transaction.get(KIND, tenant_id, chain_id) if user_id else None
            if entity is None:
                raise ChainNotFound(f"user {user_id} has no policy chain")
            precondition.check(entity.revision)
            transaction.delete(KIND, tenant_id, chain_id, actor=actor, summary="Deleted")

        return await self._workspace.write(tenant_id, work)


def build_entries(
    drafts: Sequence[ChainEntryDraft], packs: Mapping[str, object], path: str = "packs"
) -> tuple[ChainEntry, ...]:
    """Returns the entries of a chain.

    Args:
        drafts: the packs of the chain, in any order.
        packs: all existing packs, by id.
        path: the path of the list in the request.

    Raises:
        InvalidArgument: a pack does not exist or is named twice, or a sequence is used twice; the
            error names all faults.
    """
    violations: list[Violation] = []
    entries: dict[int, ChainEntry] = {}
    pack_ids: set[str] = set()
    for index, draft in enumerate(drafts):
        if draft.pack_id not in packs:
            violations.append(Violation(f"{path}[{index}].id", "there is no such policy pack"))
        elif draft.pack_id in pack_ids:
            violations.append(Violation(f"{path}[{index}].id", "is named twice"))
        sequence = max(entries, default=-1) + 1 if draft.sequence is None else draft.sequence
        if sequence in entries:
            violations.append(Violation(f"{path}[{index}].sequence", "is used twice"))
        elif sequence > MAX_SEQUENCE:
            reason = f"would be {sequence}; the maximum is {MAX_SEQUENCE}"
            violations.append(Violation(f"{path}[{index}].sequence", reason))
        pack_ids.add(draft.pack_id)
        entries[sequence] = ChainEntry(str(uuid4()), draft.pack_id, sequence)
    if violations:
        raise InvalidArgument.of(*violations)
    return tuple(entries[sequence] for sequence in sorted(entries))


def _check_chain_count(reader: Reader, tenant_id: str) -> None:
    """Checks that one more user may have a chain."""
    org = reader.get(KIND, tenant_id, ORG_ID) is not None
    if reader.count(KIND, tenant_id) - org >= MAX_USER_CHAINS:
        reason = f"at most {MAX_USER_CHAINS} users may have a chain"
        raise InvalidArgument(reason, Violation("user_id", reason))
