"""Runs the load generator, and measures what the server uses meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from bench.peers.target import Target

CONNECTIONS: Final = 4
STREAMS: Final = 8
OPEN_LOOP_WORKERS: Final = 256
"""How many requests of an open loop can be under way; more wait, and their wait counts."""


REFUSED_MS: Final = 1e12


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the load generator.

    Attributes:
        cpu_us: microseconds of CPU of the server for each request.
        rate: requests a second that were answered.
        offered: requests a second that were sent in an open loop; 0 in a closed one.
        p50_ms, p99_ms: latencies; in an open loop from the time at which a request was due. The
            latency of a request that is refused is above `REFUSED_MS`.
        late_p99_ms: how long after that time the generator itself began to send; part of the above.
    """

    cpu_us: float
    rate: float
    offered: float
    p50_ms: float
    p99_ms: float
    late_p99_ms: float


class Generator:
    """The load generator."""

    def __init__(self, program: Path, core: int | None) -> None:
        """Takes the program, and the only core that it may use; None for all."""
        self._command = ("taskset", "-c", str(core)) if core is not None else ()
        self._program = program

    def closed(self, target: Target, bodies: Path, seconds: float) -> Run:
        """Sends requests as fast as the answers arrive, on 4 connections with 8 calls each."""
        return self._run(target, bodies, seconds, CONNECTIONS * STREAMS, 0)

    def open(self, target: Target, bodies: Path, seconds: float, rate: float) -> Run:
        """Sends `rate` requests a second at random times, whether answered or not."""
        return self._run(target, bodies, seconds, OPEN_LOOP_WORKERS, rate)

    def _run(
        self, target: Target, bodies: Path, seconds: float, concurrency: int, rate: float
    ) -> Run:
        command = (
            *(*self._command, str(self._program), "-url", target.url),
            *("-protocol", target.protocol, "-bodies", str(bodies), "-seconds", str(seconds)),
            *("-connections", str(CONNECTIONS), "-concurrency", str(concurrency)),
            *("-rate", str(rate)),
        )
        before = target.tree.cpu_s()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        spent = target.tree.cpu_s() - before
        if done.returncode:
            sys.exit(f"{target.name}: the load run failed: {done.stderr.strip()}")
        result = json.loads(done.stdout)
        if result["failed"] and not rate:
            failed = f"{result['failed']} of {result['sent']} requests failed"
            sys.exit(f"{target.name}: {failed}, the first with {result['error']}")
        return Run(
            cpu_us=1e6 * spent / (result["sent"] + concurrency),  # it warms up with so many
            rate=(result["sent"] - result["failed"]) / result["seconds"],
            offered=rate,
            p50_ms=result["p50_ms"],
            p99_ms=result["p99_ms"],
            late_p99_ms=result["late_p99_ms"],
        )
