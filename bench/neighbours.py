"""`python -m bench.neighbours`: what a busy tenant costs a quiet one.

A quiet tenant sends one request after the other, with a pause between them, while another tenant
does the worst that the bounds allow. The table has the quiet tenant's latencies, those of the
health check, and the server's memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
import httpx2

from bench.load import decide_request
from bench.servers import pdp_server
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1.decide_pb2_grpc import DecideServiceStub
from pdp.engine.broad_patterns import MAX_BROAD_PATTERNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.servers import RunningServer

LOUD: Final = "loud"
PAUSE_S: Final = 0.01
TIMEOUT_S: Final = 120
BAD_REQUEST: Final = 400

Send = "Callable[[DecideServiceStub, httpx2.AsyncClient], Any]"


class Scenario(NamedTuple):
    """What the busy tenant does.

    Attributes:
        title: its name in the table.
        in_flight: how many calls it has under way at any time.
        send: makes one call.
        prepare: called once before, with a client of the HTTP API.
    """

    title: str
    in_flight: int
    send: Callable[[DecideServiceStub, httpx2.AsyncClient], Any]
    prepare: Callable[[httpx2.Client], None] = lambda _client: None


def dense(length: int, seed: int = 1) -> str:
    """Returns a text full of personal data."""
    chance = random.Random(seed)  # noqa: S311 - reproducible test data
    parts: list[str] = []
    size = 0
    while size < length:
        number = f"{chance.randrange(10**9, 10**10)}"
        part = chance.choice(
            (
                f"ann{number[:4]}@example.com ",
                f"(212) 555-{number[:4]} ",
                f"{chance.randrange(100, 700)}-{number[:2]}-{number[2:6]} ",
                f"4111 1111 1111 {number[:4]} ",
                f"{number[:9]} ",
            )
        )
        parts.append(part)
        size += len(part)
    return "".join(parts)[:length]


def _text_request(text: str) -> pb.DecideRequest:
    return pb.DecideRequest(tenant_id=LOUD, content=pb.Content(text=text))


def _sender(request: pb.DecideRequest) -> Callable[[DecideServiceStub, httpx2.AsyncClient], Any]:
    return lambda stub, _client: stub.Decide(request, timeout=TIMEOUT_S)


def _batch_sender(*requests: pb.DecideRequest) -> Callable[[DecideServiceStub, Any], Any]:
    batch = pb.DecideBatchRequest(tenant_id=LOUD, requests=requests)
    return lambda stub, _client: stub.DecideBatch(batch, timeout=TIMEOUT_S)


def _numbers(length: int) -> Callable[[DecideServiceStub, httpx2.AsyncClient], Any]:
    body = json.dumps({"arguments": {"n": list(range(1_000_000))}})[: length - 4] + "0]}}"
    return lambda _stub, client: client.post("/v1/decide", content=body)


def _broad_rules(client: httpx2.Client) -> None:
    """Creates as many broad rules as a tenant may have."""
    for index in range(MAX_BROAD_PATTERNS + 1):
        rule = {
            "detector_name": f"Broad {index}",
            "detector_type": "regex",
            "entity_type": f"WORD_{index}",
            "action_tier": "log_only",
            "confidence_threshold": 0.5,
            "config_json": {"pattern": f"[a-z]+{'x?' * (index % 7)}(?:{index})?"},
        }
        answer = client.post("/api/admin/dlp-rules/", json=rule)
        if index == MAX_BROAD_PATTERNS and answer.status_code == BAD_REQUEST:
            return
        answer.raise_for_status()
    raise SystemExit("a tenant can have more broad patterns than its bound")


def _regex_conditions(client: httpx2.Client) -> None:
    rules = {
        f"rule_{index}": {
            "condition": f"arguments.q MATCHES '(?i)(a|b)*{index}x$'",
            "score_impact": 1,
        }
        for index in range(500)
    }
    client.post("/policies/cust", json={"custom_rules": rules}).raise_for_status()


def scenarios() -> Iterator[Scenario]:
    """Yields what the busy tenant does, one after the other."""
    small = decide_request()
    small.tenant_id = LOUD
    paste, just_under = dense(60_000), dense(65_500)
    yield Scenario("quiet", 0, _sender(small))
    yield Scenario("a 60 kB paste of personal data", 4, _sender(_text_request(paste)))
    yield Scenario("just under 64 KiB of it", 4, _sender(_text_request(just_under)))
    yield Scenario(
        "batches of 100 x 58 kB of it", 1, _batch_sender(*[_text_request(dense(58_000))] * 100)
    )
    yield Scenario("batches of 1,000, eight in flight", 8, _batch_sender(*[small] * 1_000))
    yield Scenario("bodies of 7.8 MB of numbers", 2, _numbers(7_800_000))
    arguments = pb.DecideRequest(tenant_id=LOUD, customer_id="cust")
    arguments.arguments.update({"q": "ab" * 8_000})
    yield Scenario("500 regex conditions, 16 kB", 4, _sender(arguments), _regex_conditions)
    words = _text_request("lorem ipsum dolor sit amet " * 15)
    title = f"{MAX_BROAD_PATTERNS} broad DLP rules, 400 characters"
    yield Scenario(title, 4, _sender(words), _broad_rules)


async def _run_loud(index: int, port: int, url: str) -> None:
    scenario = list(scenarios())[index]
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        httpx2.AsyncClient(
            base_url=url, timeout=TIMEOUT_S, trust_env=False,
            headers={"X-Tenant-ID": LOUD, "Content-Type": "application/json"},
        ) as client,
    ):  # fmt: skip
        stub: Any = DecideServiceStub(channel)

        async def send() -> None:
            while True:
                try:
                    await scenario.send(stub, client)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(PAUSE_S)  # refused: try again

        await asyncio.gather(*(send() for _ in range(scenario.in_flight)))


def _loud(index: int, port: int, url: str) -> None:
    asyncio.run(_run_loud(index, port, url))


class Figures(NamedTuple):
    """The quiet tenant's latencies in milliseconds."""

    p50: float
    p99: float
    most: float
    health_most: float
    memory_mib: float


