"""What AuthZEN adds to a decision: the same question over HTTP as Decide and as an evaluation.

Run it with `python -m bench.adapters_authzen`. It prints the median and the minimum of each.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx2

from bench.servers import pdp_server

CALLS: Final = 2000
ROUNDS: Final = 5
SEARCHES: Final = 20
HEADERS: Final = {"Content-Type": "application/json", "X-Tenant-ID": "bench"}

TEXT: Final = "What is the capital of France, and how many people live in it?"
ARGUMENTS: Final = {"sql": "SELECT name FROM users WHERE id = 7", "limit": 10}

REQUESTS: Final = {
    "Decide, tool call": (
        "/v1/decide",
        {
            "subject": {"user_id": "alice"},
            "tool": "run_sql",
            "action": "tool:run_sql:call",
            "arguments": ARGUMENTS,
        },
    ),
    "AuthZEN, tool call": (
        "/access/v1/evaluation",
        {
            "subject": {"type": "user", "id": "alice"},
            "action": {"name": "tools/call"},
            "resource": {"type": "tool", "id": "run_sql"},
            "context": {"arguments": ARGUMENTS},
        },
    ),
    "Decide, prompt": (
        "/v1/decide",
        {
            "subject": {"user_id": "alice"},
            "model": {"provider": "openai", "model": "gpt-4o"},
            "content": {"text": TEXT},
        },
    ),
    "AuthZEN, prompt": (
        "/access/v1/evaluation",
        {
            "subject": {"type": "user", "id": "alice"},
            "action": {"name": "invoke"},
            "resource": {"type": "model", "id": "openai/gpt-4o"},
            "context": {"prompt": TEXT},
        },
    ),
    "Search, all models": (
        "/access/v1/search/resource",
        {
            "subject": {"type": "user", "id": "alice"},
            "action": {"name": "invoke"},
            "resource": {"type": "model"},
        },
    ),
}


def measure(client: httpx2.Client, path: str, body: bytes, calls: int) -> list[float]:
    """Returns the milliseconds of each of some calls, one after the other."""
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        answer = client.post(path, content=body)
        times.append((time.perf_counter() - begin) * 1000)
        answer.raise_for_status()
    return times


def main() -> None:
    """Measures in turns, so that the load of the machine meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in REQUESTS}
    with (
        tempfile.TemporaryDirectory() as folder,
        pdp_server(Path(folder)) as server,
        httpx2.Client(base_url=server.http_url, headers=HEADERS, trust_env=False) as client,
    ):
        for _ in range(ROUNDS):
            for name, (path, body) in REQUESTS.items():
                calls = CALLS // ROUNDS if "Search" not in name else SEARCHES
                times[name] += measure(client, path, json.dumps(body).encode(), calls)
    for name, each in times.items():
        print(f"{name:20} median {statistics.median(each):.3f} ms, minimum {min(each):.3f} ms")


if __name__ == "__main__":
    main()
