"""Measures how many kinds of secrets are redacted, and how many harmless texts are, by rule.

A row is handled if no part of its secrets is left after the redactions of a new tenant. A rule
is handled if most of its rows are.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.blind_spots import LEFT
from bench.spans import finder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from bench.spans import EntitySpan

MIN_RULES: Final = 92.0
"""The share of rules that must be handled, in percent."""

MAX_FALSE: Final = 2.0
"""The share of harmless texts that may be redacted, in percent."""

_TAKES_ACTION: Final = frozenset({"redact", "block"})
_REPLACEMENT: Final = "[REDACTED]"
_MOST: Final = 0.5


class Row(NamedTuple):
    """A text with its secrets; none if the text is harmless."""

    rule: str
    text: str
    secrets: tuple[str, ...]

    @property
    def blind(self) -> bool:
        """Whether the row is in the part that is not looked at while patterns are written."""
        return hashlib.sha256(self.rule.encode()).digest()[1] % 2 == 1


class Score(NamedTuple):
    """The counts for a set of rows.

    Attributes:
        rules: the number of rules with secrets.
        missed: the rules of which at most half of the rows are handled.
        harmless: the number of harmless rows.
        flagged: the harmless rows that are redacted.
        left: the rows with secrets of which a part is left.
    """

    rules: int
    missed: Sequence[str]
    harmless: int
    flagged: Sequence[Row]
    left: Sequence[Row]

    @property
    def handled_percent(self) -> float:
        """The share of rules that are handled."""
        return 100 * (1 - len(self.missed) / self.rules) if self.rules else 100.0

    @property
    def false_percent(self) -> float:
        """The share of harmless rows that are redacted."""
        return 100 * len(self.flagged) / self.harmless if self.harmless else 0.0

    @property
    def reached(self) -> bool:
        """Whether both targets are reached."""
        return self.handled_percent >= MIN_RULES and self.false_percent <= MAX_FALSE


def read_rows(file: Path) -> list[Row]:
    """Returns the rows of a corpus, one JSON object a line."""
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Row(row["rule"], row["text"], tuple(row["secrets"] if row["positive"] else ()))
        for row in rows
    ]


def redactor() -> Callable[[str], str]:
    """Returns a function that redacts a text as the rules that ship do."""
    find = finder(_TAKES_ACTION)
    return lambda text: _redacted(text, find(text))


def score(rows: Iterable[Row], redact: Callable[[str], str]) -> Score:
    """Returns the counts for `rows`."""
    handled: dict[str, list[bool]] = {}
    flagged: list[Row] = []
    left: list[Row] = []
    harmless = 0
    for row in rows:
        redacted = redact(row.text)
        if not row.secrets:
            harmless += 1
            if redacted != row.text:
                flagged.append(row)
            continue
        leaks = any(_is_left(secret, row.text, redacted) for secret in row.secrets)
        handled.setdefault(row.rule, []).append(not leaks)
        if leaks:
            left.append(row)
    missed = [rule for rule, rows in handled.items() if sum(rows) <= _MOST * len(rows)]
    return Score(len(handled), missed, harmless, flagged, left)


def report(file: Path, *, list_rows: bool) -> bool:
    """Prints the figures of a corpus, and returns whether the targets are reached."""
    result = score(read_rows(file), redactor())
    if list_rows:
        for row in (*result.left, *result.flagged):
            print(f"  {row.rule}: {row.text!r}")
    handled = f"{result.rules - len(result.missed)} of {result.rules}"
    flagged = f"{len(result.flagged)} of {result.harmless}"
    print(
        f"\n{'kinds of secrets redacted':<28}{handled:>12}{result.handled_percent:>8.2f} %", end=""
    )
    print(f"   target >= {MIN_RULES:g} %")
    print(f"{'harmless texts redacted':<28}{flagged:>12}{result.false_percent:>8.2f} %", end="")
    print(f"   target <= {MAX_FALSE:g} %")
    return result.reached


def as_json(result: Score) -> dict[str, object]:
    """Returns the figures for JSON."""
    return {
        "secrets": {
            "rules": result.rules,
            "handled_percent": round(result.handled_percent, 2),
            "missed": sorted(result.missed),
            "harmless": result.harmless,
            "false_percent": round(result.false_percent, 2),
            "flagged": [row.text for row in result.flagged],
        }
    }


def _redacted(text: str, spans: Iterable[EntitySpan]) -> str:
    parts: list[str] = []
    end = 0
    for _, start, stop in sorted(spans, key=lambda span: span[1:]):
        if start >= end:
            parts += (text[end:start], _REPLACEMENT)
        end = max(end, stop)
    return "".join((*parts, text[end:]))


def _is_left(secret: str, text: str, redacted: str) -> bool:
    """Whether a part of `secret` is left in `redacted`, apart from where else it is in `text`."""
    others = text.replace(secret, "\0")
    parts = {secret[at : at + LEFT] for at in range(max(1, len(secret) - LEFT + 1))}
    return any(part in redacted and part not in others for part in parts)
