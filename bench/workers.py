"""Measures how long a write through one worker takes to be in force in all others."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

import grpc

from bench.servers import pdp_server
from demo.ports import free_port
from pdp._gen.pdp.v1 import decide_pb2, static_policy_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message

WORKERS = 4
CONNECTIONS = 32
"""The kernel distributes them over the workers, so that each worker gets at least one."""

ROUNDS = 40
TARGET_MS = 50.0

_DECIDE = "/pdp.v1.DecideService/Decide"
_CREATE = "/pdp.v1.StaticPolicyService/CreateStaticPolicy"


def in_force_ms(folder: Path) -> tuple[list[float], list[float]]:
    """Returns the milliseconds that rounds of one call per connection take.

    The rounds in the first list start with the response to a write, and end when all workers decide
    by it. The second list has the same rounds without anything to wait for.
    """
    settings = {
        "PDP_WORKERS": str(WORKERS),
        "PDP_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
    }
    with pdp_server(folder, **settings) as served:
        return asyncio.run(_measure(f"127.0.0.1:{served.port}"))


async def _measure(address: str) -> tuple[list[float], list[float]]:
    # Otherwise all channels would share one connection.
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(CONNECTIONS)]
    after_write: list[float] = []
    idle: list[float] = []
    try:
        await _call_all(channels, 0)
        for number in range(ROUNDS):
            revision = await _write(channels[number % len(channels)], number)
            after_write.append(await _call_all(channels, revision))
            idle.append(await _call_all(channels, revision))
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))
    return after_write, idle


async def _call_all(channels: list[grpc.aio.Channel], revision: int) -> float:
    begin = time.perf_counter()
    await asyncio.gather(*(_decide(channel, revision) for channel in channels))
    return (time.perf_counter() - begin) * 1000


async def _write(channel: grpc.aio.Channel, number: int) -> int:
    request = static_policy_pb2.CreateStaticPolicyRequest(
        name=f"p{number}", category="custom", pattern=f"word{number}", action="block"
    )
    create: Any = channel.unary_unary(_CREATE, request_serializer=_bytes)
    call = create(request, metadata=(("x-tenant-id", "acme"),))
    await call
    trailers = dict(await call.trailing_metadata() or ())
    return int(trailers["x-pdp-revision"])


async def _decide(channel: grpc.aio.Channel, revision: int) -> None:
    request = decide_pb2.DecideRequest(tenant_id="acme", min_revision=revision)
    decide: Any = channel.unary_unary(_DECIDE, request_serializer=_bytes)
    await decide(request, timeout=10)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()


def section(folder: Path) -> dict[str, float]:
    """Prints this section of the benchmark, and returns its figures."""
    after_write, idle = in_force_ms(folder)
    p50, worst, calls = statistics.median(after_write), max(after_write), statistics.median(idle)
    verdict = "reached" if worst <= TARGET_MS else "MISSED"
    print(f"\n{WORKERS} workers, {ROUNDS} writes: time until a write is in force in all workers")
    print(f"  p50 {p50:.1f} ms, worst {worst:.1f} ms   (target: <= {TARGET_MS:g} ms; {verdict})")
    print(f"  of which the calls on {CONNECTIONS} connections take {calls:.1f} ms")
    return {"p50_ms": p50, "worst_ms": worst, "calls_ms": calls}
