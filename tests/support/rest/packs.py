"""Calls of the policy pack API, and checks of its responses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import httpx2

PACKS: Final = "/api/admin/policy-packs"
CHAINS: Final = "/api/admin/policy-chains"
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
UNKNOWN_ID: Final = "00000000-0000-4000-8000-000000000000"

PACK: Final = [
    "id",
    "tenant_id",
    "name",
    "description",
    "pack_type",
    "compliance_standard",
    "version",
    "is_active",
    "rule_count",
    "created_at",
    "updated_at",
]
RULE: Final = [
    "id",
    "pack_id",
    "sequence",
    "name",
    "description",
    "applies_to",
    "conditions",
    "action",
    "is_active",
    "created_at",
    "updated_at",
]
BLOCK: Final = {"type": "BLOCK", "message": "Access to GPT-4o is restricted."}
CONDITIONS: Final = {
    "models": ["gpt-4o"],
    "user_groups": ["contractors"],
    "channel": ["interactive", "api"],
}


def created_json(answer: httpx2.Response) -> Any:
    assert answer.status_code == 201, answer.text
    return answer.json()


def ok_json(answer: httpx2.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def check_error(answer: httpx2.Response, status: int, code: str, *fields: str) -> str:
    """Checks the format of an error; returns its message."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert [each["field"] for each in error["details"]] == list(fields)
    message: str = error["message"]
    return message


def without_warnings(document: Any) -> Any:
    """Returns the answer of a write as a read has it."""
    return {name: value for name, value in document.items() if name != "warnings"}


def pack(client: httpx2.Client, name: str = "Contractor Restrictions", **fields: Any) -> Any:
    return without_warnings(created_json(client.post(f"{PACKS}/", json={"name": name, **fields})))


def rule(client: httpx2.Client, pack_id: str, name: str = "Rule", **fields: Any) -> Any:
    body = {"name": name, "action": {"type": "ALLOW"}, **fields}
    return without_warnings(created_json(client.post(f"{PACKS}/{pack_id}/rules/", json=body)))


def bundle(client: httpx2.Client, standard: str = "PCI-DSS") -> Any:
    bundles = ok_json(client.get(f"{PACKS}/bundles/"))
    return next(each for each in bundles if each["compliance_standard"] == standard)
