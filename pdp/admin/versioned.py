"""Entities with the revision of their last change, and what a writer expects that to be.

A writer that has read an entity may say which revision it read; where somebody else has written
since, nothing is written instead of losing their change (docs/operations.md). The check is made
inside the transaction, so nothing can come between it and the write:

    def work(transaction: Transaction) -> Versioned[Thing]:
        record = transaction.get(KIND, tenant_id, thing_id)
        expected.check(record.revision if record else None)
        ...
        return Versioned(thing, transaction.put(changed, actor=actor, summary=summary).revision)

`pdp.transport.etag` reads what is expected from a call, and shows the revision in its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pdp.errors import PreconditionFailed, Violation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """An entity and the revision of its last change; 0 for a default that nobody has written."""

    value: T
    revision: int


@dataclass(frozen=True, slots=True)
class Expectation:
    """Which revision a writer takes an entity to have.

    Attributes:
        revisions: any of these will do; None for whichever it has, as long as it exists.
    """

    revisions: frozenset[int] | None

    def check(self, revision: int | None) -> None:
        """Checks that the entity is as its writer expects. Call it inside the transaction.

        Args:
            revision: of the entity's last change; None where there is no such entity.

        Raises:
            PreconditionFailed: it is another, or there is none.
        """
        if revision is None:
            raise _failed("there is no such entity yet")
        if self.revisions is not None and revision not in self.revisions:
            raise _failed(f'the entity is at "{revision}"; read it again')


class _Nothing(Expectation):
    """Expects nothing: every entity will do, and none."""

    __slots__ = ()

    def check(self, revision: int | None) -> None:
        """Lets everything pass."""


ANYTHING: Final[Expectation] = _Nothing(None)
"""What a writer expects that does not say."""


def _failed(reason: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"nothing was changed, for If-Match does not hold: {reason}", Violation("If-Match", reason)
    )
