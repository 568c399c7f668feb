"""Measures a decision with all detectors, compared with Presidio and `re` on the same texts."""

from __future__ import annotations

import json
import re
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bench import presidio
from bench.engine import microseconds, prose
from pdp import catalog
from pdp.catalog.dlp import dlp_rules
from pdp.detect.validators import VALIDATORS
from pdp.domain import dlp_rule, static_policy
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.engine.scan import scan

if TYPE_CHECKING:
    from pdp.engine.snapshot import Snapshot

_VALUES: Final = (
    "card 4111111111111111",
    "mail ada@acme.test",
    "SSN 536-90-4399",
    "IBAN GB82 WEST 1234 5698 7654 32",
    "call (212) 555-0123",
    "client 86.121.97.248",
    "wallet 0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe",
    "NHS number 943 476 5919",
    "passport number 123456789",
    "born on 3 May 1974",
)
"""Values that ten rules find."""

CORPORA: Final = Path(__file__).parent.parent / "tests" / "corpora"
MAX_CORPUS_TEXT: Final = 2_000

SHORT: Final = 200
LONG: Final = 200_000

TITLES: Final = {
    "short_us": "200 characters, nothing found",
    "short_hit_us": "200 characters, an e-mail address",
    "long_us": "200,000 characters, nothing found",
    "long_hits_us": "200,000 characters, values of ten rules",
}

TARGETS: Final = {"short_us": 60.0, "short_hit_us": 60.0, "long_hits_us": 4_000.0}


class Times(NamedTuple):
    """The times for one text, in microseconds.

    Attributes:
        decision: the whole decision, with all system policies and all detectors in force.
        presidio: Presidio with a blank model and its pattern recognisers; None if it is not
            installed.
        one_by_one: the patterns of the detectors, one by one, with `re`; no checks, no context.
    """

    decision: float
    presidio: float | None
    one_by_one: float


def texts() -> dict[str, str]:
    """Returns the texts, by the name of their time."""
    whole = prose(LONG)
    step = len(whole) // len(_VALUES)
    parts = (f"{whole[i * step :][:step]} {value} " for i, value in enumerate(_VALUES))
    return {
        "short_us": prose(SHORT),
        "short_hit_us": f"{prose(SHORT - len(_VALUES[1]))} {_VALUES[1]}",
        "long_us": whole,
        "long_hits_us": "".join(parts),
    }


def snapshot() -> Snapshot:
    """Returns a tenant with every rule that ships, including those that are off by default."""
    rules = {rule.id: replace(rule, enabled=True) for rule in dlp_rules()}
    static = {each.policy.id: each.policy for each in catalog.static_policies()}
    policies = PolicySet({static_policy.KIND: static, dlp_rule.KIND: rules})
    platform = compile_platform(policies, VALIDATORS, detectors=catalog.detectors())
    return compile_tenant(platform, "bench", PolicySet(), 1)


def times() -> dict[str, Times]:
    """Returns the times for each text."""
    compiled = snapshot()
    analyse = presidio.analyser() if presidio.installed() else None
    patterns = _patterns()
    result = {}
    for name, text in texts().items():
        request = Request(text=text)
        result[name] = Times(
            microseconds(lambda request=request: evaluate(compiled, request, "id")),  # type: ignore[misc]
            microseconds(lambda text=text: analyse(text)) if analyse else None,  # type: ignore[misc]
            microseconds(lambda text=text: [list(each.finditer(text)) for each in patterns]),  # type: ignore[misc]
        )
    return result


def corpus() -> list[str]:
    """Returns the texts of the corpora: each has other words."""
    texts: dict[str, None] = {}
    for file in sorted(CORPORA.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            text = json.loads(line).get("text", "")
            if 0 < len(text) <= MAX_CORPUS_TEXT:
                texts[text] = None
    return list(texts)


def corpus_us(rounds: int = 2) -> list[float]:
    """Returns what the scan of a text of the corpus takes, in microseconds, for each round.

    An automaton builds the states that a text of new words needs. If its states do not fit in its
    memory, each round costs as much as the first.
    """
    compiled = snapshot()
    searched, validators = corpus(), compiled.platform.validators
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        for text in searched:
            scan(compiled.pattern_sets, text, None, validators)
        times.append((time.process_time() - begin) / len(searched) * 1e6)
    return times


def _patterns() -> list[re.Pattern[str]]:
    sources = dict.fromkeys(p for each in catalog.detectors().values() for p in each.patterns)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # a `[[`, which means the same in RE2 and in re
        return [re.compile(source) for source in sources]
