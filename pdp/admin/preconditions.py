"""Conditional writes: entities with their revision, and preconditions on that revision.

A writer that has read an entity may state which revision it read. If another writer has changed the
entity since, the write fails and does not overwrite that change (docs/operations.md). The check
runs inside the transaction, so that no other write can happen between the check and the write:

    def work(transaction: Transaction) -> Versioned[Thing]:
        entity = transaction.get(KIND, tenant_id, thing_id)
        precondition.check(entity.revision if entity else None)
        ...
        return Versioned(thing, transaction.put(changed, actor=actor, summary=summary).revision)

`pdp.transport.etag` reads the precondition from a call and returns the revision to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pdp.errors import PreconditionFailed, Violation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """An entity and the revision of its last change; 0 for a default that was never written."""

    value: T
    revision: int


@dataclass(frozen=True, slots=True)
class Precondition:
    """The revisions that an entity may have for a write to go ahead.

    Attributes:
        revisions: the allowed revisions; None allows any revision of an existing entity.
    """

    revisions: frozenset[int] | None

    def check(self, revision: int | None) -> None:
        """Checks the precondition. Call it inside the transaction.

        Args:
            revision: the revision of the entity's last change; None if it does not exist.

        Raises:
            PreconditionFailed: the entity has another revision, or does not exist.
        """
        if revision is None:
            raise _failed("the entity does not exist yet")
        if self.revisions is not None and revision not in self.revisions:
            raise _failed(f'the entity is at "{revision}"; read it again')


class _NoPrecondition(Precondition):
    """Allows every write, whether the entity exists or not."""

    __slots__ = ()

    def check(self, revision: int | None) -> None:
        """Allows every revision."""


NO_PRECONDITION: Final[Precondition] = _NoPrecondition(None)
"""The precondition of a writer that states none."""


def _failed(reason: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"nothing was changed because If-Match does not hold: {reason}",
        Violation("If-Match", reason),
    )
