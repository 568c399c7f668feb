"""One connection over which both sides send messages in order: the stdio transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import structlog

from pdp.adapters.mcp.exchange import McpExchange, McpSide
from pdp.adapters.mcp.lines import TooLong
from pdp.adapters.mcp.messages import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MAX_MESSAGE_BYTES,
    MalformedMessage,
    McpMessage,
    error_answer,
    read_aside,
)
from pdp.adapters.mcp.methods import CANCELLED
from pdp.strictjson.objects import to_text

if TYPE_CHECKING:
    from pdp.adapters.mcp.judge import McpCaller
    from pdp.adapters.mcp.messages import MessageId

MAX_IN_FLIGHT: Final = 256
"""Requests of one side that wait for their answers."""

_log: Final = structlog.get_logger("pdp.mcp")


class LineWriter(Protocol):
    """Writes lines to one side."""

    async def __call__(self, line: bytes) -> None:
        """Writes a line, which includes its end."""


class McpConnection:
    """Relays the lines of a client and a server.

    The lines of one side are judged one after the other, so that they keep their order. Each side's
    lines may be relayed while those of the other side are.
    """

    def __init__(
        self,
        exchange: McpExchange,
        caller: McpCaller,
        to_client: LineWriter,
        to_server: LineWriter,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        """Args:
        exchange: judges the messages.
        caller: for whom the client works.
        to_client, to_server: write to the two sides.
        max_in_flight: requests of each side that may wait for their answers.
        """
        self._exchange = exchange
        self._caller = caller
        self._writers = {McpSide.CLIENT: to_client, McpSide.SERVER: to_server}
        self._max_in_flight = max_in_flight
        self._open: dict[McpSide, dict[MessageId, str]] = {
            McpSide.CLIENT: {},
            McpSide.SERVER: {},
        }

    async def relay(self, line: bytes | TooLong, sender: McpSide) -> None:
        """Relays a line, answers it, or drops it.

        Args:
            line: without its end.
            sender: the side that it comes from.
        """
        try:
            if isinstance(line, TooLong):
                raise MalformedMessage(
                    INVALID_REQUEST, f"the message is larger than {MAX_MESSAGE_BYTES} bytes"
                )
            message = await read_aside(line)
        except MalformedMessage as fault:
            await self._refuse(fault, sender)
            return
        try:
            await self._relay(message, sender)
        except OSError:  # a side no longer reads
            raise
        except Exception as error:
            # The words of the error may hold parts of the message, so only its type is logged.
            _log.error("message failed", sender=sender.value, error=type(error).__name__)
            if not message.is_notification:
                text = error_answer(message.id, INTERNAL_ERROR, "The proxy has failed.")
                await self._write(sender if message.is_request else _other(sender), text)

    async def _relay(self, message: McpMessage, sender: McpSide) -> None:
        if message.is_request:
            await self._request(message, sender)
        elif message.is_notification:
            await self._notification(message, sender)
        else:
            await self._answer(message, sender)

    async def _refuse(self, fault: MalformedMessage, sender: McpSide) -> None:
        """Answers what is no message.

        If the server has sent it, it may be the answer to any request. So all that are open fail,
        so that their client does not wait without end.
        """
        _log.warning("malformed message", sender=sender.value, reason=fault.message)
        if sender is McpSide.CLIENT:
            await self._write(sender, error_answer(fault.id, fault.code, fault.message))
            return
        await self.fail_open_requests("The server has sent what is no message of MCP.")

    async def fail_open_requests(self, message: str) -> None:
        """Answers all open requests of the client with an error.

        Args:
            message: what the error says.
        """
        pending, self._open[McpSide.CLIENT] = self._open[McpSide.CLIENT], {}
        for message_id in pending:
            text = error_answer(message_id, INTERNAL_ERROR, message, {"reason": "NO_ANSWER"})
            await self._write(McpSide.CLIENT, text)

    async def _request(self, message: McpMessage, sender: McpSide) -> None:
        message_id, pending = message.id, self._open[sender]
        if message_id is None:
            return
        if message_id in pending:
            problem = "id: another request with this id has no answer yet"
        elif len(pending) >= self._max_in_flight:
            problem = f"more than {self._max_in_flight} requests have no answer yet"
        else:
            passage = await self._exchange.request(message, sender, self._caller)
            if passage.forward is not None:
                pending[message_id] = message.method
                await self._forward(passage.forward, sender)
            elif passage.answer is not None:
                await self._write(sender, passage.answer)
            return
        await self._write(sender, error_answer(message_id, INVALID_REQUEST, problem))

    async def _notification(self, message: McpMessage, sender: McpSide) -> None:
        if message.method == CANCELLED:
            self._cancel(message.params.get("requestId"), sender)
        passing = await self._exchange.notification(message, self._caller)
        if passing is not None:
            await self._forward(passing, sender)

    def _cancel(self, message_id: object, sender: McpSide) -> None:
        """Forgets a request that its sender has cancelled: a late answer to it is dropped."""
        if isinstance(message_id, (str, int)):
            self._open[sender].pop(message_id, None)

    async def _answer(self, message: McpMessage, sender: McpSide) -> None:
        pending = self._open[_other(sender)]
        method = None if message.id is None else pending.pop(message.id, None)
        if method is None:
            _log.warning("answer without a request", sender=sender.value)
            return
        judged = await self._exchange.answer(message, method, sender, self._caller)
        await self._forward(judged, sender)

    async def _forward(self, message: McpMessage, sender: McpSide) -> None:
        # A line must not have line ends within it; the text of a message may.
        text = message.text
        if "\n" in text or "\r" in text:
            text = to_text(message.document)
        await self._write(_other(sender), text)

    async def _write(self, side: McpSide, text: str) -> None:
        await self._writers[side](text.encode() + b"\n")


def _other(side: McpSide) -> McpSide:
    return McpSide.SERVER if side is McpSide.CLIENT else McpSide.CLIENT
