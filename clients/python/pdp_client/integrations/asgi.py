"""ASGI middleware: judges the bodies of requests and of responses.

app.add_middleware(PolicyMiddleware, client=pdp.AsyncClient())
"""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any, Final

from pdp_client._gen.pdp.v1 import decide_pb2 as pb
from pdp_client.enforcement import Held, NotPermitted
from pdp_client.failures import CallFailed
from pdp_client.judging import judge_async
from pdp_client.requests import RequestLike, request_of
from pdp_client.telemetry import use_traceparent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping

    from pdp_client.async_client import AsyncClient
    from pdp_client.async_streams import AsyncTextStream

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
    Context = Callable[[MutableMapping[str, Any]], RequestLike]

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""The largest body that is judged; the server takes no larger one."""

_FORBIDDEN: Final = 403
_TOO_LARGE: Final = 413
_UNSUPPORTED: Final = 415
_UNAVAILABLE: Final = 503
_ERRORS: Final = range(400, 600)
_POLICY_VIOLATION: Final = 1008
"""The code that closes a WebSocket; before it is accepted, the answer is 403."""

_BINARY: Final = (
    *("image/", "audio/", "video/", "font/"),
    *("application/octet-stream", "application/pdf", "application/zip", "application/gzip"),
)
"""The beginnings of the types of responses that have no text to judge."""


class PolicyMiddleware:
    """Judges the bodies of HTTP requests before the application, and of its responses.

    A request that is stopped, or must wait for a person, is answered with an error in JSON. Bodies
    are redacted as the decision says. Bodies of requests must be JSON or text, else the answer is
    415. Responses that are images, audio, video, fonts or archives pass; all others are judged.
    WebSockets are refused. `skip` lets paths pass that are not to be judged.
    """

    def __init__(
        self,
        app: App,
        client: AsyncClient,
        *,
        formats: Mapping[str, str] | None = None,
        skip: Collection[str] = (),
        context: Context | None = None,
        check_responses: bool = True,
    ) -> None:
        """Stores how to judge.

        Args:
            app: the application.
            client: asks for decisions.
            formats: the format of the payloads of each path, for instance
                `{"/v1/chat/completions": "openai.chat_completions"}`. Other bodies are `json` or
                `text`, by their content type.
            skip: the paths that are not judged, for instance of health checks.
            context: returns what is known of a request, for instance its subject, by its scope.
            check_responses: whether to judge responses, too.
        """
        self._app = app
        self._client = client
        self._formats = formats or {}
        self._skip = frozenset(skip)
        self._context = context
        self._check_responses = check_responses

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serves a connection."""
        if scope["type"] == "lifespan" or scope["path"] in self._skip:
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        with use_traceparent(_header(scope["headers"], b"traceparent")):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        responder = _Responder(self, scope, send)
        try:
            body = await _body(receive)
            if body is None:
                return  # the caller is gone
            if body:
                permitted = await self.judged(body, self.format_of(scope, scope["headers"]), scope)
                scope = {**scope, "headers": _with_length(scope["headers"], len(permitted))}
                body = permitted
            on_send = responder.send if self._check_responses else send
            await self._app(scope, _replay(body, receive), on_send)
        except (NotPermitted, CallFailed, _Refused) as error:
            await responder.refuse(error)
        finally:
            await responder.close()

    def format_of(
        self, scope: MutableMapping[str, Any], headers: Any, *, is_response: bool = False
    ) -> str:
        """Returns the format of a body by its path and headers.

        A response of another type is judged as a text; a request of another type is not read as
        one by the application.

        Raises:
            _Refused: it cannot be judged.
        """
        if _header(headers, b"content-encoding") not in {"", "identity"}:
            raise _Refused(_UNSUPPORTED, "UNSUPPORTED_ENCODING", "The body is compressed.")
        kind = _header(headers, b"content-type").partition(";")[0].strip().lower()
        if scope["path"] in self._formats:
            return self._formats[scope["path"]]
        if kind == "application/json" or kind.endswith("+json"):
            return "json"
        if kind.startswith("text/") or is_response:
            return "text"
        raise _Refused(_UNSUPPORTED, "UNSUPPORTED_TYPE", "The body is neither JSON nor text.")

    async def judged(
        self, body: bytes, format_: str, scope: MutableMapping[str, Any], direction: str = ""
    ) -> bytes:
        """Returns what may go out of a body.

        Raises:
            NotPermitted: the body is stopped, or must wait for a person.
            CallFailed: the server refused it.
            _Refused: it is not UTF-8.
        """
        request = self.request(scope)
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise _Refused(_UNSUPPORTED, "UNSUPPORTED_ENCODING", "It is not UTF-8.") from None
        request.payload.CopyFrom(pb.Payload(format=format_, body=text))
        request.direction = direction
        judged = await judge_async(self._client, request)
        return judged.permit.payload.encode()

    async def stream(self, scope: MutableMapping[str, Any]) -> AsyncTextStream:
        """Starts to judge a response of server-sent events."""
        request = self.request(scope)
        # Without a format, the events are looked at.
        request.payload.CopyFrom(pb.Payload(format=self._formats.get(scope["path"], "")))
        return await self._client.stream(request)

    def request(self, scope: MutableMapping[str, Any]) -> pb.DecideRequest:
        """Returns a request with what is known of an HTTP request."""
        return request_of(self._context(scope) if self._context else {})


