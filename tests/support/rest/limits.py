"""Calls of the limits API, for its tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2


PATH = "/api/admin/limits/"
NULLS = {
    "daily_request_limit": None,
    "monthly_request_limit": None,
    "daily_token_limit": None,
    "monthly_token_limit": None,
    "daily_cost_limit_usd": None,
    "monthly_cost_limit_usd": None,
    "requests_per_minute": None,
}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LAYERS = ["kill_switch", "limits", "customer", "static", "chain", "dlp", "org"]


def make(client: httpx2.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post(PATH, json={"scope": "user", "subject_id": "u1", **fields})
    assert answer.status_code == 201, answer.text
    limit: dict[str, Any] = answer.json()
    return limit


def ask(**usage: Any) -> dict[str, Any]:
    return {"subject": {"user_id": "u1", "groups": ["g1"]}, "usage": usage}


def outcome(client: httpx2.Client, **usage: Any) -> str:
    name: str = client.post("/v1/decide", json=ask(**usage)).json()["outcome"]
    return name


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]
