"""The field `redaction` of policies, over HTTP: set, changed, cleared, exported and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.rest.dlp import RULES, decide, platform_rule
from tests.support.rest.packs import PACKS, check_error, created_json, ok_json, pack

if TYPE_CHECKING:
    import httpx2

STATIC: Final = "/api/v1/static-policies"
CARD_TEXT: Final = "Pay with 4111 1111 1111 1111."
REDACT: Final = {"type": "REDACT"}
CODE: Final = {
    "name": "Code name",
    "category": "custom",
    "pattern": "falcon-[0-9]{4}",
    "action": "log",
}


def test_a_rule_of_the_platform(client: httpx2.Client) -> None:
    url = f"{RULES}/{platform_rule(client)['id']}"
    assert "redaction" not in ok_json(client.get(url))
    assert ok_json(client.put(url, json={"redaction": "mask"}))["redaction"] == "mask"
    assert decide(client, CARD_TEXT)["redacted_text"] == "Pay with **** **** **** 1111."
    newest = ok_json(client.get(f"{url}/versions"))[0]
    assert newest["new_values"]["redaction"] == "mask"
    assert "redaction" not in ok_json(client.put(url, json={"redaction": ""}))
    assert decide(client, CARD_TEXT)["redacted_text"] == "Pay with [REDACTED]."
    check_error(client.put(url, json={"redaction": "star"}), 400, "INVALID_ARGUMENT", "redaction")


def test_a_static_policy(client: httpx2.Client) -> None:
    plain = created_json(client.post(STATIC, json=CODE))["policy"]
    assert "redaction" not in plain
    url = f"{STATIC}/{plain['id']}"
    ok_json(client.put(url, json={"redaction": "mask"}))
    assert ok_json(client.get(url))["redaction"] == "mask"
    (listed,) = [
        each
        for each in ok_json(client.get(STATIC, params={"category": "custom"}))["policies"]
        if each["id"] == plain["id"]
    ]
    assert listed["redaction"] == "mask"
    assert decide(client, "falcon-1234")["redacted_text"] == "******-*234"
    ok_json(client.put(url, json={"redaction": ""}))
    assert decide(client, "falcon-1234")["outcome"] == "ALLOW"
    check_error(client.put(url, json={"redaction": "star"}), 400, "INVALID_ARGUMENT", "redaction")


def test_a_rule_of_a_chain(client: httpx2.Client) -> None:
    url = f"{PACKS}/{pack(client)['id']}/rules/"
    body: dict[str, Any] = {"name": "R", "action": REDACT, "redaction": "hash"}
    rule = created_json(client.post(url, json=body))
    assert rule["redaction"] == "hash"
    changed = ok_json(client.put(f"{url}{rule['id']}", json={"redaction": ""}))
    assert "redaction" not in changed


@pytest.mark.parametrize("action", [{"type": "BLOCK"}, {"type": "ALLOW"}])
def test_other_rules_of_a_chain_have_none(client: httpx2.Client, action: dict[str, str]) -> None:
    body = {"name": "R", "action": action, "redaction": "hash"}
    url = f"{PACKS}/{pack(client)['id']}/rules/"
    check_error(client.post(url, json=body), 400, "INVALID_ARGUMENT", "redaction")
    rule = created_json(client.post(url, json={**body, "action": REDACT}))
    late = client.put(f"{url}{rule['id']}", json={"action": action})
    check_error(late, 400, "INVALID_ARGUMENT", "redaction")
    many = {"name": "P", "rules": [body]}
    check_error(client.post(f"{PACKS}/", json=many), 400, "INVALID_ARGUMENT", "rules[0].redaction")


def test_an_export_has_it(client: httpx2.Client) -> None:
    body = {
        "detector_name": "Badge",
        "detector_type": "regex",
        "entity_type": "BADGE",
        "action_tier": "redact",
        "config_json": {"pattern": "BADGE-[0-9]{4}"},
        "redaction": "placeholder",
    }
    created_json(client.post(f"{RULES}/", json=body))
    exported = ok_json(client.get(f"{RULES}/export"))
    rules = exported["rules"] if isinstance(exported, dict) else exported
    (badge,) = [each for each in rules if each["detector_name"] == "Badge"]
    assert badge["redaction"] == "placeholder"
    badge["redaction"] = "star"
    answer = client.post(f"{RULES}/import", json=[badge]).json()
    assert "redaction" in str(answer)


def test_a_policy_file_has_it(client: httpx2.Client) -> None:
    policies: dict[str, Any] = {
        "static_policies": [{**CODE, "redaction": "mask"}],
        "packs": [{"name": "P", "rules": [{"name": "R", "action": REDACT, "redaction": "hash"}]}],
    }
    ok_json(client.post("/v1/policy-file/import", json={"policies": policies}))
    exported = ok_json(client.get("/v1/policy-file"))["policies"]
    assert exported["static_policies"][0]["redaction"] == "mask"
    assert exported["packs"][0]["rules"][0]["redaction"] == "hash"
    policies["packs"][0]["rules"][0]["action"] = {"type": "BLOCK"}
    answer = client.post("/v1/policy-file/import", json={"policies": policies})
    check_error(answer, 400, "INVALID_ARGUMENT", "policies.packs[0].rules[0].redaction")
