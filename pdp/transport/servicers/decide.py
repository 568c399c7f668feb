"""DecideService: Decide, DecideBatch and DecideStream."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, cast

from google.protobuf.struct_pb2 import Struct

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.decisions.batches import Batches, BatchItem, LargeItem
from pdp.decisions.call_payload_streams import CallPayloadStreams
from pdp.decisions.decider import InvalidItem
from pdp.domain.ids import new_id
from pdp.errors import InvalidArgument, PdpError, ServerNeeded, TenantMismatch, Violation
from pdp.messages.conversion import MAX_REVISION, to_request, to_response
from pdp.messages.payloads import to_payload
from pdp.messages.validation import validate
from pdp.messages.value_count import CERTAINLY_FEW, check_all_values
from pdp.transport.call import Handler, Session
from pdp.transport.guards import settle_tenant
from pdp.transport.servicers.request_conversion import LARGE, convert, read_payload
from pdp.transport.status import STATUSES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator, Mapping

    from google.protobuf.message import Message

    from pdp.decisions.decider import Decider, PendingDecision
    from pdp.decisions.text_streams import CallTexts, StreamAnswer, TextStreams
    from pdp.domain.request import Request
    from pdp.transport.call import Call

_TEXTS: Final = "texts"
"""The key of a call's texts in its session."""

_PAYLOADS: Final = "payloads"
"""The key of a call's streams of events in its session."""

_STRUCTS: Final = "structs"
"""The key of the texts, by id, whose request has its arguments in a Struct."""

_STRUCT_REQUEST: Final = pb.DecideRequest(arguments=Struct())
"""Stands for the request of such a text: its redacted arguments are a Struct, too."""


