"""`python -m bench.peers`: compares the server with other decision points.

Gets the other products from the package registries, proves that all give the same answers, measures
them in turn, and writes docs/benchmarks.md with its plots. `--quick` is a short form for trying it
out, which writes to build/peers/quick instead.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import presidio
from bench.pages import quote
from bench.peers import attributes, content, everything, in_process, machine, programs, report
from bench.peers.attributes import Plan
from bench.peers.cedar import Cedar
from bench.peers.cerbos import Cerbos
from bench.peers.load_runs import Generator
from bench.peers.opa import Opa
from bench.peers.openfga import OpenFga
from bench.peers.ours import Ours, has_native_front

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.peers.target import Peer

PARTS = ("attributes", "in_process", "content", "everything")


def main() -> None:
    """Runs the comparison."""
    options = read_options()
    if options.render:
        results = json.loads((options.out / report.RESULTS).read_text(encoding="utf-8"))
    else:
        results = run(options)
    report.write(results, options.out)
    if options.out == programs.ROOT / "docs" and (line := report.sentence(results)):
        quote(programs.ROOT / "README.md", "benchmarks", line)
    print(f"written: {options.out / report.PAGE}")


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the options of the command line, with their defaults."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short form, of little precision")
    parser.add_argument("--rounds", type=int, help="rounds; each measures all servers")
    parser.add_argument("--seconds", type=float, help="the length of each run")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of policies")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--only-ours", action="store_true", help="leave the other products out")
    parser.add_argument("--out", type=Path, help="the folder to write to")
    parser.add_argument("--render", action="store_true", help="only write the page and plots again")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.5 if options.quick else 2.5)
    options.sizes = options.sizes or ([1, 80] if options.quick else [1, 800, 8_000])
    quick_folder = programs.FOLDER / "quick"
    options.out = options.out or (quick_folder if options.quick else programs.ROOT / "docs")
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures everything that the options ask for, and returns the results as JSON values."""
    missing = dict(programs.NOT_TO_BE_HAD)
    peers = _ours() + ([] if options.only_ours else _others(missing))
    if not has_native_front():
        missing["the native gRPC server of this PDP"] = "it is not installed; see `make fast`"
    fronts = [front for front in ("native", "grpcio") if front == "grpcio" or has_native_front()]
    cores = sorted(os.sched_getaffinity(0))
    server_core, load_core = (cores[0], cores[-1]) if len(cores) > 1 else (None, None)
    generator = Generator(programs.load_generator(), load_core)
    plan = Plan(options.sizes, options.rounds, options.seconds, server_core)
    results: dict[str, Any] = {
        "machine": machine.description(),
        "busy_share": round(machine.busy_share(), 3),
        "plan": {"rounds": f"{plan.rounds}, with {plan.seconds:g} s for each measurement"},
        "products": _products(peers, options),
        "missing": missing,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        same: Any = {"rounds": plan.rounds, "seconds": plan.seconds, "core": server_core}
        if "attributes" in options.parts:
            rows = attributes.measure(peers, generator, folder / "attributes", plan, _say)
            results["attributes"] = [asdict(row) for row in rows]
        if "in_process" in options.parts:
            sizes, rounds = plan.sizes, plan.rounds
            results["in_process"] = in_process.measure(sizes, rounds, folder / "in_process")
        if "content" in options.parts and presidio.installed():
            found = content.measure(fronts, generator, folder / "content", **same)
            results["content"] = [asdict(row) for row in found]
        if "everything" in options.parts:
            rows = everything.measure(fronts, generator, folder / "everything", **same)
            results["everything"] = [asdict(row) for row in rows]
    results["busy_share_after"] = round(machine.busy_share(), 3)
    return results


def _ours() -> list[Peer]:
    native: list[Peer] = [Ours("native")] if has_native_front() else []
    return [*native, Ours("grpcio", with_http=True)]


def _others(missing: dict[str, str]) -> list[Peer]:
    """Returns the other products; adds those that cannot be had to `missing`."""
    makers: dict[str, Callable[[], Peer]] = {
        "Cerbos": lambda: Cerbos(programs.cerbos()),
        "OPA": lambda: Opa(programs.opa()),
        "OpenFGA": lambda: OpenFga(programs.openfga()),
    }
    result = []
    for name, make in makers.items():
        try:
            result.append(make())
        except programs.Unavailable as error:
            missing[name] = str(error)
    if not Cedar.installed():
        missing[Cedar.name] = "the package is not installed"
    if not presidio.installed():
        missing["Presidio"] = "the package is not installed"
    return result


def _products(peers: list[Peer], options: argparse.Namespace) -> list[dict[str, str]]:
    result = [
        {"name": each.name, "version": each.version, "settings": each.settings} for each in peers
    ]
    if not options.only_ours:
        if Cedar.installed():
            cedar = Cedar()
            result.append(
                {"name": cedar.name, "version": cedar.version, "settings": cedar.settings}
            )
        if presidio.installed():
            result.append(
                {"name": "Presidio", "version": content.version(), "settings": content.SETTINGS}
            )
    return result


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
