"""The lanes of a streamed payload: texts and tool calls that several events bring. Pure, no I/O.

A text is settled from left to right, as `pdp.decisions.text_stream` says. The arguments of a call
are settled as a whole, when the call has ended. An event may be sent on when all its pieces are
settled.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.decisions.text_stream import TextStream
from pdp.domain.decision import ObligationType, Span
from pdp.engine.text.splices import Splice, apply, fit
from pdp.payloads.payload import MAX_BODY_BYTES, MAX_TEXT_BYTES, Payload, PayloadError, PayloadPart
from pdp.payloads.plain import TEXT
from pdp.payloads.reader import PartReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pdp.domain.decision import Decision
    from pdp.domain.ner import NamedEntity, NerFindings
    from pdp.payloads.events.reading import Piece

MAX_TEXTS_LENGTH: Final = MAX_BODY_BYTES
"""Characters of all lanes of a stream, open and ended: all are evaluated again and recorded."""

MAX_OPEN_LANES: Final = 64
"""Lanes of a stream that have begun and not ended."""

MAX_LANES: Final = 4096
"""Lanes of a stream, open and ended."""

_ARGUMENTS: Final = "/arguments"


class LaneSlot(NamedTuple):
    """A piece of a lane in an event.

    Attributes:
        lane: the lane.
        pointer: the place of the piece in the event; None if the event only waits for the lane.
        start: the begin of the piece in the lane.
        end: its end.
    """

    lane: TextLane | CallLane
    pointer: str | None
    start: int
    end: int

    @property
    def is_settled(self) -> bool:
        """Whether the lane says what becomes of the piece."""
        return self.lane.settled >= self.end and (self.pointer is not None or self.lane.is_done)


class TextLane:
    """A text.

    Attributes:
        name: its name; see `pdp.payloads.events.reading`.
        ended: whether no piece comes any more.
        decision: the last decision on it.
        entities: what models have found in it.
    """

    is_call = False

    def __init__(self, name: str, piece: Piece) -> None:
        """Begins a lane with its first piece, which is not added."""
        self.name = name
        self.ended = False
        self._is_touched = True
        self.entities: tuple[NamedEntity, ...] = ()
        self._role, self._scope = piece.role, piece.scope
        self._stream = TextStream()
        self._findings: NerFindings | None = None
        self._splices: list[Splice] = []
        self._ends: list[int] = []

    @property
    def text(self) -> str:
        """The text so far."""
        return self._stream.text

    @property
    def length(self) -> int:
        """How many characters have come."""
        return self._stream.length

    @property
    def settled(self) -> int:
        """Up to where the text is settled."""
        return self._stream.released

    @property
    def is_done(self) -> bool:
        """Whether nothing more of the text will be settled: it has ended, or stops the stream."""
        return self._stream.closed

    @property
    def is_due(self) -> bool:
        """Whether a decision is due."""
        stream = self._stream
        return (
            not stream.closed
            and (self._is_touched or self.ended)
            and stream.is_due(last=self.ended)
        )

    def note_entities(self, findings: NerFindings, begin: int) -> None:
        """Adds what models have found in the part of the text from `begin` on."""
        earlier = (each for each in self.entities if each.path is None and each.end <= begin)
        new = (
            each
            if each.path is not None
            else each._replace(start=each.start + begin, end=each.end + begin)
            for each in findings.entities
        )
        self.entities = (*earlier, *new)
        self._findings = findings

    def findings(self, length: int) -> NerFindings | None:
        """Returns what models have found in the first `length` characters; None if none ran."""
        if self._findings is None:
            return None
        within = (each for each in self.entities if each.path is not None or each.end <= length)
        return self._findings._replace(entities=tuple(within))

    @property
    def decision(self) -> Decision | None:
        """The last decision, with all its spans."""
        return self._stream.decision

    def add(self, piece: Piece) -> LaneSlot:
        """Adds a piece.

        Raises:
            PayloadError: the text has ended.
            TextTooLong: the text is too long now.
        """
        start = self._stream.length
        if piece.text:
            if self.ended:
                raise PayloadError(f"has a piece of {self.name} after its end")
            self._stream.add(piece.text)
            self._is_touched = True
        return LaneSlot(self, piece.pointer, start, self._stream.length)

    def payload(self, text: str, provider: str, model: str) -> Payload:
        """Returns a text of this lane as a payload of the format `text`."""
        part = PayloadPart("", self._scope, self._role, text=text)
        return Payload(TEXT, text, True, (part,), (), provider, model, document=text)

    def advance(self, decide: Callable[[str], Decision]) -> Decision | None:
        """Decides the text if that is due, and settles a part of it.

        Args:
            decide: returns the decision on a text, with spans that do not overlap.

        Returns:
            The decision, with the spans of the part that is settled now; None if none was due. If
            it is not allowed, it is final if `is_done` is true now.
        """
        stream = self._stream
        if not self.is_due:
            return None
        self._is_touched = False
        decisions: list[Decision] = []

        def decide_and_keep(text: str) -> Decision:
            decisions.append(decide(text))
            return decisions[-1]

        start = stream.released
        release = stream.advance(decide_and_keep, last=self.ended)
        if release.closed and not release.decision.allowed:
            return release.decision
        if release.end > start:
            self._settle(start, release.end, decisions[0], release.text)
        return release.decision

    def _settle(self, start: int, end: int, decision: Decision, released: str) -> None:
        text = self._stream.text
        splices = [
            Splice(max(each.start, start), min(each.end, end), each.replacement, each.redaction)
            for each in _redactions(text, decision)
            if each.end > start and each.start < end
        ]
        shifted = [
            each._replace(start=each.start - start, end=each.end - start) for each in splices
        ]
        if apply(text[start:end], shifted) != released:
            raise RuntimeError("the redactions of a stream do not add up to what it releases")
        self._splices += splices
        self._ends += (each.end for each in splices)

    def text_of(self, slot: LaneSlot) -> str:
        """Returns what becomes of a settled piece. It has what replaces spans that begin in it."""
        parts: list[str] = []
        position = slot.start
        text = self._stream.text
        for index in range(bisect_right(self._ends, slot.start), len(self._splices)):
            splice = self._splices[index]
            if splice.start >= slot.end:
                break
            if splice.start >= slot.start:
                parts += (text[position : splice.start], splice.replacement)
            position = min(splice.end, slot.end)
        parts.append(text[position : slot.end])
        return "".join(parts)


def _redactions(text: str, decision: Decision) -> list[Splice]:
    """Returns the redactions of a text in order, as `pdp.decisions.text_stream` applies them."""
    splices = [
        Splice(span.start, span.end, obligation.replacement or "", index)
        for index, obligation in enumerate(decision.obligations)
        if obligation.type is ObligationType.REDACT
        for span in obligation.spans
        if span.path is None
    ]
    return fit(text, sorted(splices)) if splices else []


class CallLane:
    """The arguments of a tool call.

    Attributes:
        name: its name; see `pdp.payloads.events.reading`.
        tool: the tool that is called.
        ended: whether no piece comes any more.
        is_complete_elsewhere: whether an event has the arguments as a whole, which are judged
            there, so that a lane without pieces needs no decision.
        decision: the decision on the call; None until it has ended.
        is_done: whether it is decided.
    """

    is_call = True

    def __init__(self, name: str, piece: Piece) -> None:
        """Begins a lane with its first piece, which is not added."""
        self.name = name
        self.tool = ""
        self.ended = False
        self.is_complete_elsewhere = False
        self.decision: Decision | None = None
        self.is_done = False
        self._server = ""
        self._chunks: list[str] = []
        self._bytes = 0
        self._redacted: str | None = None
        self.length = 0

    @property
    def text(self) -> str:
        """The arguments so far."""
        self._chunks = ["".join(self._chunks)]
        return self._chunks[0]

    @property
    def redacted(self) -> str:
        """The arguments as they may be shown."""
        return self.text if self._redacted is None else self._redacted

    @property
    def settled(self) -> int:
        """Up to where the arguments are settled: all or nothing; -1 for nothing."""
        return self.length if self.is_done else -1

    def add(self, piece: Piece) -> LaneSlot:
        """Adds a piece.

        Raises:
            PayloadError: the call has ended, names two tools, or has arguments that are too long.
        """
        if self.ended and (piece.text or (piece.tool and piece.tool != self.tool)):
            raise PayloadError(f"has a piece of {self.name} after its end")
        self.tool = self._same(self.tool, piece.tool)
        self._server = self._same(self._server, piece.server)
        start = self.length
        self._bytes += len(piece.text.encode(errors="surrogatepass"))
        if self._bytes > MAX_TEXT_BYTES:
            raise PayloadError(f"has arguments of more than {MAX_TEXT_BYTES} bytes")
        if piece.text:
            self._chunks.append(piece.text)
            self.length += len(piece.text)
        return LaneSlot(self, piece.pointer, start, self.length)

    def _same(self, present: str, new: str) -> str:
        if present and new and present != new:
            raise PayloadError(f"has two names of a tool at {self.name}")
        return present or new

    def payload(self, format_: str, provider: str, model: str) -> Payload:
        """Returns the call as a payload.

        Raises:
            PayloadError: the arguments are ambiguous, or the call names no tool.
        """
        if not self.tool:
            raise PayloadError(f"has a tool call without a name at {self.name}")
        document = {_ARGUMENTS[1:]: self.text}
        reader = PartReader(format_, json.dumps(document), document, is_output=True)
        reader.provider, reader.model = provider, model
        reader.call(_ARGUMENTS, self.tool, self.text, server=self._server)
        return reader.payload()

    def settle(self, decision: Decision | None) -> None:
        """Settles the call.

        Args:
            decision: the decision on `payload`, which is allowed; None if the call is judged
                elsewhere.
        """
        self.decision = decision
        if decision is not None and decision.payload and decision.payload.redacted is not None:
            self._redacted = json.loads(decision.payload.redacted)[_ARGUMENTS[1:]]
        self.is_done = True

    def text_of(self, slot: LaneSlot) -> str:
        """Returns what becomes of a piece: redacted arguments stand in the first that has any."""
        if self._redacted is None:
            return self.text[slot.start : slot.end]
        return self._redacted if slot.start == 0 and slot.end > 0 else ""


Lane = TextLane | CallLane


class Lanes:
    """The lanes of one stream, by their names.

    Attributes:
        all: those that have begun.
        open: those that have not ended.
        ending: the texts that have ended, and are not settled to their end.
        length: how many characters have come in all.
    """

    def __init__(self) -> None:
        """Begins without any."""
        self.all: dict[str, Lane] = {}
        self.open: dict[str, Lane] = {}
        self.ending: list[TextLane] = []
        self.length = 0

    @property
    def texts(self) -> list[TextLane]:
        """The texts that are not settled to their end."""
        texts = (each for each in self.open.values() if isinstance(each, TextLane))
        return [*self.ending, *texts]

    @property
    def has_open_call(self) -> bool:
        """Whether a call has not ended."""
        return any(isinstance(each, CallLane) for each in self.open.values())

    def add(self, piece: Piece) -> LaneSlot:
        """Adds a piece to its lane, which may be new.

        Raises:
            PayloadError: there are too many lanes or characters, or the lane has ended.
            TextTooLong: its text is too long now.
        """
        lane = self.all.get(piece.lane)
        if lane is None:
            if len(self.open) >= MAX_OPEN_LANES:
                raise PayloadError(f"has more than {MAX_OPEN_LANES} texts and calls at once")
            if len(self.all) >= MAX_LANES:
                raise PayloadError(f"has more than {MAX_LANES} texts and calls")
            kind = CallLane if piece.is_call else TextLane
            lane = self.all[piece.lane] = self.open[piece.lane] = kind(piece.lane, piece)
        self.length += len(piece.text)
        if self.length > MAX_TEXTS_LENGTH:
            raise PayloadError(f"has texts of more than {MAX_TEXTS_LENGTH} characters")
        return lane.add(piece)

    def say_complete(self, name: str) -> None:
        """Notes that an event has the arguments of a call as a whole."""
        lane = self.all.get(name)
        if isinstance(lane, CallLane):
            lane.is_complete_elsewhere = True

    def end(self, name: str) -> list[CallLane]:
        """Ends a lane and those below it; all if the name is empty.

        Returns:
            The calls among them that must be judged.
        """
        calls: list[CallLane] = []
        for key, lane in list(self.open.items()):
            if name and key != name and not key.startswith(f"{name}/"):
                continue
            del self.open[key]
            lane.ended = True
            if isinstance(lane, TextLane):
                self.ending.append(lane)
            elif lane.is_complete_elsewhere and not lane.length:
                lane.settle(None)
            else:
                calls.append(lane)
        return calls


def placed(decision: Decision, pointer: str) -> Decision:
    """Returns a decision on a lane whose matches and spans name the lane.

    Args:
        decision: the decision.
        pointer: the name of the lane.
    """
    obligations = tuple(
        each._replace(spans=tuple(_placed(each.spans, pointer))) if each.spans else each
        for each in decision.obligations
    )
    matches = tuple(
        each._replace(pointer=pointer) if each.scope else each for each in decision.matches
    )
    return decision._replace(obligations=obligations, matches=matches)


def _placed(spans: Sequence[Span], pointer: str) -> Iterator[Span]:
    for each in spans:
        below = (each.path or "").removeprefix(_ARGUMENTS)
        yield each._replace(path=pointer + below)


def without_overlaps(decision: Decision) -> Decision:
    """Returns a decision whose redactions of the text do not overlap; each covers them as a whole.

    The decisions for two models may redact overlapping spans.
    """
    redactions: list[tuple[Span, Any]] = sorted(
        (span, index)
        for index, each in enumerate(decision.obligations)
        if each.type is ObligationType.REDACT
        for span in each.spans
    )
    merged: list[tuple[Span, Any]] = []
    for span, index in redactions:
        if merged and span.start < merged[-1][0].end:
            last, own = merged[-1]
            merged[-1] = last._replace(end=max(last.end, span.end)), own
        else:
            merged.append((span, index))
    return decision._replace(
        obligations=(
            *(
                decision.obligations[index]._replace(spans=(span,))
                for span, index in merged
            ),
            *(each for each in decision.obligations if each.type is not ObligationType.REDACT),
        )
    )  # fmt: skip
