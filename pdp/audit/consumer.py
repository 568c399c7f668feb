"""What takes records from the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.decision_record import Recorded


class Consumer(Protocol):
    """Takes records, batch by batch, in the order in which they were decided.

    It is called on the recorder's own thread, once the batch is in the store of records. It must
    not take long (a queue or a spool of its own is where waiting belongs), and what it raises is
    logged and counted; the other consumers and the decisions go on.
    """

    @property
    def name(self) -> str:
        """What logs and metrics call it."""

    def consume(self, batch: Sequence[Recorded]) -> None:
        """Takes a batch, which is not empty."""
