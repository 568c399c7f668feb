"""The protocol of consumers: they receive the records that were written to the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.decision_record import Recorded


class Consumer(Protocol):
    """Receives records in batches, in the order of their decisions.

    The recorder's thread calls it after the batch was written to the log. It must return quickly:
    slow work belongs to a queue or a spool of the consumer. Its exceptions are logged and counted,
    and affect neither other consumers nor decisions.
    """

    @property
    def name(self) -> str:
        """The name for logs and metrics."""

    def consume(self, batch: Sequence[Recorded]) -> None:
        """Receives a batch, which is not empty."""
