"""Reports that commands print for people, and JSON for programs.

A report is drawn with rich on a terminal. It is plain lines if the output is a pipe or a file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

# Texts come from policies and requests: control characters must not reach the terminal.
_CONTROLS: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    ord("\n"): "\\n",
    ord("\t"): "\\t",
    ord("\r"): "\\r",
}
_MAX_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """The parts of a report, from top to bottom.

    Attributes:
        headline: the answer in one line.
        style: the style of the headline on a terminal, in rich's notation.
        facts: labels and values.
        tables: the details; tables without rows are left out.
    """

    headline: str
    style: str = "bold"
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()


def printable(text: str) -> str:
    """Returns `text` on one line, with control characters escaped, cut to 2,000 characters."""
    if len(text) > _MAX_CHARACTERS:
        text = text[: _MAX_CHARACTERS - 1] + "…"
    return text.translate(_CONTROLS)


def show(report: Report, file: TextIO | None = None) -> None:
    """Prints a report to `file`, by default to standard output."""
    file = file or sys.stdout
    if file.isatty():
        _draw(report, file)
    else:
        for line in _lines(report):
            print(line, file=file)


def print_json(value: Any) -> None:
    """Prints a value as indented JSON to standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def _lines(report: Report) -> list[str]:
    lines = [printable(report.headline)]
    width = max((len(label) for label, _ in report.facts), default=0)
    lines += [f"{label + ':':<{width + 1}} {printable(value)}" for label, value in report.facts]
    for table in report.tables:
        if table.rows:
            lines += ["", f"{table.title}:", *_plain_rows(table)]
    return lines


def _plain_rows(table: Table) -> list[str]:
    rows = [list(table.columns), *([printable(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _draw(report: Report, file: TextIO) -> None:
    from rich import box  # noqa: PLC0415 - takes 0.1 s; only terminals need it
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table as Grid  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    console = Console(file=file, highlight=False)
    console.print(Text(printable(report.headline), style=report.style))
    if report.facts:
        facts = Grid.grid(padding=(0, 2))
        for label, value in report.facts:
            facts.add_row(Text(label, style="dim"), Text(printable(value)))
        console.print(facts)
    for table in report.tables:
        if table.rows:
            grid = Grid(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
            for column in table.columns:
                grid.add_column(column, overflow="fold")
            for row in table.rows:
                grid.add_row(*(Text(printable(cell), style=STYLES.get(cell, "")) for cell in row))
            console.print(grid)


STYLES: Final = {
    "ALLOW": "green",
    "WARN": "yellow",
    "ALLOW_WITH_OVERRIDE": "yellow",
    "ROUTE_TO": "yellow",
    "REDACT": "yellow",
    "PROMPT": "magenta",
    "ESCALATE": "magenta",
    "CANCEL": "red",
    "BLOCK": "red",
    "block": "red",
    "warn": "yellow",
    "passed": "green",
    "failed": "red",
}
"""The colours of table cells and headlines that are exactly these words."""
