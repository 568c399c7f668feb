"""Writes docs/benchmarks.md and its plots from the results of a run."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

from bench.pages import busy_note, machine_table, table
from bench.peers.verdicts import (
    OURS,
    at,
    losses,
    median_us,
    milliseconds,
    of,
    p99,
    per_cpu_s,
    policies_text,
    verdicts,
)
from bench.plots import Bar, draw_bars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PAGE: Final = "benchmarks.md"
PLOTS: Final = "plots"
RESULTS: Final = f"{PLOTS}/peers.json"

_TEMPLATE: Final = Path(__file__).with_name("page.md")
_NOT_MEASURED: Final = "Not measured in this run.\n"

Rows = "Sequence[dict[str, Any]]"


def write(results: dict[str, Any], folder: Path) -> None:
    """Writes the page, the plots and the results, which `--render` reads again."""
    (folder / PLOTS).mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, sort_keys=True)
    (folder / RESULTS).write_text(f"{text}\n", encoding="utf-8")
    _draw(results, folder / PLOTS)
    (folder / PAGE).write_text(page(results), encoding="utf-8")


def page(results: dict[str, Any]) -> str:
    """Returns the text of the page."""
    parts = {
        "busy": busy_note(results),
        "targets": _targets(results),
        "losses": _losses(results),
        "products": _products(results),
        "machine": machine_table(results),
    }
    makers: dict[str, Callable[[Sequence[dict[str, Any]]], str]] = {
        "attributes": lambda rows: "\n".join(_attributes(rows)),
        "in_process": _in_process,
        "content": _content,
        "everything": _everything,
    }
    for name, make in makers.items():
        parts[name] = make(results[name]) if results.get(name) else _NOT_MEASURED
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(parts)


def sentence(results: dict[str, Any]) -> str:
    """Returns the line that the README quotes; empty if there is nothing to quote."""
    rows = at(results.get("attributes", ()), 1)
    ours = of(rows, f"{OURS}, gRPC")
    others = [row for row in rows if not row["target"].startswith(OURS)]
    if ours is None or not others:
        return ""
    listed = ", ".join(f"{row['target'].split(',')[0]} {median_us(row):.0f}" for row in others)
    front = ours["target"].partition("(")[2].rstrip(")")
    return (
        f"Three rules over a socket take {median_us(ours):.0f} µs of the server's CPU with the "
        f"gRPC front {front}; other products in the same run: {listed} "
        "([benchmarks](docs/benchmarks.md))."
    )


def _targets(results: dict[str, Any]) -> str:
    words = {True: "reached", False: "**missed**", None: "not judged: the machine was busy"}
    rows = [[each.target, each.measured, words[each.reached]] for each in verdicts(results)]
    return table(["target", "measured", ""], rows) if rows else _NOT_MEASURED


def _losses(results: dict[str, Any]) -> str:
    none = "No other product needs less CPU in any of these comparisons."
    return "\n".join(f"- {each}" for each in losses(results) or [none]) + "\n"


def _attributes(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for size in sorted({row["policies"] for row in rows}):
        yield f"### {policies_text(size).capitalize()}\n"
        yield f"![Decisions per CPU-second, {policies_text(size)}]({PLOTS}/peers-{size}.svg)\n"
        yield table(
            ["", "requests per CPU-second", "least", "most", "µs of CPU", "MiB"],
            [
                [*_rates(row), f"{median_us(row):.0f}", f"{row['memory_mib']:.0f}"]
                for row in at(rows, size)
            ],
        )
        yield from _latencies(at(rows, size))


def _rates(row: dict[str, Any]) -> list[str]:
    spent = row["cpu_us"]
    rates = (per_cpu_s(row), 1e6 / max(spent), 1e6 / min(spent))
    return [row["target"], *(f"{each:,.0f}" for each in rates)]


def _latencies(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    measured = [row for row in rows if row["own"] and row["same"]]
    if measured:
        yield table(
            [
                *("milliseconds", "offered: 70 % of its own capacity", "answered", "p50", "p99"),
                *(f"the same for all: {_median(measured[0]['same'], 'offered'):,.0f}/s",),
                *("p50", "p99"),
            ],
            [
                [row["target"], *_open_loop(row, "own"), *_open_loop(row, "same")[1:]]
                for row in measured
            ],
        )


def _open_loop(row: dict[str, Any], kind: str) -> list[str]:
    runs = row[kind]
    return [
        f"{_median(runs, 'offered'):,.0f}/s",
        f"{_median(runs, 'rate'):,.0f}/s",
        milliseconds(_median(runs, "p50_ms")),
        milliseconds(p99(row, kind)),
    ]


def _median(runs: Sequence[dict[str, float]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def _in_process(rows: Sequence[dict[str, Any]]) -> str:
    return table(
        ["", "policies", "µs of CPU", "least", "most"],
        [
            [row["target"], f"{row['policies']:,}", *_microseconds(row, 1)]
            for size in sorted({row["policies"] for row in rows})
            for row in at(rows, size)
        ],
    )


def _microseconds(row: dict[str, Any], digits: int) -> list[str]:
    spent = row["cpu_us"]
    return [f"{each:,.{digits}f}" for each in (median_us(row), min(spent), max(spent))]


def _content(rows: Sequence[dict[str, Any]]) -> str:
    plot = f"![Prompts per CPU-second]({PLOTS}/peers-content.svg)\n\n"
    return plot + table(
        ["", "prompts per CPU-second", "least", "most", "µs of CPU"],
        [[*_rates(row), f"{median_us(row):,.0f}"] for row in sorted(rows, key=median_us)],
    )


def _everything(rows: Sequence[dict[str, Any]]) -> str:
    return table(
        [
            *("", "requests per CPU-second", "least", "most", "µs of CPU"),
            *("offered: 70 % of its capacity", "answered", "p50 ms", "p99 ms", "MiB"),
        ],
        [
            [
                *_rates(row),
                f"{median_us(row):,.0f}",
                *_open_loop(row, "own"),
                f"{row['memory_mib']:.0f}",
            ]
            for row in rows
        ],
    )


def _products(results: dict[str, Any]) -> str:
    text = table(
        ["product", "version", "settings"],
        [[each["name"], each["version"], each["settings"]] for each in results["products"]],
        right=False,
    )
    if missing := results["missing"]:
        lines = "\n".join(f"- {name}: {reason}." for name, reason in missing.items())
        text += f"\nNot measured:\n\n{lines}\n"
    return text


def _draw(results: dict[str, Any], folder: Path) -> None:
    rows = results.get("attributes", ())
    for size in sorted({row["policies"] for row in rows}):
        title = f"Decisions per CPU-second, {policies_text(size)}"
        bars = [_bar(row) for row in at(rows, size)]
        draw_bars(folder / f"peers-{size}", title, "more is better", bars)
    if content := results.get("content"):
        bars = [_bar(row) for row in sorted(content, key=median_us)]
        title = "Prompts of 2,000 characters per CPU-second"
        draw_bars(folder / "peers-content", title, "more is better, logarithmic", bars, log=True)


def _bar(row: dict[str, Any]) -> Bar:
    name, spent = row["target"], row["cpu_us"]
    return Bar(name, per_cpu_s(row), 1e6 / max(spent), 1e6 / min(spent), name.startswith(OURS))
