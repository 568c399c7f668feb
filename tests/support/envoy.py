"""Messages as Envoy sends them, and a port that decides by what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.envoy.adapter import handlers, methods
from pdp.adapters.envoy.contract import BodyMode, CheckRequest, ProcessingRequest
from pdp.adapters.mapping import read_mapping
from pdp.errors import InvalidArgument, Violation
from pdp.transport.call import Call, Session

if TYPE_CHECKING:
    from pdp.transport.decide_port import DecidePort

CHAT: Final = "openai.chat_completions"
CARD: Final = "4111111111111111"
MAPPING: Final = """
version: 1
routes:
  - name: chat
    match: {path: /v1/chat/completions}
    request_payload: openai.chat_completions
    response_payload: openai.chat_completions
    context:
      tenant: {value: acme}
      user: {header: x-user}
      agent: {context_extension: agent}
      groups: {metadata: {filter: jwt, path: [token, groups]}}
      customer: {certificate: true}
    refusal: openai
    add_headers: {decision_id: x-decision, outcome: x-outcome}
  - name: followed
    match: {path: /followed}
    request_payload: json
    context: {tenant: {value: acme}}
    ext_proc_follows: true
  - name: open
    match: {path_prefix: /open}
    context: {tenant: {value: acme}, user: {header: x-user, required: true}}
    add_headers: {decision_id: x-decision}
