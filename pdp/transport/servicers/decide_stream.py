"""Texts in chunks on `DecideStream`: what of them may go out is said by `engine.streaming`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.decisions.recording import unrecorded
from pdp.decisions.text_stream import MAX_TEXT_BYTES, TextStream, TextTooLong
from pdp.domain.ids import new_id
from pdp.domain.ner import NerFindings
from pdp.engine.evaluate import evaluate, stopped
from pdp.errors import InvalidArgument, PdpError, RateLimited, RequestTooLarge, Violation
from pdp.messages.conversion import to_request, to_response
from pdp.messages.validation import validate
from pdp.transport.call import Session
from pdp.transport.guards import settle_tenant

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.decisions.text_stream import Release
    from pdp.domain.decision import Decision
    from pdp.domain.ner import NamedEntity
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.transport.call import Call
    from pdp.transport.metrics import Metrics
    from pdp.transport.servicers.decide import DecideServicer
    from pdp.usage.meter import Charge

MAX_OPEN: Final = 16
"""Texts under way in one call."""

MAX_TEXTS: Final = 1000
"""Texts of one call, one after the other: their ids are remembered."""

MAX_ID: Final = 256
"""Characters of a text's id."""

MAX_HELD: Final = 64 << 20
"""Characters of all texts under way in this process."""

MAX_UNDER_WAY: Final = 10_000
"""Texts under way in this process."""

LARGE: Final = 65_536
"""Characters from which a text is judged off the event loop."""

NAME: Final = 200
"""Characters before what is new that models are shown again: a name may have begun in them."""


@dataclass(slots=True)
class _Text:
    """A text under way.

    Attributes:
        request: all but the text.
        charge: what limits have counted for it.
        min_revision: that its first decision must have seen at least.
        snapshot: what was decided on last.
        named: what models have found so far.
    """

    stream_id: str
    request: Request
    min_revision: int
    decision_id: str = field(default_factory=new_id)
    stream: TextStream = field(default_factory=TextStream)
    charge: Charge | None = None
    snapshot: Snapshot | None = None
    named: tuple[NamedEntity, ...] = ()


@dataclass(slots=True)
class _Texts:
    """The texts of one call."""

    open: dict[str, _Text] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)


