"""What HTTP checks and webhooks add to a decision, beside the same question as Decide.

Run it with `python -m bench.adapters_http_checks`. It prints the median and the minimum of each.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2

from bench.servers import pdp_server

CALLS: Final = 2000
ROUNDS: Final = 5

TEXT: Final = "What is the capital of France, and how many people live in it?"
CHAT: Final = {"model": "gpt-4o", "messages": [{"role": "user", "content": TEXT}]}

MAPPING: Final = """
version: 1
routes:
  - name: chat
    match: {path: /v1/chat/completions}
    request_payload: openai.chat_completions
    context:
      tenant: {value: bench}
      user: {header: x-user, required: true}
hooks:
  text:
    direction: input
    text: /text
    context:
      user: {body: /user}
    answers:
      allow: {status: 200, body: {pass: true}}
      deny: {status: 200, body: {pass: false}}
  chat:
    direction: input
    payload: {body: /request, format: openai.chat_completions}
    context:
      user: {body: /user}
    answers:
      allow: {status: 200, body: {pass: true}}
      deny: {status: 200, body: {pass: false}}
"""


class Call(NamedTuple):
    """A request to measure; without a body, it is a GET."""

    path: str
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - it does not change


WHO: Final = {"subject": {"user_id": "alice"}, "model": {"model": "gpt-4o"}}

CALLS_BY_NAME: Final = {
    "Decide, user and model": Call("/v1/decide", WHO),
    "check by headers": Call("/v1/authz", headers={"X-PDP-User": "alice", "X-PDP-Model": "gpt-4o"}),
    "check by body": Call("/v1/authz", WHO),
    "Decide, text": Call(
        "/v1/decide", {"subject": {"user_id": "alice"}, "content": {"text": TEXT}}
    ),
    "webhook, text": Call("/v1/hooks/text", {"user": "alice", "text": TEXT}),
    "Decide, payload": Call(
        "/v1/decide",
        {
            "subject": {"user_id": "alice"},
            "payload": {"format": "openai.chat_completions", "body": json.dumps(CHAT)},
        },
    ),
    "check by mapping": Call("/v1/authz/v1/chat/completions", CHAT, {"X-User": "alice"}),
    "webhook, payload": Call("/v1/hooks/chat", {"user": "alice", "request": CHAT}),
}


def measure(client: httpx2.Client, call: Call, calls: int) -> list[float]:
    """Returns the milliseconds of each of some calls, one after the other."""
    method = "GET" if call.body is None else "POST"
    content = None if call.body is None else json.dumps(call.body).encode()
    tenant = {} if "authz/" in call.path else {"X-Tenant-ID": "bench"}
    headers = {"Content-Type": "application/json", **tenant, **call.headers}
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        answer = client.request(method, call.path, content=content, headers=headers)
        times.append((time.perf_counter() - begin) * 1000)
        answer.raise_for_status()
    return times


def main() -> None:
    """Measures in turns, so that the load of the machine meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in CALLS_BY_NAME}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "adapters.yaml")
        file.write_text(MAPPING)
        with (
            pdp_server(Path(folder, "data"), PDP_ADAPTERS_FILE=str(file)) as server,
            httpx2.Client(base_url=server.http_url, trust_env=False) as client,
        ):
            for _ in range(ROUNDS):
                for name, call in CALLS_BY_NAME.items():
                    times[name] += measure(client, call, CALLS // ROUNDS)
    for name, each in times.items():
        print(f"{name:24} median {statistics.median(each):.3f} ms, minimum {min(each):.3f} ms")


if __name__ == "__main__":
    main()
