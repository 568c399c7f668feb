"""Parts of the pages that benchmarks generate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bench.peers.machine import BUSY_SHARE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: bool = True) -> str:
    """Returns a Markdown table; all columns but the first are aligned to the right."""
    rules = ["---", *("---:" if right else "---" for _ in headings[1:])]
    return "".join(f"| {' | '.join(line)} |\n" for line in (headings, rules, *rows))


def busy_note(results: dict[str, Any]) -> str:
    """Returns a warning if others used the machine before or after the run, else nothing."""
    if not was_busy(results):
        return ""
    before, after = results["busy_share"], results["busy_share_after"]
    return (
        f"> **Measured on a busy machine**: other programs used {before:.0%} of it before the\n"
        f"> run, and {after:.0%} after it. CPU times are somewhat too high. Latencies and the\n"
        "> requests a second are those of a contested machine: do not compare them.\n"
    )


def was_busy(results: dict[str, Any]) -> bool:
    """Whether others used the machine before or after the run."""
    return bool(max(results["busy_share"], results["busy_share_after"]) > BUSY_SHARE)


def machine_table(results: dict[str, Any]) -> str:
    """Returns a table of what the machine was, and how much was measured."""
    rows = [*results["machine"].items(), *results["plan"].items()]
    rows.append(("in use by others", f"{results['busy_share']:.0%} before the run"))
    return table(["", ""], rows, right=False)


def quote(file: Path, name: str, text: str) -> None:
    """Replaces the text between the markers of `name` in a page.

    Raises:
        ValueError: the page does not have the markers.
    """
    page = file.read_text(encoding="utf-8")
    between = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->\n)", re.DOTALL)
    changed, count = between.subn(lambda match: f"{match[1]}{text}\n{match[2]}", page)
    if count != 1:
        raise ValueError(f"{file.name} has no place for {name}")
    file.write_text(changed, encoding="utf-8")
