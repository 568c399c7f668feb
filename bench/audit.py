"""`python -m bench.audit`: measures the cost of recording decisions.

It compares Decide with every decision recorded, and with none. Server and load are the same. Two
tenants differ only in their logging level: `full` records every decision, `minimal` none of these.
"""

from __future__ import annotations

import statistics
import tempfile
import timeit
from pathlib import Path
from typing import NamedTuple

import grpc

from bench.load import Load, decide_request, drive, require_h2load, write_frame
from bench.servers import pdp_server
from pdp._gen.pdp.v1 import org_policy_pb2, org_policy_pb2_grpc
from pdp.decisions.recording import DecisionRecorder
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.engine.compiler import compile_platform, empty_snapshot
from pdp.engine.evaluate import evaluate

LEVELS = {"off": "minimal", "on": "full"}
"""The logging level of each tenant."""

MAX_RATIO = 3.0
MAX_UNRECORDED_US = 0.5

ROUNDS = 3
REQUESTS = 4_000
RATE = 1_000
"""Requests per second, if the load does not wait for the answers."""


class Cost(NamedTuple):
    """Medians of the rounds.

    Attributes:
        off: the 99th percentile in milliseconds, without recording.
        on: the same, with recording.
        rate_off: requests per second, without recording.
        rate_on: the same, with recording.
    """

    off: float
    on: float
    rate_off: float
    rate_on: float

    @property
    def ratio(self) -> float:
        """The ratio of the 99th percentiles."""
        return self.on / self.off


def measure(folder: Path, mode: str) -> dict[str, Cost]:
    """Returns the cost of recording, for a load that waits for answers and one that does not.

    Args:
        folder: the folder for the databases of the server.
        mode: `durable` or `async`.
    """
    with pdp_server(folder / mode, PDP_AUDIT_MODE=mode) as pdp:
        for tenant, level in LEVELS.items():
            set_level(pdp.port, tenant, level)
            request = decide_request()
            request.tenant_id = tenant
            write_frame(folder / f"{tenant}.bin", request)
            drive(pdp.port, folder / f"{tenant}.bin", requests=1_000, clients=4, streams=8)
        return {
            "4 x 8 concurrent": _rounds(pdp.port, folder, rps=0),
            f"{RATE} per second": _rounds(pdp.port, folder, rps=RATE // 4),
        }


def _rounds(port: int, folder: Path, *, rps: int) -> Cost:
    runs: dict[str, list[Load]] = {tenant: [] for tenant in LEVELS}
    for _ in range(ROUNDS):
        for tenant, done in runs.items():
            frame = folder / f"{tenant}.bin"
            done.append(drive(port, frame, requests=REQUESTS, clients=4, streams=8, rps=rps))
    p99 = {tenant: statistics.median(run.p99_ms for run in done) for tenant, done in runs.items()}
    rate = {tenant: statistics.median(run.rate for run in done) for tenant, done in runs.items()}
    return Cost(p99["off"], p99["on"], rate["off"], rate["on"])


def set_level(port: int, tenant: str, level: str) -> None:
    """Sets the logging level of a tenant."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = org_policy_pb2_grpc.OrgPolicyServiceStub(channel)
        request = org_policy_pb2.UpdateOrgPolicyRequest(logging_level=level)
        stub.UpdateOrgPolicy(request, metadata=(("x-tenant-id", tenant),))


def unrecorded_us() -> float:
    """Returns the microseconds to find out that a plain ALLOW is not recorded."""
    snapshot = empty_snapshot(compile_platform(PolicySet(), {}), 1)
    records = DecisionRecorder(_UnusedRecorder())  # type: ignore[arg-type] # it is not called
    request = Request(text="hello")
    decision = evaluate(snapshot, request, "d")
    number = 200_000
    spent = timeit.repeat(
        lambda: records.take(snapshot, request, decision, 1.0), number=number, repeat=5
    )
    return min(spent) / number * 1e6


class _UnusedRecorder:
    """Replaces a recorder that is never called."""


def section() -> dict[str, object]:
    """Prints this section of the benchmark, and returns its figures."""
    require_h2load()
    print("\nRecording: p99 of Decide with no decision recorded -> with every decision recorded")
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for mode in ("durable", "async"):
            for load, cost in measure(Path(folder), mode).items():
                figures[f"{mode}, {load}"] = cost._asdict()
                print(f"  {mode:8}{load:14} {_describe(cost, mode)}", flush=True)
    spent = unrecorded_us()
    verdict = "reached" if spent < MAX_UNRECORDED_US else "MISSED"
    print(
        f"  a plain ALLOW at standard is not recorded: the check takes {spent:.2f} µs"
        f"   (target: < {MAX_UNRECORDED_US:g} µs; {verdict})"
    )
    return {**figures, "unrecorded_us": spent}


def _describe(cost: Cost, mode: str) -> str:
    text = (
        f"p99 {cost.off:.1f} -> {cost.on:.1f} ms, x {cost.ratio:.2f};"
        f" {cost.rate_off:.0f} -> {cost.rate_on:.0f} req/s"
    )
    if mode != "durable":
        return text
    verdict = "reached" if cost.ratio <= MAX_RATIO else "MISSED"
    return f"{text}   (target: x <= {MAX_RATIO:g}; {verdict})"


if __name__ == "__main__":
    section()
