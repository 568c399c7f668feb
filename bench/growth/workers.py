"""How cost grows with the number of worker processes: one and two."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc

from bench.growth.row import Row
from bench.load import decide_request
from bench.peers.processes import Tree
from bench.servers import pdp_server

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS: Final = (1, 2)
CLIENTS: Final = 2
"""Processes that send requests."""

CONNECTIONS: Final = 8
"""Of each client. The kernel distributes connections over the workers."""

STREAMS: Final = 4
MOST: Final = 20_000
"""Requests of each client."""

_DECIDE: Final = "/pdp.v1.DecideService/Decide"
_TIMEOUT_S: Final = 30
_START_S: Final = 120


def rows(most: int = 0) -> Iterator[Row]:
    """Yields the curves: CPU time of a request, requests a second and memory, by workers."""
    requests = most or MOST
    for workers in WORKERS:
        with (
            tempfile.TemporaryDirectory() as folder,
            pdp_server(Path(folder), PDP_WORKERS=str(workers)) as server,
        ):
            tree = Tree(server.process.pid)
            spent, took = _measure(tree, server.port, requests)
            total = CLIENTS * requests
            yield Row("CPU of a request", workers, 1e6 * spent / total, "µs CPU")
            yield Row("requests a second", workers, total / took, "1/s")
            yield Row("memory of all processes", workers, tree.memory_mib(), "MiB")


def _measure(tree: Tree, port: int, requests: int) -> tuple[float, float]:
    """Returns the CPU seconds of the server and the seconds that all requests take."""
    context = multiprocessing.get_context("spawn")
    begin_together = context.Barrier(CLIENTS + 1, timeout=_START_S)
    clients = [
        context.Process(target=_client, args=(port, requests, begin_together))
        for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    begin_together.wait()
    begin, before = time.perf_counter(), tree.cpu_s()
    for client in clients:
        client.join()
        if client.exitcode:
            raise RuntimeError(f"a client of the bench ended with {client.exitcode}")
    return tree.cpu_s() - before, time.perf_counter() - begin


def _client(port: int, requests: int, begin_together: Any) -> None:
    asyncio.run(_requests(port, max(CONNECTIONS * STREAMS, requests // 10)))  # warm up
    begin_together.wait()
    asyncio.run(_requests(port, requests))


async def _requests(port: int, requests: int) -> None:
    # Otherwise all channels would share one connection.
    options = (("grpc.use_local_subchannel_pool", 1),)
    body = decide_request().SerializeToString()
    numbers = iter(range(requests))
    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(CONNECTIONS)
    ]

    async def send(channel: grpc.aio.Channel) -> None:
        call: Any = channel.unary_unary(_DECIDE)
        for _ in numbers:
            await call(body, timeout=_TIMEOUT_S)

    await asyncio.gather(*(send(each) for each in channels for _ in range(STREAMS)))
    await asyncio.gather(*(each.close() for each in channels))
