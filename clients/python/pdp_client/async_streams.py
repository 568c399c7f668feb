"""A text that is judged as it arrives, with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Self

import grpc

from pdp_client.calls import DECIDE_STREAM, Stubs
from pdp_client.failures import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator
    from types import TracebackType

    from pdp_client.credentials import Metadata
    from pdp_client.results import Decision
    from pdp_client.streams import StreamState


class AsyncTextStream:
    """A text that is judged as it arrives. Create it by `AsyncClient.stream`; see `TextStream`."""

    def __init__(
        self,
        state: StreamState,
        stubs: Stubs[grpc.aio.Channel],
        credential: Metadata,
        timeout_s: float,
    ) -> None:
        self._state = state
        self._timeout_s = timeout_s
        self._call: Any = stubs.methods[DECIDE_STREAM](metadata=(*state.metadata, *credential))

    @property
    def decision(self) -> Decision | None:
        """The last decision; None before the first one."""
        return self._state.decision

    async def feed(self, text: str) -> str:
        """Takes the next part of the text, and returns what may go out; often less, or nothing.

        Raises:
            Denied: the text is stopped here, or there is no decision.
            Unavailable: there is no decision, and the stream has `on_failure="raise"`.
            CallFailed: the server refused the request.
            ValueError: the stream has ended.
        """
        return await self._send(text, last=False) if text else ""

    async def end(self) -> str:
        """Ends the text, and returns the rest that may go out; raises like `feed`."""
        return await self._send("", last=True)

    async def _send(self, text: str, *, last: bool) -> str:
        if self._state.closed:
            raise ValueError("the stream has ended")
        message = self._state.message(text, last=last)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._exchange(message)
        except TimeoutError:
            self._call.cancel()
            raise self._state.late() from None
        except grpc.RpcError as error:
            raise self._state.error(error) from error
        if answer is grpc.aio.EOF:
            raise self._state.failed(Unavailable("the server has ended the stream"))
        return self._state.accept(answer)

    async def _exchange(self, message: Any) -> Any:
        with contextlib.suppress(asyncio.InvalidStateError):  # it has ended; reading says why
            await self._call.write(message)
        return await self._call.read()

    async def close(self) -> None:
        """Ends the call."""
        if not self._state.closed:
            self._state.abandon()
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


async def released(stream: AsyncTextStream, chunks: AsyncIterable[str]) -> AsyncIterator[str]:
    """Yields what may go out of a text, and closes the stream at the end."""
    async with stream:
        async for chunk in chunks:
            if text := await stream.feed(chunk):
                yield text
        if text := await stream.end():
            yield text
