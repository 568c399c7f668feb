"""The ASGI middleware of the Python client, against a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pdp_client as pdp
import pytest
from pdp_client.integrations.asgi import PolicyMiddleware
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from tests.support.servers import Server

CARD: Final = "4111 1111 1111 1111"
ATTACK: Final = "1 UNION SELECT password FROM users"


async def echo(request: Request) -> Response:
    return JSONResponse({"got": await request.json()})


async def text(request: Request) -> Response:
    return PlainTextResponse(request.query_params["say"])


async def image(_request: Request) -> Response:
    return Response(b"\x89PNG", media_type="image/png")


async def lines(_request: Request) -> Response:
    return Response(json.dumps({"card": CARD}) + "\n", media_type="Application/X-NDJSON")


async def untyped(_request: Request) -> Response:
    return Response(f"a card {CARD}")


async def chat(request: Request) -> Response:
    body = await request.json()

    async def events() -> AsyncIterator[str]:
        for part in body["messages"][-1]["content"].split("|"):
            delta = {"choices": [{"index": 0, "delta": {"content": part}}]}
            yield f"data: {json.dumps(delta)}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@pytest.fixture
async def http(server: Server, tenant: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of an application behind the middleware."""
    routes = [
        Route("/echo", echo, methods=["POST"]),
        Route("/free", echo, methods=["POST"]),
        Route("/text", text),
        Route("/image", image),
        Route("/lines", lines),
        Route("/untyped", untyped),
        Route("/v1/chat/completions", chat, methods=["POST"]),
    ]
    async with pdp.AsyncClient(server.grpc_address, tenant=tenant, timeout=TIMEOUT_S) as client:
        app = PolicyMiddleware(
            Starlette(routes=routes),
            client,
            formats={"/v1/chat/completions": "openai.chat_completions"},
            skip=["/free"],
            context=lambda scope: {"subject": {"agent_id": scope["path"]}},
        )
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://app") as opened:
            yield opened


async def test_requests_are_redacted(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/echo", json={"card": CARD, "n": 2**60 + 1})
    assert answer.json() == {"got": {"card": "[REDACTED]", "n": 2**60 + 1}}


async def test_requests_are_stopped(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/echo", json={"q": ATTACK})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "STATIC_POLICY_BLOCK"
    assert "UNION" in answer.json()["error"]["message"]


async def test_responses_are_redacted_and_stopped(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/text", params={"say": f"a {CARD} b"})
    assert answer.text == "a [REDACTED] b"
    assert (await http.get("/text", params={"say": ""})).text == ""
    assert (await http.get("/text", params={"say": ATTACK})).status_code == 403
    assert (await http.get("/image")).content == b"\x89PNG"


async def test_what_cannot_be_judged_is_refused(http: httpx2.AsyncClient) -> None:
    for headers in ({"content-type": "image/png"}, {"content-encoding": "gzip"}):
        answer = await http.post("/echo", content=b"{}", headers=headers)
        assert answer.status_code == 415
    headers = {"content-type": "text/plain"}
    assert (await http.post("/echo", content=b"\xff", headers=headers)).status_code == 415
    large = b" " * (8 * 1024 * 1024 + 1)
    assert (await http.post("/echo", content=large)).status_code == 413
    answer = await http.post("/echo", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 503


@pytest.mark.parametrize("path", ["/lines", "/untyped"])
async def test_responses_of_other_types_are_judged_as_texts(
    http: httpx2.AsyncClient, path: str
) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200
    assert CARD not in answer.text
    assert "[REDACTED]" in answer.text


async def test_websockets_are_refused() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async with pdp.AsyncClient("127.0.0.1:9") as client:
        guarded = PolicyMiddleware(app, client, skip=["/free"])
        for path in ("/chat", "/free"):
            await guarded({"type": "websocket", "path": path, "headers": []}, receive, send)
    assert [each["type"] for each in sent] == ["websocket.close", "websocket.accept"]


async def test_paths_can_be_left_out(http: httpx2.AsyncClient) -> None:
    assert (await http.post("/free", json={"q": ATTACK})).json() == {"got": {"q": ATTACK}}


def said(answer: Any) -> str:
    lines = [line for line in answer.text.splitlines() if line.startswith("data: {")]
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in lines]
    return "".join(each.get("content", "") for each in deltas)


async def test_events_are_redacted(http: httpx2.AsyncClient) -> None:
    # The middleware judges the request too, so the card is complete only in the answer.
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "it is 4111 11|11 1111 |1111, ok"}],
    }
    answer = await http.post("/v1/chat/completions", json=body)
    assert said(answer) == "it is [REDACTED], ok"
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_events_end_if_they_are_stopped(http: httpx2.AsyncClient) -> None:
    content = "one. 1 UNION SEL|ECT password FROM users|three"
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    answer = await http.post("/v1/chat/completions", json=body)
    assert "three" not in said(answer)
    assert "ECT" not in said(answer)


async def test_without_a_server_nothing_passes() -> None:
    async with pdp.AsyncClient("127.0.0.1:1", timeout=0.5) as client:
        app = PolicyMiddleware(Starlette(routes=[Route("/text", text)]), client)
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://app") as http:
            answer = await http.get("/text", params={"say": "hi"})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "PDP_UNAVAILABLE"
