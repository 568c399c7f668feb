"""ext_proc: what Envoy gets for each message, in each of its modes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.adapters.envoy.bodies import Budget, HeldBody
from pdp.adapters.envoy.contract import PROCESS, BodyMode, ProcessingRequest
from pdp.adapters.envoy.judgement import Judge
from pdp.adapters.envoy.processing import Processing
from pdp.errors import InvalidArgument, PdpError, RateLimited
from pdp.payloads.payload import MAX_BODY_BYTES
from pdp.transport.call import Call, Session
from pdp.transport.foreign import foreign_method
from tests.support.envoy import (
    CARD,
    CHAT,
    FakePort,
    Peer,
    body_message,
    header_changes,
    refused,
    replaced,
    request_headers,
    response_headers,
    streamed,
    trailers_message,
)

if TYPE_CHECKING:
    from pdp.transport.decide_port import DecidePort

BUFFERED, STREAMED, DUPLEX = (
    BodyMode.BUFFERED,
    BodyMode.STREAMED,
    BodyMode.FULL_DUPLEX_STREAMED,
)
WHOLE = (BUFFERED, BUFFERED)


def chat(text: str) -> bytes:
    """Returns a chat request."""
    return json.dumps({"messages": [{"role": "user", "content": text}]}).encode()


def completion(text: str) -> bytes:
    """Returns the answer to a chat request."""
    message = {"role": "assistant", "content": text}
    return json.dumps({"choices": [{"index": 0, "message": message}]}).encode()


async def passed_request(peer: Peer, modes: tuple[BodyMode, BodyMode] = WHOLE) -> None:
    """Sends a request that passes."""
    assert not refused(await peer.send(request_headers(modes)))
    assert not refused(await peer.send(body_message("request", chat("hi"))))


# Requests


async def test_a_request_in_one_piece_passes_unchanged() -> None:
    peer = Peer(x_pdp_extension_agent="bot")
    body = chat("hi")
    first = await peer.send(request_headers(x_user="ann", content_length=str(len(body))))
    assert header_changes(first) == ({}, ["accept-encoding", "x-pdp-tokens"])
    answer = await peer.send(body_message("request", body))
    assert replaced(answer, "request") is None
    changed, _ = header_changes(answer)
    assert changed == {
        "x-decision": "d1",
        "x-outcome": "ALLOW",
        "content-length": str(len(body)),
    }
    (asked,) = peer.port.asked
    assert (asked.subject.user_id, asked.subject.agent_id) == ("ann", "bot")
    assert (asked.payload.format, asked.payload.body) == (CHAT, body.decode())
    assert dict(answer.dynamic_metadata)["pdp"]["decision_id"] == "d1"


async def test_a_redacted_request_takes_the_place_of_the_body() -> None:
    peer = Peer()
    body = chat(CARD)
    await peer.send(request_headers(content_length=str(len(body))))
    answer = await peer.send(body_message("request", body))
    redacted = replaced(answer, "request")
    assert redacted == chat("[CARD]")
    assert header_changes(answer)[0]["content-length"] == str(len(redacted))


@pytest.mark.parametrize("text", ["hi", CARD])
async def test_nothing_of_a_streamed_body_passes_before_it_is_judged(text: str) -> None:
    peer = Peer()
    body, expected = chat(text), chat(text.replace(CARD, "[CARD]"))
    first = await peer.send(request_headers((STREAMED, BUFFERED)))
    assert "content-length" in header_changes(first)[1]
    assert replaced(await peer.send(body_message("request", body[:9], end=False)), "request") == b""
    assert replaced(await peer.send(body_message("request", body[9:])), "request") == expected


@pytest.mark.parametrize("text", ["hi", CARD])
async def test_nothing_of_a_duplex_body_passes_before_it_is_judged(text: str) -> None:
    peer = Peer()
    body, expected = chat(text), chat(text.replace(CARD, "[CARD]"))
    first = await peer.send(request_headers((DUPLEX, BUFFERED)))
    assert "content-length" in header_changes(first)[1]
    for part in (body[:9], body[9:]):
        answer = await peer.send(body_message("request", part, end=False))
        assert streamed(answer, "request") == (b"", False)
    answer = await peer.send(body_message("request", b""))
    assert streamed(answer, "request") == (expected, True)


@pytest.mark.parametrize("mode", [BUFFERED, STREAMED, DUPLEX])
async def test_a_refused_request_is_answered_in_place_of_the_upstream(mode: BodyMode) -> None:
    peer = Peer()
    await peer.send(request_headers((mode, BUFFERED)))
    answer = await peer.send(body_message("request", chat("deny")))
    assert refused(answer) == 429
    changed, _ = header_changes(answer)
    assert changed == {
        "content-type": "application/json",
        "retry-after": "7",
        "x-decision": "d1",
        "x-outcome": "BLOCK",
    }
    assert json.loads(answer.immediate_response.body)["error"]["decision_id"] == "d1"
    assert answer.immediate_response.details == "pdp_limit_exceeded_d1"
    again = await peer.send(response_headers())  # nothing passes in this stream any more
    assert refused(again) == 429


@pytest.mark.parametrize("word", ["mask", "route", "lost"])
async def test_what_cannot_be_carried_out_is_refused(word: str) -> None:
    peer = Peer()
    await peer.send(request_headers())
    assert refused(await peer.send(body_message("request", chat(word)))) == 403


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ('{"model": "a", "messages": "route"}', b'{"model": "other", "messages": "route"}'),
        (
            f'{{"model": "a", "messages": "route {CARD}"}}',
            b'{"model": "other", "messages": "route [CARD]"}',
        ),
        ('{"messages": "route"}', None),
    ],
    ids=["route", "route and redaction", "no model to change"],
)
async def test_a_route_changes_the_model_if_the_upstream_serves_it(
    sent: str, expected: bytes | None
) -> None:
    peer = Peer(x_pdp_supported_obligations="mask_fields, route_to")
    await peer.send(request_headers())
    answer = await peer.send(body_message("request", sent.encode()))
    if expected is None:
        assert refused(answer) == 403
    else:
        assert replaced(answer, "request") == expected


async def test_a_route_without_a_payload_is_judged_by_its_headers() -> None:
    peer = Peer()
    modes = (BodyMode.NONE, BodyMode.NONE)
    answer = await peer.send(request_headers(modes, "/open/x", "GET", end=True, x_user="ann"))
    assert header_changes(answer) == ({"x-decision": "d1"}, ["x-pdp-tokens"])
    assert not peer.port.asked[0].HasField("payload")
    assert header_changes(await peer.send(response_headers()))[0] == {"x-decision": "d1"}


async def test_a_body_without_a_payload_passes_as_it_is() -> None:
    peer = Peer()
    await peer.send(request_headers((DUPLEX, BUFFERED), "/open/x", x_user="ann"))
    assert streamed(await peer.send(body_message("request", b"\xff", end=False)), "request") == (
        b"\xff",
        False,
    )
    await peer.send(response_headers())
    assert replaced(await peer.send(body_message("response", b"\xff")), "response") is None


async def test_history_is_as_the_mapping_says() -> None:
    mapping = """
