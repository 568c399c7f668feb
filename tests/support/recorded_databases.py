"""A database with recorded decisions, as a server or an embedded engine leaves it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pdp.cli.request import to_message
from pdp.client.local import LocalClient
from pdp.embedded import Engine

if TYPE_CHECKING:
    from pathlib import Path

CARD: Final = "my card: 4111111111111111"
SQLI: Final = "SELECT name FROM users WHERE id = 1 UNION SELECT password FROM users WHERE id ="
TEXTS: Final = ("our RIVAL is cheaper", "hello", CARD, SQLI)
OVERLAY: Final[dict[str, Any]] = {
    "static_policies": [
        {"name": "No rivals", "category": "custom", "pattern": "(?i)rival", "action": "block"}
    ]
}


def record_decisions(directory: Path, count: int = 40) -> str:
    """Makes decisions for the tenants acme, which records all, and quiet, which records few.

    Returns:
        The URL of the database.
    """
    url = f"sqlite:///{directory}/pdp.db"
    with LocalClient(url) as client:
        fields = {"logging_level": "full"}
        client.call("UpdateOrgPolicy", to_message("UpdateOrgPolicy", fields), "acme")
        rule = {"name": "Hash cards", "category": "custom", "pattern": "hello", "action": "warn"}
        message = to_message("CreateStaticPolicy", rule)
        client.call("CreateStaticPolicy", message, "acme")
    with Engine.open(url) as engine:
        for number in range(count):
            for tenant_id in ("acme", "quiet"):
                text = f"{TEXTS[number % 4]} {number}"
                subject = {"user_id": ("ada", "bob")[number % 2]}
                body = {"content": {"text": text}, "subject": subject, "tenant_id": tenant_id}
                engine.decide(body)
    (directory / "overlay.json").write_text(json.dumps(OVERLAY))
    return url
