"""Writes docs/growth.md and its plots from the results of runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

from bench.growth import CURVES
from bench.pages import busy_note, machine_table, table
from bench.plots import Line, draw_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE: Final = "growth.md"
PLOTS: Final = "plots"
RESULTS: Final = f"{PLOTS}/growth.json"
LINEAR: Final = frozenset({"workers"})
"""Groups whose horizontal axis is not logarithmic."""

QUOTED: Final = "Decide, chain rules"
"""The curve whose ends the README quotes."""

_TEMPLATE: Final = Path(__file__).with_name("page.md")
_MAX_LINES: Final = 6
"""Curves of one plot."""

Row = dict[str, Any]


def write(results: dict[str, Any], folder: Path) -> None:
    """Writes the page, the plots and the results."""
    (folder / PLOTS).mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, sort_keys=True)
    (folder / RESULTS).write_text(f"{text}\n", encoding="utf-8")
    for name, rows in _groups(results):
        for file, unit, curves in plots(name, rows):
            _draw(folder / PLOTS / file, name, unit, curves)
    (folder / PAGE).write_text(page(results), encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """Returns the results of earlier runs; empty if there are none."""
    file = folder / RESULTS
    if not file.exists():
        return {}
    results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return results


def page(results: dict[str, Any]) -> str:
    """Returns the text of the page."""
    parts = {
        "busy": busy_note(results),
        "groups": "\n".join(_section(name, rows) for name, rows in _groups(results)),
        "machine": machine_table(results),
    }
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(parts)


def sentence(results: dict[str, Any]) -> str:
    """Returns the line that the README quotes; empty if there is nothing to quote."""
    rows = [row for row in results["groups"].get("rules", ()) if row["curve"] == QUOTED]
    if len(rows) < 2:
        return ""
    few, many = rows[0], rows[-1]
    return (
        f"The engine takes {few['y']:.0f} µs for a decision with {few['x']:,.0f} chain rules, and "
        f"{many['y']:.0f} µs with {many['x']:,.0f} ([growth](docs/growth.md))."
    )


def _groups(results: dict[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """Yields the groups that were measured, in the order of the curves."""
    groups = results["groups"]
    return ((name, groups[name]) for name in CURVES if groups.get(name))


def _section(name: str, rows: list[Row]) -> str:
    text = f"## {name.capitalize()}\n\n{_introduction(name)}\n"
    for file, unit, curves in plots(name, rows):
        text += f"\n![{name}: {unit}]({PLOTS}/{file}.svg)\n\n{_values(curves)}"
    return text


def _introduction(name: str) -> str:
    """Returns the description of the module that measures a group."""
    return (sys.modules[CURVES[name].__module__].__doc__ or "").strip()


def plots(name: str, rows: list[Row]) -> Iterator[tuple[str, str, dict[str, list[Row]]]]:
    """Yields the file, the unit and the curves of each plot of a group."""
    units = dict.fromkeys(row["unit"] for row in rows)
    for number, unit in enumerate(units):
        curves: dict[str, list[Row]] = {}
        for row in rows:
            if row["unit"] == unit:
                curves.setdefault(row["curve"], []).append(row)
        names = list(curves)
        for part, begin in enumerate(range(0, len(names), _MAX_LINES)):
            chosen = {each: curves[each] for each in names[begin : begin + _MAX_LINES]}
            yield f"growth-{name}-{number + 1}{'abcdefgh'[part] if part else ''}", unit, chosen


def _values(curves: dict[str, list[Row]]) -> str:
    sizes = sorted({row["x"] for rows in curves.values() for row in rows})
    lines: list[Sequence[str]] = []
    for name, rows in curves.items():
        values = {row["x"]: row["y"] for row in rows}
        lines.append([name, *(_number(values[x]) if x in values else "" for x in sizes)])
    unit = next(iter(curves.values()))[0]["unit"]
    return table([unit, *(f"{x:,.0f}" for x in sizes)], lines)


def _number(value: float) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3
    return f"{value:,.{digits}f}"


def _draw(path: Path, name: str, unit: str, curves: dict[str, list[Row]]) -> None:
    lines = [
        Line(curve, [row["x"] for row in rows], [row["y"] for row in rows])
        for curve, rows in curves.items()
    ]
    values = [y for line in lines for y in line.y if y > 0]
    wide = bool(values) and max(values) > 50 * min(values)
    from_zero = any(x <= 0 for line in lines for x in line.x)
    scales = ("linear" if name in LINEAR or from_zero else "log", "log" if wide else "linear")
    draw_lines(path, f"{name}: {unit}", (name, unit), lines, scales)
