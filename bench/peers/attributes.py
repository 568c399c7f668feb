"""Part (a): attribute policies, the same rules and requests for every product."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bench.peers.cases import cases, policies
from bench.peers.target import check_answers
from bench.peers.verdicts import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from bench.peers.cases import Case
    from bench.peers.load_runs import Generator, Run
    from bench.peers.target import Peer, Target

REQUESTS: Final = 1_000
"""Different requests; they are sent in turn."""

LOAD: Final = 0.7
"""The share of a server's capacity that is offered when latencies are measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure.

    Attributes:
        sizes: numbers of policies.
        rounds: how often each server is measured; the servers take turns.
        seconds: the length of each run.
        core: the core of the servers; None for all.
    """

    sizes: Sequence[int] = (1, 800, 8_000)
    rounds: int = 5
    seconds: float = 2.0
    core: int | None = 0


@dataclass(slots=True)
class InterfaceCost:
    """The figures of one interface at one number of policies.

    Attributes:
        target: its name.
        policies: the number of policies.
        memory_mib: resident memory of the server at the end.
        cpu_us: microseconds of CPU a request, of each round under full load.
        same: the runs at the load that all servers get.
        own: the runs at 70 % of this server's own capacity.
    """

    target: str
    policies: int
    memory_mib: float = 0.0
    cpu_us: list[float] = field(default_factory=list)
    same: list[dict[str, float]] = field(default_factory=list)
    own: list[dict[str, float]] = field(default_factory=list)

    @property
    def per_cpu_s(self) -> float:
        """Requests per CPU-second of the server, the median of the rounds."""
        return 1e6 / statistics.median(self.cpu_us)


def measure(
    peers: Iterable[Peer],
    generator: Generator,
    folder: Path,
    plan: Plan,
    say: Callable[[str], None],
) -> list[InterfaceCost]:
    """Returns the figures of all products at all sizes.

    Raises:
        RuntimeError: a product does not give the answers that the rules ask for.
    """
    rows: list[InterfaceCost] = []
    peers = list(peers)
    for size in plan.sizes:
        place = folder / str(size)
        rows.extend(_measure_size(peers, generator, place, plan=plan, size=size, say=say))
    return rows


def _measure_size(
    peers: Sequence[Peer],
    generator: Generator,
    folder: Path,
    *,
    plan: Plan,
    size: int,
    say: Callable[[str], None],
) -> list[InterfaceCost]:
    everyone = policies(size)
    requests = cases(everyone, REQUESTS)
    with ExitStack() as stack:
        targets: list[Target] = []
        for index, peer in enumerate(peers):
            begin = time.monotonic()
            place = folder / str(index)
            targets += stack.enter_context(peer.serve(everyone, place, plan.core))
            say(f"{peer.name}: {size} policies loaded in {time.monotonic() - begin:.1f} s")
        bodies = {each.name: _prepare(each, folder, requests) for each in targets}
        say(f"{len(targets)} interfaces give the same {len(requests)} answers")
        rows = {each.name: InterfaceCost(each.name, size) for each in targets}
        for target in targets:  # warm up
            generator.closed(target, bodies[target.name], plan.seconds / 2)
        for _ in range(plan.rounds):
            for target in targets:
                run = generator.closed(target, bodies[target.name], plan.seconds)
                rows[target.name].cpu_us.append(run.cpu_us)
        _measure_latencies(targets, rows, bodies, generator, plan)
        for target in targets:
            rows[target.name].memory_mib = target.tree.memory_mib()
            say(summary(rows[target.name]))
    return list(rows.values())


def _prepare(target: Target, folder: Path, requests: Sequence[Case]) -> Path:
    check_answers(target, requests)
    path = folder / f"{abs(hash(target.name))}.bodies"
    target.write_bodies(path, requests)
    return path


def _measure_latencies(
    targets: Sequence[Target],
    rows: dict[str, InterfaceCost],
    bodies: dict[str, Path],
    generator: Generator,
    plan: Plan,
) -> None:
    shared = LOAD * min(row.per_cpu_s for row in rows.values())
    for _ in range(plan.rounds):
        for target in targets:
            row, file = rows[target.name], bodies[target.name]
            row.same.append(_figures(generator.open(target, file, plan.seconds, shared)))
            own = LOAD * row.per_cpu_s
            row.own.append(_figures(generator.open(target, file, plan.seconds, own)))


def _figures(run: Run) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(run).items()}


def summary(row: InterfaceCost) -> str:
    """Returns one line for the terminal."""
    text = f"  {row.target:24}{statistics.median(row.cpu_us):8.1f} us CPU a request"
    for name, runs in (("same load", row.same), ("own 70 %", row.own)):
        if runs:
            p50, p99 = median(runs, "p50_ms"), median(runs, "p99_ms")
            text += f"   {name} p50 {milliseconds(p50):>7} p99 {milliseconds(p99):>7} ms"
    return f"{text}   {row.memory_mib:5.0f} MiB"


def median(runs: Sequence[dict[str, Any]], name: str) -> float:
    """Returns the median of one figure over the rounds."""
    return float(statistics.median(run[name] for run in runs))
