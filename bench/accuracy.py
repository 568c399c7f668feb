"""`python -m bench.accuracy`: measures the accuracy of the security policies and the detectors.

Every line of the corpora is scanned with all policies of the category `security`, like the text of
a request. If a policy matches, an attack counts as detected, and a harmless text as flagged. If a
policy blocks it, it counts as blocked: SQL that prose talks about, and commands in a text, warn.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

from bench import labelled_values, prompt_injection, secrets, spans
from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain.request import Request
from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.engine.pattern_set import PatternSet
from pdp.engine.rules.static_policies import compile_policy, find_hit
from pdp.engine.scan import scan
from pdp.engine.text.patterns import PatternDetector
from pdp.engine.text.request_parts import RequestParts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pdp.domain.static_policy import StaticPolicy

CORPORA: Final = Path(__file__).parent.parent / "tests" / "corpora"

_FULL_WIDTH: Final = {code: chr(0xFEE0 + code) for code in range(0x21, 0x7F)}

DISGUISES: Final[Mapping[str, Callable[[str], str]]] = {
    "percent-encoded": quote,
    "as a form": quote_plus,
    "encoded twice": lambda text: quote(quote(text)),
    "/**/ for spaces": lambda text: text.replace(" ", "/**/"),
    "full-width": lambda text: text.translate(_FULL_WIDTH),
    "zero-width spaces": "\u200b".join,
}
"""Other ways to write an attack."""

MIN_DETECTED: Final = 97.0
"""The share of attacks that must be detected, in percent."""

MAX_FLAGGED: Final = 0.45
"""The share of harmless texts that may be flagged, in percent."""

MIN_BLOCKED: Final = 97.0
"""The share of attacks that must be blocked, in percent."""

MAX_BLOCKED: Final = 0.4
"""The share of harmless texts that may be blocked, in percent."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a corpus: a text, and the public data set that it comes from."""

    text: str
    source: str


@dataclass(slots=True)
class Tally:
    """The counts for one group of rows.

    Attributes:
        total: the number of rows.
        matched: the rows that at least one policy matched.
        blocked: the rows that at least one policy blocks.
        sources: [matched, total] for each source.
        policies: the number of rows that each policy matched.
        alone: the number of rows that only this policy matched.
        listed: the texts to print: missed attacks, or flagged harmless texts.
    """

    total: int = 0
    matched: int = 0
    blocked: int = 0
    sources: dict[str, list[int]] = field(default_factory=dict)
    policies: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    listed: list[str] = field(default_factory=list)

    @property
    def percent(self) -> float:
        """The share of the rows that were matched."""
        return 100 * self.matched / self.total if self.total else 0.0

    @property
    def percent_blocked(self) -> float:
        """The share of the rows that are blocked."""
        return 100 * self.blocked / self.total if self.total else 0.0


class Matcher:
    """The security policies as one pattern set."""

    def __init__(self, policies: Iterable[StaticPolicy]) -> None:
        self.policies = [policy for policy in policies if policy.category == "security"]
        patterns = PatternSet().with_patterns(policy.pattern for policy in self.policies)
        self._patterns = patterns
        self._compiled = [compile_policy(policy) for policy in self.policies]

    def matching(self, text: str) -> list[str]:
        """Returns the ids of the policies that match `text`."""
        findings = scan((self._patterns,), text, None, VALIDATORS)
        return [
            policy.id
            for policy in self.policies
            if findings.first(PatternDetector(policy.pattern, policy.validator))
        ]

    def blocks(self, text: str) -> bool:
        """Returns whether a policy blocks `text` as the text of a request."""
        findings = scan((self._patterns,), text, None, VALIDATORS)
        parts = RequestParts(Request(text=text))
        hits = (find_hit(each, findings, parts, NO_FACT_SOURCE) for each in self._compiled)
        return any(hit is not None and hit.location and hit.action == "block" for hit in hits)


