"""Texts that arrive in chunks: the texts of each call, their bounds, and how they are decided.

`pdp.decisions.text_stream` says what of a text may be released. Here each text gets its decisions:
it is charged once, decided on the policies in force each time, and recorded when it ends.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.decisions.evaluator import evaluate_aside
from pdp.decisions.request_requirements import check_requirements
from pdp.decisions.stream_ids import MAX_ID, MAX_TEXTS, check_new_id
from pdp.decisions.text_stream import MAX_TEXT_BYTES, TextStream, TextTooLong
from pdp.domain.ids import new_id
from pdp.domain.ner import NerFindings
from pdp.engine.evaluate import evaluate, stopped
from pdp.errors import RateLimited, RequestTooLarge, Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.decisions.decider import Decider, InvalidItem
    from pdp.decisions.text_stream import Release
    from pdp.domain.decision import Decision
    from pdp.domain.ner import NamedEntity
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.usage.metering import ChargedRequest

MAX_HELD: Final = 64 << 20
"""Characters of all open texts in this process."""

MAX_OPEN_IN_PROCESS: Final = 10_000
"""Open texts in this process."""

LARGE: Final = 4_096
"""Characters from which a thread evaluates a text, so that other calls need not wait."""

NAME_OVERLAP: Final = 200
"""Characters before the new part of a text that models look at again, because a name may begin
there."""


class StreamAnswer(NamedTuple):
    """The answer to a chunk.

    Attributes:
        decision: on the text so far.
        text: what of the text is released now.
        end: how far into the whole text everything released so far reaches.
        closed: whether the text has ended, so that nothing more is released.
    """

    decision: Decision
    text: str
    end: int
    closed: bool


@dataclass(slots=True)
class _Text:
    """An open text.

    Attributes:
        request: everything but the text.
        charge: what limits have counted for it.
        min_revision: the revision that its first decision must be based on at least.
        arrived: when it began, by the server's clock.
        snapshot: what the last decision was based on.
        entities: what models have found so far.
    """

    stream_id: str
    request: Request
    min_revision: int
    arrived: float = field(default_factory=time.time)
    decision_id: str = field(default_factory=new_id)
    stream: TextStream = field(default_factory=TextStream)
    charge: ChargedRequest | None = None
    snapshot: Snapshot | None = None
    entities: tuple[NamedEntity, ...] = ()


class TextStreams:
    """The texts of all calls in this process.

    Attributes:
        open: how many texts have begun and not ended.
        held: how many characters of these have arrived.
    """

    def __init__(self, decider: Decider) -> None:
        self.decider = decider
        self.open = 0
        self.held = 0

    def of_call(self) -> CallTexts:
        """Returns the texts of a new call; call `CallTexts.abandon` when the call ends."""
        return CallTexts(self)


class CallTexts:
    """The texts of one call, by their ids. All methods are called on the event loop's thread."""

    def __init__(self, streams: TextStreams) -> None:
        self._streams = streams
        self._decider = streams.decider
        self._open: dict[str, _Text] = {}
        self._used: set[str] = set()

    def is_open(self, stream_id: str) -> bool:
        """Whether a text has begun and not ended."""
        return stream_id in self._open

    def check_new(self, stream_id: str) -> None:
        """Checks that a text with this id may begin.

        Raises:
            InvalidArgument: the call used the id before, or it has too many texts.
            RateLimited: too many texts are open in this process.
        """
        check_new_id(stream_id, self._open, self._used, "text")
        streams = self._streams
        if streams.open >= MAX_OPEN_IN_PROCESS or streams.held >= MAX_HELD:
            raise RateLimited("too many texts are open; try again later", 1.0)

    def begin(self, stream_id: str, request: Request, min_revision: int) -> None:
        """Begins a text that `check_new` has let pass.

        Args:
            stream_id: the text's id.
            request: everything but the text.
            min_revision: see `Decider.decide`.
        """
        self._open[stream_id] = _Text(stream_id, request, min_revision)
        self._used.add(stream_id)
        self._streams.open += 1

    async def feed(
        self, stream_id: str, chunk: str, *, last: bool, deadline: float | None = None
    ) -> StreamAnswer:
        """Adds a chunk to an open text, and returns what may be released.

        Args:
            stream_id: the text's id.
            chunk: the next part of the text.
            last: whether the text ends with it.
            deadline: see `Decider.decide`.

        Raises:
            InvalidArgument: the request does not have what the tenant's settings require.
            RequestTooLarge: the text is longer than `MAX_TEXT_BYTES`.
            RateLimited: this process holds too much text.
            RevisionUnavailable: `min_revision` was not reached in time.
            PoliciesUnavailable: the tenant's policies cannot be loaded.
        """
        text = self._open[stream_id]
        release = await self._advance(text, chunk, last=last, deadline=deadline)
        if release.closed:
            acknowledgement = self._close(text)
            if acknowledgement is not None and not await acknowledgement:
                decision = self._decider.observe_unrecorded(release.decision)
                return StreamAnswer(decision, "", release.end, closed=True)
        return StreamAnswer(*release)

    async def refuse(self, stream_id: str, item: InvalidItem) -> StreamAnswer:
        """Ends a text of which a chunk is invalid, since a piece of the text is missing then.

        Args:
            stream_id: the text's id; the text may be open or not.
            item: why. If the text is open, its own ids replace those in the item.
        """
        end = 0
        if len(self._used) < MAX_TEXTS and len(stream_id) <= MAX_ID:
            # The next chunk with this id is the middle of a text, and must not begin one.
            self._used.add(stream_id)
        text = self._open.get(stream_id)
        if text is not None:
            end = text.stream.released
            request = text.request
            item = item._replace(request_id=request.request_id, tenant_id=request.tenant_id)
            self._close(text)
        return StreamAnswer(await self._decider.refuse(item), "", end, closed=True)

    def abandon(self) -> None:
        """Ends the texts of a call that has ended; what they hold back is not released."""
        for text in list(self._open.values()):
            self._close(text)

    async def _advance(
        self, text: _Text, chunk: str, *, last: bool, deadline: float | None
    ) -> Release:
        stream, streams = text.stream, self._streams
        length = stream.length
        try:
            stream.add(chunk)
        except TextTooLong:
            bound = f"at most {MAX_TEXT_BYTES} bytes in all its chunks"
            raise RequestTooLarge(
                f"chunk.text: the text may have {bound}", Violation("chunk.text", bound)
            ) from None
        streams.held += stream.length - length
        if streams.held > MAX_HELD:
            raise RateLimited("too much text is held; try again later", 1.0)
        if not stream.is_due(last=last):
            return stream.wait()
        decide = await self._decision_function(text, deadline)
        if stream.length >= LARGE:
            tenant_id = text.request.tenant_id
            return await self._decider.evaluator.heavy.run(
                tenant_id, stream.advance, decide, last=last
            )
        return stream.advance(decide, last=last)

    async def _decision_function(
        self, text: _Text, deadline: float | None
    ) -> Callable[[str], Decision]:
        """Returns a function that decides the text so far, on the policies in force now."""
        request, decider = text.request, self._decider
        snapshot = await decider.snapshot(request.tenant_id, text.min_revision, deadline)
        if text.snapshot is None:
            check_requirements(snapshot, request, "request.", text.arrived)
            text.charge = await decider.charge(snapshot, request)
            if text.charge is not None:
                text.request = request = text.charge.request
        text.snapshot = snapshot
        findings: NerFindings | None = None
        if snapshot.ner and not stopped(snapshot, request):
            findings = await self._find_entities(text, snapshot)
        decision_id = text.decision_id

        def decide(so_far: str) -> Decision:
            part = request._replace(text=so_far)
            if snapshot.needs_clock:
                part = part._replace(server_time=time.time())
            if findings is not None:
                within = tuple(
                    each
                    for each in text.entities
                    if each.path is not None or each.end <= len(so_far)
                )
                part = part._replace(ner=findings._replace(entities=within))
            decide_part = evaluate_aside if text.stream.length >= LARGE else evaluate
            return decide_part(snapshot, part, decision_id)

        return decide

    async def _find_entities(self, text: _Text, snapshot: Snapshot) -> NerFindings:
        """Runs models on the new part of a text and a little before it; adds what they find."""
        stream = text.stream
        begin = max(0, stream.released - NAME_OVERLAP)
        part = text.request._replace(text=stream.text[begin:])
        findings = (await self._decider.find_entities(snapshot, part)).ner or NerFindings()
        earlier = (each for each in text.entities if each.path is None and each.end <= begin)
        new = (
            each
            if each.path is not None
            else each._replace(start=each.start + begin, end=each.end + begin)
            for each in findings.entities
        )
        text.entities = (*earlier, *new)
        return findings

    def _close(self, text: _Text) -> Any:
        """Ends a text: counts, observes and records its decision.

        Returns:
            The acknowledgement of the record; see `DecisionRecorder.take`.
        """
        stream = text.stream
        stream.close()
        if self._open.pop(text.stream_id, None) is None:
            return None
        self._streams.held -= stream.length
        self._streams.open -= 1
        if stream.decision is None:
            return None
        findings = NerFindings(entities=text.entities) if text.entities else None
        request = text.request._replace(text=stream.text, ner=findings)
        return self._decider.conclude(text.snapshot, request, text.charge, stream.decision)
