"""`python -m bench`: Decide against an empty echo server in one run, then the engine alone."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import audit, detectors, engine, layers, presidio, workers
from bench.load import REQUEST_BYTES, decide_request, drive, require_h2load, write_frame
from bench.servers import Served, echo_server, pdp_server

TARGETS = {
    "ratio": 0.8,
    "engine_200_us": 25.0,
    "engine_200k_us": 1000.0,
    "patterns_ratio": 10.0,
    "layers_us": 40.0,
    "layers_ratio": 2.0,
    "change_ms": 10.0,
    "add_ms": 50.0,
    "rss_mib": 120.0,
    "start_s": 1.5,
}


def main() -> None:
    """Runs the bench and prints its tables."""
    options = _options()
    require_h2load()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        pdp = stack.enter_context(pdp_server(Path(folder) / "var"))
        servers = {
            "echo": stack.enter_context(echo_server()),
            "in turns": stack.enter_context(echo_server("--turns")),
            "Decide": pdp,
        }
        results["transport"] = _transport(servers, Path(folder), options)
        results["process"] = _process(pdp)
    results["engine"] = _engine()
    results["layers"] = _layers()
    results["detectors"] = _detectors()
    results["audit"] = audit.section()
    with tempfile.TemporaryDirectory() as folder:
        results["workers"] = workers.section(Path(folder))
    if options.json:
        json.dump(results, sys.stdout, indent=2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of echo and Decide in turn")
    parser.add_argument("--requests", type=int, default=10_000, help="requests a round")
    parser.add_argument("--clients", type=int, default=4, help="connections")
    parser.add_argument("--streams", type=int, default=8, help="calls at once on each")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    return parser.parse_args()


def _transport(
    servers: dict[str, Served], folder: Path, options: argparse.Namespace
) -> dict[str, float]:
    frame = folder / "decide.bin"
    write_frame(frame, decide_request())
    load = {"clients": options.clients, "streams": options.streams}
    print(f"Decide of {REQUEST_BYTES} bytes, {options.clients} connections x {options.streams};")
    print("an empty echo, and one that takes its calls in turns as the PDP does")
    print(f"{'round':>6}  {'server':10}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}")
    for served in servers.values():
        drive(served.port, frame, requests=2_000, **load)
    rates: dict[str, list[float]] = {name: [] for name in servers}
    for index in range(options.rounds):
        for name, served in servers.items():
            run = drive(served.port, frame, requests=options.requests, **load)
            rates[name].append(run.rate)
            figures = f"{run.rate:9.0f}{run.p50_ms:9.2f}{run.p99_ms:9.2f}"
            print(f"{index + 1:>6}  {name:10}{figures}", flush=True)
    one = {"requests": 1_000, "clients": 1, "streams": 1}
    alone = {name: drive(served.port, frame, **one) for name, served in servers.items()}
    medians = ", ".join(f"{name} {run.p50_ms:.2f} ms" for name, run in alone.items())
    print(f"one call at a time, p50: {medians}")
    ratio = _median_ratio(rates, "echo")
    _line("RATIO of Decide to echo, median of the rounds", ratio, "", TARGETS["ratio"], above=True)
    in_turns = _median_ratio(rates, "in turns")
    _line("the same to an echo in turns", in_turns, "")
    return {
        "ratio": ratio,
        "ratio_in_turns": in_turns,
        "echo_rate": statistics.median(rates["echo"]),
        "decide_rate": statistics.median(rates["Decide"]),
    }


def _median_ratio(rates: dict[str, list[float]], base: str) -> float:
    pairs = zip(rates[base], rates["Decide"], strict=True)
    return statistics.median(decide / echo for echo, decide in pairs)


def _process(pdp: Served) -> dict[str, float]:
    print("\nProcess")
    rss = pdp.rss_mib()
    _line("start to SERVING, first start with its catalog", pdp.start_s, " s", TARGETS["start_s"])
    _line("memory after the load", rss, " MiB", TARGETS["rss_mib"])
    return {"start_s": pdp.start_s, "rss_mib": rss}


def _engine() -> dict[str, object]:
    print("\nEngine alone, catalog of this release, text without a hit")
    sizes = engine.by_size()
    targets = {200: TARGETS["engine_200_us"], 200_000: TARGETS["engine_200k_us"]}
    for size, spent in sizes.items():
        _line(f"{size:>7} characters", spent, " µs", targets.get(size))
    print("\nEngine alone, a tenant's own patterns, 2,000 characters")
    counts = engine.by_count()
    for count, (spent, addition) in counts.items():
        print(f"  {count:>7} patterns {spent:9.1f} µs; adding one takes {addition:.1f} ms at most")
    few, many = counts[engine.COUNTS[0]], counts[engine.COUNTS[-1]]
    _line("5,000 patterns to 50", many[0] / few[0], "", TARGETS["patterns_ratio"])
    _line("adding one to 5,000", many[1], " ms", TARGETS["add_ms"])
    return {"by_size_us": sizes, "by_count": counts}


def _layers() -> dict[str, object]:
    print("\nEngine alone, all systems of policies at once, 200 characters")
    print(
        f"  {layers.PACKS} packs x {layers.RULES} rules, {layers.CUSTOM_RULES} custom rules, "
        f"{layers.ACTION_PATTERNS} action patterns, the catalog; no rule is met"
    )
    whole, shares = layers.shares(layers.snapshot())
    for share in shares:
        print(f"    {share.part:46}{share.spent_us:10.3f} µs{100 * share.spent_us / whole:6.0f} %")
    _line("a decision", whole, " µs", TARGETS["layers_us"])
    more, _ = layers.shares(layers.snapshot(layers.FACTOR))
    _line(f"{layers.FACTOR} times the rules, to that", more / whole, "", TARGETS["layers_ratio"])
    change = layers.change_ms()
    _line(f"compiling a change, {layers.CHANGED_RULES} rules", change, " ms", TARGETS["change_ms"])
    return {"whole_us": whole, "ratio": more / whole, "change_ms": change, "shares_us": shares}


def _detectors() -> dict[str, detectors.Times]:
    print("\nEngine alone, every detector and system policy; Presidio and re on the same text")
    if not presidio.installed():
        print("Presidio is not installed, so it is not beside ours: pip install '.[ner]'")
    times = detectors.times()
    for name, what in detectors.TITLES.items():
        spent = times[name]
        _line(what, spent.decision, " µs", detectors.TARGETS.get(name))
        beside = f"re, one by one {spent.one_by_one:,.0f} µs"
        if spent.presidio is not None:
            beside += f"; Presidio with a blank model {spent.presidio:,.0f} µs"
        print(f"{'':>10}{beside}")
    return times


def _line(
    what: str, value: float, unit: str, target: float | None = None, *, above: bool = False
) -> None:
    verdict = ""
    if target is not None:
        reached = value >= target if above else value <= target
        sign = ">=" if above else "<="
        verdict = f"   (to reach: {sign} {target:g}{unit}; {'reached' if reached else 'MISSED'})"
    print(f"  {what:48}{value:10.3f}{unit}{verdict}", flush=True)


if __name__ == "__main__":
    main()
