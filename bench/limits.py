"""`python -m bench.limits`: what limits cost a decision, by where their counters are.

Unary calls over gRPC, one after the other: without limits, with counters of the database, and with
counters that replicas share, on a Redis on loopback. Latency as the client sees it, and the
processor time of the server.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.request import Request, urlopen

import grpc

from bench.load import decide_request
from bench.servers import pdp_server
from demo.programs import Unavailable
from demo.valkey import ValkeyServer
from pdp._gen.pdp.v1.decide_pb2_grpc import DecideServiceStub

if TYPE_CHECKING:
    from bench.servers import RunningServer

ROUNDS: Final = 7
CALLS: Final = 1000
LIMITS: Final = {"requests_per_minute": 10**9, "daily_token_limit": 10**12}
TENANTS: Final = {"no limits": "free", "a user and two groups": "limited"}


def limit(server: RunningServer, scope: str, subject_id: str) -> None:
    """Creates a limit of the tenant `limited` that is never reached."""
    body = json.dumps({"scope": scope, "subject_id": subject_id, **LIMITS}).encode()
    headers = {"Content-Type": "application/json", "X-Tenant-ID": "limited"}
    urlopen(Request(f"{server.http_url}/api/admin/limits/", body, headers)).close()  # noqa: S310


def measure(server: RunningServer, tenant_id: str) -> tuple[list[float], float]:
    """Returns the seconds of each call, and those of the processor for one call."""
    request = decide_request()
    request.tenant_id = tenant_id
    request.subject.user_id = "ann"
    request.subject.groups[:] = ["one", "two"]
    latencies = []
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = DecideServiceStub(channel)
        for _ in range(CALLS // 10):
            stub.Decide(request)
        begin = server.cpu_s()
        for _ in range(CALLS):
            began = time.perf_counter()
            assert stub.Decide(request).allowed  # noqa: S101 - otherwise the figures mean nothing
            latencies.append(time.perf_counter() - began)
        return latencies, (server.cpu_s() - begin) / CALLS


def counted_alone(server: RunningServer) -> float:
    """Returns how many requests the shared counters did not answer in time."""
    with urlopen(f"{server.http_url}/metrics") as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    return sum(float(each.split()[1]) for each in lines if each.startswith("pdp_limits_counted"))


def _counter_server() -> ValkeyServer:
    try:
        return ValkeyServer()
    except Unavailable as error:
        sys.exit(str(error))


def main() -> int:
    """Prints the table."""
    with ExitStack() as stack:
        url = stack.enter_context(_counter_server()).url
        servers = {}
        for name, settings in (("database", {}), ("shared", {"PDP_LIMITS_URL": url})):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            servers[name] = stack.enter_context(
                pdp_server(folder, PDP_AUDIT_MODE="async", **settings)
            )
            for scope, subject_id in (("user", "ann"), ("group", "one"), ("group", "two")):
                limit(servers[name], scope, subject_id)
        ways = [(name, *tenant) for name in servers for tenant in TENANTS.items()]
        results: dict[Any, list[tuple[list[float], float]]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way in ways:
                results[way].append(measure(servers[way[0]], way[2]))
        alone = counted_alone(servers["shared"])
    print(f"{'counters':10}{'limits':24}{'p50 us':>8}{'p99 us':>8}{'CPU us':>8}")
    for way, rounds in results.items():
        latencies = sorted(each for taken, _ in rounds for each in taken)
        cpu = sorted(each for _, each in rounds)[ROUNDS // 2]
        p50, p99 = (latencies[len(latencies) * percent // 100] for percent in (50, 99))
        print(f"{way[0]:10}{way[1]:24}{p50 * 1e6:8.0f}{p99 * 1e6:8.0f}{cpu * 1e6:8.0f}")
    print(f"requests that the server counted alone: {alone:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
