"""Measures how well entities are found: precision, recall and F2, compared with Presidio.

A finding is correct if it has the type of a label and almost the same span: their intersection is
at least half of their union. F2 weights recall twice as much as precision.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from bench import presidio
from pdp import catalog
from pdp.catalog.dlp import dlp_rules
from pdp.detect.validators import VALIDATORS
from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from pdp.domain.dlp_rule import DlpRule
    from pdp.engine.dlp.entities import EntityFinding

EntitySpan = tuple[str, int, int]
"""The type of an entity, its start and its end."""

TARGETS: Final = {
    "CREDIT_CARD": 0.98,
    "EMAIL_ADDRESS": 0.98,
    "IBAN_CODE": 0.98,
    "US_SSN": 0.98,
    "PHONE_NUMBER": 0.85,
}
"""The lowest precision and recall of each type."""

ALL_TYPES: Final = (*TARGETS, "IP_ADDRESS", "US_DRIVER_LICENSE")

MAX_FALSE: Final = 1 / 200
"""The share of sentences without an entity in `TARGETS` that may be redacted or blocked."""

_TAKES_ACTION: Final = frozenset({"redact", "block"})
_MIN_OVERLAP: Final = 0.5


class Sentence(NamedTuple):
    """A text with its labels."""

    text: str
    labels: tuple[EntitySpan, ...]


class Score(NamedTuple):
    """The counts for one type.

    Attributes:
        labels: the number of labels.
        hits: the number of labels that were found.
        finds: the number of findings.
        exact: the number of labels that were found with exactly the same span.
    """

    labels: int
    hits: int
    finds: int
    exact: int

    @property
    def precision(self) -> float:
        """The share of findings that are correct."""
        return self.hits / self.finds if self.finds else 1.0

    @property
    def recall(self) -> float:
        """The share of labels that were found."""
        return self.hits / self.labels if self.labels else 1.0

    @property
    def f2(self) -> float:
        """The weighted mean of precision and recall that counts recall twice."""
        weighted = 4 * self.precision + self.recall
        return 5 * self.precision * self.recall / weighted if weighted else 0.0


def read_sentences(file: Path) -> list[Sentence]:
    """Returns the sentences of a corpus, one JSON object a line."""
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Sentence(
            row["text"],
            tuple((each["entity_type"], each["start"], each["end"]) for each in row["spans"]),
        )
        for row in rows
    ]


def finder(tiers: frozenset[str] | None = None) -> Callable[[str], list[EntitySpan]]:
    """Returns a function that finds entities with the rules that ship.

    Args:
        tiers: use only enabled rules of these tiers; None for all rules, including disabled ones.
    """
    find = findings_of(lambda rule: tiers is None or (rule.enabled and rule.action_tier in tiers))
    return lambda text: [
        (each.entity_type, each.location.start, each.location.end) for each in find(text)
    ]


def findings_of(uses: Callable[[DlpRule], bool]) -> Callable[[str], list[EntityFinding]]:
    """Returns a function that returns what some of the rules that ship find in a text.

    Args:
        uses: whether to use a rule.
    """
    detectors = catalog.detectors()
    rules = [
        (detectors[rule.config_json["detector"]], rule.confidence_threshold)
        for rule in dlp_rules()
        if uses(rule)
    ]
    patterns = PatternSet().with_patterns(p for each, _ in rules for p in each.patterns)

    def find(text: str) -> list[EntityFinding]:
        findings = scan((patterns,), text, None, VALIDATORS)
        return [
            each
            for detector, threshold in rules
            for each in findings.entities(detector)
            if each.confidence >= threshold
        ]

    return find


def scores(
    sentences: Iterable[Sentence], find: Callable[[str], list[EntitySpan]], types: Sequence[str]
) -> dict[str, Score]:
    """Returns the score of `find` for each type."""
    counts: dict[str, Counter[str]] = {each: Counter() for each in types}
    for sentence in sentences:
        spans = find(sentence.text)
        for entity_type, count in counts.items():
            labels = [each for each in sentence.labels if each[0] == entity_type]
            own = {each for each in spans if each[0] == entity_type}
            count["labels"] += len(labels)
            count["finds"] += len(own)
            count["hits"] += sum(any(_same(label, each) for each in own) for label in labels)
            count["exact"] += sum(label in own for label in labels)
    return {
        entity_type: Score(count["labels"], count["hits"], count["finds"], count["exact"])
        for entity_type, count in counts.items()
    }


def _same(label: EntitySpan, span: EntitySpan) -> bool:
    intersection = min(label[2], span[2]) - max(label[1], span[1])
    union = max(label[2], span[2]) - min(label[1], span[1])
    return intersection >= _MIN_OVERLAP * union


def false_actions(sentences: Iterable[Sentence]) -> tuple[int, int]:
    """Returns how many sentences without a targeted entity are redacted or blocked, of how many."""
    find = finder(_TAKES_ACTION)
    clean = [each for each in sentences if not TARGETS.keys() & {label[0] for label in each.labels}]
    return sum(bool(find(each.text)) for each in clean), len(clean)


def report(file: Path) -> bool:
    """Prints the table of a corpus, and returns whether the targets are reached."""
    sentences = read_sentences(file)
    own = scores(sentences, finder(), ALL_TYPES)
    others = scores(sentences, presidio.finder(), ALL_TYPES) if presidio.installed() else None
    header = f"{'entity':<20}{'labels':>7}  {'ours: prec.':>12}{'recall':>8}{'F2':>7}{'exact':>7}"
    header += f"  {'Presidio: prec.':>17}{'recall':>8}{'F2':>7}" if others else ""
    print(f"\n{header}   target")
    for entity_type, score in own.items():
        line = f"{entity_type:<20}{score.labels:>7}  {_figures(score, 12)}{score.exact:>7}"
        line += f"  {_figures(others[entity_type], 17)}" if others else ""
        target = TARGETS.get(entity_type)
        print(line + (f"   >= {target:g}" if target else ""))
    flagged, clean = false_actions(sentences)
    share = f"{flagged} of {clean}"
    print(f"{'redacted or blocked by mistake':<34}{share:>14}   target <= 1 of 200")
    if others is None:
        print("Presidio is not installed, so it is not measured: pip install '.[ner]'")
    else:
        least = presidio.MIN_SCORE
        print(
            f"Presidio: only its pattern recognisers, findings with a score of at least {least:g}"
        )
    return reached(own, flagged, clean)


def reached(entities: dict[str, Score], flagged: int, clean: int) -> bool:
    """Returns whether all targets are reached, and few enough clean sentences were flagged."""
    return flagged <= MAX_FALSE * clean and all(
        min(entities[each].precision, entities[each].recall) >= target
        for each, target in TARGETS.items()
    )


def as_json(entities: dict[str, Score]) -> dict[str, object]:
    """Returns the scores of each type for JSON."""
    return {
        "entities": {
            entity_type: {
                **score._asdict(),
                "precision": round(score.precision, 4),
                "recall": round(score.recall, 4),
                "f2": round(score.f2, 4),
            }
            for entity_type, score in entities.items()
        }
    }


def _figures(score: Score, width: int) -> str:
    return f"{score.precision:>{width}.3f}{score.recall:>8.3f}{score.f2:>7.3f}"
