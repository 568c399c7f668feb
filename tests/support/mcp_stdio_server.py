"""An MCP server over stdio without an SDK, for tests of what servers do wrong.

Its tools: `echo` returns its argument; the others misbehave in the way that they are named for.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

TOOLS = ("echo", "forbidden")
TOOL = {"description": "A tool.", "inputSchema": {"type": "object"}}


def send(message: Any) -> None:
    """Writes a message."""
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def answer(message_id: Any, result: Any) -> None:
    """Answers a request."""
    send({"id": message_id, "result": result})


def text(value: str) -> dict[str, Any]:
    """Returns the result of a tool."""
    return {"content": [{"type": "text", "text": value}]}


def call(message: dict[str, Any]) -> None:
    """Calls a tool."""
    message_id, params = message["id"], message["params"]
    name, arguments = params["name"], params.get("arguments", {})
    if name == "echo":
        answer(message_id, text(arguments["text"]))
    elif name == "progress":
        for index, word in enumerate(arguments["words"]):
            token = {"progressToken": message_id, "progress": index, "message": word}
            send({"method": "notifications/progress", "params": token})
        answer(message_id, text("done"))
    elif name == "sample":
        send({"id": "s1", "method": "sampling/createMessage", "params": arguments})
    elif name == "garbage":
        print("this is no message", flush=True)
        answer(message_id, text("late"))
    elif name == "huge":
        answer(message_id, text("x" * 9_000_000))
    elif name == "stray":
        answer("stray", text("stray"))
        answer(message_id, text("done"))
    elif name == "twice":
        answer(message_id, text("first"))
        answer(message_id, text("second"))
    elif name == "exit":
        sys.exit(arguments["code"])
    elif name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "environment":
        answer(message_id, {**text(""), "pid": os.getpid(), "names": sorted(os.environ)})
    elif name == "stderr":
        print(arguments["text"], file=sys.stderr, flush=True)
        answer(message_id, text("done"))
    # `silent` never answers


def main() -> None:
    """Serves until the input ends."""
    stays = "--stay" in sys.argv
    if "--ignore-sigterm" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        if method == "tools/call":
            call(message)
        elif method == "tools/list":
            answer(message["id"], {"tools": [{"name": name, **TOOL} for name in TOOLS]})
        elif method == "notifications/cancelled":
            answer(message["params"]["requestId"], text("late"))
        elif method is None:  # the answer of the client to `sample`
            send({"method": "notifications/message", "params": {"data": json.dumps(message)}})
        elif "id" in message:
            answer(message["id"], {})
    while stays:
        signal.pause()


main()
