"""The MCP proxy over streamable HTTP, with real sockets on both sides."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.adapters.mcp.http_proxy import McpHttpProxy
from pdp.adapters.mcp.http_server import run_http
from pdp.adapters.mcp.judge import McpCaller
from pdp.adapters.mcp.upstream import Upstream
from tests.support import servers
from tests.support.mcp import MODERN_META, WordDecisions, exchange_of, tool
from tests.support.mcp_http_server import ScriptedServer, Visit, scripted_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

JSON_TYPE: Final = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
}
LEGACY: Final = {**JSON_TYPE, "mcp-protocol-version": "2025-11-25"}


class HttpClient:
    """A client of the proxy.

    Attributes:
        decisions: by which the proxy decides.
        server: the server behind it.
        url: of the proxy's endpoint.
        http: sends requests.
    """

    def __init__(
        self, decisions: WordDecisions, server: ScriptedServer, url: str, http: httpx2.AsyncClient
    ) -> None:
        self.decisions = decisions
        self.server = server
        self.url = url
        self.http = http

    async def post(
        self, message: Any, headers: Any = LEGACY, path: str = "/mcp"
    ) -> httpx2.Response:
        """Posts a message, or bytes."""
        body = message
        if not isinstance(body, bytes):
            body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        return await self.http.post(path, content=body, headers=headers)

    async def call(self, name: str, headers: Any = LEGACY, **arguments: Any) -> httpx2.Response:
        """Calls a tool."""
        params = {"name": name, "arguments": arguments}
        return await self.post({"id": 1, "method": "tools/call", "params": params}, headers)

    async def modern(self, method: str, params: Any, **headers: str) -> httpx2.Response:
        """Sends a request of version 2026-07-28, with its headers, which others replace."""
        own = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
        if name := params.get("name") or params.get("uri"):
            own["mcp-name"] = name
        given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        message = {"id": 1, "method": method, "params": {**params, "_meta": MODERN_META}}
        return await self.post(message, {**JSON_TYPE, **own, **given_headers})


def events_of(text: str) -> list[Any]:
    """Returns the messages of a stream."""
    lines = [line for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line != "data: "]


@asynccontextmanager
async def proxy(
    script: Callable[[Visit], Awaitable[None]],
    *,
    idle_s: float = 60.0,
    max_in_flight: int = 16,
    authorization: str = "",
    url: str = "",
) -> AsyncIterator[HttpClient]:
    """Runs the proxy in front of a server that answers by a script."""
    decisions, stop = WordDecisions(), asyncio.Event()
    announced: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with (
        scripted_server(script) as server,
        Upstream(url or server.url, idle_s=idle_s, authorization=authorization) as upstream,
    ):
        caller = McpCaller(tenant="acme", user="ada")
        app = McpHttpProxy(exchange_of(decisions), caller, upstream, max_in_flight)
        task = asyncio.create_task(run_http(app, "127.0.0.1:0", announced.set_result, stop))
        endpoint = await announced
        try:
            async with httpx2.AsyncClient(
                base_url=endpoint.removesuffix("/mcp"), timeout=servers.TIMEOUT_S, trust_env=False
            ) as http:
                yield HttpClient(decisions, server, endpoint, http)
        finally:
            stop.set()
            await task


async def echo(visit: Visit) -> None:
    """Answers a call with its arguments, a list with two tools, and what is no request with 202."""
    if visit.method != "POST" or "method" not in visit.message or "id" not in visit.message:
        await visit.respond(202 if visit.method == "POST" else 405)
    elif visit.message["method"] == "tools/list":
        tools = [tool("add", a={"type": "string", "x-mcp-header": "A"}), tool("forbidden")]
        await visit.result({"tools": tools, "ttlMs": 1, "cacheScope": "public"})
    else:
        text = json.dumps(visit.message["params"].get("arguments"))
        await visit.result({"content": [{"type": "text", "text": text}]})


class TestPost:
    """Messages of clients, and answers of servers in JSON."""

    async def test_a_call_and_its_result_are_judged(self) -> None:
        async with proxy(echo) as client:
            answer = await client.call("add", a="secret")
            (visit,) = client.server.visits
            assert visit.message["params"]["arguments"] == {"a": "[REDACTED]"}
            assert answer.status_code == 200
            assert "[REDACTED]" in answer.json()["result"]["content"][0]["text"]
            assert client.decisions.kinds == ["decide", "decide"]
            _, asked = client.decisions.requests[0]
            assert (asked.tenant_id, asked.subject.user_id) == ("acme", "ada")

    async def test_a_denied_call_does_not_reach_the_server(self) -> None:
        async with proxy(echo) as client:
            answer = await client.call("add", a="forbidden")
            assert (answer.status_code, answer.json()["error"]["code"]) == (200, -32001)
            assert answer.json()["error"]["data"]["decisionId"] == "d1"
            assert client.server.visits == []

    async def test_a_denied_result_does_not_reach_the_client(self) -> None:
        async def leak(visit: Visit) -> None:
            await visit.result({"content": [{"type": "text", "text": "forbidden"}]})

        async with proxy(leak) as client:
            answer = await client.call("add")
            assert answer.json()["error"]["code"] == -32001
            assert "forbidden" not in answer.text

    async def test_a_list_is_filtered(self) -> None:
        async with proxy(echo) as client:
            answer = await client.post({"id": 1, "method": "tools/list"})
            result = answer.json()["result"]
            assert [each["name"] for each in result["tools"]] == ["add"]
            assert result["cacheScope"] == "private"

    async def test_a_notification_has_no_answer(self) -> None:
        async with proxy(echo) as client:
            fine = await client.post({"method": "notifications/initialized"})
            assert (fine.status_code, fine.content) == (202, b"")
            denied = await client.post({"method": "notifications/x", "params": {"a": "forbidden"}})
            assert denied.status_code == 403
            assert client.server.methods == ["notifications/initialized"]

    async def test_the_answer_of_a_client_is_judged(self) -> None:
        async with proxy(echo) as client:
            answer = await client.post({"id": "s1", "result": {"content": "forbidden"}})
            assert answer.status_code == 202
            (visit,) = client.server.visits
            assert (visit.message["id"], visit.message["error"]["code"]) == ("s1", -32001)

    async def test_an_unknown_method_is_denied(self) -> None:
        """Version 2026-07-28 has a status for it."""
        async with proxy(echo) as client:
            older = await client.post({"id": 1, "method": "tools/wipe"})
            assert (older.status_code, older.json()["error"]["code"]) == (200, -32601)
            newer = await client.modern("tools/wipe", {})
            assert (newer.status_code, newer.json()["error"]["code"]) == (404, -32601)
            assert client.server.visits == []

    async def test_without_decisions_nothing_passes(self) -> None:
        async with proxy(echo) as client:
            client.decisions.reachable = False
            answer = await client.call("add")
            assert answer.json()["error"]["code"] == -32603
            assert client.server.visits == []

    async def test_the_session_of_the_protocol_is_that_of_decisions(self) -> None:
        async def open_session(visit: Visit) -> None:
            value = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}}
            await visit.respond(
                body=json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode(),
                mcp_session_id="abc-1",
            )

        async with proxy(open_session) as client:
            params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}
            first = await client.post({"id": 1, "method": "initialize", "params": params})
            assert first.headers["mcp-session-id"] == "abc-1"
            await client.call("add", {**LEGACY, "mcp-session-id": "abc-1"})
            assert client.server.visits[1].headers["mcp-session-id"] == "abc-1"
            sessions = [asked.session_id for _, asked in client.decisions.requests]
            assert sessions == ["", "", "abc-1", "abc-1"]

    async def test_the_server_gets_no_headers_that_are_not_for_it(self) -> None:
        async with proxy(echo) as client:
            headers = {"x-pdp-user": "root", "x-tenant-id": "other", "cookie": "a=b", "x-own": "1"}
            await client.call("add", {**LEGACY, "authorization": "Bearer t", **headers})
            (visit,) = client.server.visits
            assert not headers.keys() & visit.headers.keys()
            assert visit.headers["authorization"] == "Bearer t"
            assert visit.headers["mcp-protocol-version"] == "2025-11-25"
            assert visit.headers["accept-encoding"] == "identity"
            assert [asked.tenant_id for _, asked in client.decisions.requests] == ["acme"] * 2

    async def test_the_proxy_can_have_a_credential_for_the_server(self) -> None:
        async with proxy(echo, authorization="Bearer own") as client:
            await client.call("add", {**LEGACY, "authorization": "Bearer other"})
            assert client.server.visits[0].headers["authorization"] == "Bearer own"


class TestBadRequests:
    """What is refused before a decision."""

    @pytest.mark.parametrize(
        ("body", "headers", "status", "code"),
        [
            (b"", LEGACY, 400, -32700),
            (b"{", LEGACY, 400, -32700),
            (b"[]", LEGACY, 400, -32600),
            (b'{"jsonrpc":"2.0","id":7,"method":"ping","x":1}', LEGACY, 400, -32600),
            (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}', LEGACY, 400, -32602),
            (b"x" * 9_000_000, LEGACY, 413, -32600),
            (b"{}", {"content-type": "text/plain"}, 415, -32600),
            (b"{}", {}, 415, -32600),
            (b"{}", {**LEGACY, "content-encoding": "gzip"}, 415, -32600),
            (b"{}", {**LEGACY, "origin": "http://evil.example"}, 403, -32600),
            (b"{}", {**LEGACY, "host": "evil.example"}, 403, -32600),
            (
                b'{"jsonrpc":"2.0","id":7,"method":"ping"}',
                {**LEGACY, "mcp-protocol-version": "2031-01-01"},
                400,
                -32022,
            ),
        ],
    )
    async def test_what_is_not_understood_has_the_status_of_the_protocol(
        self, body: bytes, headers: Any, status: int, code: int
    ) -> None:
        async with proxy(echo) as client:
            answer = await client.post(body, headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert client.server.visits == []
            assert client.decisions.requests == []

    async def test_a_body_without_a_length_is_bounded(self) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x" * 100_000

        async with proxy(echo) as client:
            answer = await client.http.post("/mcp", content=chunks(), headers=LEGACY)
            assert answer.status_code == 413

    async def test_other_paths_and_verbs(self) -> None:
        async with proxy(echo) as client:
            assert (await client.post(b"{}", path="/")).status_code == 404
            assert (await client.post(b"{}", path="/mcp/x")).status_code == 404
            put = await client.http.put("/mcp", content=b"{}", headers=LEGACY)
            assert (put.status_code, put.headers["allow"]) == (405, "GET, POST, DELETE")

    async def test_a_header_that_stands_there_twice(self) -> None:
        async with proxy(echo) as client:
            for name in ("mcp-session-id", "authorization", "mcp-protocol-version"):
                headers = [*LEGACY.items(), (name, "a"), (name, "b")]
                answer = await client.post({"id": 1, "method": "ping"}, headers)
                assert answer.status_code == 400
            assert client.server.visits == []

    async def test_a_header_with_characters_that_headers_do_not_have(self) -> None:
        async with proxy(echo) as client:
            for name in ("mcp-session-id", "authorization", "last-event-id"):
                headers: Any = {**LEGACY, name: "größe".encode("latin-1")}
                assert (await client.post({"id": 1, "method": "ping"}, headers)).status_code == 400
                assert (await client.http.get("/mcp", headers=headers)).status_code == 400
            assert client.server.visits == []

    async def test_a_fault_of_the_proxy_lets_nothing_pass(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        async with proxy(echo) as client:

            async def fail(_request: object) -> None:
                raise RuntimeError("a card: 4111")

            monkeypatch.setattr(client.decisions, "decide", fail)
            answer = await client.call("add")
            assert (answer.status_code, answer.json()["error"]["code"]) == (500, -32603)
            assert client.server.visits == []
        assert "4111" not in "".join(capfd.readouterr())

    async def test_requests_in_progress_are_bounded(self) -> None:
        arrived, release = asyncio.Event(), asyncio.Event()

        async def slow(visit: Visit) -> None:
            arrived.set()
            await release.wait()
            await echo(visit)

        async with proxy(slow, max_in_flight=1) as client:
            first = asyncio.create_task(client.call("add"))
            await arrived.wait()
            assert (await client.call("add")).status_code == 503
            release.set()
            assert (await first).status_code == 200
            assert (await client.call("add")).status_code == 200


class TestHeaders:
    """The headers of version 2026-07-28."""

    async def test_a_request_whose_headers_fit_passes_with_them(self) -> None:
        async with proxy(echo) as client:
            answer = await client.modern("tools/call", {"name": "add", "arguments": {}})
            assert answer.status_code == 200
            (visit,) = client.server.visits
            assert visit.headers["mcp-method"] == "tools/call"
            assert visit.headers["mcp-name"] == "add"
            assert visit.headers["mcp-protocol-version"] == "2026-07-28"

    @pytest.mark.parametrize(
        "headers",
        [
            {"mcp_name": "harmless"},
            {"mcp_method": "tools/list"},
            {"mcp_protocol_version": "2025-11-25"},
            {"mcp_param_a": "other"},
        ],
    )
    async def test_the_body_counts_and_headers_that_differ_are_refused(self, headers: Any) -> None:
        async with proxy(echo) as client:
            params = {"name": "add", "arguments": {"a": "x"}}
            answer = await client.modern("tools/call", params, **headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)
            assert answer.json()["id"] == 1
            assert client.server.visits == []
            assert client.decisions.requests == []

    async def test_headers_of_parameters_are_those_of_the_redacted_arguments(self) -> None:
        """The proxy knows the parameters with headers from the list of tools."""
        async with proxy(echo) as client:
            await client.modern("tools/list", {})
            params = {"name": "add", "arguments": {"a": "secret"}}
            answer = await client.modern("tools/call", params, mcp_param_a="secret")
            assert answer.status_code == 200, answer.text
            visit = client.server.visits[1]
            assert visit.message["params"]["arguments"] == {"a": "[REDACTED]"}
            assert visit.headers["mcp-param-a"] == "[REDACTED]"
            missing = await client.modern("tools/call", params)
            assert missing.json()["error"]["code"] == -32020


def message_event(**members: Any) -> bytes:
    """Returns an event with a message."""
    return f"data: {json.dumps({'jsonrpc': '2.0', **members})}\n\n".encode()


DONE: Final = message_event(id=1, result={"content": [{"type": "text", "text": "done"}]})


class TestStreams:
    """Streams of events."""

    async def test_every_message_of_a_stream_is_judged_in_order(self) -> None:
        async def stream(visit: Visit) -> None:
            progress = {"progressToken": 1, "progress": 1}
            await visit.stream(
                b": hello\n\n",
                message_event(method="notifications/progress", params=progress),
                message_event(method="notifications/message", params={"data": "a secret"}),
                message_event(method="notifications/message", params={"data": "forbidden"}),
                message_event(id=1, result={"content": [{"type": "text", "text": "a secret"}]}),
            )

        async with proxy(stream) as client:
            answer = await client.call("add")
            assert answer.headers["content-type"] == "text/event-stream"
            progress, note, result = events_of(answer.text)
            assert progress["method"] == "notifications/progress"
            assert note["params"]["data"] == "a [REDACTED]"
            assert result["result"]["content"][0]["text"] == "a [REDACTED]"
            assert answer.text.startswith(":\n\n")

    async def test_events_arrive_as_they_are_sent(self) -> None:
        release = asyncio.Event()

        async def stream(visit: Visit) -> None:
            await visit.stream(message_event(method="notifications/x"), end=False)
            await release.wait()
            visit.writer.write(DONE)
            visit.writer.close()

        async with (
            proxy(stream) as client,
            client.http.stream(
                "POST",
                "/mcp",
                content=b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}',
                headers=LEGACY,
            ) as answer,
        ):
            lines = answer.aiter_lines()
            assert await anext(lines) == "event: message"
            assert "notifications/x" in await anext(lines)
            release.set()
            assert "done" in "".join([line async for line in lines])

    @pytest.mark.parametrize(
        "events",
        [
            [],
            [message_event(method="notifications/x")],
            [message_event(id=2, result={"content": []})],
            [b"data: no json\n\n", DONE],
            [b"data: [" + DONE[6:-2] + b"]\n\n"],
            [b"data: \xff\n\n", DONE],
            [b"data: " + b"x" * 9_000_000 + b"\n\n", DONE],
            [DONE[:-2]],
        ],
    )
    async def test_a_stream_without_an_answer_ends_with_an_error(self, events: list[bytes]) -> None:
        async def stream(visit: Visit) -> None:
            await visit.stream(*events)

        async with proxy(stream) as client:
            answer = await client.call("add")
            *_, last = events_of(answer.text)
            assert (last["id"], last["error"]["code"]) == (1, -32603)
            assert "done" not in answer.text

    async def test_only_one_answer_passes(self) -> None:
        async def stream(visit: Visit) -> None:
            await visit.stream(DONE, DONE)

        async with proxy(stream) as client:
            assert len(events_of((await client.call("add")).text)) == 1

    async def test_a_stream_that_can_be_resumed_ends_as_the_server_ends_it(self) -> None:
        """The client asks for the rest, and gets it judged."""

        async def stream(visit: Visit) -> None:
            if visit.method == "POST":
                await visit.stream(b"id: 7\nretry: 10\ndata:\n\n")
            else:
                await visit.stream(b"id: 8\n" + message_event(id=1, result={"content": "a secret"}))

        async with proxy(stream) as client:
            first = await client.call("add")
            assert events_of(first.text) == []
            assert "id: 7\nretry: 10\n" in first.text
            headers = {"accept": "text/event-stream", "last-event-id": "7"}
            second = await client.http.get("/mcp", headers={**LEGACY, **headers})
            (rest,) = events_of(second.text)
            assert rest["result"]["content"] == "a [REDACTED]"
            assert client.server.visits[1].headers["last-event-id"] == "7"

    async def test_requests_of_the_server_are_judged(self) -> None:
        async def stream(visit: Visit) -> None:
            if "method" not in visit.message:
                await visit.respond(202)
                return
            await visit.stream(
                message_event(id="s1", method="sampling/createMessage", params={"a": "fine"}),
                message_event(id="s2", method="sampling/createMessage", params={"a": "forbidden"}),
                DONE,
            )

        async with proxy(stream) as client:
            headers = {**LEGACY, "mcp-session-id": "abc"}
            sampling, done = events_of((await client.call("add", headers)).text)
            assert (sampling["id"], done["id"]) == ("s1", 1)
            refused = client.server.visits[1]
            assert (refused.message["id"], refused.message["error"]["code"]) == ("s2", -32001)
            assert refused.headers["mcp-session-id"] == "abc"

    async def test_a_server_of_the_new_version_sends_no_requests(self) -> None:
        async def stream(visit: Visit) -> None:
            await visit.stream(
                message_event(id="s1", method="sampling/createMessage", params={}), DONE
            )

        async with proxy(stream) as client:
            answer = await client.modern("tools/call", {"name": "add", "arguments": {}})
            assert [each["id"] for each in events_of(answer.text)] == [1]

    async def test_a_client_that_goes_cancels_its_request(self) -> None:
        gone = asyncio.Event()

        async def stream(visit: Visit) -> None:
            await visit.stream(message_event(method="notifications/x"), end=False)
            await visit.reader.read()  # until the proxy closes the connection
            gone.set()

        async with proxy(stream) as client:
            body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}'
            async with client.http.stream("POST", "/mcp", content=body, headers=LEGACY) as answer:
                await anext(answer.aiter_lines())
            await asyncio.wait_for(gone.wait(), servers.TIMEOUT_S)

    async def test_a_server_that_sends_nothing_for_too_long(self) -> None:
        async def silent(visit: Visit) -> None:
            await visit.stream(end=False)

        async with proxy(silent, idle_s=0.05) as client:
            (error,) = events_of((await client.call("add")).text)
            assert "nothing for too long" in error["error"]["message"]


class TestServers:
    """What servers answer that is no message."""

    @pytest.mark.parametrize(
        ("status", "body", "kind", "expected"),
        [
            (200, b"<html>secret</html>", "text/html", 502),
            (200, b"no json", "application/json", 502),
            (200, b"[]", "application/json", 502),
            (200, b'{"jsonrpc":"2.0","id":2,"result":{}}', "application/json", 502),
            (200, b'{"jsonrpc":"2.0","id":1,"method":"ping"}', "application/json", 502),
            (200, b'{"jsonrpc":"2.0","error":{"code":1,"message":""}}', "application/json", 502),
            (202, b"", "application/json", 502),
            (204, b"", "application/json", 502),
            (302, b"", "text/html", 502),
            (401, b"secret", "text/plain", 401),
            (404, b"", "text/plain", 404),
            (500, b'{"secret": 1}', "application/json", 500),
        ],
    )
    async def test_a_body_that_is_no_answer_is_left_out(
        self, status: int, body: bytes, kind: str, expected: int
    ) -> None:
        async def script(visit: Visit) -> None:
            headers = {"www_authenticate": "Bearer", "location": "http://127.0.0.1:1/"}
            await visit.respond(status, body if status != 204 else b"", kind, **headers)

        async with proxy(script) as client:
            answer = await client.call("add")
            assert (answer.status_code, answer.json()["error"]["code"]) == (expected, -32603)
            assert answer.json()["id"] == 1
            assert "secret" not in answer.text
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "location" not in answer.headers

    async def test_an_error_with_its_status_passes_if_it_may(self) -> None:
        """A client of two generations finds out by it what the server speaks."""

        async def script(visit: Visit) -> None:
            error = {"code": -32022, "message": "a secret", "data": {"supported": []}}
            document = {"jsonrpc": "2.0", "id": visit.message["id"], "error": error}
            await visit.respond(400, json.dumps(document).encode())

        async with proxy(script) as client:
            answer = await client.call("add")
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32022)
            assert answer.json()["error"]["message"] == "a [REDACTED]"

    async def test_a_compressed_answer_is_refused(self) -> None:
        async def script(visit: Visit) -> None:
            await visit.respond(body=b"\x1f\x8b", content_encoding="gzip")

        async with proxy(script) as client:
            answer = await client.call("add")
            assert answer.status_code == 502
            assert "compressed" in answer.json()["error"]["message"]

    async def test_an_answer_that_is_too_large_is_refused(self) -> None:
        async def script(visit: Visit) -> None:
            await visit.result({"content": "x" * 9_000_000})

        async with proxy(script) as client:
            answer = await client.call("add")
            assert answer.status_code == 502
            assert "larger" in answer.json()["error"]["message"]

    async def test_a_server_that_cannot_be_reached(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        async with proxy(echo, url=f"http://127.0.0.1:{port}/mcp") as client:
            answer = await client.call("add")
            assert (answer.status_code, answer.json()["id"]) == (502, 1)

    async def test_a_connection_that_breaks(self) -> None:
        async def script(visit: Visit) -> None:
            visit.writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n")
            visit.writer.write(b"content-type: application/json\r\n\r\n{")
            visit.writer.close()

        async with proxy(script) as client:
            assert (await client.call("add")).status_code == 502

    @pytest.mark.parametrize("verb", ["GET", "DELETE"])
    async def test_what_a_server_does_not_have_has_its_status(self, verb: str) -> None:
        async with proxy(echo) as client:
            answer = await client.http.request(verb, "/mcp", headers=LEGACY)
            assert (answer.status_code, answer.content) == (405, b"")

    async def test_a_session_is_ended(self) -> None:
        async def script(visit: Visit) -> None:
            await visit.respond(200)

        async with proxy(script) as client:
            headers = {**LEGACY, "mcp-session-id": "abc"}
            assert (await client.http.delete("/mcp", headers=headers)).status_code == 200
            (visit,) = client.server.visits
            assert (visit.method, visit.headers["mcp-session-id"]) == ("DELETE", "abc")

    async def test_messages_of_a_server_on_a_stream_of_their_own(self) -> None:
        async def script(visit: Visit) -> None:
            await visit.stream(
                message_event(method="notifications/message", params={"data": "forbidden"}),
                message_event(method="notifications/tools/list_changed"),
                message_event(id=1, result={"tools": [tool("add"), tool("forbidden")]}),
            )

        async with proxy(script) as client:
            headers = {**LEGACY, "accept": "text/event-stream"}
            changed, listed = events_of((await client.http.get("/mcp", headers=headers)).text)
            assert changed["method"] == "notifications/tools/list_changed"
            assert [each["name"] for each in listed["result"]["tools"]] == ["add"]


PIECES = st.sampled_from(
    [
        DONE,
        message_event(method="notifications/message", params={"data": "forbidden"}),
        message_event(id=1, result={"content": "forbidden"}),
        message_event(id=1, result={"tools": [tool("forbidden")]}),
        b"data: forbidden\n\n",
        b"event: other\ndata: forbidden\n\n",
        b"id: forbidden\n\n"[:4] + b"7\n\n",
        b": forbidden\n\n",
        b"retry: forbidden\n\n",
        b"\r\n\xff",
    ]
)


async def test_whatever_a_server_streams_nothing_denied_passes() -> None:
    pieces: list[bytes] = []

    async def script(visit: Visit) -> None:
        await visit.stream(*pieces)

    async with proxy(script) as client:
        loop = asyncio.get_running_loop()

        @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(PIECES | st.binary(max_size=8), max_size=4))
        def check(given_pieces: list[bytes]) -> None:
            pieces[:] = given_pieces
            answer = asyncio.run_coroutine_threadsafe(client.call("add"), loop).result(
                servers.TIMEOUT_S
            )
            assert "forbidden" not in answer.text
            answers = [each for each in events_of(answer.text) if each.get("id") == 1]
            assert len(answers) == 1 or b"id: " in b"".join(pieces)

        await asyncio.to_thread(check)


def test_the_command_listens_and_ends_by_a_signal(tmp_path: Path) -> None:
    """It announces its URL, and answers while the server behind it does not."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    database = ("--embedded", "--database-url", f"sqlite:///{tmp_path / 'pdp.db'}")
    upstream = ("--upstream", f"http://127.0.0.1:{port}/mcp", "--listen", "127.0.0.1:0")
    with subprocess.Popen(
        (*servers.COMMAND, "mcp-proxy", *database, *upstream),
        stderr=subprocess.PIPE,
        env=servers.environment(PDP_DATA_DIR=str(tmp_path)),
        cwd=tmp_path,
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        url = line.removeprefix("pdp: the MCP proxy listens on ").strip()
        arguments = {"text": "x'; DROP TABLE users; --"}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        with servers.http_client(url.removesuffix("/mcp")) as http:
            denied = http.post(
                "/mcp",
                json={**body, "params": {"name": "run", "arguments": arguments}},
                headers=LEGACY,
            )
            passed = http.post("/mcp", json={**body, "params": {"name": "run"}}, headers=LEGACY)
        assert denied.json()["error"]["code"] == -32001
        assert passed.status_code == 502
        process.send_signal(signal.SIGTERM)
        assert process.wait(servers.TIMEOUT_S) == 0
