"""Envoy's contracts on a real server, on each gRPC front: access, decisions, and broken streams."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp.adapters.envoy.contract import BodyMode
from pdp.client.remote import failure
from pdp.domain.access import ROLES
from tests.support import servers
from tests.support.adapter_calls import CHECK, PROCESS, check, process
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.envoy import (
    CARD,
    body_message,
    check_of,
    refused,
    replaced,
    request_headers,
    response_headers,
    streamed,
)
from tests.support.grpc_fronts import FRONTS
from tests.support.rest.packs import CHAINS, ok_json, pack, rule
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PEP_ROLES: Final = {"pep", "editor", "admin", "follower"}
WHOLE: Final = (BodyMode.BUFFERED, BodyMode.BUFFERED)
DUPLEX: Final = (BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED)
UNION: Final = "SELECT name FROM users WHERE id = 1 UNION SELECT password FROM users"
MAPPING: Final = """
version: 1
routes:
  - name: own
    match: {path: /own}
    request_payload: openai.chat_completions
    response_payload: openai.chat_completions
    refusal: openai
    context: {tenant: {value: own}}
  - name: other
    match: {path: /other}
    request_payload: openai.chat_completions
    response_payload: openai.chat_completions
    context: {tenant: {value: other}}
  - name: unnamed
    match: {path: /unnamed}
    request_payload: openai.chat_completions
    response_payload: openai.chat_completions
  - name: anthropic
    match: {path: /v1/messages}
    request_payload: anthropic.messages
    response_payload: anthropic.messages
    refusal: anthropic
    context: {tenant: {value: own}}
"""


def chat(text: str) -> bytes:
    """Returns a chat request."""
    return json.dumps({"messages": [{"role": "user", "content": text}]}).encode()


@pytest.fixture(scope="module")
def mapping(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the mapping file."""
    path = tmp_path_factory.mktemp("mapping") / "adapters.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module", params=FRONTS)
