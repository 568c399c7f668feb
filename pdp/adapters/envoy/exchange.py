"""One HTTP request and its answer, as ext_proc passes them on, message by message.

Envoy gets one answer to each message. A body is withheld until it is whole and judged: Envoy sends
nothing of it on before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.adapters.envoy import answers
from pdp.adapters.envoy.authorization import REQUEST_JUDGED
from pdp.adapters.envoy.bodies import Budget, HeldBody, check_encoding, check_length
from pdp.adapters.envoy.contract import BodyMode
from pdp.adapters.envoy.event_streams import AnswerEvents, notice
from pdp.adapters.envoy.facts import facts_of_processing, headers_of
from pdp.adapters.envoy.judgement import NO_ROUTE, Judge, facts_of_decision
from pdp.adapters.mapping import ClientRefusal, added_headers, payload_format, refusal_of_error
from pdp.adapters.mapping.routes import NONE
from pdp.errors import InvalidArgument, MalformedRequest, PdpError, Violation
from pdp.payloads import plain
from pdp.transport.http.fact_headers import TOKENS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.adapters.envoy.facts import RequestFacts
    from pdp.adapters.envoy.judgement import JudgedTraffic
    from pdp.adapters.mapping import Route, RouteMatch
    from pdp.transport.call import Call

MODE_OVERRIDE: Final = "x-pdp-mode-override"
"""The metadata with which the filter says that it has `allow_mode_override`."""

EXT_AUTHZ: Final = "envoy.filters.http.ext_authz"
EVENTS: Final = "text/event-stream"

BAD_GATEWAY: Final = 502
MISCONFIGURED: Final = 500
SWITCHING_PROTOCOLS: Final = 101
FAILURES: Final = 400

_REQUEST: Final = "request"
_RESPONSE: Final = "response"
_WHOLE: Final = frozenset({BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL})
_JUDGED_IN: Final = _WHOLE | {BodyMode.STREAMED, BodyMode.FULL_DUPLEX_STREAMED}
_LENGTH: Final = "content-length"
_ACCEPT: Final = "accept-encoding"


@dataclass(slots=True)
class Side:
    """The request, or the answer to it.

    Attributes:
        name: `request` or `response`.
        held: what has come of the body.
        mode: how Envoy sends the body.
        is_overridden: whether we have asked Envoy for this mode.
        format: of the body; `none` if it is not judged.
        headers: of the message.
        has_headers: whether they have come.
        events: judges the body as a stream of events; None for one document.
        is_done: whether the body is judged and sent on, or there is none.
        has_begun: whether Envoy has sent the headers on.
    """

    name: str
    held: HeldBody
    mode: BodyMode = BodyMode.NONE
    is_overridden: bool = False
    format: str = NONE
    headers: Mapping[str, str] = field(default_factory=dict)
    has_headers: bool = False
    events: AnswerEvents | None = None
    is_done: bool = False
    has_begun: bool = False

    @property
    def is_judged(self) -> bool:
        """Whether the body is judged."""
        return self.format != NONE

    def kind(self, part: str) -> str:
        """Returns the name of the message for a part: `headers`, `body` or `trailers`."""
        return f"{self.name}_{part}"


class RoutedRequest(NamedTuple):
    """The request of an exchange, with its route."""

    found: RouteMatch
    facts: RequestFacts

    @property
    def route(self) -> Route:
        """The route."""
        return self.found.route


class Misconfigured(Exception):
    """The filter is set up so that something would pass unjudged; the message says what to do."""


class Exchange:
    """One HTTP request and its answer."""

    def __init__(self, judge: Judge, budget: Budget) -> None:
        """Args:
        judge: asks for decisions.
        budget: what may be held in all.
        """
        self._judge = judge
        self._sides = {name: Side(name, HeldBody(budget)) for name in (_REQUEST, _RESPONSE)}
        self._routed: RoutedRequest | None = None
        self._may_override = False
        self._decision: pb.DecideResponse | None = None
        self._metadata: dict[str, Any] = {}
        self._refusal: ClientRefusal | None = None

    def end(self) -> None:
        """Holds nothing any longer."""
        for side in self._sides.values():
            side.held.release()

    async def answer(self, call: Call, message: Any) -> Any:
        """Returns the ProcessingResponse to a ProcessingRequest.

        Raises:
            InvalidArgument: Envoy would not wait for the answer.
        """
        if message.observability_mode:
            reason = "must be false: Envoy would send the traffic on without waiting for decisions"
            raise InvalidArgument.of(Violation("observability_mode", reason))
        if self._refusal is not None:
            return self._refuse(self._refusal)
        kind = message.WhichOneof("one") or ""
        try:
            if kind == "request_headers":
                return await self._request_headers(call, message)
            return await self._later(call, kind, message)
        except Misconfigured as error:
            return self._refuse(ClientRefusal(MISCONFIGURED, "GATEWAY_MISCONFIGURED", str(error)))
        except PdpError as error:
            refusal = refusal_of_error(error)
            if kind.startswith(_RESPONSE):
                refusal = refusal._replace(status=BAD_GATEWAY)
            return self._refuse(refusal)

    async def _later(self, call: Call, kind: str, message: Any) -> Any:
        """Returns the answer to a message after the first."""
        name, _, part = kind.partition("_")
        if self._routed is None and kind == "response_headers":
            return self._refuse(_refused_before(message.response_headers))
        if self._routed is None or name not in self._sides:
            raise MalformedRequest(
                "the first message must have the headers of the request; set "
                "processing_mode.request_header_mode to SEND"
            )
        side, content = self._sides[name], getattr(message, kind)
        if part == "headers":
            return self._response_headers(side, content)
        if not side.has_headers:
            raise MalformedRequest(
                f"{kind}: comes before headers; set processing_mode.{name}_header_mode to SEND"
            )
        if part == "body":
            return await self._body(call, side, content)
        return self._trailers(side)

    def _refuse(self, refusal: ClientRefusal) -> Any:
        self._refusal = refusal
        self.end()
        route = self._routed.route if self._routed is not None else None
        return answers.immediate(refusal, route, self._metadata)

    async def _request_headers(self, call: Call, message: Any) -> Any:
        if self._routed is not None:
            raise MalformedRequest("request_headers: comes twice in one stream")
        facts = facts_of_processing(message, call.metadata)
        found = self._judge.route_of(facts)
        if found is None:
            return self._refuse(NO_ROUTE)
        self._routed = routed = RoutedRequest(found, facts)
        side = self._sides[_REQUEST]
        side.headers, side.has_headers = facts.view.headers, True
        self._set_modes(call, routed, message)
        remove = [*((_ACCEPT,) if self._sides[_RESPONSE].is_judged else ()), TOKENS]
        if not side.is_judged:
            if not self._is_authorized(message):
                judgement = await self._judge_request(call, routed, b"")
                if judgement.refusal is not None:
                    return self._refuse(judgement.refusal)
            return self._passed_headers(side, remove)
        _check_upgrade(facts)
        check_encoding(side.headers)
        if message.request_headers.end_of_stream:
            raise InvalidArgument.of(Violation("body", "is missing, and the route has a payload"))
        return self._passed_headers(side, remove)

    def _set_modes(self, call: Call, routed: RoutedRequest, message: Any) -> None:
        """Settles how each body is sent and whether it is judged.

        Raises:
            Misconfigured: a body that the route wants to be judged is not sent so that it can be.
        """
        if not message.HasField("protocol_config"):
            raise Misconfigured("Envoy does not say how it sends bodies; use Envoy 1.34 or newer")
        config, route = message.protocol_config, routed.route
        request, response = self._sides[_REQUEST], self._sides[_RESPONSE]
        request.mode = _mode(config.request_body_mode)
        response.mode = _mode(config.response_body_mode)
        request.format = route.request_payload
        response.format = route.response_payload
        if request.mode is BodyMode.NONE and self._is_authorized(message):
            request.format = NONE
        for side in (request, response):
            if side.is_judged and side.mode not in _JUDGED_IN:
                raise Misconfigured(
                    f"the route {route.name} has a {side.name}_payload; set processing_mode."
                    f"{side.name}_body_mode to BUFFERED or FULL_DUPLEX_STREAMED"
                )
        self._may_override = (
            call.metadata.get(MODE_OVERRIDE, "") == "allowed"
            and not config.send_body_without_waiting_for_header_response
        )

    def _is_authorized(self, message: Any) -> bool:
        """Whether ext_authz has judged this request, and asks for nothing to be changed."""
        metadata = message.metadata_context.filter_metadata
        if EXT_AUTHZ not in metadata:
            return False
        fields = metadata[EXT_AUTHZ].fields
        return REQUEST_JUDGED in fields and fields[REQUEST_JUDGED].bool_value

    async def _judge_request(self, call: Call, routed: RoutedRequest, body: bytes) -> JudgedTraffic:
        """Returns the judgement on the request."""
        judgement = await self._judge.request(call, routed.found, routed.facts, body)
        self._decision = judgement.decision
        self._metadata |= facts_of_decision(judgement.decision)
        return judgement

    def _passed_headers(self, side: Side, remove: list[str]) -> Any:
        if side.is_judged and side.mode is not BodyMode.BUFFERED:
            remove = [*remove, _LENGTH]
        side.has_begun = side.mode not in _WHOLE
        answer = answers.passed_headers(side.kind("headers"), self._added(), remove)
        return answers.with_metadata(answer, self._metadata)

    def _added(self) -> dict[str, str]:
        """Returns the headers that the route adds for the last decision."""
        if self._decision is None or self._routed is None:
            return {}
        return added_headers(self._routed.route.add_headers, self._decision)

    def _response_headers(self, side: Side, content: Any) -> Any:
        if side.has_headers:
            raise MalformedRequest("response_headers: comes twice in one stream")
        side.headers, side.has_headers = headers_of(content.headers.headers), True
        headers = side.headers
        if not side.is_judged or content.end_of_stream:
            side.format = NONE
            return self._passed_headers(side, [])
        status = _status(headers)
        if status == SWITCHING_PROTOCOLS:
            raise InvalidArgument.of(Violation(":status", "101: an upgrade cannot be judged"))
        check_encoding(headers)
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == EVENTS and self._routed is not None:
            found, facts = self._routed
            side.events = self._judge.events(found, facts, payload_format(side.format))
        elif status >= FAILURES:
            side.format = _format_of_failure(media_type)
        # The filter may not keep its word. What we answer in BUFFERED is right in STREAMED, too.
        # An answer for FULL_DUPLEX_STREAMED would have no effect then, and the body would pass.
        if side.mode is not BodyMode.STREAMED or side.events or not self._may_override:
            return self._passed_headers(side, [])
        side.mode, side.is_overridden = BodyMode.BUFFERED, True
        answer = self._passed_headers(side, [])
        answer.mode_override.response_body_mode = side.mode
        return answer

    async def _judge_answer(self, call: Call, body: bytes, format_: str) -> JudgedTraffic:
        """Returns the judgement on the whole answer of the upstream."""
        if self._routed is None:
            raise MalformedRequest("response_body: comes before the request")
        found, facts = self._routed
        judgement = await self._judge.answer(call, found, facts, body, format_)
        self._note_answer(judgement.decision)
        return judgement

    def _note_answer(self, decision: pb.DecideResponse) -> None:
        """Notes the decision on the answer for headers and dynamic metadata."""
        self._decision = decision
        names = facts_of_decision(decision)
        self._metadata |= {f"response_{name}": value for name, value in names.items()}

    async def _body(self, call: Call, side: Side, content: Any) -> Any:
        if not side.is_judged:
            return self._unchanged(side, content)
        if side.is_done:
            raise MalformedRequest(f"{side.name}_body: goes on after its end")
        is_whole = side.mode is BodyMode.BUFFERED and not side.is_overridden
        is_last = content.end_of_stream or is_whole
        if side.mode in _WHOLE and not is_last:
            raise InvalidArgument.of(Violation("body", "Envoy has sent only a part of it"))
        if side.events is not None:
            return await self._events(call, side, side.events, content.body, is_last=is_last)
        side.held.add(content.body)
        if not is_last:
            return self._replaced(side, b"", is_last=False)
        side.is_done = True
        body = side.held.release()
        check_length(side.headers, len(body))
        if side.name == _REQUEST and self._routed is not None:
            judgement = await self._judge_request(call, self._routed, body)
        else:
            judgement = await self._judge_answer(call, body, payload_format(side.format))
        if judgement.refusal is not None:
            return self._refuse(judgement.refusal)
        return self._replaced(side, body, judgement.body, is_last=True)

    async def _events(
        self, call: Call, side: Side, events: AnswerEvents, chunk: bytes, *, is_last: bool
    ) -> Any:
        released = await events.feed(call, chunk, last=is_last)
        self._note_answer(released.decision)
        side.is_done = is_last
        if released.refusal is None:
            return self._replaced(side, released.body, is_last=is_last)
        if not side.has_begun:
            return self._refuse(released.refusal)
        self._refusal = released.refusal
        form = self._routed.route.refusal if self._routed is not None else "pdp"
        body = released.body + notice(released.refusal, form)
        return self._replaced(side, body, is_last=is_last)

    def _replaced(
        self, side: Side, body: bytes, changed: bytes | None = None, *, is_last: bool
    ) -> Any:
        """Returns the answer that sends a body, or a part of one, in place of the last message.

        Args:
            side: whose body it is.
            body: what Envoy has sent of it, as far as it may pass.
            changed: what passes in its place; None for the body as it is.
            is_last: whether the body ends with it.
        """
        kind, content = side.kind("body"), body if changed is None else changed
        if side.mode is BodyMode.FULL_DUPLEX_STREAMED:
            answer = answers.streamed_body(kind, content, last=is_last)
        elif side.mode is BodyMode.STREAMED:
            answer = answers.passed_body(kind, content, {})
        else:
            headers = self._added()
            if _LENGTH in side.headers:
                headers[_LENGTH] = str(len(content))
            is_same = changed is None and side.events is None
            answer = answers.passed_body(kind, None if is_same else content, headers)
        return answers.with_metadata(answer, self._metadata if is_last else {})

    def _unchanged(self, side: Side, content: Any) -> Any:
        """Returns the answer that sends a part of a body that is not judged."""
        kind = side.kind("body")
        if side.mode is BodyMode.FULL_DUPLEX_STREAMED:
            return answers.streamed_body(kind, content.body, last=content.end_of_stream)
        return answers.passed_body(kind, None, {})

    def _trailers(self, side: Side) -> Any:
        if side.is_judged and not side.is_done:
            reason = "have come before the end of a body that is judged; send none"
            raise InvalidArgument.of(Violation("trailers", reason))
        return answers.passed_trailers(side.kind("trailers"))


def _refused_before(content: Any) -> ClientRefusal:
    """Returns the refusal for an answer to a request that Envoy has not passed on.

    A filter before this one has refused the request. Its status counts, and nothing else of it,
    because the answer could be the upstream's, if the filter is set up wrongly.
    """
    status = _status(headers_of(content.headers.headers))
    if status < FAILURES:
        raise MalformedRequest("response_headers: set processing_mode.request_header_mode to SEND")
    return ClientRefusal(status, "GATEWAY_REFUSED", "The gateway has refused the request.")


def _mode(value: int) -> BodyMode:
    try:
        return BodyMode(value)
    except ValueError:
        raise Misconfigured(f"the body mode {value} is unknown; use BUFFERED") from None


def _status(headers: Mapping[str, str]) -> int:
    text = headers.get(":status", "")
    if not (text.isascii() and text.isdecimal()):
        raise InvalidArgument.of(Violation(":status", "is missing"))
    return int(text)


def _check_upgrade(facts: RequestFacts) -> None:
    if facts.method == "CONNECT" or facts.view.headers.get("upgrade"):
        reason = "cannot be judged after it; use a route without a payload"
        raise InvalidArgument.of(Violation("upgrade", reason))


def _format_of_failure(media_type: str) -> str:
    """Returns the format of an answer that reports a failure. It has a form of its own."""
    if media_type.startswith("text/"):
        return plain.TEXT
    return plain.JSON