"""


class FakePort:
    """Decides by words in the payload: `deny`, `card` (redacted), `mask`, `route`, `broken`.

    Attributes:
        asked: the requests that have come.
        streamed: what has come of a stream of events.
    """

    def __init__(self) -> None:
        self.asked: list[pb.DecideRequest] = []
        self.streamed = ""

    async def decide(self, call: Call, request: pb.DecideRequest) -> pb.DecideResponse:
        """Returns the decision on a request."""
        self.asked.append(request)
        body = request.payload.body
        number = len(self.asked)
        answer = pb.DecideResponse(
            decision_id=f"d{number}",
            outcome=pb.OUTCOME_ALLOW,
            allowed=True,
            status_hint=200,
            payload_format=request.payload.format,
        )
        if "broken" in body:
            raise InvalidArgument.of(Violation("payload.body", "is broken"))
        if "deny" in body:
            answer.outcome, answer.allowed, answer.status_hint = pb.OUTCOME_BLOCK, False, 429
            answer.reason_code, answer.message = "LIMIT_EXCEEDED", "Too much."
            answer.retry_after_s = 7
        elif CARD in body:
            answer.outcome = pb.OUTCOME_REDACT
            answer.obligations.add(type=pb.OBLIGATION_TYPE_REDACT)
            answer.redacted_payload = body.replace(CARD, "[CARD]")
        elif "lost" in body:
            answer.outcome = pb.OUTCOME_REDACT
            answer.obligations.add(type=pb.OBLIGATION_TYPE_REDACT)
        elif "mask" in body:
            answer.obligations.add(type=pb.OBLIGATION_TYPE_MASK_FIELDS)
        if "route" in body:
            answer.outcome = max(answer.outcome, pb.OUTCOME_ROUTE_TO)
            answer.obligations.add(type=pb.OBLIGATION_TYPE_ROUTE_TO, model="other")
        return answer

    async def decide_chunk(
        self, call: Call, message: pb.DecideStreamRequest
    ) -> pb.DecideStreamResponse:
        """Returns the decision on the events so far; releases them all when the last has come."""
        if message.HasField("request"):
            assert not self.streamed
            self.asked.append(message.request)
        self.streamed += message.chunk.text
        question = pb.DecideRequest()
        question.payload.body = self.streamed
        decision = await self.decide(call, question)
        self.asked.pop()
        decision.decision_id = f"d{len(self.asked)}"
        answer = pb.DecideStreamResponse(response=decision)
        if decision.outcome == pb.OUTCOME_REDACT and not message.chunk.last:
            del decision.obligations[:]  # it has only those of what is released
        if message.chunk.last and decision.allowed:
            answer.release.released_text = self.streamed.replace(CARD, "[CARD]")
        return answer


class Peer:
    """Envoy, as the adapter sees it: one stream of ext_proc, or calls of ext_authz.

    Attributes:
        port: decides.
        session: of the stream.
    """

    def __init__(self, mapping: str = MAPPING, **metadata: str) -> None:
        self.port = FakePort()
        self.session = Session()
        self._metadata = {name.replace("_", "-"): value for name, value in metadata.items()}
        routes = read_mapping(mapping.encode()).routes
        self._handlers = handlers(cast("DecidePort", self.port), routes)
        self._check, self._process = methods()

    async def check(self, request: Any) -> Any:
        """Returns the answer to a CheckRequest."""
        call = Call(methods()[self._check], self._metadata, "grpc")
        return await self._handlers[self._check].handle(call, request)

    async def send(self, request: Any) -> Any:
        """Returns the answer to the next ProcessingRequest of the stream."""
        call = Call(methods()[self._process], self._metadata, "grpc", session=self.session)
        return await self._handlers[self._process].handle(call, request)


def check_of(
    body: bytes = b"",
    path: str = "/v1/chat/completions",
    method: str = "POST",
    **headers: str,
) -> Any:
    """Returns a CheckRequest; `_` in the names of headers stands for `-`."""
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host, http.raw_body = method, path, "api.example.com", body
    for name, value in headers.items():
        http.headers[name.replace("_", "-")] = value
    return request


def headers_message(
    side: str,
    modes: tuple[BodyMode, BodyMode] | None = None,
    *,
    end: bool = False,
    **headers: str,
) -> Any:
    """Returns the message with the headers of a `request` or a `response`."""
    message = ProcessingRequest()
    content = getattr(message, f"{side}_headers")
    content.SetInParent()
    for name, value in headers.items():
        key = f":{name[1:]}" if name.startswith("_") else name.replace("_", "-")
        content.headers.headers.add(key=key, raw_value=value.encode())
    content.end_of_stream = end
    if modes is not None:
        message.protocol_config.request_body_mode, message.protocol_config.response_body_mode = (
            modes
        )
    return message


def request_headers(
    modes: tuple[BodyMode, BodyMode] = (BodyMode.BUFFERED, BodyMode.BUFFERED),
    path: str = "/v1/chat/completions",
    method: str = "POST",
    *,
    end: bool = False,
    **headers: str,
) -> Any:
    """Returns the first message of a stream."""
    return headers_message(
        "request", modes, end=end, _method=method, _path=path, _authority="api", **headers
    )


def response_headers(
    media_type: str = "application/json",
    status: int | str = 200,
    *,
    end: bool = False,
    **headers: str,
) -> Any:
    """Returns the message with the headers of an answer."""
    return headers_message(
        "response", None, end=end, _status=str(status), content_type=media_type, **headers
    )


def body_message(side: str, body: bytes, *, end: bool = True) -> Any:
    """Returns a message with a body, or a part of one."""
    message = ProcessingRequest()
    content = getattr(message, f"{side}_body")
    content.body, content.end_of_stream = body, end
    return message


def trailers_message(side: str) -> Any:
    """Returns a message with trailers."""
    message = ProcessingRequest()
    getattr(message, f"{side}_trailers").trailers.headers.add(key="x", raw_value=b"y")
    return message


def refused(answer: Any) -> int:
    """Returns the status with which a ProcessingResponse refuses; 0 if it refuses nothing."""
    if answer.WhichOneof("one") != "immediate_response":
        return 0
    return int(answer.immediate_response.status.code)


def streamed(answer: Any, side: str) -> tuple[bytes, bool]:
    """Returns what a ProcessingResponse sends in FULL_DUPLEX_STREAMED."""
    content = getattr(answer, f"{side}_body").response.body_mutation.streamed_response
    return bytes(content.body), bool(content.end_of_stream)


def replaced(answer: Any, side: str) -> bytes | None:
    """Returns what a ProcessingResponse puts in place of a part of a body; None for nothing."""
    mutation = getattr(answer, f"{side}_body").response.body_mutation
    which = mutation.WhichOneof("one")
    if which is None:
        return None
    return b"" if which == "clear_body" else bytes(mutation.body)


def header_changes(answer: Any) -> tuple[dict[str, str], list[str]]:
    """Returns the headers that a ProcessingResponse sets, and the names of those it removes."""
    kind = answer.WhichOneof("one")
    if kind == "immediate_response":
        mutation = answer.immediate_response.headers
    else:
        mutation = getattr(answer, kind).response.header_mutation
    changed = {each.header.key: each.header.raw_value.decode() for each in mutation.set_headers}
    return changed, list(mutation.remove_headers)
