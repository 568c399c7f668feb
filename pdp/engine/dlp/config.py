"""Reads the document (`config_json`) of a DLP rule: what the rule detects, and the replacement.

A field that is unknown, or that rules of the type do not have, is rejected. Otherwise a misspelled
field would have no effect and nothing would report it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.detector import CUSTOM, EntityDetector, entity_aliases
from pdp.domain.dlp_rule import LLM, NER, REGEX
from pdp.domain.policy_pack import DEFAULT_REPLACEMENT
from pdp.engine.dlp.named_entities import entity_type_of, labels_of
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidArgument, InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.dlp_rule import DlpRule

MAX_REPLACEMENT: Final = 256
MAX_MESSAGE: Final = 2048
MAX_LABELS: Final = 100
MAX_LABEL: Final = 256

ENTITY_TYPE_PLACEHOLDER: Final = "{entity_type}"
"""In a replacement, the entity type of the replaced value is inserted for it."""

_COMMON: Final = ("replacement", "message")
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    REGEX: ("pattern", "detector", *_COMMON),
    NER: ("entities", "labels", *_COMMON),
    LLM: ("labels", "entities", *_COMMON),
}
_MAX_SHOWN: Final = 64


class DlpConfig(NamedTuple):
    """The content of a rule's document.

    Attributes:
        detectors: the detectors whose patterns the rule uses. For a rule of type `ner` or `llm`:
            the built-in detectors for the entity types that it names.
        replacement: the replacement of a finding if the rule redacts.
        message: shown to the user if the rule blocks or prompts; empty for the default.
    """

    detectors: tuple[EntityDetector, ...] = ()
    replacement: str = DEFAULT_REPLACEMENT
    message: str = ""


def read_config(
    rule: DlpRule, catalog: Mapping[str, EntityDetector], prefix: str = ""
) -> DlpConfig:
    """Returns the content of a rule's document after validating it.

    Args:
        rule: the rule that is to be stored.
        catalog: the built-in detectors, which the rule may name.
        prefix: put before the field paths of errors, if the rule is a part of another message.

    Raises:
        InvalidPattern: the pattern is not valid RE2.
        InvalidArgument: a field is unknown, missing or invalid; the error names all such fields.
    """
    document, path = rule.config_json, f"{prefix}config_json"
    known = _FIELDS[rule.detector_type]
    violations = [
        Violation(f"{path}.{_shortened(name)}", _unknown_field(name, rule.detector_type))
        for name in document
        if name not in known
    ]
    violations += _check_text(document, "replacement", MAX_REPLACEMENT, path)
    violations += _check_text(document, "message", MAX_MESSAGE, path)
    if rule.detector_type != REGEX:
        for name in ("entities", "labels"):
            violations += _check_labels(document, name, path)
    elif document.get("detector") is not None:
        violations += _check_detector(document, catalog, path)
    else:
        reason = _check_pattern(document.get("pattern"))
        if reason:
            raise InvalidPattern.of(Violation(f"{path}.pattern", reason), *violations)
    if violations:
        raise InvalidArgument.of(*violations)
    return read_stored_config(rule, catalog)


def read_stored_config(rule: DlpRule, catalog: Mapping[str, EntityDetector]) -> DlpConfig:
    """Returns the content of a rule's document that `read_config` has validated before.

    Raises:
        KeyError: the rule names an unknown detector.
    """
    document = rule.config_json
    replacement = document.get("replacement")
    return DlpConfig(
        detectors=_detectors(rule, catalog),
        replacement=DEFAULT_REPLACEMENT if replacement is None else replacement,
        message=document.get("message") or "",
    )


def _detectors(rule: DlpRule, catalog: Mapping[str, EntityDetector]) -> tuple[EntityDetector, ...]:
    if rule.detector_type != REGEX:
        aliases = (entity_aliases(entity_type_of(label)) for label in labels_of(rule))
        types = frozenset().union(*aliases)
        return tuple(each for each in catalog.values() if each.entity_type in types)
    detector_id = rule.config_json.get("detector")
    if detector_id is not None:
        return (catalog[detector_id],)
    pattern = rule.config_json["pattern"]
    return (EntityDetector(rule.id, rule.detector_name, rule.entity_type, CUSTOM, (pattern,)),)


def _check_pattern(pattern: object) -> str:
    """Returns why a pattern is invalid; empty if it is valid."""
    if type(pattern) is not str or not pattern:
        return "is required" if pattern is None else "must be a string that is not empty"
    try:
        CompiledPattern(pattern)
    except InvalidPattern as error:
        return error.violations[0].reason
    return ""


def _check_detector(
    document: Mapping[str, Any], catalog: Mapping[str, EntityDetector], path: str
) -> list[Violation]:
    detector_id, pattern = document["detector"], document.get("pattern")
    detector = catalog.get(detector_id) if type(detector_id) is str else None
    if detector is None:
        near = get_close_matches(str(detector_id)[:_MAX_SHOWN], catalog, n=1)
        hint = f"did you mean {near[0]}?" if near else "see dlp-rules/available-patterns"
        return [Violation(f"{path}.detector", f"unknown detector; {hint}")]
    if pattern is not None and pattern not in detector.patterns:
        reason = f"is not a pattern of the detector {detector_id}; remove pattern or detector"
        return [Violation(f"{path}.pattern", reason)]
    return []


def _check_text(document: Mapping[str, Any], name: str, most: int, path: str) -> list[Violation]:
    value = document.get(name)
    if value is None:
        return []
    if type(value) is not str:
        return [Violation(f"{path}.{name}", "must be a string")]
    if len(value) > most:
        return [Violation(f"{path}.{name}", f"must be at most {most} characters")]
    return []


def _check_labels(document: Mapping[str, Any], name: str, path: str) -> list[Violation]:
    value = document.get(name)
    if value is None:
        return []
    if type(value) is not list or len(value) > MAX_LABELS:
        return [Violation(f"{path}.{name}", f"must be a list of at most {MAX_LABELS} strings")]
    if any(type(each) is not str or not each.strip() or len(each) > MAX_LABEL for each in value):
        reason = f"must be a list of strings of 1 to {MAX_LABEL} characters"
        return [Violation(f"{path}.{name}", reason)]
    return []


def _unknown_field(name: str, detector_type: str) -> str:
    known = _FIELDS[detector_type]
    if any(name in fields for fields in _FIELDS.values()):
        return f"is not a field of {detector_type}, which has {', '.join(known)}"
    near = get_close_matches(name[:_MAX_SHOWN], known, n=1)
    return f"unknown field; did you mean {near[0]}?" if near else "unknown field"


def _shortened(name: str) -> str:
    return name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}..."
