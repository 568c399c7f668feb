"""`python -m bench`: compares Decide with an empty echo server, then measures the engine alone."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import audit, detectors, engine, fronts, layers, presidio, workers
from bench.load import REQUEST_BYTES, decide_request, drive, require_h2load, write_frame
from bench.servers import RunningServer, echo_server, pdp_server

TARGETS = {
    "ratio": 0.8,
    "engine_200_us": 6.0,
    "engine_200k_us": 500.0,
    "patterns_ratio": 10.0,
    "layers_us": 40.0,
    "layers_ratio": 2.0,
    "change_ms": 10.0,
    "add_ms": 50.0,
    "rss_mib": 120.0,
    "start_s": 1.5,
}


def main() -> None:
    """Runs the benchmark, and prints its tables."""
    options = _options()
    require_h2load()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        pdp = stack.enter_context(pdp_server(Path(folder) / "var"))
        servers = {
            "echo": stack.enter_context(echo_server()),
            "coalescing": stack.enter_context(echo_server("--coalesce")),
            "Decide": pdp,
        }
        results["transport"] = _transport(servers, Path(folder), options)
        results["process"] = _process(pdp)
    results["fronts"] = fronts.section()
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
    parser.add_argument(
        "--rounds", type=int, default=5, help="number of rounds; each measures all servers"
    )
    parser.add_argument("--requests", type=int, default=10_000, help="requests per round")
    parser.add_argument("--clients", type=int, default=4, help="number of connections")
    parser.add_argument("--streams", type=int, default=8, help="concurrent calls per connection")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    return parser.parse_args()


def _transport(
    servers: dict[str, RunningServer], folder: Path, options: argparse.Namespace
) -> dict[str, float]:
    frame = folder / "decide.bin"
    write_frame(frame, decide_request())
    load = {"clients": options.clients, "streams": options.streams}
    print(f"Decide of {REQUEST_BYTES} bytes, {options.clients} connections x {options.streams},")
    print("compared with an empty echo server, and with one that coalesces calls as the PDP does")
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
    coalescing = _median_ratio(rates, "coalescing")
    _line("the same to the coalescing echo", coalescing, "")
    return {
        "ratio": ratio,
        "ratio_coalescing": coalescing,
        "echo_rate": statistics.median(rates["echo"]),
        "decide_rate": statistics.median(rates["Decide"]),
    }


def _median_ratio(rates: dict[str, list[float]], base: str) -> float:
    pairs = zip(rates[base], rates["Decide"], strict=True)
    return statistics.median(decide / echo for echo, decide in pairs)


def _process(pdp: RunningServer) -> dict[str, float]:
    print("\nProcess")
    rss = pdp.rss_mib()
    _line("start to SERVING, first start with the catalog", pdp.start_s, " s", TARGETS["start_s"])
    _line("memory after the load", rss, " MiB", TARGETS["rss_mib"])
    return {"start_s": pdp.start_s, "rss_mib": rss}


def _engine() -> dict[str, object]:
    print("\nEngine alone, catalog of this release, text without a match")
    sizes = engine.by_size()
    targets = {200: TARGETS["engine_200_us"], 200_000: TARGETS["engine_200k_us"]}
    for size, spent in sizes.items():
        _line(f"{size:>7} characters", spent, " µs", targets.get(size))
    print("\nEngine alone, patterns of one tenant, 2,000 characters")
    counts = engine.by_count()
    for count, (spent, addition) in counts.items():
        print(f"  {count:>7} patterns {spent:9.1f} µs; adding one takes at most {addition:.1f} ms")
    few, many = counts[engine.COUNTS[0]], counts[engine.COUNTS[-1]]
    _line("5,000 patterns, compared with 50", many[0] / few[0], "", TARGETS["patterns_ratio"])
    _line("adding one to 5,000", many[1], " ms", TARGETS["add_ms"])
    return {"by_size_us": sizes, "by_count": counts}


def _layers() -> dict[str, object]:
    print("\nEngine alone, all policy systems at once, 200 characters")
    print(
        f"  {layers.PACKS} packs x {layers.RULES} rules, {layers.CUSTOM_RULES} custom rules, "
        f"{layers.ACTION_PATTERNS} action patterns, the catalog; no rule matches"
    )
    whole, shares = layers.shares(layers.snapshot())
    for share in shares:
        print(f"    {share.part:46}{share.spent_us:10.3f} µs{100 * share.spent_us / whole:6.0f} %")
    _line("a decision", whole, " µs", TARGETS["layers_us"])
    more, _ = layers.shares(layers.snapshot(layers.FACTOR))
    _line(
        f"{layers.FACTOR} times the rules, compared with that",
        more / whole,
        "",
        TARGETS["layers_ratio"],
    )
    change = layers.change_ms()
    _line(f"compiling a change, {layers.CHANGED_RULES} rules", change, " ms", TARGETS["change_ms"])
    return {"whole_us": whole, "ratio": more / whole, "change_ms": change, "shares_us": shares}


def _detectors() -> dict[str, detectors.Times]:
    print("\nEngine alone, every detector and system policy; Presidio and re on the same text")
    if not presidio.installed():
        print("Presidio is not installed, so it is not measured: pip install '.[ner]'")
    times = detectors.times()
    for name, title in detectors.TITLES.items():
        spent = times[name]
        _line(title, spent.decision, " µs", detectors.TARGETS.get(name))
        others = f"re, one by one {spent.one_by_one:,.0f} µs"
        if spent.presidio is not None:
            others += f"; Presidio with a blank model {spent.presidio:,.0f} µs"
        print(f"{'':>10}{others}")
    first, again = detectors.corpus_us()
    _line("scan of a text with other words than the last ones", again, " µs")
    print(f"{'':>10}the first time {first:,.0f} µs")
    return times


def _line(
    title: str, value: float, unit: str, target: float | None = None, *, above: bool = False
) -> None:
    verdict = ""
    if target is not None:
        reached = value >= target if above else value <= target
        sign = ">=" if above else "<="
        verdict = f"   (target: {sign} {target:g}{unit}; {'reached' if reached else 'MISSED'})"
    print(f"  {title:48}{value:10.3f}{unit}{verdict}", flush=True)


if __name__ == "__main__":
    main()
