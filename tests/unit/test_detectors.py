"""The built-in detectors: each finds its examples with the confidence that its rule needs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pdp import catalog
from pdp.catalog.dlp import dlp_rules, rule_id
from pdp.detect.validators import VALIDATORS
from pdp.domain.detector import CATEGORIES, entity_aliases
from pdp.domain.dlp_rule import ACTION_TIERS
from pdp.domain.policy_set import PolicySet
from pdp.domain.static_policy import ACTIONS
from pdp.engine.compiler import compile_platform
from pdp.engine.dlp.entities import MAX_NAME
from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan
from pdp.engine.text.patterns import CompiledPattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.engine.dlp.entities import EntityFinding

DETECTORS = catalog.detectors()
ENTRIES: dict[str, dict[str, Any]] = {
    entry["id"]: entry for entry in catalog.entries("detectors", "detectors")
}
RULES = {rule.config_json["detector"]: rule for rule in dlp_rules()}
PATTERN_SETS = (
    PatternSet().with_patterns(p for each in DETECTORS.values() for p in each.patterns),
)

KEYS = {
    *("id", "name", "entity_type", "category", "description", "patterns", "weak", "validator"),
    "label_validator",
    "extension",
    *("confidence", "context_confidence", "context", "against", "allowlist", "rule", "examples"),
}

each_detector = pytest.mark.parametrize("detector_id", DETECTORS)


def find(detector: EntityDetector, text: str) -> Sequence[EntityFinding]:
    """Returns the findings of a detector that count for its built-in rule."""
    threshold = RULES[detector.id].confidence_threshold
    findings = scan(PATTERN_SETS, text, None, VALIDATORS).entities(detector)
    return [each for each in findings if each.confidence >= threshold]


@each_detector
class TestEachDetector:
    def test_finds_its_positive_examples(self, detector_id: str) -> None:
        texts = ENTRIES[detector_id]["examples"]["match"]
        assert len(texts) >= 2
        assert [text for text in texts if not find(DETECTORS[detector_id], text)] == []

    def test_does_not_find_its_negative_examples(self, detector_id: str) -> None:
        texts = ENTRIES[detector_id]["examples"]["no_match"]
        assert len(texts) >= 2
        assert [text for text in texts if find(DETECTORS[detector_id], text)] == []

    def test_is_consistent(self, detector_id: str) -> None:
        detector, entry = DETECTORS[detector_id], ENTRIES[detector_id]
        assert set(entry) <= KEYS
        assert re.fullmatch(r"[a-z0-9_]+", detector_id)
        assert re.fullmatch(r"[A-Z0-9_]+", detector.entity_type)
        assert detector.category in CATEGORIES
        assert 0 < detector.confidence <= detector.context_confidence <= 1
        assert all(0 < each < detector.context_confidence for each in detector.weak.values())
        names = {detector.validator, detector.label_validator} - {""}
        assert names <= set(VALIDATORS)
        assert len(set(detector.patterns)) == len(detector.patterns) > 0

    def test_finds_nothing_in_an_empty_text(self, detector_id: str) -> None:
        for source in DETECTORS[detector_id].patterns:
            assert list(CompiledPattern(source).spans("", b"")) == []

    def test_its_words_have_the_form_of_words_in_a_text(self, detector_id: str) -> None:
        detector = DETECTORS[detector_id]
        for word in (*detector.context, *detector.against):
            assert word == " ".join(re.findall(r"[^\W_]+", word.lower()))

    def test_its_rule_can_match(self, detector_id: str) -> None:
        rule, detector = RULES[detector_id], DETECTORS[detector_id]
        assert rule.id == rule_id(detector_id)
        assert rule.detector_name == detector.name
        assert rule.action_tier in ACTION_TIERS
        assert 0 < rule.confidence_threshold <= detector.context_confidence


class TestAll:
    def test_there_are_enough_of_each_category(self) -> None:
        assert len(DETECTORS) >= 45
        for category in CATEGORIES:
            assert sum(each.category == category for each in DETECTORS.values()) >= 5

    def test_names_are_unique(self) -> None:
        names = [each.name for each in DETECTORS.values()]
        assert sorted(set(names)) == sorted(names)

    def test_by_default_only_cards_and_secrets_are_redacted_and_nothing_is_blocked(self) -> None:
        """See docs/decide.md, Org policy."""
        for rule in RULES.values():
            redacts = rule.action_tier == "redact"
            assert redacts or rule.action_tier == "log_only"
            if redacts:
                category = DETECTORS[rule.config_json["detector"]].category
                assert category == "secret" or rule.entity_type.startswith(("CREDIT_", "CARD_"))

    def test_the_card_rule_has_the_pattern_of_the_dlp_api(self) -> None:
        rule = RULES["credit_card"]
        assert rule.detector_name == "Credit Card Number"
        assert rule.config_json["pattern"] == r"\b(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14})\b"

    def test_static_policies_use_the_same_patterns(self) -> None:
        """The scan runs patterns with the same source once."""
        families = {"secret", "pii", "financial", "medical"}
        policies = [
            each.policy for each in catalog.static_policies() if each.policy.family in families
        ]
        own = {source for each in DETECTORS.values() for source in each.patterns}
        others = [policy.id for policy in policies if policy.pattern not in own]
        assert policies[0].action in ACTIONS
        assert len(others) <= 12, others

    def test_aliases_are_names_of_one_type(self) -> None:
        assert entity_aliases("SSN") == entity_aliases("US_SSN") == {"SSN", "US_SSN"}
        assert entity_aliases("PROJECT_CODE") == {"PROJECT_CODE"}


def test_the_documentation_lists_all_detectors() -> None:
    text = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `") and " yes |" in line]
    rows += [line for line in text.splitlines() if line.startswith("| `") and " no |" in line]
    expected = []
    for detector_id, detector in DETECTORS.items():
        rule = RULES[detector_id]
        on = "yes" if rule.enabled else "no"
        expected.append(
            f"| `{detector_id}` | {detector.name} | {detector.entity_type} | {rule.action_tier} "
            f"| {rule.confidence_threshold:g} | {on} |"
        )
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"validator": "nope"}, "validator"),
        ({"label_validator": "nope"}, "validator"),
        ({"extension": "nope"}, "extension"),
    ],
)
def test_a_detector_that_names_an_unknown_function_is_rejected(
    changes: dict[str, Any], kind: str
) -> None:
    detector = replace(DETECTORS["credit_card"], **changes)
    with pytest.raises(KeyError, match=f"detector credit_card names the unknown {kind} nope"):
        compile_platform(PolicySet(), VALIDATORS, detectors={detector.id: detector})


@pytest.mark.parametrize(("size", "is_part"), [(MAX_NAME, True), (MAX_NAME + 1, False)])
def test_the_name_before_a_match_belongs_to_the_label_up_to_its_bound(
    size: int, is_part: bool
) -> None:
    name = f"page{'_' * (size - 4)}"
    text = f'{name}token = "9fq2mt7xlwr4vkzb8cnde3hj6syp"'
    assert bool(find(DETECTORS["high_entropy_secret"], text)) is not is_part
