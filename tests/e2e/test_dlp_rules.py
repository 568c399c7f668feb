"""The DLP rules API over HTTP, from top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from tests.support.rest.dlp import (
    CARD_TEXT,
    PROJECT,
    RULE,
    RULES,
    decided,
    evaluated,
    platform_rule,
    rule,
)
from tests.support.rest.packs import NOBODY, TIME, found, made, refused

if TYPE_CHECKING:
    import httpx2


def test_list_rules(client: httpx2.Client) -> None:
    """The platform's as the tenant has them, then its own."""
    own = rule(client)
    rules = found(client.get(f"{RULES}/"))
    assert rules == found(client.get(RULES))
    assert len(rules) > 30
    assert rules[-1] == own
    assert all(each.get("source") == "platform" for each in rules[:-1])
    assert all(list(each)[: len(RULE)] == RULE for each in rules)


def test_filters(client: httpx2.Client) -> None:
    rule(client, enabled=False)
    rule(client, detector_name="Names", detector_type="ner", entity_type="PERSON", config_json={})
    rules = found(client.get(f"{RULES}/"))
    for enabled in ("true", "false"):
        kept = found(client.get(f"{RULES}/?enabled={enabled}"))
        assert kept == [each for each in rules if each["enabled"] is (enabled == "true")]
        assert kept
    for kind in ("regex", "ner", "llm"):
        kept = found(client.get(f"{RULES}/", params={"detector_type": kind}))
        assert kept == [each for each in rules if each["detector_type"] == kind]
    refused(client.get(f"{RULES}/?detector_type=x"), 400, "INVALID_ARGUMENT", "detector_type")


def test_create_a_rule(client: httpx2.Client) -> None:
    answer = made(client.post(f"{RULES}/", json=PROJECT))
    assert list(answer) == RULE
    assert answer == {"id": answer["id"], **PROJECT}
    UUID(answer["id"])
    (record,) = found(client.get(f"{RULES}/{answer['id']}/versions"))
    assert record["change_type"] == "create"
    assert record["old_values"] is None
    assert record["new_values"] == PROJECT


def test_a_rule_by_default(client: httpx2.Client) -> None:
    body = {
        name: value
        for name, value in PROJECT.items()
        if name not in {"enabled", "confidence_threshold"}
    }
    answer = made(client.post(f"{RULES}/", json=body))
    assert (answer["enabled"], answer["confidence_threshold"]) == (True, 0.5)


def test_what_is_no_rule(client: httpx2.Client) -> None:
    def post(**fields: Any) -> httpx2.Response:
        return client.post(f"{RULES}/", json={**PROJECT, **fields})

    before = found(client.get(f"{RULES}/"))
    refused(client.post(f"{RULES}/", json={}), 400, "INVALID_ARGUMENT", *RULE[1:5])
    refused(post(detector_type="bert"), 400, "INVALID_ARGUMENT", "detector_type")
    refused(post(action_tier="shout"), 400, "INVALID_ARGUMENT", "action_tier")
    refused(post(confidence_threshold=1.1), 400, "INVALID_ARGUMENT", "confidence_threshold")
    refused(post(nome="x"), 400, "INVALID_ARGUMENT", "nome")
    patterns: list[tuple[dict[str, Any], str]] = [
        ({}, "config_json.pattern"),
        ({"pattern": "(x"}, "config_json.pattern"),
        ({"pattern": "(?=x)x"}, "config_json.pattern"),
        ({"pattern": 7}, "config_json.pattern"),
        ({"pattern": ""}, "config_json.pattern"),
    ]
    for config, field in patterns:
        refused(post(config_json=config), 400, "INVALID_PATTERN", field)
    others: list[tuple[dict[str, Any], str]] = [
        ({"pattern": "x", "patern": "y"}, "config_json.patern"),
        ({"pattern": "x", "replacement": 7}, "config_json.replacement"),
        ({"detector": "no_such_thing"}, "config_json.detector"),
        ({"detector": "credit_card", "pattern": "x"}, "config_json.pattern"),
    ]
    for config, field in others:
        refused(post(config_json=config), 400, "INVALID_ARGUMENT", field)
    assert found(client.get(f"{RULES}/")) == before


def test_names_are_a_tenants_own(client: httpx2.Client) -> None:
    first = rule(client)
    refused(client.post(f"{RULES}/", json=PROJECT), 409, "NAME_EXISTS", "detector_name")
    rule(client, detector_name="Credit Card Number")  # the platform's names are not taken
    assert client.delete(f"{RULES}/{first['id']}").status_code == 204
    rule(client)


