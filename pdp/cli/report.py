"""What a command shows people: drawn with rich on a terminal, plain lines where it is piped."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

# Texts come from policies and requests: what a terminal would obey must not reach it.
_CONTROLS: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    ord("\n"): "\\n",
    ord("\t"): "\\t",
    ord("\r"): "\\r",
}
_SHOWN_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """What is shown, from top to bottom.

    Attributes:
        headline: the answer in one line.
        style: its colour on a terminal, as rich names it.
        facts: labelled values.
        tables: what led to the answer; those without rows are left out.

    """

    headline: str
    style: str = "bold"
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()


def safe(text: str) -> str:
    """Returns `text` on one line, without control characters, and not endless."""
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 1] + "…"
    return text.translate(_CONTROLS)


def show(report: Report, file: TextIO | None = None) -> None:
    """Writes `report` to standard output, or to `file`."""
    file = file or sys.stdout
    if file.isatty():
        _draw(report, file)
    else:
        for line in _lines(report):
            print(line, file=file)


def _lines(report: Report) -> list[str]:
    lines = [safe(report.headline)]
    width = max((len(label) for label, _ in report.facts), default=0)
    lines += [f"{label + ':':<{width + 1}} {safe(value)}" for label, value in report.facts]
    for table in report.tables:
        if table.rows:
            lines += ["", f"{table.title}:", *_plain_rows(table)]
    return lines


def _plain_rows(table: Table) -> list[str]:
    rows = [list(table.columns), *([safe(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _draw(report: Report, file: TextIO) -> None:
    from rich import box  # noqa: PLC0415 - a tenth of a second, for terminals only
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table as Grid  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    console = Console(file=file, highlight=False)
    console.print(Text(safe(report.headline), style=report.style))
    if report.facts:
        facts = Grid.grid(padding=(0, 2))
        for label, value in report.facts:
            facts.add_row(Text(label, style="dim"), Text(safe(value)))
        console.print(facts)
    for table in report.tables:
        if table.rows:
            grid = Grid(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
            for column in table.columns:
                grid.add_column(column, overflow="fold")
            for row in table.rows:
                grid.add_row(*(Text(safe(cell), style=STYLES.get(cell, "")) for cell in row))
            console.print(grid)


STYLES: Final = {
    "ALLOW": "green",
    "WARN": "yellow",
    "ALLOW_WITH_OVERRIDE": "yellow",
    "ROUTE_TO": "yellow",
    "REDACT": "yellow",
    "PROMPT": "magenta",
    "CANCEL": "red",
    "BLOCK": "red",
    "block": "red",
    "warn": "yellow",
    "passed": "green",
    "failed": "red",
}
"""Colours of words that stand alone."""