def _measure(server: RunningServer, seconds: float) -> Figures:
    request = decide_request()
    request.tenant_id = "quiet"
    decisions: list[float] = []
    checks: list[float] = []
    with (
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        httpx2.Client(base_url=server.http_url, trust_env=False, timeout=TIMEOUT_S) as client,
    ):
        decide = DecideServiceStub(channel).Decide
        decide(request, timeout=TIMEOUT_S)
        end = time.perf_counter() + seconds
        memory = 0.0
        while time.perf_counter() < end:
            begin = time.perf_counter()
            decide(request, timeout=TIMEOUT_S)
            decisions.append(1e3 * (time.perf_counter() - begin))
            if len(decisions) % 20 == 0:
                begin = time.perf_counter()
                client.get("/healthz").raise_for_status()
                checks.append(1e3 * (time.perf_counter() - begin))
                memory = max(memory, server.rss_mib())
            time.sleep(PAUSE_S)
    quantiles = statistics.quantiles(decisions, n=100)
    return Figures(quantiles[49], quantiles[98], max(decisions), max(checks), memory)


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.neighbours", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="for each scenario")
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios with this in a title")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print(f"{'':40}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'health':>9}{'MiB':>7}")
    with tempfile.TemporaryDirectory() as folder, pdp_server(Path(folder)) as server:
        for index, scenario in enumerate(scenarios()):
            if index and options.only and options.only not in scenario.title:
                continue
            headers = {"X-Tenant-ID": LOUD}
            with httpx2.Client(
                base_url=server.http_url, trust_env=False, timeout=TIMEOUT_S, headers=headers
            ) as client:
                scenario.prepare(client)
            loud = context.Process(
                target=_loud, args=(index, server.port, server.http_url), daemon=True
            )
            if scenario.in_flight:
                loud.start()
                time.sleep(2)  # the process starts, and its first calls arrive
            figures = _measure(server, options.seconds)
            print(f"{scenario.title:40}" + "".join(f"{each:9.1f}" for each in figures[:4]), end="")
            print(f"{figures.memory_mib:7.0f}", flush=True)
            if scenario.in_flight:
                loud.terminate()
                loud.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
