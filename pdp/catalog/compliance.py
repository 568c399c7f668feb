"""Compliance bundles and user groups that ship with the product, read from their data."""

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
"""Names compliance bundles and their rules, so that they have the same ids everywhere."""

_GROUPS: Final = UUID("e7a4b9d0-52c3-5a1e-9f08-7d6b1c2e3f45")
"""Names user groups, so that they have the same ids everywhere."""


class SeededBundle(NamedTuple):
    """A bundle with the rules of all its definitions."""

    bundle: ComplianceBundle
    rules: tuple[DlpRule, ...]


def compliance_bundles() -> tuple[SeededBundle, ...]:
    """Returns the seeded bundles, in the order of the files; ids are made of their keys.

    Raises:
        ValueError: a rule's `since` or `until`, or a bundle's `initial`, is no version of it.
    """
    return tuple(_bundle(entry) for entry in entries("compliance_bundles", "bundles"))


def user_groups() -> tuple[UserGroup, ...]:
    """Returns the groups that a fresh tenant begins with; ids are made of their keys."""
    return tuple(
        UserGroup(str(uuid5(_GROUPS, entry["key"])), entry["name"], entry["description"])
        for entry in entries("user_groups", "groups")
    )


def bundle_id(key: str) -> str:
    """Returns the id of the seeded bundle that is called `key` in the data."""
    return str(uuid5(_BUNDLES, key))


def bundle_rule_id(bundle_key: str, rule_key: str) -> str:
    """Returns the id of a rule of a seeded bundle, by what both are called in the data."""
    return str(uuid5(_BUNDLES, f"{bundle_key}/{rule_key}"))


def _bundle(entry: Mapping[str, Any]) -> SeededBundle:
    key = entry["key"]
    versions = [each["version"] for each in entry["definitions"]]
    spans = {rule["key"]: _span(versions, rule) for rule in entry["rules"]}
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
                    bundle_rule_id(key, name) for name, span in spans.items() if place in span
                ],
            }
            for place, each in enumerate(entry["definitions"])
        ],
    )
    return SeededBundle(bundle, tuple(_rule(bundle, rule) for rule in entry["rules"]))


def _span(versions: Sequence[str], rule: Mapping[str, Any]) -> range:
    """The places of the definitions that have a rule: from `since` on, and before `until`."""
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
        enabled=False,  # a bundle's rules are in force where the bundle is
        confidence_threshold=rule["threshold"],
        config_json={"detector": rule["detector"]},
        bundle_id=bundle.id,
        clause=rule["clause"],
    )
