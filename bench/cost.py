"""`python -m bench.cost`: what a decision costs the server, in CPU-microseconds.

Unary calls, messages of a stream and items of a batch, beside an empty echo on the same stack; with
no record, and with a durable one. All threads of the server count. CPU time stays meaningful on a
shared machine, although a busy neighbour still makes caches cold.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc

from bench.audit import set_level
from bench.load import decide_request
from bench.servers import RunningServer, echo_server, pdp_server
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1.decide_pb2_grpc import DecideServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH: Final = 64
CONCURRENT: Final = 32
ROUNDS: Final = 5
WARM_UP: Final = 30
LEVELS: Final = {"no record": "minimal", "durable record": "full"}
"""The logging level of each tenant: `full` records every decision, `minimal` none of these."""

TIMEOUT_S: Final = 30.0


class Way(NamedTuple):
    """A way to ask for decisions.

    Attributes:
        name: its name in the table.
        decisions: how many each run asks for.
        run: asks for them.
    """

    name: str
    decisions: int
    run: Callable[[], object]


@contextmanager
def grpc_ways(server: RunningServer, tenant_id: str, *, batch: bool = True) -> Iterator[list[Way]]:
    """Returns the ways over gRPC.

    Args:
        server: the server.
        tenant_id: the tenant of the requests.
        batch: whether the server has DecideBatch.
    """
    request = decide_request()
    request.tenant_id = tenant_id
    message = pb.DecideStreamRequest(request=request)
    items = pb.DecideBatchRequest(tenant_id=tenant_id, requests=[request] * BATCH)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = DecideServiceStub(channel)
        sent: SimpleQueue[pb.DecideStreamRequest | None] = SimpleQueue()
        answers = stub.DecideStream(iter(sent.get, None))

        def many() -> None:
            calls = [stub.Decide.future(request, timeout=TIMEOUT_S) for _ in range(CONCURRENT)]
            for call in calls:
                call.result()

        def messages(count: int) -> None:
            for _ in range(count):
                sent.put(message)
            for _ in range(count):
                next(answers)

        ways = [
            Way("unary", 1, lambda: stub.Decide(request, timeout=TIMEOUT_S)),
            Way(f"unary, {CONCURRENT} at once", CONCURRENT, many),
            Way("stream", 1, lambda: messages(1)),
            Way(f"stream, {CONCURRENT} ahead", CONCURRENT, lambda: messages(CONCURRENT)),
        ]
        if batch:
            call = Way(
                f"batch of {BATCH}", BATCH, lambda: stub.DecideBatch(items, timeout=TIMEOUT_S)
            )
            ways.append(call)
        yield ways
        sent.put(None)


@contextmanager
def http_way(server: RunningServer, tenant_id: str) -> Iterator[Way]:
    """Returns the way over HTTP/1.1, on one connection that stays open."""
    request = decide_request()
    body = json.dumps(
        {
            "request_id": request.request_id,
            "tenant_id": tenant_id,
            "subject": {"user_id": request.subject.user_id, "groups": [*request.subject.groups]},
            "model": {"provider": request.model.provider, "model": request.model.model},
            "content": {"text": request.content.text},
        }
    )
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=TIMEOUT_S)

    def post() -> None:
        connection.request("POST", "/v1/decide", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            sys.exit(f"HTTP answered with {answer.status}")

    yield Way("HTTP/1.1", 1, post)
    connection.close()


def measure(server: RunningServer, way: Way, seconds: float) -> float:
    """Returns the CPU-microseconds of the server for a decision."""
    for _ in range(WARM_UP):
        way.run()
    begin, runs, end = server.cpu_s(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        way.run()
        runs += 1
    return (server.cpu_s() - begin) / (runs * way.decisions) * 1e6


def section(seconds: float = 1.0) -> dict[str, float]:
    """Prints the table, and returns its figures: medians of interleaved rounds.

    Args:
        seconds: how long each way is measured in each round.
    """
    print("\nCPU-microseconds of the server for a decision, all its threads")
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        echo = stack.enter_context(echo_server())
        pdp = stack.enter_context(pdp_server(Path(folder) / "var"))
        ways = [
            ("echo", echo, way) for way in stack.enter_context(grpc_ways(echo, "acme", batch=False))
        ]
        for title, level in LEVELS.items():
            set_level(pdp.port, level, level)
            ways += ((title, pdp, way) for way in stack.enter_context(grpc_ways(pdp, level)))
            ways.append((title, pdp, stack.enter_context(http_way(pdp, level))))
        for _ in range(ROUNDS):
            for title, server, way in ways:
                spent = measure(server, way, seconds)
                figures.setdefault(f"{title}, {way.name}", []).append(spent)
    medians = {name: statistics.median(spent) for name, spent in figures.items()}
    for name, spent in medians.items():
        print(f"  {name:32}{spent:8.1f}   ({min(figures[name]):.1f} to {max(figures[name]):.1f})")
    own = medians["no record, unary"] - medians["echo, unary"]
    print(f"  {'unary Decide without the echo':32}{own:8.1f}")
    share = medians["no record, stream"] / medians["no record, unary"]
    print(f"  {'a message of a stream to a call':32}{share:8.2f}")
    return medians


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row in each round")
    section(parser.parse_args().seconds)


if __name__ == "__main__":
    main()
