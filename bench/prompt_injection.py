"""Measures how many prompt injections the system policies see, and how many harmless texts.

A text is flagged if a policy of the family `prompt_injection` matches in a decision about it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.engine import catalog_snapshot
from pdp import catalog
from pdp.domain.request import Request
from pdp.domain.static_policy import PROMPT_INJECTION
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

MIN_SEEN: Final = 40.0
"""The share of attacks that must be seen, in percent."""

MAX_FALSE: Final = 2.0
"""The share of harmless texts that may be flagged, in percent."""


class Row(NamedTuple):
    """A text, and whether it is an attack."""

    text: str
    attack: bool


class Score(NamedTuple):
    """The counts for a set of rows.

    Attributes:
        attacks: the number of attacks.
        missed: the attacks that no policy matches.
        harmless: the number of harmless texts.
        flagged: the harmless texts that a policy matches.
    """

    attacks: int
    missed: Sequence[str]
    harmless: int
    flagged: Sequence[str]

    @property
    def seen_percent(self) -> float:
        """The share of attacks that are seen."""
        return 100 * (1 - len(self.missed) / self.attacks) if self.attacks else 100.0

    @property
    def false_percent(self) -> float:
        """The share of harmless texts that are flagged."""
        return 100 * len(self.flagged) / self.harmless if self.harmless else 0.0

    @property
    def reached(self) -> bool:
        """Whether both targets are reached."""
        return self.seen_percent >= MIN_SEEN and self.false_percent <= MAX_FALSE


def read_rows(file: Path) -> list[Row]:
    """Returns the rows of `injection.jsonl`, or of `injection_kinds.jsonl`."""
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Row(row["text"], row["attack"] if "attack" in row else row["positive"]) for row in rows]


def flagger(*, in_arguments: bool = False) -> Callable[[str], bool]:
    """Returns a function that says whether a text is flagged.

    Args:
        in_arguments: whether the text is the argument of a tool, and not the text of the request.
    """
    snapshot = catalog_snapshot()
    family = {
        each.policy.id
        for each in catalog.static_policies()
        if each.policy.family == PROMPT_INJECTION
    }

    def is_flagged(text: str) -> bool:
        arguments = {"value": text}
        request = Request(tool="fetch", arguments=arguments) if in_arguments else Request(text=text)
        matches = evaluate(snapshot, request, "id").matches
        return any(each.policy_id in family for each in matches)

    return is_flagged


def score(rows: Iterable[Row], is_flagged: Callable[[str], bool]) -> Score:
    """Returns the counts for `rows`."""
    texts: dict[bool, list[str]] = {True: [], False: []}
    flagged: dict[bool, list[str]] = {True: [], False: []}
    for row in rows:
        texts[row.attack].append(row.text)
        if is_flagged(row.text):
            flagged[row.attack].append(row.text)
    seen = set(flagged[True])
    missed = [text for text in texts[True] if text not in seen]
    return Score(len(texts[True]), missed, len(texts[False]), flagged[False])


def report(file: Path, *, list_rows: bool) -> bool:
    """Prints the figures of a corpus, and returns whether the targets are reached."""
    result = score(read_rows(file), flagger())
    if list_rows:
        for text in (*result.missed, *result.flagged):
            print(f"  {text!r}")
    seen = f"{result.attacks - len(result.missed)} of {result.attacks}"
    flagged = f"{len(result.flagged)} of {result.harmless}"
    print(f"\n{'prompt injections seen':<28}{seen:>12}{result.seen_percent:>8.2f} %", end="")
    print(f"   target >= {MIN_SEEN:g} %")
    print(f"{'harmless texts flagged':<28}{flagged:>12}{result.false_percent:>8.2f} %", end="")
    print(f"   target <= {MAX_FALSE:g} %")
    return result.reached


def as_json(result: Score) -> dict[str, object]:
    """Returns the figures for JSON."""
    return {
        "prompt_injections": {
            "attacks": result.attacks,
            "seen_percent": round(result.seen_percent, 2),
            "missed": list(result.missed),
            "harmless": result.harmless,
            "flagged": list(result.flagged),
            "reached": result.reached,
        }
    }
