"""The document of a DLP rule: its fields, and the errors for invalid ones."""

from __future__ import annotations

from typing import Any

import pytest

from pdp.domain.dlp_rule import DlpRule
from pdp.engine.dlp.config import MAX_LABEL, MAX_LABELS, MAX_MESSAGE, MAX_REPLACEMENT, read_config
from pdp.errors import InvalidArgument, InvalidPattern
from tests.support.dlp import DETECTORS

BAD_LABELS = f"must be a list of strings of 1 to {MAX_LABEL} characters"


def of(kind: str, config: dict[str, Any], entity_type: str = "X") -> DlpRule:
    return DlpRule("r", "Rule", kind, entity_type, "redact", config_json=config)


@pytest.mark.parametrize(
    ("kind", "config", "field", "reason"),
    [
        ("regex", {"patern": "", "pattern": "x"}, "patern", "unknown field; did you mean pattern?"),
        ("regex", {"zzz": 1, "pattern": "x"}, "zzz", "unknown field"),
        (
            "regex",
            {"pattern": "x", "labels": ["a"]},
            "labels",
            "is not a field of regex, which has pattern, detector, replacement, message",
        ),
        ("regex", {"detector": "crd"}, "detector", "unknown detector; did you mean card?"),
        (
            "regex",
            {"detector": 7},
            "detector",
            "unknown detector; see dlp-rules/available-patterns",
        ),
        (
            "regex",
            {"detector": "card", "pattern": "x"},
            "pattern",
            "is not a pattern of the detector card; remove pattern or detector",
        ),
        ("regex", {"pattern": "x", "replacement": 1}, "replacement", "must be a string"),
        (
            "regex",
            {"pattern": "x", "replacement": "x" * (MAX_REPLACEMENT + 1)},
            "replacement",
            f"must be at most {MAX_REPLACEMENT} characters",
        ),
        (
            "llm",
            {"message": "x" * (MAX_MESSAGE + 1)},
            "message",
            f"must be at most {MAX_MESSAGE} characters",
        ),
        (
            "ner",
            {"entities": "PERSON"},
            "entities",
            f"must be a list of at most {MAX_LABELS} strings",
        ),
        (
            "ner",
            {"entities": ["X"] * (MAX_LABELS + 1)},
            "entities",
            f"must be a list of at most {MAX_LABELS} strings",
        ),
        *(
            ("llm", {"labels": [label]}, "labels", BAD_LABELS)
            for label in (7, "", " ", "x" * (MAX_LABEL + 1))
        ),
    ],
)
def test_invalid_fields_are_rejected(
    kind: str, config: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(InvalidArgument) as error:
        read_config(of(kind, config), DETECTORS, "rules[3].")
    assert error.value.violations == ((f"rules[3].config_json.{field}", reason),)


def test_the_error_names_all_invalid_fields() -> None:
    with pytest.raises(InvalidPattern) as error:
        read_config(of("regex", {"pattern": "(x", "zzz": 1, "message": 7}), DETECTORS)
    assert [each.field for each in error.value.violations] == [
        "config_json.pattern",
        "config_json.zzz",
        "config_json.message",
    ]


def test_a_null_field_is_not_set() -> None:
    config = {"pattern": "x", "detector": None, "replacement": None, "message": None}
    result = read_config(of("regex", config), DETECTORS)
    assert (result.replacement, result.message) == ("[REDACTED]", "")
    assert [each.patterns for each in result.detectors] == [("x",)]


def test_a_detector_may_be_named_together_with_its_own_pattern() -> None:
    """Rules of the platform are returned like this, so they can be sent back unchanged."""
    config = {"detector": "card", "pattern": DETECTORS["card"].patterns[0]}
    assert read_config(of("regex", config), DETECTORS).detectors == (DETECTORS["card"],)


@pytest.mark.parametrize(
    ("kind", "config", "entity_type", "ids"),
    [
        ("ner", {}, "EMAIL_ADDRESS", ["mail"]),
        ("ner", {}, "EMAIL", ["mail"]),
        ("ner", {"entities": ["PERSON"]}, "EMAIL", []),
        ("llm", {"labels": ["credit card", "email address"]}, "X", ["card", "mail"]),
        ("ner", {}, "PERSON", []),
    ],
)
def test_built_in_detectors_are_used_for_labels_with_patterns(
    kind: str, config: dict[str, Any], entity_type: str, ids: list[str]
) -> None:
    result = read_config(of(kind, config, entity_type), DETECTORS)
    assert [each.id for each in result.detectors] == ids