class DecideServicer:
    """Converts requests, has the decider decide them, and converts the decisions."""

    def __init__(self, decider: Decider, streams: TextStreams) -> None:
        self._decider = decider
        self._batches = Batches(decider)
        self._heavy = decider.evaluator.heavy
        self._streams = streams

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handler of each RPC, by its name."""
        return {
            "Decide": Handler(self.decide, check=self.convert),
            "DecideBatch": Handler(self.batch, weight=_batch_weight),
            "DecideStream": Handler(self.stream_message, settles_tenant=True),
        }

    def convert(self, call: Call, message: Message) -> None:
        """Validates a DecideRequest while it converts it, and keeps the request in the call.

        `decide` converts a large one.

        Raises:
            InvalidArgument: a field is out of its bounds.
        """
        body = cast("pb.DecideRequest", message)
        size = body.ByteSize()
        if size <= LARGE or body.HasField("payload"):
            call.request = to_request(
                body,
                call.tenant_id,
                call.request_id,
                "",
                size,
                caller=call.principal.caller,
                takes_payload=True,
            )

    async def decide(self, call: Call, message: Message) -> pb.DecideResponse:
        """Decides one request.

        Raises:
            InvalidArgument: a field of a large request is out of its bounds, or the request does
                not have what the tenant's settings require.
            RevisionUnavailable: `min_revision` was not reached in time.
            RateLimited: too many large requests of the tenant wait.
        """
        body: pb.DecideRequest = message  # type: ignore[assignment] # the contract says so
        request = call.request
        if request is None:
            request = await convert(
                self._heavy,
                body,
                call.tenant_id,
                call.request_id,
                caller=call.principal.caller,
                takes_payload=True,
            )
        pending = self._decide(call, request, body)
        if not isinstance(pending, tuple):
            pending = await pending
        return to_response(await self._decider.answer(*pending), body)

    def _decide(
        self, call: Call, request: Request, body: pb.DecideRequest, path: str = ""
    ) -> PendingDecision | Awaitable[PendingDecision]:
        if body.HasField("payload"):
            return self._decide_payload(call, request, body, path)
        return self._decider.decide(
            request,
            min_revision=body.min_revision,
            deadline=call.deadline,
            encoded_bytes=_encoded_bytes(request, body.ByteSize()),
            path=path,
        )

    async def _decide_payload(
        self, call: Call, request: Request, body: pb.DecideRequest, path: str
    ) -> PendingDecision:
        payload = await read_payload(self._heavy, call.tenant_id, body, path)
        return await self._decider.decide_payload(
            request,
            payload,
            history=body.payload.history,
            min_revision=body.min_revision,
            deadline=call.deadline,
            path=path,
        )

    async def batch(self, call: Call, message: Message) -> pb.DecideBatchResponse:
        """Decides many requests on one snapshot; each is answered in its place.

        Raises:
            RevisionUnavailable: the highest `min_revision` was not reached in time.
        """
        items = cast("pb.DecideBatchRequest", message).requests
        if message.ByteSize() > CERTAINLY_FEW:
            check_all_values(items, "requests")
        # A revision out of its bounds makes its own item invalid, and not the batch.
        revisions = [item.min_revision for item in items if item.min_revision < MAX_REVISION]
        revision, decisions = await self._batches.decide(
            call.tenant_id,
            _batch_items(call, items),
            min_revision=max(revisions, default=0),
            deadline=call.deadline,
        )
        answer = pb.DecideBatchResponse(revision=revision)
        responses = answer.responses
        with self._batches.loop_time.share() as slices:
            for decision, item in zip(decisions, items, strict=True):
                responses.append(to_response(decision, item))
                if slices.are_over():
                    await slices.next()
        return answer

    async def stream_message(self, call: Call, message: Message) -> pb.DecideStreamResponse:
        """Answers one message of a stream: a whole request, or a chunk of a text or of events.

        Every message is answered, so that the stream goes on.

        Raises:
            ServerNeeded: a whole request must be decided by the server that this one follows.
        """
        body = cast("pb.DecideStreamRequest", message)
        if body.HasField("chunk"):
            return await self._chunk(call, body)
        item = body.request
        try:
            request = await self._stream_request(call, item)
            pending = self._decide(call, request, item, "request.")
            if not isinstance(pending, tuple):
                pending = await pending
        except ServerNeeded:
            raise
        except PdpError as error:
            pending = self._decider.refused(_invalid_item(call, item.request_id, error))
        call.note_decided(waits=pending[1] is not None)
        decision = await self._decider.answer(*pending)
        return pb.DecideStreamResponse(response=to_response(decision, item))

    async def _chunk(self, call: Call, message: pb.DecideStreamRequest) -> pb.DecideStreamResponse:
        # A call without a session has one message only. What it holds back is never released.
        session = call.session or Session()
        texts, payloads = self._texts(session), self._payloads(session)
        structs = session.state.setdefault(_STRUCTS, set())
        chunk = message.chunk
        stream_id = chunk.stream_id
        try:
            validate(chunk, "chunk.")
            if not (texts.is_open(stream_id) or payloads.is_open(stream_id)):
                texts.check_new(stream_id)
                payloads.check_new(stream_id)
                if message.request.HasField("payload"):
                    await self._begin_payload(call, payloads, message)
                else:
                    await self._begin(call, texts, message)
                    if message.request.HasField("arguments"):
                        structs.add(stream_id)
            elif message.HasField("request"):
                problem = Violation("request", "belongs to the first chunk of a text")
                raise InvalidArgument.of(problem)
            owner = payloads if payloads.is_open(stream_id) else texts
            answer = await owner.feed(
                stream_id, chunk.text, last=chunk.last, deadline=call.deadline
            )
        except PdpError as error:
            item = _invalid_item(call, message.request.request_id, error)
            owner = payloads if payloads.is_open(stream_id) else texts
            answer = await owner.refuse(stream_id, item)
        request = _STRUCT_REQUEST if stream_id in structs else None
        return _stream_response(stream_id, answer, request)

    async def _begin_payload(
        self, call: Call, payloads: CallPayloadStreams, message: pb.DecideStreamRequest
    ) -> None:
        """Begins a stream of events, which stand for the body of the payload."""
        item = message.request
        problems = [
            Violation(f"request.payload.{each.name}", "must be empty: the events come in chunks")
            for each, _ in item.payload.ListFields()
            if each.name != "format"
        ]
        if item.direction == "input":
            problems.append(Violation("request.direction", "must be output: events are answers"))
        problems += _token_problems(item)
        if problems:
            raise InvalidArgument.of(*problems)
        # The rules of a whole payload demand a body.
        whole = pb.DecideRequest()
        whole.CopyFrom(item)
        whole.payload.body = " "
        request = await self._stream_request(call, whole)
        payloads.begin(message.chunk.stream_id, request, item.payload.format, item.min_revision)

    async def _begin(self, call: Call, texts: CallTexts, message: pb.DecideStreamRequest) -> None:
        stream_id, item = message.chunk.stream_id, message.request
        if item.content.text:
            problem = Violation("request.content.text", "must be empty: the text comes in chunks")
            raise InvalidArgument.of(problem)
        if problems := _token_problems(item):
            raise InvalidArgument.of(*problems)
        request = await self._stream_request(call, item)
        texts.begin(
            stream_id, request._replace(direction=item.direction or "output"), item.min_revision
        )

    async def _stream_request(self, call: Call, item: pb.DecideRequest) -> Request:
        """Returns the request of a stream's message, and settles the tenant that it is for."""
        call.tenant_id = settle_tenant(call, item.tenant_id, "request.tenant_id")
        request_id = item.request_id or new_id()
        return await convert(
            self._heavy,
            item,
            call.tenant_id,
            request_id,
            "request.",
            caller=call.principal.caller,
            takes_payload=True,
        )

    def _texts(self, session: Session) -> CallTexts:
        texts: CallTexts | None = session.state.get(_TEXTS)
        if texts is None:
            texts = session.state[_TEXTS] = self._streams.of_call()
            session.at_end(texts.abandon)
        return texts

    def _payloads(self, session: Session) -> CallPayloadStreams:
        payloads: CallPayloadStreams | None = session.state.get(_PAYLOADS)
        if payloads is None:
            payloads = session.state[_PAYLOADS] = CallPayloadStreams(self._streams)
            session.at_end(payloads.abandon)
        return payloads


