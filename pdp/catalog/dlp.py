"""DLP rules of the catalog: one for each detector, in the detector's entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from pdp.catalog import entries
from pdp.domain.dlp_rule import REGEX, DlpRule

if TYPE_CHECKING:
    from collections.abc import Mapping

PART: Final = "detectors"
"""The part of the catalog with the rules."""

_RULES: Final = UUID("5b0c8e2f-9d41-5f6a-8c37-1e2a4d6b8f90")
"""Namespace of the ids of rules, so that they are the same everywhere."""


def dlp_rules() -> tuple[DlpRule, ...]:
    """Returns the rules in the order of the files; ids are derived from detector ids."""
    return tuple(_rule(entry) for entry in entries(PART, "detectors"))


def rule_id(detector_id: str) -> str:
    """Returns the id of a detector's rule."""
    return str(uuid5(_RULES, detector_id))


def _rule(entry: Mapping[str, Any]) -> DlpRule:
    rule = entry["rule"]
    patterns = [*entry["patterns"], *(each["pattern"] for each in entry.get("weak", ()))]
    return DlpRule(
        id=rule_id(entry["id"]),
        detector_name=entry["name"],
        detector_type=REGEX,
        entity_type=entry["entity_type"],
        action_tier=rule["tier"],
        enabled=rule.get("enabled", True),
        confidence_threshold=float(rule["threshold"]),
        # `pattern` is only for display: the detector has more patterns, a check and context words.
        config_json={"detector": entry["id"], "pattern": patterns[0]},
    )