def channel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mapping: str
) -> Iterator[grpc.Channel]:
    """A channel to a server with each gRPC front."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = {"PDP_GRPC_SERVER": request.param, "PDP_ADAPTERS_FILE": mapping}
    with (
        servers.start(folder, **settings) as server,
        grpc.insecure_channel(server.grpc_address) as opened,
    ):
        yield opened


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, mapping: str
) -> Iterator[tuple[AuthenticatedServer, grpc.Channel]]:
    """A server that requires credentials, and a channel to it."""
    folder = tmp_path_factory.mktemp("secured")
    with (
        authenticated_server(folder, PDP_ADAPTERS_FILE=mapping) as server,
        grpc.insecure_channel(server.server.grpc_address) as opened,
    ):
        yield server, opened


def test_check_allows_and_denies(channel: grpc.Channel) -> None:
    assert check(channel, check_of(chat("hi"), path="/own")).status.code == 0
    for text in (CARD, UNION):
        answer = check(channel, check_of(chat(text), path="/own"))
        assert answer.denied_response.status.code == 403
        assert json.loads(answer.denied_response.body)["error"]["decision_id"]


def test_process_redacts_both_ways(channel: grpc.Channel) -> None:
    completion = {"choices": [{"index": 0, "message": {"role": "assistant", "content": CARD}}]}
    _, request, _, response = process(
        channel,
        [
            request_headers(WHOLE, "/own"),
            body_message("request", chat(CARD)),
            response_headers(),
            body_message("response", json.dumps(completion).encode()),
        ],
    )
    assert replaced(request, "request") == chat("[REDACTED]")
    assert replaced(response, "response") == json.dumps(completion).encode().replace(
        CARD.encode(), b"[REDACTED]"
    )


def test_process_stops_what_is_stopped(channel: grpc.Channel) -> None:
    messages = [request_headers(WHOLE, "/own"), body_message("request", chat(UNION))]
    assert refused(process(channel, messages)[1]) == 403


OUTCOMES: Final[list[tuple[dict[str, Any], str, int]]] = [
    ({"type": "PROMPT", "prompt_message": "Sure?"}, "", 403),
    ({"type": "CANCEL", "message": "Stop."}, "", 403),
    ({"type": "ROUTE_TO", "route_to_model": "claude-sonnet-4"}, "", 403),
    ({"type": "ROUTE_TO", "route_to_model": "claude-sonnet-4"}, "ROUTE_TO", 0),
    ({"type": "ALLOW_WITH_OVERRIDE", "override_message": "Mind."}, "", 0),
]


@pytest.mark.parametrize(("action", "supported", "status"), OUTCOMES)
def test_outcomes_of_chains(
    tmp_path_factory: pytest.TempPathFactory,
    mapping: str,
    action: dict[str, Any],
    supported: str,
    status: int,
) -> None:
    body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}'
    folder = tmp_path_factory.mktemp("outcomes")
    with (
        servers.start(folder, PDP_ADAPTERS_FILE=mapping) as server,
        server.client("own") as client,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        pack_id = pack(client)["id"]
        rule(client, pack_id, "R", sequence=1, conditions={"models": ["gpt-4o"]}, action=action)
        ok_json(client.put(f"{CHAINS}/org", json={"packs": [{"id": pack_id}]}))
        messages = [request_headers(WHOLE, "/own"), body_message("request", body)]
        answer = process(channel, messages, x_pdp_supported_obligations=supported)[1]
        assert refused(answer) == status
        changed = body.replace(b"gpt-4o", b"claude-sonnet-4") if supported else None
        assert status or replaced(answer, "request") == changed


def stream(channel: grpc.Channel, parts: Sequence[bytes], path: str, body: bytes) -> list[Any]:
    """Sends a request that passes, and the parts of a streamed answer; returns their answers."""
    messages = [
        request_headers(DUPLEX, path),
        body_message("request", body),
        response_headers("text/event-stream"),
        *(body_message("response", part, end=False) for part in parts),
        body_message("response", b""),
    ]
    return process(channel, messages)[3:]


def released(answers: Sequence[Any]) -> bytes:
    return b"".join(streamed(each, "response")[0] for each in answers if not refused(each))


BROKEN: Final = {
    "not JSON": b"data: {\n\n",
    "not UTF-8": b"data: \xff\n\n",
    "keys twice": b'data: {"choices":[],"choices":[]}\n\n',
    "a call that does not end": (
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":'
        b'"function","function":{"name":"run_sql","arguments":"{\\"q\\": \\"S"}}]}}]}\n\n'
    ),
    "bytes": bytes(range(256)),
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_streams_that_are_not_understood_do_not_pass(channel: grpc.Channel, raw: bytes) -> None:
    answers = stream(channel, [raw], "/own", chat("hi"))
    passed = released(answers)
    assert raw not in passed
    assert any(map(refused, answers)) or b'"error"' in passed


def test_a_value_over_several_events_of_anthropic_is_redacted(channel: grpc.Channel) -> None:
    def event(kind: str, **members: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()

    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "c"}
    parts = [
        event("message_start", message=message),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
            for text in ("card ", CARD[:6], CARD[6:], " ok")
        ),
        event("content_block_stop", index=0),
        event("message_stop"),
    ]
    body = json.dumps(
        {"model": "c", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    )
    answers = stream(channel, parts, "/v1/messages", body.encode())
    passed = released(answers).decode()
    assert not any(map(refused, answers))
    assert "[REDACTED]" in passed
    assert CARD[:6] not in passed
    assert passed.rstrip().endswith('"type": "message_stop"}')


@pytest.mark.parametrize("raw", [b"\xff\xff", b"\x0a\x05ab"], ids=["noise", "cut"])
def test_messages_that_cannot_be_parsed_are_refused(channel: grpc.Channel, raw: bytes) -> None:
    for path, rpc in ((CHECK, channel.unary_unary), (PROCESS, channel.stream_stream)):
        call: Any = rpc(path)
        with pytest.raises(grpc.RpcError) as error:
            list(call(iter([raw]), timeout=TIMEOUT_S)) if path == PROCESS else call(raw, TIMEOUT_S)
        assert failure(error.value, "").code == "MALFORMED_REQUEST"


# Access


def test_the_credential_comes_before_the_message(
    secured: tuple[AuthenticatedServer, grpc.Channel],
) -> None:
    _, channel = secured
    for path, rpc in ((CHECK, channel.unary_unary), (PROCESS, channel.stream_stream)):
        call: Any = rpc(path)
        with pytest.raises(grpc.RpcError) as error:
            list(call(iter([b"\xff"]), timeout=TIMEOUT_S)) if path == PROCESS else call(b"\xff")
        assert failure(error.value, "").code == "UNAUTHENTICATED"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("bound_to", ["own", "*"])
@pytest.mark.parametrize("path", ["/own", "/other", "/unnamed"])
def test_role_and_tenant_are_checked(
    secured: tuple[AuthenticatedServer, grpc.Channel], role: str, bound_to: str, path: str
) -> None:
    server, channel = secured
    key = server.key(role, bound_to)
    messages = [request_headers(WHOLE, path), body_message("request", chat("hi"))]
    if role not in PEP_ROLES:
        for call in (
            lambda: check(channel, check_of(chat("hi"), path=path), x_api_key=key),
            lambda: process(channel, messages, x_api_key=key),
        ):
            with pytest.raises(grpc.RpcError) as error:
                call()
            assert failure(error.value, "").code == "ACCESS_DENIED"
        return
    checked = check(channel, check_of(chat("hi"), path=path), x_api_key=key)
    processed = process(channel, messages, x_api_key=key)[1]
    # The mapping names a tenant that may not be the credential's, or leaves it to the credential.
    expected = 403 if path == "/other" and bound_to == "own" else 0
    assert checked.denied_response.status.code == expected
    assert refused(processed) == expected


def test_a_tenant_in_the_metadata_counts_if_the_mapping_names_none(
    secured: tuple[AuthenticatedServer, grpc.Channel],
) -> None:
    server, channel = secured
    key = server.key("pep", "*")
    request = check_of(chat("hi"), path="/unnamed")
    assert check(channel, request, x_api_key=key, x_tenant_id="own").status.code == 0
    request = check_of(chat("hi"), path="/own")
    answer = check(channel, request, x_api_key=key, x_tenant_id="other")
    assert answer.denied_response.status.code == 403


def test_without_routes_nothing_is_served(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        servers.start(tmp_path_factory.mktemp("bare")) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
        pytest.raises(grpc.RpcError) as error,
    ):
        check(channel, check_of(chat("hi")))
    failed: Any = error.value
    assert failed.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_fault_of_the_engine_is_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, mapping: str
) -> None:
    folder = tmp_path_factory.mktemp("fault")
    with (
        servers.start(folder, patch="layer:dlp", PDP_ADAPTERS_FILE=mapping) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        answer = check(channel, check_of(chat("hi"), path="/own"))
        assert answer.denied_response.status.code >= 400
        messages = [request_headers(WHOLE, "/own"), body_message("request", chat("hi"))]
        assert refused(process(channel, messages)[1]) >= 400