def _token_problems(item: pb.DecideRequest) -> list[Violation]:
    """Returns what is wrong with a request whose text comes in chunks: it cannot be approved."""
    if not item.tokens:
        return []
    reason = "must be empty: a text in chunks cannot be approved; send it as a whole request"
    return [Violation("request.tokens", reason)]


def _encoded_bytes(request: Request, size: int) -> int:
    return size if request.arguments is not None or request.customer_id else 0


def _batch_weight(message: Message) -> int:
    return len(cast("pb.DecideBatchRequest", message).requests)


def _batch_items(
    call: Call, items: Iterable[pb.DecideRequest]
) -> Iterator[BatchItem | LargeItem | InvalidItem]:
    tenant_id = call.tenant_id
    for index, item in enumerate(items):
        if item.tenant_id and item.tenant_id != tenant_id:
            yield _foreign_item(call, item, index)
            continue
        size = item.ByteSize()
        if size > LARGE or item.HasField("payload"):
            yield _large_item(call, item, index)
            continue
        try:
            request = to_request(
                item,
                tenant_id,
                item.request_id or new_id(),
                "",
                size,
                caller=call.principal.caller,
                takes_payload=True,
            )
        except PdpError:
            yield _converted(call, item, index)
        else:
            yield BatchItem(request, _encoded_bytes(request, size), index)


def _foreign_item(call: Call, item: pb.DecideRequest, index: int) -> InvalidItem:
    path = f"requests[{index}].tenant_id"
    error = TenantMismatch(
        f'{path} is "{item.tenant_id}" in a batch of "{call.tenant_id}"',
        Violation(path, "differs from the batch's"),
    )
    return _invalid_item(call, item.request_id, error)


def _large_item(call: Call, item: pb.DecideRequest, index: int) -> LargeItem:
    return LargeItem(
        partial(_converted, call, item, index),
        lambda error: _invalid_item(call, item.request_id, error),
    )


def _converted(call: Call, item: pb.DecideRequest, index: int) -> BatchItem | InvalidItem:
    """Returns a large item, or an invalid one with the path of its fields."""
    path, size = f"requests[{index}].", item.ByteSize()
    try:
        request = to_request(
            item,
            call.tenant_id,
            item.request_id or new_id(),
            path,
            size,
            caller=call.principal.caller,
            takes_payload=True,
        )
        payload = to_payload(item, path) if item.HasField("payload") else None
    except PdpError as error:
        return _invalid_item(call, item.request_id, error)
    return BatchItem(request, _encoded_bytes(request, size), index, payload, item.payload.history)


def _invalid_item(call: Call, request_id: str, error: PdpError) -> InvalidItem:
    status = STATUSES[error.reason].http
    return InvalidItem(request_id, call.tenant_id, error.reason, error.message, status)


def _stream_response(
    stream_id: str, answer: StreamAnswer, request: pb.DecideRequest | None
) -> pb.DecideStreamResponse:
    return pb.DecideStreamResponse(
        response=to_response(answer.decision, request),
        release=pb.StreamRelease(
            stream_id=stream_id,
            released_text=answer.text,
            released_end=answer.end,
            closed=answer.closed,
        ),
    )
