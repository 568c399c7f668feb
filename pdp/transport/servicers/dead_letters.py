"""SiemService: the dead letters of exports (docs/siem.md, Dead letters)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import siem_pb2 as pb
from pdp.errors import InvalidArgument, Violation
from pdp.export.spooled import DeadLetterFilter
from pdp.transport.servicers.fields import to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.export.dead_letters import DeadLetters
    from pdp.transport.call import Call, Endpoint


class DeadLetterServicer:
    """Lists what could not be delivered, and retries or discards it."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListDeadLetters": self.list,
            "RetryDeadLetters": self.retry,
            "DiscardDeadLetters": self.discard,
        }

    async def list(self, call: Call, message: Message) -> pb.ListDeadLettersResponse:
        """Lists the dead letters in groups."""
        groups = await self._dead_letters.groups()
        return pb.ListDeadLettersResponse(
            groups=[
                pb.DeadLetterGroup(
                    kind=each.kind,
                    destination=each.destination,
                    reason=each.reason,
                    count=each.letters,
                    size_bytes=each.size,
                    since=to_timestamp(each.first_at),
                    until=to_timestamp(each.last_at),
                )
                for each in groups
            ]
        )

    async def retry(self, call: Call, message: Message) -> pb.RetryDeadLettersResponse:
        """Sends dead letters again.

        Raises:
            InvalidArgument: nothing is selected.
        """
        selection = _selection(cast("pb.RetryDeadLettersRequest", message))
        retried = await self._dead_letters.retry(selection, call.principal.name)
        return pb.RetryDeadLettersResponse(retried=retried)

    async def discard(self, call: Call, message: Message) -> pb.DiscardDeadLettersResponse:
        """Deletes dead letters.

        Raises:
            InvalidArgument: nothing is selected.
        """
        selection = _selection(cast("pb.DiscardDeadLettersRequest", message))
        discarded = await self._dead_letters.discard(selection, call.principal.name)
        return pb.DiscardDeadLettersResponse(discarded=discarded)


def _selection(
    request: pb.RetryDeadLettersRequest | pb.DiscardDeadLettersRequest,
) -> DeadLetterFilter:
    selection = DeadLetterFilter(request.kind, request.destination, request.reason)
    if any(selection) == request.all:
        reason = "must be true, or kind, destination or reason must be set, and not both"
        raise InvalidArgument.of(Violation("all", reason))
    return selection
