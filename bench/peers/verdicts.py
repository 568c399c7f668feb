"""What was won and lost, computed from the results."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.pages import was_busy
from bench.peers.load_runs import REFUSED_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OURS: Final = "PDP"
CERBOS_FACTOR: Final = 5.0
OPA_FACTOR: Final = 1.8
SIZE_FACTOR: Final = 0.9
PRESIDIO_FACTOR: Final = 50.0

_COMPARED: Final = (
    ("PDP, rules of the same types", "Presidio, patterns only"),
    ("PDP, as it ships", "Presidio, patterns only"),
    ("PDP, as it ships", "Presidio, as it ships"),
    ("PDP, Decide", "Presidio, patterns only"),
    ("PDP, Decide", "Presidio, as it ships"),
)
"""Ours and theirs; the first pair does the same work."""


class Verdict(NamedTuple):
    """A target, what was measured, and whether it is reached; None if that cannot be judged."""

    target: str
    measured: str
    reached: bool | None


def median_us(row: dict[str, Any]) -> float:
    """Returns the median of the microseconds of a row."""
    return float(statistics.median(row["cpu_us"]))


def per_cpu_s(row: dict[str, Any]) -> float:
    """Returns the requests per CPU-second of a row."""
    return 1e6 / median_us(row)


def at(rows: Sequence[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """Returns the rows of one number of policies, the fastest first."""
    return sorted((row for row in rows if row["policies"] == size), key=median_us)


def of(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """Returns the fastest row whose target begins with `name`; None if there is none."""
    found = [row for row in rows if row["target"].startswith(name)]
    return min(found, key=median_us, default=None)


def verdicts(results: dict[str, Any]) -> list[Verdict]:
    """Returns the targets that the results say something about."""
    rows, busy = results.get("attributes", ()), was_busy(results)
    latencies = [
        each._replace(reached=None) if busy else each
        for size in sorted({row["policies"] for row in rows})
        for each in _latency(at(rows, size), size)
    ]
    return [*_attributes(rows), *latencies, *_content(results.get("content", ()))]


def _attributes(rows: Sequence[dict[str, Any]]) -> Iterator[Verdict]:
    sizes = sorted({row["policies"] for row in rows})
    for size in sizes[:1]:
        ours = of(at(rows, size), f"{OURS}, gRPC")
        for name, factor in (("Cerbos", CERBOS_FACTOR), ("OPA", OPA_FACTOR)):
            peer = of(at(rows, size), name)
            if ours and peer:
                ratio = per_cpu_s(ours) / per_cpu_s(peer)
                text = f"at least {factor:g} times the requests of {name} per CPU-second"
                yield Verdict(text, f"{ratio:.2f} times", ratio >= factor)
    if len(sizes) > 1:
        few, many = (of(at(rows, size), f"{OURS}, gRPC") for size in (sizes[0], sizes[-1]))
        if few and many:
            share = per_cpu_s(many) / per_cpu_s(few)
            text = f"at least {SIZE_FACTOR:g} of this at {sizes[-1]:,} policies"
            yield Verdict(text, f"{share:.2f}", share >= SIZE_FACTOR)


def _latency(rows: Sequence[dict[str, Any]], size: int) -> Iterator[Verdict]:
    ours = of(rows, f"{OURS}, gRPC")
    peers = [row for row in rows if not row["target"].startswith(OURS)]
    for kind, text in (("own", "70 % of each server's own capacity"), ("same", "the same load")):
        if ours and ours[kind] and peers:
            mine = p99(ours, kind)
            best = min(peers, key=lambda row: p99(row, kind))
            other = p99(best, kind)
            yield Verdict(
                f"p99 at {text}, {policies_text(size)}: no worse than the best other product",
                f"{milliseconds(mine)} ms; {best['target']} {milliseconds(other)} ms",
                mine <= other,
            )


def _content(rows: Sequence[dict[str, Any]]) -> Iterator[Verdict]:
    for ours_name, peer_name in _COMPARED:
        ours, peer = of(rows, ours_name), of(rows, peer_name)
        if ours and peer:
            ratio = per_cpu_s(ours) / per_cpu_s(peer)
            text = (
                f"{ours['target']}: at least {PRESIDIO_FACTOR:g} times the prompts of "
                f"{peer['target']} per CPU-second"
            )
            yield Verdict(text, f"{ratio:,.1f} times", ratio >= PRESIDIO_FACTOR)


def losses(results: dict[str, Any]) -> list[str]:
    """Returns a sentence for each comparison in which another product needs less CPU."""
    return [
        _loss(row, ours, f"{place}, {policies_text(size)}")
        for key, place in (("attributes", "over a socket"), ("in_process", "in process"))
        for size in sorted({row["policies"] for row in results.get(key, ())})
        for ours in [of(at(results[key], size), OURS)]
        for row in at(results[key], size)
        if ours and not row["target"].startswith(OURS) and median_us(row) < median_us(ours)
    ]


def _loss(row: dict[str, Any], ours: dict[str, Any], place: str) -> str:
    return (
        f"{place.capitalize()}: {row['target']} takes {median_us(row):.0f} µs of CPU, and "
        f"{ours['target']} {median_us(ours):.0f} µs."
    )


def p99(row: dict[str, Any], kind: str) -> float:
    """Returns the median of the 99th percentiles of an open loop, in milliseconds."""
    return float(statistics.median(run["p99_ms"] for run in row[kind]))


def milliseconds(value: float) -> str:
    """Returns a latency as text; that of a refused request is endless."""
    return "∞" if value >= REFUSED_MS else f"{value:.2f}"


def policies_text(size: int) -> str:
    """Returns a number of policies in words."""
    return "one policy" if size == 1 else f"{size:,} policies"
