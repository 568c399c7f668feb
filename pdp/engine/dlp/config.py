"""The document of a DLP rule, read: what it looks for, and what is put in a find's place.

Seed 002 shows `pattern`; the rest is ours. A field that a rule does not have is refused, so that no
misspelt one is quietly without effect.
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

ENTITY_TYPE_MARK: Final = "{entity_type}"
"""In a replacement, it stands for the entity type of what is replaced."""

_COMMON: Final = ("replacement", "message")
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    REGEX: ("pattern", "detector", *_COMMON),
    NER: ("entities", "labels", *_COMMON),
    LLM: ("labels", "entities", *_COMMON),
}
_MAX_SHOWN: Final = 64


class DlpConfig(NamedTuple):
    """What a rule's document says.

    Attributes:
        detectors: what the rule looks for by patterns; of a rule of type `ner` or `llm`, those
            that ship with the product for what it names.
        replacement: what a find is replaced by where the rule redacts.
        message: shown where the rule blocks or prompts; empty for the default.
    """

    detectors: tuple[EntityDetector, ...] = ()
    replacement: str = DEFAULT_REPLACEMENT
    message: str = ""


def read_config(rule: DlpRule, catalog: Mapping[str, EntityDetector], place: str = "") -> DlpConfig:
    """Returns what the document of a rule says, held against its bounds.

    Args:
        rule: the rule, as it is to be.
        catalog: the detectors that it may name.
        place: put before the fields' paths, for a rule that lies in another message.

    Raises:
        InvalidPattern: its pattern is not RE2.
        InvalidArgument: a field is unknown, missing, or not what it takes; all faults are named.
    """
    document, at = rule.config_json, f"{place}config_json"
    known = _FIELDS[rule.detector_type]
    faults = [
        Violation(f"{at}.{_shown(name)}", _unknown(name, rule.detector_type))
        for name in document
        if name not in known
    ]
    faults += _faulty_text(document, "replacement", MAX_REPLACEMENT, at)
    faults += _faulty_text(document, "message", MAX_MESSAGE, at)
    if rule.detector_type != REGEX:
        faults += [each for name in ("entities", "labels") for each in _labels(document, name, at)]
    elif document.get("detector") is not None:
        faults += _faulty_detector(document, catalog, at)
    else:
        reason = _faulty_pattern(document.get("pattern"))
        if reason:
            raise InvalidPattern.of(Violation(f"{at}.pattern", reason), *faults)
    if faults:
        raise InvalidArgument.of(*faults)
    return known_config(rule, catalog)


def known_config(rule: DlpRule, catalog: Mapping[str, EntityDetector]) -> DlpConfig:
    """Returns what a document says that `read_config` has accepted before; checks nothing again.

    Raises:
        KeyError: it names a detector that there is not.
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
        named_types = (entity_aliases(entity_type_of(label)) for label in labels_of(rule))
        types = frozenset().union(*named_types)
        return tuple(each for each in catalog.values() if each.entity_type in types)
    named = rule.config_json.get("detector")
    if named is not None:
        return (catalog[named],)
    pattern = rule.config_json["pattern"]
    return (EntityDetector(rule.id, rule.detector_name, rule.entity_type, CUSTOM, (pattern,)),)


def _faulty_pattern(pattern: object) -> str:
    if type(pattern) is not str or not pattern:
        return "is required" if pattern is None else "must be a pattern that is not empty"
    try:
        CompiledPattern(pattern)
    except InvalidPattern as error:
        return error.violations[0].reason
    return ""


def _faulty_detector(
    document: Mapping[str, Any], catalog: Mapping[str, EntityDetector], at: str
) -> list[Violation]:
    named, pattern = document["detector"], document.get("pattern")
    found = catalog.get(named) if type(named) is str else None
    if found is None:
        near = get_close_matches(str(named)[:_MAX_SHOWN], catalog, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; see dlp-rules/available-patterns"
        return [Violation(f"{at}.detector", f"there is no such detector{hint}")]
    if pattern is not None and pattern not in found.patterns:
        why = f"differs from that of the detector {named}; leave it out, or the detector"
        return [Violation(f"{at}.pattern", why)]
    return []


def _faulty_text(document: Mapping[str, Any], name: str, most: int, at: str) -> list[Violation]:
    value = document.get(name)
    if value is None:
        return []
    if type(value) is not str:
        return [Violation(f"{at}.{name}", "must be a string")]
    if len(value) > most:
        return [Violation(f"{at}.{name}", f"must be at most {most} characters")]
    return []


def _labels(document: Mapping[str, Any], name: str, at: str) -> list[Violation]:
    value = document.get(name)
    if value is None:
        return []
    if type(value) is not list or len(value) > MAX_LABELS:
        return [Violation(f"{at}.{name}", f"must be a list of at most {MAX_LABELS} strings")]
    if any(type(each) is not str or not each.strip() or len(each) > MAX_LABEL for each in value):
        why = f"must be a list of strings of 1 to {MAX_LABEL} characters"
        return [Violation(f"{at}.{name}", why)]
    return []


def _unknown(name: str, detector_type: str) -> str:
    known = _FIELDS[detector_type]
    if any(name in fields for fields in _FIELDS.values()):
        return f"is not a field of {detector_type}, which has {', '.join(known)}"
    near = get_close_matches(name[:_MAX_SHOWN], known, n=1)
    return f"unknown field; did you mean {near[0]}?" if near else "unknown field"


def _shown(name: str) -> str:
    return name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}..."
