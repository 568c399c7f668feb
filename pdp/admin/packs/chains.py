"""Policy chains (seed 002): the tenant's own, and its users' beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from pdp.admin.packs.entities import KeptPack, all_packs
from pdp.admin.versioned import ANYTHING, Expectation, Versioned
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

    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction


class PackPlace(NamedTuple):
    """A pack to be put into a chain; `sequence` is None for the next one."""

    pack_id: str
    sequence: int | None = None


class ChainView(NamedTuple):
    """A chain, and the packs that it names, by id."""

    chain: PolicyChain
    packs: Mapping[str, KeptPack]


class PolicyChains:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, tenant_id: str) -> Sequence[ChainView]:
        """Returns the tenant's own chain, then its users' by user."""

        def work(reader: Reader) -> Sequence[ChainView]:
            chains = [PolicyChain(**record.body) for record in reader.list(KIND, tenant_id)]
            packs = all_packs(reader, tenant_id) if chains else {}
            chains.sort(key=lambda chain: chain.user_id)
            return [ChainView(chain, packs) for chain in chains]

        return await self._workspace.read(work)

    async def replace(
        self,
        tenant_id: str,
        actor: str,
        places: Sequence[PackPlace],
        combining_algorithm: str,
        *,
        user_id: str = "",
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[ChainView]]:
        """Replaces a chain whole; it is made where there is none.

        Args:
            tenant_id: whose it is.
            actor: who replaces it.
            places: all its packs.
            combining_algorithm: one of those in `pdp.domain.policy_chain`.
            user_id: the user whose it is; empty for the tenant's own.
            expected: what the chain's revision must be.

        Raises:
            InvalidArgument: a pack does not exist or is named twice, a sequence repeats, or there
                are too many users with a chain.
            PreconditionFailed: the chain is not as expected.
        """

        def work(transaction: Transaction) -> Versioned[ChainView]:
            record = transaction.get(KIND, tenant_id, entity_id(user_id))
            expected.check(record.revision if record else None)
            if record is None and user_id:
                _check_room(transaction, tenant_id)
            packs = all_packs(transaction, tenant_id)
            entries = entries_of(places, packs)
            now = transaction.now
            scope = USER if user_id else ORG
            new = PolicyChain(str(uuid4()), scope, user_id, created_at=now)
            chain = replace(
                PolicyChain(**record.body) if record else new,
                combining_algorithm=combining_algorithm,
                packs=entries,
                updated_at=now,
            )
            kept = StoredEntity(KIND, tenant_id, entity_id(user_id), body_of(chain))
            summary = "Replaced" if record else "Created"
            revision = transaction.put(kept, actor=actor, summary=summary).revision
            return Versioned(ChainView(chain, packs), revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self, tenant_id: str, actor: str, user_id: str, expected: Expectation = ANYTHING
    ) -> Written[None]:
        """Deletes the chain of a user.

        Raises:
            ChainNotFound: the user has none.
            PreconditionFailed: the chain is not as expected.
        """

        def work(transaction: Transaction) -> None:
            key = entity_id(user_id)
            record = transaction.get(KIND, tenant_id, key) if user_id else None
            if record is None:
                raise ChainNotFound(f"user {user_id} has no policy chain")
            expected.check(record.revision)
            transaction.delete(KIND, tenant_id, key, actor=actor, summary="Deleted")

        return await self._workspace.write(tenant_id, work)


def entries_of(
    places: Sequence[PackPlace], known: Mapping[str, object], field: str = "packs"
) -> tuple[ChainEntry, ...]:
    """Returns the entries of a chain that names its packs like that.

    Args:
        places: the packs, in any order.
        known: all packs that there are, by id.
        field: where the packs stand in the request.

    Raises:
        InvalidArgument: a pack does not exist or is named twice, or a sequence repeats; all faults
            are named.
    """
    faults: list[Violation] = []
    entries: dict[int, ChainEntry] = {}
    seen: set[str] = set()
    for index, (pack_id, given) in enumerate(places):
        if pack_id not in known:
            faults.append(Violation(f"{field}[{index}].id", "there is no such policy pack"))
        elif pack_id in seen:
            faults.append(Violation(f"{field}[{index}].id", "is named twice"))
        sequence = max(entries, default=-1) + 1 if given is None else given
        if sequence in entries:
            faults.append(Violation(f"{field}[{index}].sequence", "is given twice"))
        elif sequence > MAX_SEQUENCE:
            faults.append(Violation(f"{field}[{index}].sequence", "leaves no room behind it"))
        seen.add(pack_id)
        entries[sequence] = ChainEntry(str(uuid4()), pack_id, sequence)
    if faults:
        raise InvalidArgument.of(*faults)
    return tuple(entries[sequence] for sequence in sorted(entries))


def _check_room(reader: Reader, tenant_id: str) -> None:
    """Raises where as many users as may have a chain already."""
    org = reader.get(KIND, tenant_id, ORG_ID) is not None
    if reader.count(KIND, tenant_id) - org >= MAX_USER_CHAINS:
        reason = f"at most {MAX_USER_CHAINS} users may have a chain"
        raise InvalidArgument(reason, Violation("user_id", reason))
