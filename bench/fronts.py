"""Server CPU of a call on each gRPC front: `python -m bench.fronts`, a section of `make bench`.

All threads of the server's process are counted, from /proc. Rounds are interleaved, so a busy
machine slows all servers alike; processor time hardly depends on the load by others.
"""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc

from bench.load import decide_request, drive, write_frame
from bench.servers import RunningServer, echo_server, pdp_server
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2_grpc
from pdp.transport.grpc.fronts import obstacle_to_native

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS: Final = 5
CALLS: Final = 8_000
MESSAGES: Final = 4_000
BATCHES: Final = 100
BATCH: Final = 64


def section(rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Measures, prints and returns the microseconds of server CPU by kind of call and front."""
    obstacle = obstacle_to_native(tls=False)
    fronts = ("grpcio",) if obstacle else ("grpcio", "native")
    print("\ngRPC fronts, CPU of the server in µs, median of the rounds (lowest to highest)")
    if obstacle:
        print(f"  no row of the native front: {obstacle}")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        frame = Path(name) / "decide.bin"
        write_frame(frame, decide_request())
        runs: dict[tuple[str, str], Callable[[], float]] = {}
        for front in fronts:
            echo = stack.enter_context(echo_server(*(["--native"] if front == "native" else [])))
            settings = {"PDP_GRPC_SERVER": front}
            served = stack.enter_context(pdp_server(Path(name) / front, **settings))
            runs["empty echo", front] = _unary(echo, frame)
            runs["Decide", front] = _unary(served, frame)
            runs["message of DecideStream", front] = _stream(served)
            runs[f"decision in a DecideBatch of {BATCH}", front] = _batches(served)
        times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
        for number in range(rounds + 1):
            for key, run in runs.items():
                spent = run()
                if number:  # the first round warms the servers up
                    times[key].append(spent)
    return _print(times, fronts)


def _print(
    times: dict[tuple[str, str], list[float]], fronts: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    kinds = list(dict.fromkeys(kind for kind, _ in times))
    for kind in kinds:
        cells = (
            f"{front} {statistics.median(values):7.1f} ({min(values):.1f} to {max(values):.1f})"
            for front in fronts
            for values in [times[kind, front]]
        )
        print(f"  {kind:34} {'   '.join(cells)}", flush=True)
    return {
        kind: {front: statistics.median(times[kind, front]) for front in fronts} for kind in kinds
    }


def _spent_us(server: RunningServer, count: int, run: Callable[[], object]) -> float:
    begin = server.cpu_s()
    run()
    return (server.cpu_s() - begin) * 1e6 / count


def _unary(server: RunningServer, frame: Path) -> Callable[[], float]:
    load = {"requests": CALLS, "clients": 4, "streams": 8}
    return lambda: _spent_us(server, CALLS, lambda: drive(server.port, frame, **load))


def _stream(server: RunningServer) -> Callable[[], float]:
    message = pb.DecideStreamRequest(request=decide_request())

    def run() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = decide_pb2_grpc.DecideServiceStub(channel)
            requests: Any = repeat(message, MESSAGES)
            assert sum(1 for _ in stub.DecideStream(requests)) == MESSAGES  # noqa: S101

    return lambda: _spent_us(server, MESSAGES, run)


def _batches(server: RunningServer) -> Callable[[], float]:
    message = pb.DecideBatchRequest(requests=repeat(decide_request(), BATCH))

    def run() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = decide_pb2_grpc.DecideServiceStub(channel)
            for _ in range(BATCHES):
                stub.DecideBatch(message)

    return lambda: _spent_us(server, BATCHES * BATCH, run)


if __name__ == "__main__":
    section()
