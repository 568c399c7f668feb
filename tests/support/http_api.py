"""The HTTP application for unit tests: without a socket, with the endpoints of a test."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pdp.transport.http.app import http_app
from pdp.transport.methods import methods
from pdp.transport.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.resources.abc import Traversable

    from google.protobuf.message import Message
    from starlette.types import ASGIApp

    from pdp.transport.call import Call

JSON = {"content-type": "application/json"}
LOOPBACK = {"host": "127.0.0.1:8080"}
POLICIES = "/api/v1/static-policies"


@dataclass
class Health:
    """The health checks that a test sets."""

    serving: bool = True

    def checks(self) -> Mapping[str, str]:
        return {"snapshot": "loaded"}


@dataclass
class Reply:
    """The response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """The status and code of an error."""
        return self.status, self.json["error"]["code"]


@dataclass
class Api:
    """The application, with endpoints that collect their calls.

    Attributes:
        responses: the response or error of each RPC by its name; an empty response by default.
        calls: the calls of all endpoints, with their messages.
        health: the state that `/readyz` shows.
        metrics: the metrics of the application.
        loopback_only: whether the application accepts only requests for a loopback name.
        console: the directory of the built console; None serves no console.
    """

    responses: dict[str, Message | Exception] = field(default_factory=dict)
    calls: list[tuple[Call, Message]] = field(default_factory=list)
    health: Health = field(default_factory=Health)
    metrics: Metrics = field(default_factory=Metrics)
    loopback_only: bool = True
    console: Traversable | None = None

    def app(self) -> ASGIApp:
        by_path = {method.path: method for method in methods()}

        async def endpoint(call: Call, message: Message) -> Message:
            self.calls.append((call, message))
            call.reply["x-request-id"] = "req-1"
            response = self.responses.get(call.method.name, call.method.response())
            if isinstance(response, Exception):
                raise response
            return response

        return http_app(
            by_path,
            dict.fromkeys(by_path, endpoint),
            self.metrics,
            self.health,
            loopback_only=self.loopback_only,
            console=self.console,
        )

    def request(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        more: Iterable[tuple[bytes, bytes]] = (),
    ) -> Reply:
        """Sends one request, with a loopback name as Host unless `headers` has another."""
        pairs = {**LOOPBACK, **(headers or {})}
        path, _, query = target.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode(),
            "headers": [*((k.encode(), v.encode("latin-1")) for k, v in pairs.items()), *more],
        }
        chunks = [body] if isinstance(body, bytes) else list(body)
        return asyncio.run(_run(self.app(), scope, chunks))

    def post(self, target: str, value: object, **headers: str) -> Reply:
        """Posts a value as JSON."""
        return self.request("POST", target, json.dumps(value).encode(), {**JSON, **headers})


async def _run(app: ASGIApp, scope: dict[str, Any], chunks: list[bytes]) -> Reply:
    chunk_messages = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]
    messages: list[Any] = []

    async def receive() -> Any:
        return chunk_messages.pop(0) if chunk_messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    if not messages:
        return Reply(0, {}, b"")
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return Reply(messages[0]["status"], headers, b"".join(each["body"] for each in messages[1:]))
