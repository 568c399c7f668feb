"""One run of the script, from the moment it is asked for until its effect is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.usage.shared.script import CallsThatRan, ChargeResult, CountResult

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pdp.usage.shared.script import CallInput


class ScriptCall:
    """A call of the script.

    Who waits for it gives up after the budget, or when the connection breaks. Then the call may
    still run, or has run. What it did is known when its answer comes late, or when the server is
    asked on the next connection; `on_outcome` is called then.

    Attributes:
        tenant_id: the tenant that it is about.
        operation: the first argument of the script.
        keys, payload: KEYS and the last argument.
        width: how many numbers it takes.
        waiter: what a decision waits for: the result, or None with the reason in `failure`. None
            for a call that no decision waits for.
        on_outcome: called once with the result, or None if the call had no effect, unless a
            decision that waits gets it.
        number: the number of its first charge.
        generation: the generation of the connection that it was sent on.
        sent_at: when it was sent, by `time.monotonic`.
        server_time: about when it was sent, by the server's clock.
        failure: why the decision has stopped waiting, in words; empty if it has not.
    """

    __slots__ = (
        "failure", "generation", "keys", "number", "on_outcome", "operation", "payload",
        "sent_at", "server_time", "tenant_id", "waiter", "width",
    )  # fmt: skip

    def __init__(
        self,
        tenant_id: str,
        operation: bytes,
        content: CallInput,
        waiter: asyncio.Future[CountResult | None] | None = None,
        on_outcome: Callable[[CountResult | None], None] | None = None,
    ) -> None:
        self.tenant_id = tenant_id
        self.operation = operation
        self.keys: Sequence[str] = content.keys
        self.payload = content.encode()
        self.width = content.width
        self.waiter = waiter
        self.on_outcome = on_outcome
        self.number = self.generation = 0
        self.sent_at = self.server_time = 0.0
        self.failure = ""

    def finish(self, result: CountResult | None, failure: str = "") -> None:
        """Ends the call: its effect is known.

        If the caller is cancelled, its charge stays.

        Args:
            result: the result; None if the call had no effect.
            failure: why there is no result.
        """
        waiter = self.waiter
        if waiter is None or self.failure:
            if self.on_outcome is not None:
                self.on_outcome(result)
        elif not waiter.done():
            self.failure = failure
            waiter.set_result(result)

    def give_up(self, failure: str) -> None:
        """Ends the waiting; the call may still have an effect."""
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            self.failure = failure
            waiter.set_result(None)

    def resolve(self, ran: CallsThatRan) -> None:
        """Ends the call after its connection broke, by what the server says of it."""
        if ran.generation != self.generation or self.number + self.width - 1 > ran.last:
            self.finish(None)
            return
        taken = set(ran.taken)
        numbers = range(self.number, self.number + self.width)
        self.finish(
            CountResult(
                self.server_time, tuple(ChargeResult(each in taken, ()) for each in numbers)
            )
        )
