"""Answers that are streams of events (SSE): judged as they come, event by event."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.mapping import may_pass, refusal_of
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.adapters.mapping import ClientRefusal
    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort

STREAM_ID: Final = "answer"

MAX_CHUNK: Final = 256 * 1024
"""Characters of a chunk for DecideStream, which takes at most 1 MiB of UTF-8."""

CHANGES: Final = ("REDACT",)
"""The obligations that are carried out by other events."""


class Released(NamedTuple):
    """What may be sent on.

    Attributes:
        body: events, already redacted; empty while a value may be incomplete.
        decision: the decision so far.
        refusal: if nothing more may be sent on.
    """

    body: bytes
    decision: pb.DecideResponse
    refusal: ClientRefusal | None = None


class AnswerEvents:
    """The events of one answer."""

    def __init__(self, port: DecidePort, question: pb.DecideRequest) -> None:
        """Args:
        port: judges the events.
        question: the request, with the format of the payload and without a body.
        """
        self._port = port
        self._question: pb.DecideRequest | None = question
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")

    async def feed(self, call: Call, chunk: bytes, *, last: bool) -> Released:
        """Returns what may be sent on after a part of the stream.

        Args:
            call: Envoy's call, whose session is the same for all parts.
            chunk: the next part; events and characters may be split anywhere.
            last: whether the stream ends with it.

        Raises:
            PdpError: the stream cannot be judged.
        """
        released: list[bytes] = []
        decision = pb.DecideResponse()
        for text, ends in self._parts(chunk, last=last):
            message = pb.DecideStreamRequest()
            message.chunk.stream_id, message.chunk.text, message.chunk.last = STREAM_ID, text, ends
            if self._question is not None:
                message.request.CopyFrom(self._question)
                self._question = None
            answer = await self._port.decide_chunk(call, message)
            decision = answer.response
            if not _goes_on(decision):
                return Released(b"".join(released), decision, refusal_of(decision))
            released.append(answer.release.released_text.encode())
        return Released(b"".join(released), decision)

    def _parts(self, chunk: bytes, *, last: bool) -> Iterator[tuple[str, bool]]:
        """Yields the text of a part in chunks, each with whether it is the last of the stream."""
        try:
            text = self._decoder.decode(chunk, last)
        except UnicodeDecodeError:
            raise InvalidArgument.of(Violation("body", "is not UTF-8")) from None
        starts = range(0, len(text), MAX_CHUNK) or range(1)
        for start in starts:
            yield text[start : start + MAX_CHUNK], last and start == starts[-1]


def _goes_on(decision: pb.DecideResponse) -> bool:
    """Whether a stream may go on. REDACT has no spans unless something redacted is released."""
    if decision.allowed and decision.outcome == pb.OUTCOME_REDACT and not decision.obligations:
        return True
    return may_pass(decision, CHANGES)


def notice(refusal: ClientRefusal, form: str) -> bytes:
    """Returns the event that says to the client why a stream stops.

    Args:
        refusal: the refusal.
        form: `openai`, `anthropic` or `pdp`.
    """
    name = b"event: error\n" if form == "anthropic" else b""
    return name + b"data: " + refusal.body(form) + b"\n\n"
