"""Calls of the compliance bundle API and the user group API, for their tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.support.rest import dlp
from tests.support.rest.packs import created_json, ok_json

if TYPE_CHECKING:
    import httpx2

BUNDLES: Final = "/api/admin/compliance-bundles"
GROUPS: Final = "/api/admin/user-groups"

RULE: Final = [*dlp.RULE, "clause"]
"""The fields of a bundle's rule, in order."""

SEEDED: Final = ["CCPA", "EU-AI-ACT", "GDPR", "GLBA", "HIPAA", "PCI-DSS", "SOC2", "SOX"]
BUNDLE: Final = [
    "id",
    "name",
    "description",
    "regulatory_framework",
    "enabled",
    "is_seeded",
    "version",
    "rule_count",
    "created_at",
    "updated_at",
]
GROUP: Final = [
    "id",
    "name",
    "description",
    "member_count",
    "members",
    "bundle_ids",
    "dlp_rules",
    "created_at",
    "updated_at",
]


def seeded(client: httpx2.Client, framework: str = "PCI-DSS") -> Any:
    """Returns the seeded bundle of a framework."""
    (bundle,) = [
        each
        for each in ok_json(client.get(f"{BUNDLES}/", params={"framework": framework}))
        if each["is_seeded"]
    ]
    return bundle


def detail(client: httpx2.Client, bundle_id: str) -> Any:
    """Returns a bundle with its rules."""
    return ok_json(client.get(f"{BUNDLES}/{bundle_id}"))


def dlp_rule(client: httpx2.Client, name: str = "Project code", **fields: Any) -> Any:
    """Creates a DLP rule of the tenant."""
    body = {
        "detector_name": name,
        "detector_type": "regex",
        "entity_type": "PROJECT_CODE",
        "action_tier": "redact",
        "enabled": True,
        "confidence_threshold": 0.5,
        "config_json": {"pattern": r"\bPROJ-[0-9]{4,6}\b"},
        **fields,
    }
    return created_json(client.post(f"{dlp.RULES}/", json=body))


def group(client: httpx2.Client, name: str = "Finance Ops", **fields: Any) -> Any:
    """Creates a user group."""
    return created_json(client.post(f"{GROUPS}/", json={"name": name, **fields}))


def bundle(client: httpx2.Client, name: str = "Internal Data Policy", **fields: Any) -> Any:
    """Creates a custom bundle."""
    body = {"name": name, "regulatory_framework": "INTERNAL", **fields}
    return created_json(client.post(f"{BUNDLES}/", json=body))


def bundle_names(client: httpx2.Client, **query: Any) -> list[str]:
    """Returns the names of the bundles in a list."""
    return [each["name"] for each in ok_json(client.get(f"{BUNDLES}/", params=query))]
