"""Answers that are streams of events (SSE), judged before they are sent on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdp.adapters.envoy.chat_events import assemble, disassemble
from pdp.adapters.mapping.routes import DETECT
from pdp.errors import InvalidArgument, Violation
from pdp.payloads import openai_chat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pdp.adapters.envoy.bodies import HeldBody
    from pdp.adapters.envoy.judgement import Judgement
    from pdp.adapters.mapping import Refusal
    from pdp.transport.call import Call

    JudgeAnswer = Callable[[Call, bytes, str], Awaitable[Judgement]]


class Released(NamedTuple):
    """What may be sent on.

    Attributes:
        body: events, already redacted; empty while a value may be incomplete.
        refusal: if nothing more may be sent on.
    """

    body: bytes
    refusal: Refusal | None = None


class EventStream:
    """The events of one answer.

    All events are held until the last has come. Then the answer that they make is judged.
    """

    def __init__(self, judge: JudgeAnswer, held: HeldBody, format_: str) -> None:
        """Args:
        judge: judges the whole answer.
        held: holds the events.
        format_: the format of the answer.

        Raises:
            InvalidArgument: streams of this format are not understood.
        """
        if format_ not in (openai_chat.NAME, DETECT):
            reason = f"is a stream of events, which is not understood in the format {format_}"
            raise InvalidArgument.of(Violation("body", reason))
        self._judge = judge
        self._held = held

    async def feed(self, call: Call, chunk: bytes, *, last: bool) -> Released:
        """Returns what may be sent on after a part of the stream.

        Args:
            call: Envoy's call.
            chunk: the next part; events may be split at any byte.
            last: whether the stream ends with it.

        Raises:
            PdpError: the stream cannot be judged.
        """
        self._held.add(chunk)
        if not last:
            return Released(b"")
        raw = self._held.release()
        document = assemble(raw)
        judgement = await self._judge(call, document.encode(), openai_chat.NAME)
        if judgement.refusal is not None:
            return Released(b"", judgement.refusal)
        if judgement.body is None:
            return Released(raw)
        return Released(disassemble(judgement.body))

    def notice(self, refusal: Refusal, form: str) -> bytes:
        """Returns the event that says to the client why the stream stops."""
        name = b"event: error\n" if form == "anthropic" else b""
        return name + b"data: " + refusal.body(form) + b"\n\n"

    def end(self) -> None:
        """Holds nothing any longer."""
        self._held.release()