version: 1
routes:
  - {name: a, match: {}, request_payload: json, history: latest, context: {tenant: {value: a}}}
"""
    peer = Peer(mapping)
    await peer.send(request_headers((BUFFERED, BodyMode.NONE)))
    await peer.send(body_message("request", b"{}"))
    assert peer.port.asked[0].payload.history == "latest"


async def test_what_ext_authz_has_judged_is_not_judged_again() -> None:
    peer = Peer()
    message = request_headers((BodyMode.NONE, BUFFERED))
    metadata = message.metadata_context.filter_metadata["envoy.filters.http.ext_authz"]
    metadata.update({"request_judged": True})
    assert not refused(await peer.send(message))
    assert not peer.port.asked
    await peer.send(response_headers())
    assert refused(await peer.send(body_message("response", completion("deny")))) == 429


MISCONFIGURED = {
    "a request body is not sent": request_headers((BodyMode.NONE, BUFFERED)),
    "an answer is not sent": request_headers((BUFFERED, BodyMode.NONE)),
    "messages of gRPC": request_headers((BodyMode.GRPC, BUFFERED)),
    "an unknown mode": request_headers((9, BUFFERED)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("message", MISCONFIGURED.values(), ids=MISCONFIGURED)
async def test_a_filter_that_would_let_something_pass_unjudged_is_refused(message: Any) -> None:
    answer = await Peer().send(message)
    assert refused(answer) == 500
    error = json.loads(answer.immediate_response.body)["error"]
    assert error["code"] == "GATEWAY_MISCONFIGURED"
    assert "mode" in error["message"]


async def test_an_envoy_that_does_not_say_its_modes_is_refused() -> None:
    message = request_headers()
    message.ClearField("protocol_config")
    assert refused(await Peer().send(message)) == 500


async def test_metadata_of_ext_authz_do_not_help_if_it_left_something_to_do() -> None:
    message = request_headers((BodyMode.NONE, BUFFERED))
    metadata = message.metadata_context.filter_metadata["envoy.filters.http.ext_authz"]
    metadata.update({"request_judged": False})
    assert refused(await Peer().send(message)) == 500


async def test_an_observer_gets_no_answers() -> None:
    """Envoy would send the traffic on whatever the answer is."""
    message = request_headers()
    message.observability_mode = True
    with pytest.raises(InvalidArgument, match="observability_mode"):
        await Peer().send(message)


FIRST = {
    "no body": (request_headers(end=True), 400),
    "compressed": (request_headers(content_encoding="gzip"), 415),
    "an upgrade": (request_headers(upgrade="websocket"), 400),
    "no route": (request_headers(path="/v2"), 403),
    "a path of two readings": (request_headers(path="/open/%2e%2e/v1"), 400),
    "a required fact is missing": (request_headers(WHOLE, "/open/x", "GET", end=True), 400),
    "a body before headers": (body_message("request", b"{}"), 400),
    "trailers before headers": (trailers_message("request"), 400),
    "an answer without a request": (response_headers(), 502),
    "an answer of a filter before": (response_headers(status=401), 401),
    "a message of no kind": (ProcessingRequest(), 400),
}


@pytest.mark.parametrize(("message", "status"), FIRST.values(), ids=FIRST)
async def test_first_messages_that_are_refused(message: Any, status: int) -> None:
    assert refused(await Peer().send(message)) == status


async def test_a_request_can_come_only_once() -> None:
    peer = Peer()
    await peer.send(request_headers())
    assert refused(await peer.send(request_headers())) == 400


async def test_part_of_a_body_is_refused() -> None:
    peer = Peer()
    await peer.send(request_headers((BodyMode.BUFFERED_PARTIAL, BUFFERED)))
    assert refused(await peer.send(body_message("request", chat("hi"), end=False))) == 400


async def test_a_body_that_is_shorter_than_declared_is_refused() -> None:
    peer = Peer()
    await peer.send(request_headers(content_length="999"))
    assert refused(await peer.send(body_message("request", chat("hi")))) == 400


async def test_a_body_that_goes_on_is_refused() -> None:
    peer = Peer()
    await passed_request(peer)
    assert refused(await peer.send(body_message("request", b"more"))) == 400


async def test_a_body_that_is_too_large_is_refused_before_it_is_whole() -> None:
    peer = Peer()
    await peer.send(request_headers((DUPLEX, BUFFERED)))
    half = b"x" * (MAX_BODY_BYTES // 2 + 1)
    assert not refused(await peer.send(body_message("request", half, end=False)))
    assert refused(await peer.send(body_message("request", half, end=False))) == 413


@pytest.mark.parametrize("mode", [STREAMED, DUPLEX])
async def test_trailers_before_the_end_of_a_body_are_refused(mode: BodyMode) -> None:
    peer = Peer()
    await peer.send(request_headers((mode, BUFFERED)))
    await peer.send(body_message("request", chat("hi"), end=False))
    assert refused(await peer.send(trailers_message("request"))) == 400


async def test_trailers_after_a_buffered_body_pass() -> None:
    peer = Peer()
    await peer.send(request_headers())
    answer = await peer.send(body_message("request", chat("hi"), end=False))
    assert not refused(answer)
    assert peer.port.asked  # the body is whole, although it is not the last message
    answer = await peer.send(trailers_message("request"))
    assert answer.WhichOneof("one") == "request_trailers"


# Answers


async def test_an_answer_passes_with_the_headers_of_its_decision() -> None:
    peer = Peer()
    await passed_request(peer)
    assert header_changes(await peer.send(response_headers()))[0]["x-decision"] == "d1"
    answer = await peer.send(body_message("response", completion("hello")))
    assert replaced(answer, "response") is None
    assert header_changes(answer)[0]["x-decision"] == "d2"
    asked = peer.port.asked[1]
    assert (asked.direction, asked.payload.format) == ("output", CHAT)
    metadata = dict(answer.dynamic_metadata)["pdp"]
    assert (metadata["decision_id"], metadata["response_decision_id"]) == ("d1", "d2")


async def test_a_redacted_answer_takes_the_place_of_the_body() -> None:
    peer = Peer()
    await passed_request(peer)
    body = completion(CARD)
    await peer.send(response_headers(content_length=str(len(body))))
    answer = await peer.send(body_message("response", body))
    assert replaced(answer, "response") == completion("[CARD]")
    assert header_changes(answer)[0]["content-length"] == str(len(completion("[CARD]")))


@pytest.mark.parametrize("mode", [BUFFERED, STREAMED, DUPLEX])
@pytest.mark.parametrize(("word", "status"), [("deny", 429), ("mask", 403), ("broken", 502)])
async def test_a_refused_answer_does_not_pass(mode: BodyMode, word: str, status: int) -> None:
    peer = Peer()
    await passed_request(peer, (BUFFERED, mode))
    await peer.send(response_headers())
    assert refused(await peer.send(body_message("response", completion(word)))) == status


@pytest.mark.parametrize(
    "message",
    [
        response_headers(content_encoding="br"),
        response_headers(status=101),
        response_headers(status="x"),
    ],
    ids=["compressed", "an upgrade", "no status"],
)
async def test_answers_that_cannot_be_judged_are_refused(message: Any) -> None:
    peer = Peer()
    await passed_request(peer)
    assert refused(await peer.send(message)) == 502


async def test_an_answer_without_a_body_passes() -> None:
    peer = Peer()
    await passed_request(peer)
    assert not refused(await peer.send(response_headers(status=204, end=True)))


@pytest.mark.parametrize(
    ("media_type", "format_"), [("application/json", "json"), ("text/plain; charset=utf-8", "text")]
)
async def test_an_answer_that_reports_a_failure_has_its_own_form(
    media_type: str, format_: str
) -> None:
    peer = Peer()
    await passed_request(peer)
    await peer.send(response_headers(media_type, 429))
    assert not refused(await peer.send(body_message("response", b'{"error": "slow down"}')))
    assert peer.port.asked[1].payload.format == format_


async def test_an_early_answer_is_judged_although_the_request_is_not() -> None:
    peer = Peer()
    await peer.send(request_headers((STREAMED, BUFFERED)))
    await peer.send(response_headers())
    assert refused(await peer.send(body_message("response", completion("deny")))) == 429


# Streams of events


EVENTS = b'data: {"choices": [{"index": 0, "delta": {"content": "caf\xc3\xa9"}}]}\n\n'


def events(text: str) -> bytes:
    """Returns a stream of one event with a text."""
    return EVENTS.replace(b"caf\xc3\xa9", text.encode())


async def stream_of(peer: Peer, raw: bytes, size: int) -> tuple[bytes, Any]:
    """Sends a stream in parts of a size; returns what passes, and the last answer."""
    passed, answer = b"", None
    for start in range(0, len(raw), size):
        answer = await peer.send(body_message("response", raw[start : start + size], end=False))
        if refused(answer):
            return passed, answer
        passed += streamed(answer, "response")[0]
    answer = await peer.send(body_message("response", b""))
    if not refused(answer):
        body, last = streamed(answer, "response")
        assert last
        passed += body
    return passed, answer


async def begin_stream(peer: Peer, mode: BodyMode = DUPLEX) -> None:
    """Sends a request that passes, and the headers of a streamed answer."""
    await passed_request(peer, (BUFFERED, mode))
    assert not refused(await peer.send(response_headers("Text/Event-Stream; charset=utf-8")))


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_stream_passes_as_it_is_released(size: int) -> None:
    """The parts are cut anywhere, within a character too."""
    peer = Peer()
    await begin_stream(peer)
    passed, answer = await stream_of(peer, EVENTS, size)
    assert passed == EVENTS
    asked = peer.port.asked[1]
    assert (asked.direction, asked.payload.format, asked.payload.body) == ("output", CHAT, "")
    assert dict(answer.dynamic_metadata)["pdp"]["response_decision_id"] == "d2"


async def test_a_redacted_stream_passes_in_place_of_the_upstreams() -> None:
    for mode in (BUFFERED, STREAMED):
        peer = Peer()
        await begin_stream(peer, mode)
        answer = await peer.send(body_message("response", events(CARD)))
        assert replaced(answer, "response") == events("[CARD]")


async def test_a_stream_with_redactions_goes_on() -> None:
    peer = Peer()
    await begin_stream(peer)
    passed, _ = await stream_of(peer, events(CARD), 50)
    assert passed == events("[CARD]")


async def test_a_part_that_is_too_large_for_a_chunk_is_judged_in_several() -> None:
    peer = Peer()
    await begin_stream(peer)
    raw = events("é" * 700_000)
    passed, _ = await stream_of(peer, raw, len(raw))
    assert passed == raw


async def test_a_stream_that_is_refused_ends_with_the_reason_and_then_with_a_reset() -> None:
    """Its headers have gone to the client, so that the status cannot say it any more."""
    peer = Peer()
    await begin_stream(peer)
    answer = await peer.send(body_message("response", events("deny"), end=False))
    body, last = streamed(answer, "response")
    assert not last
    assert json.loads(body.removeprefix(b"data: "))["error"]["decision_id"] == "d2"
    assert refused(await peer.send(body_message("response", b"", end=False))) == 429


async def test_a_stream_that_is_held_whole_is_refused_with_a_status() -> None:
    peer = Peer()
    await begin_stream(peer, BUFFERED)
    assert refused(await peer.send(body_message("response", events("deny")))) == 429


@pytest.mark.parametrize("mode", [BUFFERED, STREAMED, DUPLEX])
async def test_a_stream_that_is_not_text_does_not_pass(mode: BodyMode) -> None:
    peer = Peer()
    await begin_stream(peer, mode)
    assert refused(await peer.send(body_message("response", b"data: \xff\n\n"))) == 502


@pytest.mark.parametrize(
    ("configured", "media_type", "expected"),
    [
        (STREAMED, "application/json", BUFFERED),
        (STREAMED, "text/event-stream", BodyMode.NONE),
        (BUFFERED, "text/event-stream", BodyMode.NONE),
        (DUPLEX, "application/json", BodyMode.NONE),  # Envoy cannot go back to BUFFERED
    ],
)
async def test_what_is_no_stream_is_buffered_if_the_filter_allows_it(
    configured: BodyMode, media_type: str, expected: BodyMode
) -> None:
    peer = Peer(x_pdp_mode_override="allowed")
    await passed_request(peer, (BUFFERED, configured))
    answer = await peer.send(response_headers(media_type))
    assert answer.mode_override.response_body_mode == expected


async def test_part_of_an_answer_is_refused_if_the_filter_does_not_buffer_it() -> None:
    peer = Peer(x_pdp_mode_override="allowed")
    await passed_request(peer, (BUFFERED, STREAMED))
    await peer.send(response_headers())
    assert refused(await peer.send(body_message("response", completion("hi"), end=False))) == 502


async def test_the_mode_is_left_as_it_is_unless_the_filter_allows_it() -> None:
    peer = Peer()
    await passed_request(peer, (BUFFERED, STREAMED))
    answer = await peer.send(response_headers())
    assert not answer.HasField("mode_override")


# Bounds


async def test_the_streams_under_way_are_bounded() -> None:
    budget = Budget(max_bytes=100, max_exchanges=2)
    processing = Processing(Judge(cast("DecidePort", FakePort()), ()), budget)
    sessions = [Session() for _ in range(3)]
    answers = []
    for session in sessions:
        call = Call(foreign_method(PROCESS), {}, "grpc", session=session)
        answers.append(refused(await processing.process(call, request_headers())))
    assert answers == [403, 403, 429]  # there is no route; the third finds no room
    sessions[0].end()
    assert budget.exchanges == 1


async def test_what_all_streams_hold_is_bounded_and_given_back() -> None:
    budget = Budget(max_bytes=100)
    first, second = HeldBody(budget), HeldBody(budget)
    first.add(b"x" * 60)
    with pytest.raises(RateLimited, match="100 bytes"):
        second.add(b"x" * 60)
    assert first.release() == b"x" * 60
    second.add(b"x" * 60)
    assert budget.held == 60


SIDES = st.sampled_from(["request", "response"])
NOISE = st.one_of(
    st.builds(
        lambda modes, path, end: request_headers(modes, path, end=end),
        st.tuples(st.sampled_from(list(BodyMode)), st.sampled_from(list(BodyMode))),
        st.sampled_from(["/v1/chat/completions", "/open/x", "/followed", "/x"]),
        st.booleans(),
    ),
    st.builds(
        response_headers,
        st.sampled_from(["application/json", "text/event-stream", "image/png", ""]),
        st.sampled_from([101, 200, 204, 400, 500]),
    ),
    st.builds(
        lambda side, body, end: body_message(side, body, end=end),
        SIDES,
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([chat("hi"), chat("deny"), completion("x"), events("x")]),
        ),
        st.booleans(),
    ),
    st.builds(trailers_message, SIDES),
    st.just(ProcessingRequest()),
)


@given(messages=st.lists(NOISE, max_size=6))
async def test_nothing_passes_unjudged_whatever_comes(messages: list[Any]) -> None:
    """Messages in any order: each answer refuses, withholds, or follows a decision that allows."""
    peer = Peer()
    is_refused = False
    for message in messages:
        before = len(peer.port.asked)
        try:
            answer = await peer.send(message)
        except PdpError:
            return
        kind = answer.WhichOneof("one")
        if is_refused:
            assert kind == "immediate_response"
        is_refused = is_refused or kind == "immediate_response"
        sent = message.WhichOneof("one") or ""
        if not sent.endswith("_body") or kind == "immediate_response":
            continue
        side = sent.partition("_")[0]
        passes = replaced(answer, side) is None or bool(replaced(answer, side))
        passes = passes or bool(streamed(answer, side)[0])
        judged = len(peer.port.asked) > before
        has_open_route = not peer.port.asked[0].HasField("payload") if peer.port.asked else False
        has_no_answer_payload = peer.port.asked and peer.port.asked[0].payload.format == "json"
        assert judged or has_open_route or has_no_answer_payload or not passes
    peer.session.end()
