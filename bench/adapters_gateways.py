"""What LiteLLM's and agentgateway's adapters add to a decision on the same payload.

Run it with `python -m bench.adapters_gateways`. It prints the median and the minimum of each.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
import httpx2

from bench.servers import pdp_server
from pdp._gen.agentgateway import ext_mcp_pb2 as ext
from pdp._gen.pdp.v1 import decide_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS: Final = 2000
ROUNDS: Final = 5
TENANT: Final = "bench"

TEXT: Final = "What is the capital of France, and how many people live in it?"
MESSAGES: Final = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": TEXT},
]
PARAMS: Final = json.dumps({"name": "run_sql", "arguments": {"sql": "SELECT name FROM users"}})

HTTP: Final = {
    "Decide, prompt": ("/v1/decide/payload/openai.chat_completions", {"messages": MESSAGES}),
    "LiteLLM, prompt": (
        "/beta/litellm_basic_guardrail_api",
        {
            "input_type": "request",
            "texts": [each["content"] for each in MESSAGES],
            "structured_messages": MESSAGES,
            "model": "gpt-4o",
            "request_data": {"user_api_key_user_id": "alice"},
        },
    ),
    "LiteLLM, round of a stream": (
        "/beta/litellm_basic_guardrail_api",
        {
            "input_type": "response",
            "texts": [f"{TEXT} " * 20],
            "model": "gpt-4o",
            "litellm_call_id": "call-1",
            "request_data": {"user_api_key_user_id": "alice"},
        },
    ),
    "agentgateway, prompt": ("/v1/agentgateway/request", {"body": {"messages": MESSAGES}}),
}

MCP: Final = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{PARAMS}}}'
RPCS: Final[dict[str, tuple[str, Any, Any]]] = {
    "Decide, MCP call": (
        "/pdp.v1.DecideService/Decide",
        pb.DecideRequest(payload=pb.Payload(format="mcp.jsonrpc", body=MCP)),
        pb.DecideResponse,
    ),
    "agentgateway, MCP call": (
        "/agentgateway.dev.ext_mcp.ExtMcp/CheckRequest",
        ext.McpRequest(service_names=["db"], method="tools/call", mcp_request=PARAMS.encode()),
        ext.McpRequestResult,
    ),
}


def http_call(client: httpx2.Client, path: str, body: Any) -> Callable[[], object]:
    """Returns a function that posts a body."""
    content = json.dumps(body).encode()
    return lambda: client.post(path, content=content).raise_for_status()


def grpc_call(channel: grpc.Channel, path: str, message: Any, answer: Any) -> Callable[[], object]:
    """Returns a function that calls an RPC."""
    rpc = channel.unary_unary(
        path,
        request_serializer=type(message).SerializeToString,
        response_deserializer=answer.FromString,
    )
    return lambda: rpc(message, metadata=(("x-tenant-id", TENANT),))


def measure(call: Callable[[], object], calls: int) -> list[float]:
    """Returns the milliseconds of each of some calls, one after the other."""
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1000)
    return times


def main() -> None:
    """Measures in turns, so that the load of the machine meets all alike."""
    headers = {"Content-Type": "application/json", "X-Tenant-ID": TENANT}
    with (
        tempfile.TemporaryDirectory() as folder,
        pdp_server(Path(folder)) as server,
        httpx2.Client(base_url=server.http_url, headers=headers, trust_env=False) as client,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        calls = {name: http_call(client, *each) for name, each in HTTP.items()}
        calls |= {name: grpc_call(channel, *each) for name, each in RPCS.items()}
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                times[name] += measure(call, CALLS // ROUNDS)
    for name, each in times.items():
        print(f"{name:28} median {statistics.median(each):.3f} ms, minimum {min(each):.3f} ms")


if __name__ == "__main__":
    main()
