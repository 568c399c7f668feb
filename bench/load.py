"""Sends load to a gRPC server with h2load, and parses its output."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pdp._gen.pdp.v1 import decide_pb2 as pb

REQUEST_BYTES = 281


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a run: requests per second, and latencies in milliseconds."""

    rate: float
    p50_ms: float
    p99_ms: float


def decide_request() -> pb.DecideRequest:
    """Returns the request of the benchmark: 281 bytes, of which 212 are text."""
    request = pb.DecideRequest(
        request_id="req-0123456789",
        tenant_id="acme",
        subject=pb.Subject(user_id="user-1", groups=["engineering"]),
        model=pb.Model(provider="openai", model="gpt-4o"),
    )
    sentence = (
        "Please summarise the attached quarterly report for the leadership team and list the "
        "most important risks in plain language, with one line of advice for each of them. "
    )
    request.content.text = (sentence * 2)[:212]
    assert len(request.SerializeToString()) == REQUEST_BYTES  # noqa: S101 - the size of this request
    return request


def require_h2load() -> str:
    """Returns the path of h2load; exits with installation advice if it is missing."""
    path = shutil.which("h2load")
    if path is None:
        sys.exit(
            "the benchmark needs h2load: install nghttp2-client "
            "(on Debian, apt-get install nghttp2-client)"
        )
    return path


def write_frame(path: Path, request: pb.DecideRequest) -> None:
    """Writes `request` as the gRPC frame that h2load posts."""
    raw = request.SerializeToString()
    path.write_bytes(b"\0" + struct.pack(">I", len(raw)) + raw)


def drive(
    port: int, frame: Path, *, requests: int, clients: int, streams: int, rps: int = 0
) -> Load:
    """Sends Decide calls, and returns the rate and the latencies.

    Args:
        port: the port of the server, on 127.0.0.1.
        frame: the file to post.
        requests: the total number of requests.
        clients: the number of connections.
        streams: the number of concurrent calls per connection.
        rps: requests per second and connection, whether answered or not; 0 for as fast as the
            answers arrive.
    """
    with Path(frame.with_suffix(".log")).open("w+", encoding="utf-8") as log:
        done = subprocess.run(
            [
                require_h2load(),
                *("-n", str(requests), "-c", str(clients), "-m", str(streams), "-t", "1"),
                *(("--rps", str(rps)) if rps else ()),
                *("-H", "content-type: application/grpc", "-H", "te: trailers"),
                *("-d", str(frame), f"--log-file={log.name}.requests"),
                f"http://127.0.0.1:{port}/pdp.v1.DecideService/Decide",
            ],
            check=True,
            capture_output=True,
            text=True,
        )
    latencies = _latencies(Path(f"{log.name}.requests"))
    succeeded = re.search(r"(\d+) succeeded, (\d+) failed", done.stdout)
    rate = re.search(r"([\d.]+) req/s", done.stdout)
    if succeeded is None or rate is None or succeeded[1] != str(requests):
        sys.exit(f"the load run failed:\n{done.stdout}")
    return Load(float(rate[1]), _quantile(latencies, 0.5), _quantile(latencies, 0.99))


def _latencies(log: Path) -> list[float]:
    """Returns the latencies in milliseconds, sorted; the log gives microseconds in column 3."""
    lines = log.read_text(encoding="utf-8").splitlines()
    log.unlink()
    return sorted(int(line.split("\t")[2]) / 1000 for line in lines)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
