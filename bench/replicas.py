"""`python -m bench.replicas`: how long until a change is in force in all replicas.

It starts replicas on a PostgreSQL of its own, writes policies through one of them, and asks each of
the others for a decision on at least that revision. What the table has is the time from the answer
of the write until the last of them has answered, and what such a decision takes without a change.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
import httpx2

from demo.postgres import PostgresServer
from demo.server import TENANT, Pdp
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1.decide_pb2_grpc import DecideServiceStub

if TYPE_CHECKING:
    from collections.abc import Sequence

PATH: Final = "/api/v1/static-policies"
TIMEOUT_S: Final = 30


def main() -> None:
    """Runs the measurement, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--writes", type=int, default=200)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pdp-replicas-")))
        database = stack.enter_context(PostgresServer())
        replicas = [
            stack.enter_context(Pdp(folder / str(number), PDP_DATABASE_URL=database.url()))
            for number in range(arguments.replicas)
        ]
        stubs = [
            DecideServiceStub(stack.enter_context(grpc.insecure_channel(each.grpc_address)))
            for each in replicas[1:]
        ]
        client = stack.enter_context(httpx2.Client(trust_env=False, timeout=TIMEOUT_S))
        plain = [_decide(stubs, 0) for _ in range(arguments.writes)]
        writes, agreed = [], []
        for number in range(arguments.writes):
            took_s, revision = _write(client, replicas[0], number)
            writes.append(took_s)
            agreed.append(_decide(stubs, revision))
    print(f"{arguments.replicas} replicas, {arguments.writes} writes; milliseconds\n")
    print(f"{'':45} {'p50':>7} {'p99':>7} {'most':>7}")
    _print_row("a write, until it is answered", writes)
    _print_row("from there until all others decide by it", agreed)
    _print_row("the same decisions without a change", plain)


def _write(client: httpx2.Client, replica: Pdp, number: int) -> tuple[float, int]:
    """Returns how long a write took, and its revision."""
    body = {"name": f"No {number}", "category": "custom", "pattern": f"word{number}"}
    begin = time.perf_counter()
    answer = client.post(
        f"{replica.http_url}{PATH}",
        json={**body, "action": "block"},
        headers={"x-tenant-id": TENANT},
    )
    took_s = time.perf_counter() - begin
    answer.raise_for_status()
    return took_s, int(answer.headers["x-pdp-revision"])


def _decide(stubs: Sequence[DecideServiceStub], revision: int) -> float:
    """Returns the seconds until all have decided on a revision."""
    request = pb.DecideRequest(
        tenant_id=TENANT, content=pb.Content(text="Hello"), min_revision=revision
    )
    begin = time.perf_counter()
    calls = [each.Decide.future(request, timeout=TIMEOUT_S) for each in stubs]
    for each in calls:
        each.result()
    return time.perf_counter() - begin


def _print_row(title: str, seconds: Sequence[float]) -> None:
    milliseconds = sorted(each * 1000 for each in seconds)
    p99 = milliseconds[int(len(milliseconds) * 0.99)]
    print(f"{title:45} {statistics.median(milliseconds):7.1f} {p99:7.1f} {milliseconds[-1]:7.1f}")


if __name__ == "__main__":
    main()