class ChunkServicer:
    """Judges texts as they arrive.

    Attributes:
        under_way: texts that have begun and not ended.
        held: characters of these that have arrived.
    """

    def __init__(self, decide: DecideServicer) -> None:
        self._decide = decide
        self.held = 0
        self.under_way = 0

    def measure(self, metrics: Metrics) -> None:
        """Shows what is under way."""
        metrics.gauge(
            "pdp_texts_under_way",
            "Texts in chunks that have begun and not ended.",
            lambda: self.under_way,
        )
        metrics.gauge(
            "pdp_texts_characters",
            "Characters of texts in chunks that are kept until these end.",
            lambda: self.held,
        )

    async def chunk(self, call: Call, message: pb.DecideStreamRequest) -> pb.DecideStreamResponse:
        """Answers one chunk; what is at fault ends its text, since a piece of it is missing."""
        # Where a call has one message only, a text that is not whole in it is never released.
        session = call.session or Session()
        texts = self._texts(session)
        stream_id = message.chunk.stream_id
        text = texts.open.get(stream_id)
        try:
            validate(message.chunk, "chunk.")
            if text is None:
                text = self._open(call, texts, message)
            elif message.HasField("request"):
                why = "belongs to the first chunk of a text"
                raise InvalidArgument.of(Violation("request", why))
            release = await self._feed(call, text, message.chunk)
        except PdpError as error:
            return await self._refused(call, texts, text, message, error)
        if release.closed:
            ticket = self._close(texts, text)
            if ticket is not None and not await ticket:
                response = self._decide.answer(unrecorded(release.decision))
                return _answer(response, stream_id, "", release.end, closed=True)
        response = to_response(release.decision)
        return _answer(response, stream_id, release.text, release.end, closed=release.closed)

    def _texts(self, session: Session) -> _Texts:
        texts: _Texts | None = session.state.get("texts")
        if texts is None:
            texts = session.state["texts"] = _Texts()
            session.at_end(partial(self._abandon, texts))
        return texts

    async def _refused(
        self,
        call: Call,
        texts: _Texts,
        text: _Text | None,
        message: pb.DecideStreamRequest,
        error: PdpError,
    ) -> pb.DecideStreamResponse:
        request_id, end = message.request.request_id, 0
        stream_id = message.chunk.stream_id
        if len(texts.used) < MAX_TEXTS and len(stream_id) <= MAX_ID:
            # What comes next under this id is the middle of a text: never the beginning of one.
            texts.used.add(stream_id)
        text = text or texts.open.get(stream_id)
        if text is not None:
            request_id, end = text.request.request_id, text.stream.released
            call.tenant_id = text.request.tenant_id
            self._close(texts, text)
        decision, ticket = self._decide.refused(call, request_id, error)
        if ticket is not None and not await ticket:
            decision = unrecorded(decision)
        response = self._decide.answer(decision)
        return _answer(response, stream_id, "", end, closed=True)

    def _open(self, call: Call, texts: _Texts, message: pb.DecideStreamRequest) -> _Text:
        """Begins a text.

        Raises:
            InvalidArgument: its id was used before in this call, or too many are open.
            RateLimited: too many are under way in this process.
        """
        stream_id, item = message.chunk.stream_id, message.request
        why = ""
        if stream_id in texts.used:
            why = "this text has ended; another one has an id of its own"
        elif len(texts.open) >= MAX_OPEN:
            why = f"at most {MAX_OPEN} texts may be open in one call"
        elif len(texts.used) >= MAX_TEXTS:
            why = f"at most {MAX_TEXTS} texts may be sent in one call; begin another call"
        if why:
            raise InvalidArgument.of(Violation("chunk.stream_id", why))
        if item.content.text:
            why = "must be empty: the text comes in chunks"
            raise InvalidArgument.of(Violation("request.content.text", why))
        if self.under_way >= MAX_UNDER_WAY or self.held >= MAX_HELD:
            raise RateLimited("too many texts are under way; try again later", 1.0)
        call.tenant_id = settle_tenant(call, item.tenant_id, "request.tenant_id")
        request = to_request(item, call.tenant_id, item.request_id or new_id(), "request.")
        text = _Text(
            stream_id, request._replace(direction=item.direction or "output"), item.min_revision
        )
        texts.open[stream_id] = text
        texts.used.add(stream_id)
        self.under_way += 1
        return text

    async def _feed(self, call: Call, text: _Text, chunk: pb.StreamChunk) -> Release:
        stream = text.stream
        before = stream.length
        try:
            stream.add(chunk.text)
        except TextTooLong:
            most = f"at most {MAX_TEXT_BYTES} bytes in all its chunks"
            raise RequestTooLarge(
                f"chunk.text: the text may have {most}", Violation("chunk.text", most)
            ) from None
        self.held += stream.length - before
        if self.held > MAX_HELD:
            raise RateLimited("too much text is under way; try again later", 1.0)
        if not stream.is_due(last=chunk.last):
            return stream.wait()
        judge = await self._judge(call, text)
        if stream.length >= LARGE:
            return await asyncio.to_thread(stream.go_on, judge, last=chunk.last)
        return stream.go_on(judge, last=chunk.last)

    async def _judge(self, call: Call, text: _Text) -> Callable[[str], Decision]:
        """Returns what judges the text so far, on the policies that are in force now.

        Raises:
            RevisionUnavailable: `min_revision` was not reached in time.
            PoliciesUnavailable: the tenant's policies are not in memory, and cannot be had.
        """
        request = text.request
        snapshot = await self._decide.snapshot(call, request.tenant_id, text.min_revision)
        if text.snapshot is None:
            text.charge = self._decide.meter.charge(snapshot, request)
            if text.charge is not None:
                text.request = request = text.charge.request
        text.snapshot = snapshot
        missing: NerFindings | None = None
        if snapshot.ner and not stopped(snapshot, request):
            missing = await self._look_for_names(text, snapshot)
        decision_id = text.decision_id

        def judge(so_far: str) -> Decision:
            asked = request._replace(text=so_far)
            if missing is not None:
                within = tuple(
                    each for each in text.named if each.path is not None or each.end <= len(so_far)
                )
                asked = asked._replace(ner=missing._replace(entities=within))
            return evaluate(snapshot, asked, decision_id)

        return judge

    async def _look_for_names(self, text: _Text, snapshot: Snapshot) -> NerFindings:
        """Lets models look at what is new, and at a little before it."""
        stream = text.stream
        begin = max(0, stream.released - NAME)
        part = text.request._replace(text=stream.text[begin:])
        findings = (await self._decide.named(snapshot, part)).ner or NerFindings()
        kept = (each for each in text.named if each.path is None and each.end <= begin)
        new = (
            each
            if each.path is not None
            else each._replace(start=each.start + begin, end=each.end + begin)
            for each in findings.entities
        )
        text.named = (*kept, *new)
        return findings

    def _close(self, texts: _Texts, text: _Text) -> Any:
        """Ends a text: counts and records what it came to; returns what `Records.take` does."""
        text.stream.close()
        if texts.open.pop(text.stream_id, None) is None:
            return None
        self.held -= text.stream.length
        self.under_way -= 1
        decision = text.stream.decision
        if decision is None:
            return None
        if text.charge is not None:
            self._decide.meter.settle(text.charge, decision)
        self._decide.note(decision)
        asked = text.request._replace(
            text=text.stream.text, ner=NerFindings(text.named) if text.named else None
        )
        return self._decide.records.take(text.snapshot, asked, decision)

    def _abandon(self, texts: _Texts) -> None:
        """Ends the texts of a call that has ended; what they held back is not released."""
        for text in list(texts.open.values()):
            self._close(texts, text)


def _answer(
    response: pb.DecideResponse, stream_id: str, released: str, end: int, *, closed: bool
) -> pb.DecideStreamResponse:
    release = pb.StreamRelease(
        stream_id=stream_id, released_text=released, released_end=end, closed=closed
    )
    return pb.DecideStreamResponse(response=response, release=release)
