"""`python -m bench.local`: what a decision in the caller's own process costs, in CPU-microseconds.

The Python client with `local=True` and what it calls, each for the same 200 characters without a
finding. A server runs beside, from which the policies come; its processor time does not count.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc
import pdp_client

from bench.engine import catalog_snapshot, prose
from bench.servers import pdp_server
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.request import Request
from pdp.engine.evaluate import evaluate
from pdp.follower.central import Central
from pdp.follower.engine import FollowerEngine
from pdp.follower.options import FollowOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TENANT: Final = "acme"
CHARACTERS: Final = 200
CALLS: Final = 2_000
ROUNDS: Final = 15
TIMEOUT_S: Final = 30.0

TARGET_US: Final = 15.0
"""What a decision of the client may cost."""


class Way(NamedTuple):
    """A way to get a decision.

    Attributes:
        name: its name in the table.
        decide: gets one.
        target_us: what it may cost; None for no target.
    """

    name: str
    decide: Callable[[], object]
    target_us: float | None = None


@contextmanager
def ways(folder: Path) -> Iterator[list[Way]]:
    """Starts a server and what follows it; yields the ways to decide without a call to it.

    Args:
        folder: the directory for all files.
    """
    text = prose(CHARACTERS)
    fields = {"tenant_id": TENANT, "content": text}
    with_id = {"request_id": "req-0123456789", **fields}
    message = pdp_client.request_of(with_id)
    request = pb.DecideRequest.FromString(message.SerializeToString())
    plain, snapshot = Request(text=text, tenant_id=TENANT), catalog_snapshot()
    with ExitStack() as stack:
        key = _new_key(folder / "server")
        server = stack.enter_context(pdp_server(folder / "server", PDP_AUTH="required"))
        address = f"127.0.0.1:{server.port}"
        client = pdp_client.Client(
            address, api_key=key, tenant=TENANT, local=pdp_client.Local(folder / "client")
        )
        stack.enter_context(client)
        channel = stack.enter_context(grpc.insecure_channel(address))
        central = Central([channel], lambda: (("x-api-key", key),))
        engine = FollowerEngine(central, FollowOptions(folder / "engine"))
        stack.callback(engine.close)
        if not (
            client.wait_until_ready(TIMEOUT_S) and engine.wait_until_followed(TENANT, TIMEOUT_S)
        ):
            sys.exit("the policies have not arrived")
        yield [
            Way("Client.decide, a message", lambda: client.decide(message), TARGET_US),
            Way("Client.decide, a mapping", lambda: client.decide(with_id), TARGET_US),
            Way("Client.decide, without an id", lambda: client.decide(fields), TARGET_US),
            Way("the same, and enforce", lambda: client.decide(fields).enforce()),
            Way("FollowerEngine.decide", lambda: engine.decide(request)),
            Way("evaluate alone", lambda: evaluate(snapshot, plain, "id")),
        ]


def _new_key(data_dir: Path) -> str:
    """Returns a new key of a follower."""
    done = subprocess.run(
        [sys.executable, "-m", "pdp", "keys", "create", "--role", "follower", "--tenant", TENANT],
        env={**os.environ, "PDP_DATABASE_URL": f"sqlite:///{data_dir}/pdp.db"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()[-1]


def measure(way: Way) -> float:
    """Returns the CPU-microseconds of a decision."""
    decide = way.decide
    begin = time.process_time()
    for _ in range(CALLS):
        decide()
    return (time.process_time() - begin) / CALLS * 1e6


def section() -> dict[str, float]:
    """Prints the table, and returns its figures: medians of interleaved rounds."""
    print(f"\nCPU-microseconds of a decision in the caller's process, {CHARACTERS} characters")
    with tempfile.TemporaryDirectory() as folder, ways(Path(folder)) as all_ways:
        figures: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for way in all_ways:
                figures.setdefault(way.name, []).append(measure(way))
    medians = {name: statistics.median(spent) for name, spent in figures.items()}
    for way in all_ways:
        spent, least = medians[way.name], min(figures[way.name])
        verdict = ""
        if way.target_us is not None:
            reached = "reached" if spent <= way.target_us else "MISSED"
            verdict = f"   (target: <= {way.target_us:g} µs; {reached})"
        print(f"  {way.name:32}{spent:8.1f}   (best {least:.1f}){verdict}")
    return medians


if __name__ == "__main__":
    section()
