"""Answers of models that arrive as streams of events: released event by event, redacted.

    chunk → frames → events → lanes and parts → decisions → frames that are settled

An event is held until all its texts are settled; then it is released in its order, with redactions
in it. An event without a redaction, and all of an event but its redacted strings, is released as
it was sent, byte by byte. A redaction over several events stands in the one in which it begins.
Only an event that says that the stream goes on overtakes others that are held.

A stream is one decision: limits count it once, and it has one record.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, TypeVar

from pdp.decisions.payload_frames import HeldFrame, HeldFrames
from pdp.decisions.payload_lanes import (
    CallLane,
    Lanes,
    TextLane,
    placed,
    without_overlaps,
)
from pdp.decisions.payloads import (
    begin_all,
    judge,
    judge_aside,
    questions_of,
    record_request,
    with_model,
)
from pdp.decisions.request_requirements import check_requirements
from pdp.decisions.strongest_decision import redactions, strongest
from pdp.decisions.text_stream import TextTooLong
from pdp.decisions.text_streams import (
    LARGE,
    MAX_HELD,
    MAX_OPEN_IN_PROCESS,
    NAME_OVERLAP,
    StreamAnswer,
)
from pdp.domain.decision import (
    Decision,
    Fault,
    Obligation,
    ObligationType,
    PayloadResult,
)
from pdp.domain.ids import new_id
from pdp.domain.layers import ENGINE
from pdp.domain.ner import NerFindings
from pdp.domain.placement import ARGUMENTS, OUTPUT
from pdp.engine.dlp.named_entities import texts_of
from pdp.engine.evaluate import failed_decision, stopped
from pdp.errors import InvalidArgument, PdpError, RateLimited, RequestTooLarge, Violation
from pdp.payloads.events.formats import DONE, EventStream
from pdp.payloads.events.framing import Splitter, Utf8Chunks
from pdp.payloads.payload import MAX_BODY_BYTES, MAX_TEXT_BYTES, Payload, PayloadError, PayloadPart
from pdp.payloads.plain import JSON
from pdp.payloads.pointers import member
from pdp.payloads.reader import size_of
from pdp.strictjson.objects import to_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.decisions.decider import InvalidItem
    from pdp.decisions.text_streams import TextStreams
    from pdp.domain.ner import NamedEntity
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.payloads.events.frames import Frame
    from pdp.payloads.events.reading import StreamEvent
    from pdp.usage.metering import ChargedRequest

MAX_STREAM: Final = 1 << 30
"""Characters of one stream, as far as they count in `released_end`."""

MAX_HELD_EVENTS: Final = MAX_BODY_BYTES
"""Characters of the events of a stream that are held."""

MAX_RECORDED_EVENTS: Final = 16
"""Events with findings beside the lanes that the record of a stream has."""

MAX_UNJUDGED: Final = 1000
"""Places of a stream that nothing judges and that its decision names."""

MAX_KNOWN_TEXTS: Final = 1000
"""Texts without names that models need not look at again."""

_CODE: Final = re.compile(r"\S*[0-9_:/]\S*")
"""A word with a digit or a sign, for instance an id."""

_FIELD: Final = "chunk.text"
_TEXTS: Final = "texts"
_CALLS: Final = "calls"
_EVENTS: Final = "events"
_NOTES: Final = "notes"

P = ParamSpec("P")
T = TypeVar("T")


class _Question(NamedTuple):
    """What is judged by itself.

    Attributes:
        payload: what is judged.
        held: the frame that it belongs to.
        is_note: whether it is the texts beside the event.
        call: the call that it is.
    """

    payload: Payload
    held: HeldFrame | None = None
    is_note: bool = False
    call: CallLane | None = None


class PayloadStream:
    """One streamed answer, from its first chunk to its end. One caller at a time may use it.

    All methods are called on the event loop's thread. Call `abandon` if the stream ends otherwise
    than by `feed` or `refuse`.

    Attributes:
        closed: whether nothing more is released.
    """

    def __init__(
        self,
        streams: TextStreams,
        request: Request,
        format_: str = "",
        *,
        min_revision: int = 0,
        path: str = "request.",
    ) -> None:
        """Begins a stream.

        Args:
            streams: the streams of this process, whose bounds apply.
            request: everything but the payload, validated, with its ids and its timestamp set.
            format_: one of `pdp.payloads.events.formats.NAMES`; empty to look at the first event.
            min_revision: see `Decider.decide`.
            path: the prefix of paths in errors about the request.

        Raises:
            InvalidArgument: the format is none of streams.
            RateLimited: too many streams are open in this process.
        """
        self._reader = _begin_events(format_, path)
        if streams.open >= MAX_OPEN_IN_PROCESS or streams.held >= MAX_HELD:
            raise RateLimited("too many texts are open; try again later", 1.0)
        self.closed = False
        self._streams = streams
        self._decider = streams.decider
        self._request = request._replace(direction="output")
        self._min_revision, self._path = min_revision, path
        self._arrived = time.time()
        self._decision_id = new_id()
        self._snapshot: Snapshot | None = None
        self._charge: ChargedRequest | None = None
        self._is_charged = self._has_model = self._is_aside = False
        self._provider = self._model = self._session_id = ""
        self._utf8 = Utf8Chunks()
        self._splitter = Splitter()
        self._arrived_length = self._accounted = 0
        self._held = HeldFrames()
        self._lanes = Lanes()
        self._questions: list[_Question] = []
        self._findings: dict[int, NerFindings] = {}
        self._known_texts: set[str] = set()
        self._past: Decision | None = None
        self._decision: Decision | None = None
        self._fresh: list[Decision] = []
        self._unjudged: dict[str, None] = {}
        self._recorded_events: list[Any] = []
        streams.open += 1

    async def feed(
        self, raw: str | bytes, last: bool = False, *, deadline: float | None = None
    ) -> StreamAnswer:
        """Adds a chunk of the stream, and returns what may be sent on.

        Args:
            raw: the next chunk, cut anywhere: bytes also inside a character. All chunks of a
                stream are of one type.
            last: whether the stream ends with it.
            deadline: see `Decider.decide`.

        Returns:
            The decision so far, the frames that are released now, and how many characters of the
            stream the released frames have.

        Raises:
            InvalidArgument: the stream is not understood or exceeds a bound, or the request does
                not have what the tenant's settings require. Call `refuse` then, for this and each
                other error.
            RequestTooLarge: a text of the stream is too long.
            RateLimited: this process holds too much text, or too many large requests of the tenant
                wait.
            RevisionUnavailable: `min_revision` was not reached in time.
            PoliciesUnavailable: the tenant's policies cannot be loaded.
            ValueError: the stream is closed.
        """
        if self.closed:
            raise ValueError("the stream is closed")
        snapshot = await self._decider.snapshot(
            self._request.tenant_id, self._min_revision, deadline
        )
        if self._snapshot is None:
            check_requirements(snapshot, self._request, self._path, self._arrived)
        self._snapshot = snapshot
        decision, text = await self._advance_safely(snapshot, raw, last=last)
        self._decision = decision
        if last or not decision.allowed:
            return await self._end(decision, text)
        return StreamAnswer(decision, text, self._held.end, closed=False)

    async def refuse(self, item: InvalidItem) -> StreamAnswer:
        """Ends the stream because a chunk is invalid: what is held is never released.

        Args:
            item: why. The stream's own ids replace those in it.
        """
        decision = failed_decision(
            self._request.request_id,
            self._decision_id,
            reason_code=item.reason_code,
            message=item.message,
            status_hint=item.status_hint,
        )
        return await self._end(decision, "")

    def abandon(self) -> None:
        """Ends the stream; what is held is never released."""
        if not self.closed:
            self._close(self._decision)

    async def _end(self, decision: Decision, text: str) -> StreamAnswer:
        """Returns the last answer once the record of the decision is on disk."""
        acknowledgement = self._close(decision)
        if acknowledgement is not None and not await acknowledgement:
            decision, text = self._decider.observe_unrecorded(decision), ""
        return StreamAnswer(decision, text, self._held.end, closed=True)

    async def _advance_safely(
        self, snapshot: Snapshot, raw: str | bytes, *, last: bool
    ) -> tuple[Decision, str]:
        """Returns what `_advance` does; a BLOCK if it fails, because nothing is known then."""
        try:
            return await self._advance(snapshot, raw, last=last)
        except PayloadError as error:
            raise InvalidArgument.of(Violation(_FIELD, str(error))) from None
        except TextTooLong:
            bound = f"each text of a stream may have at most {MAX_TEXT_BYTES} bytes"
            raise RequestTooLarge(f"{_FIELD}: {bound}", Violation(_FIELD, bound)) from None
        except PdpError:
            raise
        except Exception as error:  # how much may be released is unknown
            ids = self._request.request_id, self._decision_id
            decision = failed_decision(*ids, fault=Fault(ENGINE, error))
            return decision._replace(revision=snapshot.revision), ""

    async def _advance(
        self, snapshot: Snapshot, raw: str | bytes, *, last: bool
    ) -> tuple[Decision, str]:
        """Returns the decision so far, and what is released now."""
        self._fresh = []
        await self._run(len(raw), self._read, raw, last)
        self._account()
        await self._begin(snapshot)
        if snapshot.ner and not stopped(snapshot, self._request):
            await self._find_entities(snapshot)
        size = sum(len(each.payload.body) for each in self._questions)
        size += sum(each.length for each in self._lanes.texts if each.is_due)
        is_stopped = await self._run(size, self._judge)
        decision = self._combined()
        if is_stopped:
            return decision, ""
        text = self._held.release()
        if last and self._held.length:
            raise RuntimeError("a stream has ended with events that are not settled")
        if self._held.length > MAX_HELD_EVENTS:
            raise PayloadError(
                f"has events of more than {MAX_HELD_EVENTS} characters that must be held"
            )
        self._account()
        return decision, text

    async def _run(
        self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Calls a function, in a thread if it has much to do."""
        self._is_aside = size >= LARGE
        if not self._is_aside:
            return function(*args, **kwargs)
        tenant_id = self._request.tenant_id
        return await self._decider.evaluator.heavy.run(tenant_id, function, *args, **kwargs)

    def _read(self, raw: str | bytes, last: bool) -> None:
        """Adds the events of a chunk to the lanes and to the questions."""
        text = raw if isinstance(raw, str) else self._utf8.decode(raw, last=last)
        size_of(text)
        self._arrived_length += len(text)
        if self._arrived_length > MAX_STREAM:
            raise PayloadError(f"has more than {MAX_STREAM} characters")
        for frame in self._splitter.feed(text, last=last):
            self._take(frame)
        if not last:
            return
        if self._lanes.has_open_call:
            raise PayloadError("ends inside the arguments of a tool call")
        self._end_lanes("")

    def _take(self, frame: Frame) -> None:
        held = HeldFrame(frame, frame.data, frame.notes)
        if frame.notes:
            document = {_NOTES: list(frame.notes)}
            part = PayloadPart("", OUTPUT, values=document)
            notes = self._payload((part,), to_text(document), document)
            self._questions.append(_Question(notes, held, is_note=True))
        data = (frame.data or "").strip()
        if data == DONE:
            self._end_lanes("")
        elif data and frame.data is not None:
            self._take_event(held, self._reader.read(frame.data))
        self._held.add(held)

    def _take_event(self, held: HeldFrame, event: StreamEvent) -> None:
        payload = event.payload
        held.event = event
        self._session_id = self._session_id or payload.session_id
        self._provider = payload.provider or self._provider
        if payload.model and payload.model != self._model:
            self._model = payload.model
            self._questions.append(_Question(self._payload(())))
        if len(self._unjudged) < MAX_UNJUDGED:
            self._unjudged.update(dict.fromkeys(payload.unjudged))
        held.slots = tuple(map(self._lanes.add, event.pieces))
        for name in event.complete:
            self._lanes.say_complete(name)
        for name in event.ends:
            self._end_lanes(name)
        if payload.parts or payload.unjudged:
            payload = payload._replace(provider=self._provider, model=self._model)
            self._questions.append(_Question(payload, held))

    def _end_lanes(self, name: str) -> None:
        """Ends a lane and those below it; all if the name is empty."""
        for call in self._lanes.end(name):
            payload = call.payload(self._format, self._provider, self._model)
            self._questions.append(_Question(payload, call=call))

    @property
    def _format(self) -> str:
        return self._reader.format or JSON

    def _payload(
        self, parts: tuple[PayloadPart, ...], body: str = "", document: object = None
    ) -> Payload:
        return Payload(
            self._format, body, True, parts, (), self._provider, self._model, document=document
        )

    async def _begin(self, snapshot: Snapshot) -> None:
        """Charges the stream once, and gives it the first model that its events name."""
        if not self._is_charged:
            self._is_charged = True
            self._charge = await self._decider.charge(snapshot, self._request)
            if self._charge is not None:
                self._request = self._charge.request
            self._questions.append(_Question(self._payload(())))
        if not self._has_model and (self._model or self._provider):
            self._has_model = bool(self._model)
            payload = self._payload(())._replace(session_id=self._session_id)
            self._request = with_model(self._request, payload)

    async def _find_entities(self, snapshot: Snapshot) -> None:
        """Runs models on the parts of this chunk, and on what is new of the texts."""
        find = self._decider.find_entities
        asked = {
            id(each.part): each.request
            for question in self._questions
            for each in questions_of(snapshot, self._request, question.payload)
        }
        self._findings = dict.fromkeys(asked, NerFindings())
        new = {key: each for key, each in asked.items() if self._new_texts(each)}
        found = await asyncio.gather(*(find(snapshot, each) for each in new.values()))
        for key, request in zip(new, found, strict=True):
            findings = self._findings[key] = request.ner or NerFindings()
            if not findings.entities and not findings.missing:
                self._known_texts.update(
                    islice(self._new_texts(request), MAX_KNOWN_TEXTS - len(self._known_texts))
                )
        for lane in self._lanes.texts:
            if lane.is_due:
                begin = max(0, lane.settled - NAME_OVERLAP)
                part = self._request._replace(text=lane.text[begin:])
                lane.note_entities((await find(snapshot, part)).ner or NerFindings(), begin)

    def _new_texts(self, request: Request) -> set[str]:
        """Returns the texts of a part that models have not seen in another event; no codes.

        Each event repeats ids and labels, and models take much longer than the rest.
        """
        texts = {text for _, text in texts_of(request) if not _CODE.fullmatch(text)}
        return texts - self._known_texts

    def _judge(self) -> bool:
        """Decides what is new; returns whether the stream is stopped."""
        is_stopped = False
        questions, self._questions = self._questions, []
        for question in questions:
            decision = self._ask(question.payload)
            call = question.call
            shown = placed(decision, call.name) if call is not None else decision
            self._fresh.append(shown)
            self._keep(shown)
            if decision.allowed:
                self._apply(question, decision)
            else:
                is_stopped = True
        self._findings = {}
        for lane in self._lanes.texts:
            is_stopped = self._judge_text(lane) or is_stopped
        self._lanes.ending = []
        return is_stopped

    def _judge_text(self, lane: TextLane) -> bool:
        """Settles a part of a text; returns whether it stops the stream."""

        def decide(text: str) -> Decision:
            findings = lane.findings(len(text))
            payload = lane.payload(text, self._provider, self._model)
            return without_overlaps(self._ask(payload, findings))

        decision = lane.advance(decide)
        if decision is None:
            return False
        self._fresh.append(placed(decision, lane.name))
        if lane.is_done and lane.decision is not None:
            self._keep(placed(lane.decision, lane.name))
        return not decision.allowed

    def _ask(self, payload: Payload, findings: NerFindings | None = None) -> Decision:
        """Returns the decision on a payload; see `judge`."""
        snapshot = self._snapshot
        if snapshot is None:
            raise RuntimeError("a stream is judged before it has begun")
        questions = [
            each._replace(
                request=each.request._replace(ner=findings or self._findings.get(id(each.part)))
            )
            for each in questions_of(snapshot, self._request, payload)
        ]
        if self._is_aside:
            return judge_aside(snapshot, questions, payload, self._decision_id)
        begun = begin_all(snapshot, questions, self._decision_id)
        return judge(snapshot, questions, payload, begun)

    def _apply(self, question: _Question, decision: Decision) -> None:
        """Puts the redactions of a decision into what it is on."""
        redacted = decision.payload.redacted if decision.payload else None
        held = question.held
        if question.call is not None:
            question.call.settle(decision)
        elif held is not None and question.is_note:
            if redacted is not None:
                held.notes = json.loads(redacted)[_NOTES]
        elif held is not None:
            if redacted is not None:
                held.data = redacted
            if not decision.plain and len(self._recorded_events) < MAX_RECORDED_EVENTS:
                self._recorded_events.append(json.loads(held.data or "null"))

    def _keep(self, decision: Decision) -> None:
        """Keeps a decision that is final, without its redactions."""
        self._past = strongest([each for each in (self._past, decision) if each], ())

    def _combined(self) -> Decision:
        """Returns one decision of all, with the redactions of this chunk."""
        decisions = [] if self._past is None else [self._past]
        decisions += (
            placed(each.decision, each.name)
            for each in self._lanes.texts
            if each.decision is not None
        )
        combined = strongest(decisions, self._fresh)
        return combined._replace(
            payload=PayloadResult(self._reader.format, unjudged=tuple(self._unjudged))
        )

    def _account(self) -> None:
        """Counts what is held in this process.

        Raises:
            RateLimited: it is too much.
        """
        length = self._lanes.length + self._held.length + self._splitter.pending
        self._streams.held += length - self._accounted
        self._accounted = length
        if self._streams.held > MAX_HELD:
            raise RateLimited("too much text is held; try again later", 1.0)

    def _close(self, decision: Decision | None) -> Any:
        """Ends the stream: counts, observes and records its decision.

        Returns:
            The acknowledgement of the record; see `DecisionRecorder.take`.
        """
        if self.closed:
            return None
        self.closed = True
        self._streams.open -= 1
        self._streams.held -= self._accounted
        self._held.clear()
        if decision is None:
            return None
        request, obligations = self._record()
        others = (each for each in decision.obligations if each.type is not ObligationType.REDACT)
        recorded = decision._replace(obligations=(*obligations, *others))
        return self._decider.conclude(self._snapshot, request, self._charge, recorded)

    def _record(self) -> tuple[Request, list[Obligation]]:
        """Returns the stream as one request, for its record, and the redactions in it."""
        texts: dict[str, Any] = {}
        calls: dict[str, Any] = {}
        parts: list[PayloadPart] = []
        obligations: list[Obligation] = []
        entities: list[NamedEntity] = []
        for name, lane in self._lanes.all.items():
            if isinstance(lane, CallLane):
                calls[name] = {"tool": lane.tool, "arguments": lane.redacted}
                parts.append(PayloadPart(name, ARGUMENTS, tool=lane.tool))
                continue
            texts[name] = lane.text
            path = member(f"/{_TEXTS}", name)
            entities += (each._replace(path=path) for each in lane.entities)
            if lane.decision is not None:
                obligations += redactions([placed(lane.decision, path)])
        document: dict[str, Any] = {_TEXTS: texts, _CALLS: calls, _EVENTS: self._recorded_events}
        payload = self._payload(tuple(parts), document=document)
        request = self._request
        if entities:
            request = request._replace(ner=NerFindings(tuple(entities)))
        return record_request(request, payload), obligations


def _begin_events(format_: str, path: str) -> EventStream:
    try:
        return EventStream(format_)
    except PayloadError as error:
        raise InvalidArgument.of(Violation(f"{path}payload.format", str(error))) from None