def test_get_a_rule(client: httpx2.Client) -> None:
    own = rule(client)
    assert found(client.get(f"{RULES}/{own['id']}")) == own
    shipped = platform_rule(client)
    assert found(client.get(f"{RULES}/{shipped['id']}")) == shipped
    refused(client.get(f"{RULES}/{NOBODY}"), 404, "RULE_NOT_FOUND")


def test_another_tenants_rule(client: httpx2.Client, tenant: str) -> None:
    own = rule(client)
    headers = {"X-Tenant-ID": f"{tenant}-other"}
    for answer in (
        client.get(f"{RULES}/{own['id']}", headers=headers),
        client.put(f"{RULES}/{own['id']}", headers=headers, json={"enabled": False}),
        client.delete(f"{RULES}/{own['id']}", headers=headers),
        client.get(f"{RULES}/{own['id']}/versions", headers=headers),
    ):
        refused(answer, 404, "RULE_NOT_FOUND")
    assert found(client.get(f"{RULES}/{own['id']}")) == own


def test_update_a_rule(client: httpx2.Client) -> None:
    own = rule(client)
    assert decided(client, "PROJ-1234")["outcome"] == "ALLOW"
    answer = found(client.put(f"{RULES}/{own['id']}", json={"action_tier": "redact"}))
    assert answer == {**own, "action_tier": "redact"}
    assert decided(client, "PROJ-1234")["redacted_text"] == "[REDACTED]"
    newest, oldest = found(client.get(f"{RULES}/{own['id']}/versions"))
    assert oldest["change_type"] == "create"
    assert newest == {
        "id": newest["id"],
        "rule_id": own["id"],
        "changed_by": "dev-admin",
        "change_type": "update",
        "old_values": {"enabled": True, "action_tier": "log_only"},
        "new_values": {"enabled": True, "action_tier": "redact"},
        "changed_at": newest["changed_at"],
    }
    assert TIME.fullmatch(newest["changed_at"])
    UUID(newest["id"])
    assert newest["id"] != oldest["id"]


def test_a_record_tells_what_changed(client: httpx2.Client) -> None:
    own = rule(client)
    config = {"pattern": r"\bP-[0-9]+\b", "replacement": "[P]"}
    answer = found(client.put(f"{RULES}/{own['id']}", json={"config_json": config}))
    assert answer["config_json"] == config
    newest = found(client.get(f"{RULES}/{own['id']}/versions"))[0]
    always = {"enabled": True, "action_tier": "log_only"}
    assert newest["old_values"] == {**always, "config_json": PROJECT["config_json"]}
    assert newest["new_values"] == {**always, "config_json": config}


def test_what_no_rule_can_become(client: httpx2.Client) -> None:
    own = rule(client)
    url = f"{RULES}/{own['id']}"
    bad = {"config_json": {"pattern": "(x"}, "action_tier": "block"}
    refused(client.put(url, json=bad), 400, "INVALID_PATTERN", "config_json.pattern")
    refused(client.put(url, json={"enabled": "yes"}), 400, "INVALID_ARGUMENT", "enabled")
    refused(
        client.put(url, json={"detector_type": "ner"}),
        400,
        "INVALID_ARGUMENT",
        "config_json.pattern",
    )
    other = rule(client, detector_name="Another")
    taken = client.put(url, json={"detector_name": "Another"})
    assert other["id"] in taken.json()["error"]["details"][0]["reason"]
    refused(taken, 409, "NAME_EXISTS", "detector_name")
    assert found(client.get(url)) == own
    assert len(found(client.get(f"{url}/versions"))) == 1
    refused(client.put(f"{RULES}/{NOBODY}", json={}), 404, "RULE_NOT_FOUND")


def test_a_writer_who_read_something_else(client: httpx2.Client) -> None:
    own = rule(client)
    url = f"{RULES}/{own['id']}"
    tag = client.get(url).headers["etag"]
    assert client.put(url, json={"enabled": False}, headers={"If-Match": tag}).status_code == 200
    late = client.put(url, json={"enabled": True}, headers={"If-Match": tag})
    refused(late, 412, "PRECONDITION_FAILED", "If-Match")
    assert client.delete(url, headers={"If-Match": tag}).status_code == 412


