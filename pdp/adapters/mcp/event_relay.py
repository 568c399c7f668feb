"""Relays a stream of events from the server to the client, and judges each message in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from pdp.adapters.mcp.events import KEEP_ALIVE, EventParser, ServerEvent, StreamFault
from pdp.adapters.mcp.exchange import McpSide
from pdp.adapters.mcp.messages import (
    INTERNAL_ERROR,
    MalformedMessage,
    McpMessage,
    error_answer,
    read_aside,
)
from pdp.adapters.mcp.methods import MODERN, version_of
from pdp.adapters.mcp.upstream import UpstreamFault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pdp.adapters.mcp.exchange import McpExchange
    from pdp.adapters.mcp.http_reply import HttpReply
    from pdp.adapters.mcp.judge import McpCaller
    from pdp.adapters.mcp.upstream import UpstreamResponse

_log: Final = structlog.get_logger("pdp.mcp")


class EventRelay:
    """One stream."""

    def __init__(
        self,
        exchange: McpExchange,
        caller: McpCaller,
        request: McpMessage | None,
        answer_server: Callable[[str], Awaitable[None]],
    ) -> None:
        """Args:
        exchange: judges the messages.
        caller: for whom the client works.
        request: the request that the stream answers; None for a stream of server messages.
        answer_server: sends the answer to a request of the server that is not passed on.
        """
        self._exchange = exchange
        self._caller = caller
        self._request = request
        self._answer_server = answer_server
        self._answered = False
        self._resumable = False

    async def run(self, response: UpstreamResponse, reply: HttpReply) -> None:
        """Relays the stream until it ends.

        Args:
            response: the stream of the server.
            reply: the response to the client.
        """
        await reply.start_events(response.headers)
        parser = EventParser()
        problem = "The server has ended the stream without an answer."
        try:
            async for chunk in response.chunks():
                for event in parser.feed(chunk):
                    relayed = await self._relay(event)
                    if relayed:
                        await reply.event(relayed)
        except UpstreamFault as fault:
            problem = str(fault)
        except (StreamFault, MalformedMessage) as fault:
            problem = "The server has sent what is no message of MCP."
            _log.warning("malformed message", sender="server", reason=str(fault))
            self._resumable = False
        if self._request is not None and not self._answered and not self._resumable:
            text = error_answer(self._request.id, INTERNAL_ERROR, problem, {"reason": "NO_ANSWER"})
            await reply.event(ServerEvent(text).encoded())
        await reply.end_events()

    async def _relay(self, event: ServerEvent) -> bytes:
        """Returns what the client gets of an event; empty for nothing."""
        if event.data is None:
            return KEEP_ALIVE
        self._resumable = self._resumable or bool(event.id)
        if not event.data:
            return event.encoded()
        message = await read_aside(event.data.encode())
        passing = await self._passing(message)
        return event._replace(data=passing.text).encoded() if passing else b""

    async def _passing(self, message: McpMessage) -> McpMessage | None:
        if message.is_request:
            return await self._server_request(message)
        if message.is_notification:
            return await self._exchange.notification(message, self._caller)
        if self._request is None:  # the stream is resumed: the request came by another one
            return await self._exchange.answer(message, "", McpSide.SERVER, self._caller)
        if message.id != self._request.id or self._answered:
            _log.warning("answer without a request", sender="server")
            return None
        self._answered = True
        method = self._request.method
        return await self._exchange.answer(message, method, McpSide.SERVER, self._caller)

    async def _server_request(self, message: McpMessage) -> McpMessage | None:
        if self._request is not None and version_of(self._request) >= MODERN:
            _log.warning("request of a server that must not send any", sender="server")
            return None
        passage = await self._exchange.request(message, McpSide.SERVER, self._caller)
        if passage.answer is not None:
            await self._answer_server(passage.answer)
        return passage.forward
