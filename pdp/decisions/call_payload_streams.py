"""The streamed answers of one call, each under its id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.decisions.payload_streams import PayloadStream
from pdp.decisions.stream_ids import check_new_id

if TYPE_CHECKING:
    from pdp.decisions.decider import InvalidItem
    from pdp.decisions.text_streams import StreamAnswer, TextStreams
    from pdp.domain.request import Request


class CallPayloadStreams:
    """The streamed answers of one call, by their ids; like `CallTexts`."""

    def __init__(self, streams: TextStreams) -> None:
        """Begins without any."""
        self._streams = streams
        self._open: dict[str, PayloadStream] = {}
        self._used: set[str] = set()

    def is_open(self, stream_id: str) -> bool:
        """Whether a stream has begun and not ended."""
        return stream_id in self._open

    def check_new(self, stream_id: str) -> None:
        """Checks that a text or a stream with this id may begin.

        Raises:
            InvalidArgument: the call used the id for a stream before, or has too many streams.
        """
        check_new_id(stream_id, self._open, self._used, "stream")

    def begin(self, stream_id: str, request: Request, format_: str, min_revision: int) -> None:
        """Begins a stream that `check_new` has let pass; see `PayloadStream`."""
        stream = PayloadStream(self._streams, request, format_, min_revision=min_revision)
        self._open[stream_id] = stream
        self._used.add(stream_id)

    async def feed(
        self, stream_id: str, chunk: str, *, last: bool, deadline: float | None = None
    ) -> StreamAnswer:
        """Adds a chunk to an open stream; see `PayloadStream.feed`."""
        answer = await self._open[stream_id].feed(chunk, last, deadline=deadline)
        if answer.closed:
            self._open.pop(stream_id, None)
        return answer

    async def refuse(self, stream_id: str, item: InvalidItem) -> StreamAnswer:
        """Ends an open stream because a chunk is invalid; see `PayloadStream.refuse`."""
        return await self._open.pop(stream_id).refuse(item)

    def abandon(self) -> None:
        """Ends the streams of a call that has ended; what they hold is never released."""
        for stream in self._open.values():
            stream.abandon()
        self._open.clear()