def test_delete_a_rule(client: httpx2.Client) -> None:
    own = rule(client, action_tier="block")
    url = f"{RULES}/{own['id']}"
    assert decided(client, "PROJ-1234")["outcome"] == "BLOCK"
    answer = client.delete(url)
    assert (answer.status_code, answer.content) == (204, b"")
    assert decided(client, "PROJ-1234")["outcome"] == "ALLOW"
    refused(client.get(url), 404, "RULE_NOT_FOUND")
    refused(client.delete(url), 404, "RULE_NOT_FOUND")
    newest, oldest = found(client.get(f"{url}/versions"))
    assert (newest["change_type"], oldest["change_type"]) == ("delete", "create")
    assert newest["old_values"] == {**PROJECT, "action_tier": "block"}
    assert newest["new_values"] is None
    refused(client.get(f"{RULES}/{NOBODY}/versions"), 404, "RULE_NOT_FOUND")


def test_a_platform_rule_is_customised(client: httpx2.Client, tenant: str) -> None:
    shipped = platform_rule(client)
    url = f"{RULES}/{shipped['id']}"
    settings = {"action_tier": "block", "confidence_threshold": 0.5}
    answer = found(client.put(url, json=settings))
    assert answer == {**shipped, **settings}
    assert found(client.get(url)) == answer
    assert decided(client, CARD_TEXT)["reason_code"] == "DLP_BLOCK"
    newest = found(client.get(f"{url}/versions"))[0]
    assert newest["change_type"] == "update"
    assert newest["old_values"]["action_tier"] == shipped["action_tier"]
    assert newest["new_values"] == {"enabled": True, **settings}
    others = client.get(url, headers={"X-Tenant-ID": f"{tenant}-other"})
    assert found(others) == shipped


def test_what_stays_as_it_ships(client: httpx2.Client) -> None:
    shipped = platform_rule(client)
    url = f"{RULES}/{shipped['id']}"
    refused(client.delete(url), 403, "PLATFORM_READONLY", "rule_id")
    refused(
        client.put(url, json={"detector_name": "Mine", "enabled": False}),
        403,
        "PLATFORM_READONLY",
        "detector_name",
    )
    whole = {name: shipped[name] for name in RULE[1:]}
    assert found(client.put(url, json=whole)) == shipped  # what does not change may be sent


def test_a_suppressed_rule(client: httpx2.Client) -> None:
    shipped = platform_rule(client)
    before = evaluated(client, CARD_TEXT)
    found(client.put(f"{RULES}/{shipped['id']}", json={"enabled": False}))
    after = evaluated(client, CARD_TEXT)
    assert after["suppressed_rule_ids"] == [shipped["id"]]
    assert after["rules_evaluated"] == before["rules_evaluated"] - 1
    assert shipped["id"] not in [each["rule_id"] for each in after["matched_rules"]]
    assert "redacted_text" not in decided(client, CARD_TEXT)
    assert "Left out 1 suppressed platform rule(s)" in after["decision_trace"]


def test_available_patterns(client: httpx2.Client) -> None:
    everything = found(client.get(f"{RULES}/available-patterns"))
    by_category = {each["category"]: each for each in everything["categories"]}
    assert set(by_category) == {"secret", "pii", "financial", "medical", "infrastructure"}
    assert everything["total"] == sum(each["count"] for each in by_category.values()) >= 45
    for category, listed in by_category.items():
        one = found(client.get(f"{RULES}/available-patterns?category={category}"))
        assert one == {"categories": [listed], "total": listed["count"]}
        assert len(listed["patterns"]) == listed["count"]
        for pattern in listed["patterns"]:
            assert pattern["category"] == category
            assert pattern["id"]
            assert pattern["description"]
            assert "pattern" not in pattern
    refused(
        client.get(f"{RULES}/available-patterns?category=x"), 400, "INVALID_ARGUMENT", "category"
    )


def test_a_rule_of_an_available_pattern(client: httpx2.Client) -> None:
    rule(
        client,
        entity_type="IBAN",
        action_tier="block",
        confidence_threshold=0.5,
        config_json={"detector": "iban"},
    )
    assert decided(client, "IBAN DE89370400440532013000")["reason_code"] == "DLP_BLOCK"
    assert decided(client, "IBAN DE89370400440532013001")["reason_code"] != "DLP_BLOCK"


def test_defaults_are_calm(client: httpx2.Client) -> None:
    """Live secrets and card numbers are redacted, other personal data is logged (decide.md)."""
    assert decided(client, CARD_TEXT)["redacted_text"] == (
        "Please process payment for card [REDACTED]."
    )
    mail = decided(client, "Write to ann.miller@corp-mail.com, please.")
    assert (mail["outcome"], mail["pii_detected"]) == ("ALLOW", True)
    assert "redacted_text" not in mail
    plain = decided(client, "The weather is fine.")
    assert (plain["outcome"], plain["matches"]) == ("ALLOW", [])
