"""Compliance bundles and user groups of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID, uuid5

from pdp.catalog import entries
from pdp.domain.compliance_bundle import ComplianceBundle
from pdp.domain.dlp_rule import REGEX, DlpRule
from pdp.domain.user_group import UserGroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BUNDLES: Final = UUID("8d1f0f62-0c0e-5f57-a6b2-3c9a5e7d4b10")
"""Namespace of the ids of bundles and rules, so that they are the same everywhere."""

_GROUPS: Final = UUID("e7a4b9d0-52c3-5a1e-9f08-7d6b1c2e3f45")
"""Namespace of the ids of user groups, so that they are the same everywhere."""


class SeededBundle(NamedTuple):
    """A bundle with the rules of all its definitions."""

    bundle: ComplianceBundle
    rules: tuple[DlpRule, ...]


def compliance_bundles() -> tuple[SeededBundle, ...]:
    """Returns the seeded bundles, in the order of the files; ids are derived from keys.

    Raises:
        ValueError: a rule's `since` or `until`, or a bundle's `initial`, is an unknown version.
    """
    return tuple(_bundle(entry) for entry in entries("compliance_bundles", "bundles"))


def user_groups() -> tuple[UserGroup, ...]:
    """Returns the groups of a new tenant; ids are derived from keys."""
    return tuple(
        UserGroup(str(uuid5(_GROUPS, entry["key"])), entry["name"], entry["description"])
        for entry in entries("user_groups", "groups")
    )


def bundle_id(key: str) -> str:
    """Returns the id of the seeded bundle with a key of the catalog."""
    return str(uuid5(_BUNDLES, key))


def bundle_rule_id(bundle_key: str, rule_key: str) -> str:
    """Returns the id of a rule of a seeded bundle, by the keys of both in the catalog."""
    return str(uuid5(_BUNDLES, f"{bundle_key}/{rule_key}"))


def _bundle(entry: Mapping[str, Any]) -> SeededBundle:
    key = entry["key"]
    versions = [each["version"] for each in entry["definitions"]]
    spans = {rule["key"]: _definition_range(versions, rule) for rule in entry["rules"]}
    bundle = ComplianceBundle(
        id=bundle_id(key),
        key=key,
        name=entry["name"],
        description=entry["description"],
        regulatory_framework=entry["regulatory_framework"],
        version=versions[versions.index(entry["initial"])],
        is_seeded=True,
        definitions=[
            {
                "version": each["version"],
                "summary": each["summary"],
                "rule_ids": [
                    bundle_rule_id(key, name) for name, span in spans.items() if index in span
                ],
            }
            for index, each in enumerate(entry["definitions"])
        ],
    )
    return SeededBundle(bundle, tuple(_rule(bundle, rule) for rule in entry["rules"]))


def _definition_range(versions: Sequence[str], rule: Mapping[str, Any]) -> range:
    """Returns the indexes of the definitions with a rule: from `since` until before `until`."""
    since, until = rule.get("since"), rule.get("until")
    return range(
        0 if since is None else versions.index(since),
        len(versions) if until is None else versions.index(until),
    )


def _rule(bundle: ComplianceBundle, rule: Mapping[str, Any]) -> DlpRule:
    return DlpRule(
        id=bundle_rule_id(bundle.key, rule["key"]),
        detector_name=rule["name"],
        detector_type=REGEX,
        entity_type=rule["entity_type"],
        action_tier=rule["tier"],
        enabled=False,  # a bundle's rules are in force if the bundle is
        confidence_threshold=rule["threshold"],
        config_json={"detector": rule["detector"]},
        bundle_id=bundle.id,
        clause=rule["clause"],
    )
