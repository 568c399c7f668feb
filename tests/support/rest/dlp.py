"""Calls of the DLP rule API, for its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.support.rest.packs import created_json, ok_json

if TYPE_CHECKING:
    import httpx2

RULES: Final = "/api/admin/dlp-rules"

RULE: Final = [
    "id",
    "detector_name",
    "detector_type",
    "entity_type",
    "action_tier",
    "enabled",
    "confidence_threshold",
    "config_json",
]
"""The fields of a tenant's own rule, in order."""

PROJECT: Final = {
    "detector_name": "Internal Project Code",
    "detector_type": "regex",
    "entity_type": "PROJECT_CODE",
    "action_tier": "log_only",
    "enabled": True,
    "confidence_threshold": 1.0,
    "config_json": {"pattern": r"\bPROJ-[0-9]{4,6}\b"},
}

CARD_TEXT: Final = "Please process payment for card 4111111111111111."


def rule(client: httpx2.Client, **fields: Any) -> Any:
    """Creates the rule of the contract's example; `fields` replace its fields."""
    return created_json(client.post(f"{RULES}/", json={**PROJECT, **fields}))


def platform_rule(client: httpx2.Client, name: str = "Credit Card Number") -> Any:
    """Returns a platform rule by its name."""
    rules = ok_json(client.get(f"{RULES}/"))
    return next(each for each in rules if each["detector_name"] == name)


def evaluate(client: httpx2.Client, text: str, **fields: Any) -> Any:
    return ok_json(client.post(f"{RULES}/evaluate", json={"text": text, **fields}))


def decide(client: httpx2.Client, text: str, **fields: Any) -> Any:
    return ok_json(client.post("/v1/decide", json={"content": {"text": text}, **fields}))