class _Refused(Exception):
    """A body cannot be judged."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class _Responder:
    """Sends the response of an application after it was judged."""

    def __init__(
        self, middleware: PolicyMiddleware, scope: MutableMapping[str, Any], send: Send
    ) -> None:
        self._middleware = middleware
        self._scope = scope
        self._send = send
        self._start: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._stream: AsyncTextStream | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._passes = False
        self._started = False
        self._ended = False

    async def send(self, message: Message) -> None:
        """Takes a message of the application. After a refusal, it drops them."""
        if self._ended:
            return
        try:
            await self._take(message)
        except (NotPermitted, CallFailed, _Refused) as error:
            await self.refuse(error)  # the application does not learn of it

    async def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] != "http.response.body" or self._passes:
            await self._send(message)
        elif self._stream is not None:
            await self._send_event(self._stream, message)
        else:
            await self._collect(message)

    async def _begin(self, message: Message) -> None:
        kind = _header(message.get("headers", ()), b"content-type").partition(";")[0]
        kind = kind.strip().lower()
        self._start = message
        if kind == "text/event-stream":
            self._stream = await self._middleware.stream(self._scope)
            await self._send_start(None)
        elif kind.startswith(_BINARY):
            self._passes = True
            await self._send_start(None)

    async def _send_start(self, length: int | None) -> None:
        assert self._start is not None  # noqa: S101 - an application starts its response first
        headers = list(self._start.get("headers", ()))
        if length is not None:
            headers = _with_length(headers, length)
        elif self._stream is not None:
            headers = [each for each in headers if each[0].lower() != b"content-length"]
        self._started = True
        await self._send({**self._start, "headers": headers})

    async def _collect(self, message: Message) -> None:
        part = message.get("body", b"")
        self._parts.append(part)
        self._size += len(part)
        if self._size > MAX_BODY_BYTES:
            raise _Refused(_UNAVAILABLE, "RESPONSE_TOO_LARGE", "The response is too large.")
        if message.get("more_body"):
            return
        assert self._start is not None  # noqa: S101 - an application starts its response first
        body = b"".join(self._parts)
        if body:
            headers = self._start.get("headers", ())
            format_ = self._middleware.format_of(self._scope, headers, is_response=True)
            body = await self._middleware.judged(body, format_, self._scope, "output")
            await self._send_start(len(body))
        else:
            await self._send_start(None)  # the response to HEAD has the length of another body
        await self._send({"type": "http.response.body", "body": body})

    async def _send_event(self, stream: AsyncTextStream, message: Message) -> None:
        more = bool(message.get("more_body"))
        try:
            text = self._decoder.decode(message.get("body", b""), final=not more)
        except UnicodeDecodeError:
            raise _Refused(_UNSUPPORTED, "UNSUPPORTED_ENCODING", "It is not UTF-8.") from None
        released = await stream.feed(text)
        if not more:
            released += await stream.end()
            await stream.close()
        if released or not more:
            body = released.encode()
            await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def close(self) -> None:
        """Ends the judgement of a streamed response."""
        if self._stream is not None:
            await self._stream.close()

    async def refuse(self, error: NotPermitted | CallFailed | _Refused) -> None:
        """Answers with an error; a response that has begun ends here."""
        self._ended = True
        await self.close()
        if self._started:
            await self._send({"type": "http.response.body", "body": b""})
            return
        status, content = _error(error)
        body = json.dumps({"error": content}, ensure_ascii=False).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        if isinstance(error, NotPermitted) and error.response.HasField("retry_after_s"):
            headers.append((b"retry-after", str(error.response.retry_after_s).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _error(error: NotPermitted | CallFailed | _Refused) -> tuple[int, dict[str, Any]]:
    if isinstance(error, _Refused):
        return error.status, {"code": error.code, "message": error.message}
    if isinstance(error, CallFailed):  # its reason is about this program, and not for its caller
        return _UNAVAILABLE, {"code": "PDP_ERROR", "message": "The request could not be checked."}
    response = error.response
    status = response.status_hint if response.status_hint in _ERRORS else _FORBIDDEN
    content: dict[str, Any] = {"code": response.reason_code or "DENIED", "message": error.reason}
    if isinstance(error, Held):
        content["prompts"] = list(error.prompts)
        if error.approval:
            expires_at = error.approval.expires_at.isoformat()
            content["approval"] = {"id": error.approval.id, "expires_at": expires_at}
    return status, content


async def _body(receive: Receive) -> bytes | None:
    """Returns the whole body of a request; None if the caller has gone away."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _Refused(_TOO_LARGE, "REQUEST_TOO_LARGE", "The request is too large.")
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _header(headers: Any, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), "")


def _with_length(headers: Any, length: int) -> list[tuple[bytes, bytes]]:
    dropped = (b"content-length", b"transfer-encoding", b"etag", b"content-md5", b"digest")
    kept = [(name, value) for name, value in headers if name.lower() not in dropped]
    return [*kept, (b"content-length", str(length).encode())]
