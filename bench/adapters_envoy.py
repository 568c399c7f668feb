"""What Envoy adds to a decision: the same chat request as Decide, as Check and as Process.

Run it with `python -m bench.adapters_envoy`. It prints the median and the minimum of each: calls
one after the other on one connection, without Envoy itself.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc

from bench.servers import pdp_server
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.envoy.adapter import methods
from pdp.adapters.envoy.contract import BodyMode, CheckRequest, ProcessingRequest

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS: Final = 2000
ROUNDS: Final = 5
DECIDE: Final = "/pdp.v1.DecideService/Decide"
PATH: Final = "/v1/chat/completions"
MAPPING: Final = """
version: 1
routes:
  - name: chat
    match: {path: /v1/chat/completions}
    request_payload: openai.chat_completions
    response_payload: openai.chat_completions
    context: {tenant: {value: bench}, user: {header: x-user}}
    add_headers: {decision_id: x-pdp-decision-id}
"""
TEXT: Final = "What is the capital of France, and how many people live in it?"
CHAT: Final = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": TEXT}]})
ANSWER: Final = json.dumps(
    {
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}}],
    }
)


def decide_request() -> pb.DecideRequest:
    """Returns the request as Decide takes it."""
    request = pb.DecideRequest(tenant_id="bench", subject=pb.Subject(user_id="ann"))
    request.payload.format, request.payload.body = "openai.chat_completions", CHAT
    return request


def check_request() -> Any:
    """Returns the request as ext_authz sends it."""
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host, http.raw_body = "POST", PATH, "api", CHAT.encode()
    http.headers["x-user"] = "ann"
    return request


def stream_messages() -> list[bytes]:
    """Returns what ext_proc sends for a request and its answer, in BUFFERED."""
    headers, body = ProcessingRequest(), ProcessingRequest()
    pairs = {":method": "POST", ":path": PATH, ":authority": "api", "x-user": "ann"}
    for name, value in pairs.items():
        headers.request_headers.headers.headers.add(key=name, raw_value=value.encode())
    headers.protocol_config.request_body_mode = BodyMode.BUFFERED
    headers.protocol_config.response_body_mode = BodyMode.BUFFERED
    body.request_body.body, body.request_body.end_of_stream = CHAT.encode(), True
    back, answer = ProcessingRequest(), ProcessingRequest()
    for name, value in {":status": "200", "content-type": "application/json"}.items():
        back.response_headers.headers.headers.add(key=name, raw_value=value.encode())
    answer.response_body.body, answer.response_body.end_of_stream = ANSWER.encode(), True
    return [each.SerializeToString() for each in (headers, body, back, answer)]


def measure(call: Callable[[], object]) -> list[float]:
    """Returns the milliseconds of each of some calls, one after the other."""
    times = []
    for _ in range(CALLS // ROUNDS):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1000)
    return times


def main() -> None:
    """Measures in turns, so that the load of the machine meets all alike."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adapters = folder / "adapters.yaml"
        adapters.write_text(MAPPING, encoding="utf-8")
        with (
            pdp_server(folder / "pdp", PDP_ADAPTERS_FILE=str(adapters)) as server,
            grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        ):
            check_path, process_path = methods()
            decide: Any = channel.unary_unary(DECIDE)
            check: Any = channel.unary_unary(check_path)
            process: Any = channel.stream_stream(process_path)
            question = decide_request().SerializeToString()
            checked = check_request().SerializeToString()
            messages = stream_messages()
            calls: dict[str, Callable[[], object]] = {
                "Decide, the request": lambda: decide(question),
                "ext_authz, the request": lambda: check(checked),
                "ext_proc, the request": lambda: list(process(iter(messages[:2]))),
                "ext_proc, both": lambda: list(process(iter(messages))),
            }
            times: dict[str, list[float]] = {title: [] for title in calls}
            for _ in range(ROUNDS):
                for title, call in calls.items():
                    times[title] += measure(call)
    for title, each in times.items():
        print(f"{title:24} median {statistics.median(each):.3f} ms, minimum {min(each):.3f} ms")


if __name__ == "__main__":
    main()
