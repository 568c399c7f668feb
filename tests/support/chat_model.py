"""A model behind a gateway: an HTTP server with OpenAI's chat completions, in this process."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import TracebackType

MODEL: Final = "gpt-4o"


class ChatModel:
    """Answers every request with `chunks`, as one text or as a stream.

    Attributes:
        chunks: the pieces of the next answers.
        tool_calls: the tool calls of the next answers.
        requests: the bodies of the requests so far.
    """

    def __init__(self) -> None:
        self.chunks: list[str] = ["fine"]
        self.tool_calls: list[dict[str, Any]] = []
        self.requests: list[Any] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                model.requests.append(body)
                if body.get("stream"):
                    self._send("text/event-stream", model.stream())
                else:
                    self._send("application/json", json.dumps(model.completion()))

            def _send(self, content_type: str, text: str) -> None:
                body = text.encode()
                self.send_response(200)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - as above
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The base URL of the API."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def completion(self) -> dict[str, Any]:
        """Returns the answer as one document."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.chunks)}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }

    def stream(self) -> str:
        """Returns the answer as a stream of events."""
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += ({"content": chunk} for chunk in self.chunks)
        for index, call in enumerate(self.tool_calls):
            deltas.append({"tool_calls": [{"index": index, **call}]})
        events = [(delta, None) for delta in deltas]
        events.append(({}, "tool_calls" if self.tool_calls else "stop"))  # type: ignore[arg-type] # a reason
        lines = [
            json.dumps(
                {
                    "id": "chatcmpl-1",
                    "object": "chat.completion.chunk",
                    "created": 1,
                    "model": MODEL,
                    "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
                }
            )
            for delta, reason in events
        ]
        return "".join(f"data: {line}\n\n" for line in (*lines, "[DONE]"))

    def __enter__(self) -> ChatModel:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