def read_rows(file: Path) -> Iterator[Row]:
    """Yields the rows of a corpus, one JSON object a line."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield Row(row["text"], row["source"])


def tally(matcher: Matcher, rows: Iterable[Row], *, list_matched: bool) -> Tally:
    """Returns the counts for `rows`; lists the rows that matched, or those that did not."""
    result = Tally()
    for row in rows:
        ids = matcher.matching(row.text)
        source = result.sources.setdefault(row.source, [0, 0])
        source[0] += bool(ids)
        source[1] += 1
        result.total += 1
        result.matched += bool(ids)
        result.blocked += bool(ids) and matcher.blocks(row.text)
        result.policies.update(ids)
        if len(ids) == 1:
            result.alone.update(ids)
        if bool(ids) is list_matched:
            result.listed.append(row.text)
    return result


def main() -> int:
    """Prints the tables. Returns 1 if a target is missed, else 0."""
    options = _options()
    matcher = Matcher(system.policy for system in catalog.static_policies())
    attacks = tally(matcher, read_rows(options.corpora / "sqli_attacks.jsonl"), list_matched=False)
    benign = tally(matcher, read_rows(options.corpora / "sqli_benign.jsonl"), list_matched=True)
    reached = attacks.percent >= MIN_DETECTED and benign.percent <= MAX_FLAGGED
    reached &= attacks.percent_blocked >= MIN_BLOCKED and benign.percent_blocked < MAX_BLOCKED
    labelled = options.corpora / "pii_spans.jsonl"
    texts = options.corpora / "secrets.jsonl"
    orders = options.corpora / "injection.jsonl"
    if options.json:
        sentences = spans.read_sentences(labelled)
        entities = spans.scores(sentences, spans.finder(), spans.ALL_TYPES)
        reached = reached and spans.reached(entities, *spans.false_actions(sentences))
        kinds = secrets.score(secrets.read_rows(texts), secrets.redactor())
        values = labelled_values.measure()
        seen = prompt_injection.score(
            prompt_injection.read_rows(orders), prompt_injection.flagger()
        )
        reached = reached and kinds.reached and values.reached and seen.reached
        figures = spans.as_json(entities) | secrets.as_json(kinds) | labelled_values.as_json(values)
        figures |= prompt_injection.as_json(seen)
        json.dump(_as_json(attacks, benign, reached) | figures, sys.stdout, indent=2)
        print()
    else:
        _print_sources(attacks, benign)
        _print_policies(matcher.policies, attacks, benign)
        if options.rows:
            _print_rows("missed", attacks.listed)
            _print_rows("flagged", benign.listed)
        _print_totals(attacks, benign)
        _print_disguised(matcher, options.corpora / "sqli_attacks.jsonl")
        reached = spans.report(labelled) and reached
        reached = secrets.report(texts, list_rows=options.rows) and reached
        reached = prompt_injection.report(orders, list_rows=options.rows) and reached
        reached = labelled_values.report(rows=options.rows) and reached
    return 0 if reached else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--corpora", type=Path, default=CORPORA, help="the folder of the corpora")
    parser.add_argument("--rows", action="store_true", help="also print missed and flagged rows")
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead")
    return parser.parse_args()


def _as_json(attacks: Tally, benign: Tally, reached: bool) -> dict[str, object]:
    return {
        "attacks": _group_as_json(attacks, MIN_DETECTED) | {"missed": attacks.listed},
        "harmless": _group_as_json(benign, MAX_FLAGGED) | {"flagged": benign.listed},
        "reached": reached,
    }


def _group_as_json(group: Tally, target: float) -> dict[str, object]:
    return {
        "total": group.total,
        "matched": group.matched,
        "percent": round(group.percent, 2),
        "blocked": group.blocked,
        "target": target,
        "sources": {
            source: {"matched": matched, "total": total}
            for source, (matched, total) in sorted(group.sources.items())
        },
        "policies": {
            policy_id: {"matched": count, "alone": group.alone[policy_id]}
            for policy_id, count in group.policies.most_common()
        },
    }


def _print_sources(attacks: Tally, benign: Tally) -> None:
    print(f"{'source':<42}{'matched':>8}{'total':>8}{'%':>8}")
    for kind, group in (("attacks", attacks), ("harmless", benign)):
        for source, (matched, total) in sorted(group.sources.items()):
            percent = 100 * matched / total
            print(f"{f'{kind}: {source}':<42}{matched:>8}{total:>8}{percent:>8.2f}")
    print()


def _print_policies(policies: Sequence[StaticPolicy], attacks: Tally, benign: Tally) -> None:
    print(f"{'policy':<42}{'attacks':>8}{'alone':>8}{'harmless':>10}")
    silent = 0
    for policy in sorted(policies, key=lambda policy: -attacks.policies[policy.id]):
        hits, flagged = attacks.policies[policy.id], benign.policies[policy.id]
        if hits or flagged:
            print(f"{policy.id:<42}{hits:>8}{attacks.alone[policy.id]:>8}{flagged:>10}")
        else:
            silent += 1
    print(f"{silent} more policies match nothing: these corpora have SQL injection only\n")


def _print_rows(title: str, texts: Sequence[str]) -> None:
    print(f"{title}:")
    for text in texts:
        print(f"  {text!r}")
    print()


def _print_disguised(matcher: Matcher, file: Path) -> None:
    """Prints how many attacks are detected if they are written in another way."""
    texts = [row.text for row in read_rows(file)]
    for title, disguise in DISGUISES.items():
        matched = sum(bool(matcher.matching(disguise(text))) for text in texts)
        share = f"{matched} of {len(texts)}"
        print(f"  {title:<18}{share:>14}{100 * matched / len(texts):>8.2f} %")


def _print_totals(attacks: Tally, benign: Tally) -> None:
    for title, group, target in (
        ("attacks detected", attacks, f">= {MIN_DETECTED:g} %"),
        ("harmless flagged", benign, f"<= {MAX_FLAGGED:g} %"),
    ):
        share = f"{group.matched} of {group.total}"
        print(f"{title:<20}{share:>14}{group.percent:>8.2f} %   target {target}")
    for title, group, target in (
        ("attacks blocked", attacks, f">= {MIN_BLOCKED:g} %"),
        ("harmless blocked", benign, f"< {MAX_BLOCKED:g} %"),
    ):
        share = f"{group.blocked} of {group.total}"
        print(f"{title:<20}{share:>14}{group.percent_blocked:>8.2f} %   target {target}")


if __name__ == "__main__":
    sys.exit(main())
