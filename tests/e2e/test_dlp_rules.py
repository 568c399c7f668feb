"""The API of DLP rules, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from tests.support.rest.dlp import (
    CARD_TEXT,
    PROJECT,
    RULE,
    RULES,
    decide,
    evaluate,
    platform_rule,
    rule,
)
from tests.support.rest.packs import TIME, UNKNOWN_ID, check_error, created_json, ok_json

if TYPE_CHECKING:
    import httpx2


def test_the_list_has_platform_rules_then_own_rules(client: httpx2.Client) -> None:
    """The list has the platform's rules, as customised by the tenant, and then its own."""
    own = rule(client)
    rules = ok_json(client.get(f"{RULES}/"))
    assert rules == ok_json(client.get(RULES))
    assert len(rules) > 30
    assert rules[-1] == own
    assert all(each.get("source") == "platform" for each in rules[:-1])
    assert all(list(each)[: len(RULE)] == RULE for each in rules)


def test_the_list_is_filtered(client: httpx2.Client) -> None:
    rule(client, enabled=False)
    rule(client, detector_name="Names", detector_type="ner", entity_type="PERSON", config_json={})
    rules = ok_json(client.get(f"{RULES}/"))
    for enabled in ("true", "false"):
        page = ok_json(client.get(f"{RULES}/?enabled={enabled}"))
        assert page == [each for each in rules if each["enabled"] is (enabled == "true")]
        assert page
    for kind in ("regex", "ner", "llm"):
        page = ok_json(client.get(f"{RULES}/", params={"detector_type": kind}))
        assert page == [each for each in rules if each["detector_type"] == kind]
    check_error(client.get(f"{RULES}/?detector_type=x"), 400, "INVALID_ARGUMENT", "detector_type")


def test_create_a_rule(client: httpx2.Client) -> None:
    answer = created_json(client.post(f"{RULES}/", json=PROJECT))
    assert list(answer) == RULE
    assert answer == {"id": answer["id"], **PROJECT}
    UUID(answer["id"])
    (record,) = ok_json(client.get(f"{RULES}/{answer['id']}/versions"))
    assert record["change_type"] == "create"
    assert record["old_values"] is None
    assert record["new_values"] == PROJECT


def test_a_rule_has_defaults(client: httpx2.Client) -> None:
    body = {
        name: value
        for name, value in PROJECT.items()
        if name not in {"enabled", "confidence_threshold"}
    }
    answer = created_json(client.post(f"{RULES}/", json=body))
    assert (answer["enabled"], answer["confidence_threshold"]) == (True, 0.5)


def test_invalid_rules_are_refused(client: httpx2.Client) -> None:
    def post(**fields: Any) -> httpx2.Response:
        return client.post(f"{RULES}/", json={**PROJECT, **fields})

    before = ok_json(client.get(f"{RULES}/"))
    check_error(client.post(f"{RULES}/", json={}), 400, "INVALID_ARGUMENT", *RULE[1:5])
    check_error(post(detector_type="bert"), 400, "INVALID_ARGUMENT", "detector_type")
    check_error(post(action_tier="shout"), 400, "INVALID_ARGUMENT", "action_tier")
    check_error(post(confidence_threshold=1.1), 400, "INVALID_ARGUMENT", "confidence_threshold")
    check_error(post(nome="x"), 400, "INVALID_ARGUMENT", "nome")
    patterns: list[tuple[dict[str, Any], str]] = [
        ({}, "config_json.pattern"),
        ({"pattern": "(x"}, "config_json.pattern"),
        ({"pattern": "(?=x)x"}, "config_json.pattern"),
        ({"pattern": 7}, "config_json.pattern"),
        ({"pattern": ""}, "config_json.pattern"),
    ]
    for config, field in patterns:
        check_error(post(config_json=config), 400, "INVALID_PATTERN", field)
    others: list[tuple[dict[str, Any], str]] = [
        ({"pattern": "x", "patern": "y"}, "config_json.patern"),
        ({"pattern": "x", "replacement": 7}, "config_json.replacement"),
        ({"detector": "no_such_thing"}, "config_json.detector"),
        ({"detector": "credit_card", "pattern": "x"}, "config_json.pattern"),
    ]
    for config, field in others:
        check_error(post(config_json=config), 400, "INVALID_ARGUMENT", field)
    assert ok_json(client.get(f"{RULES}/")) == before


def test_names_are_unique_within_a_tenant(client: httpx2.Client) -> None:
    first = rule(client)
    check_error(client.post(f"{RULES}/", json=PROJECT), 409, "NAME_EXISTS", "detector_name")
    rule(client, detector_name="Credit Card Number")  # names of platform rules are free
    assert client.delete(f"{RULES}/{first['id']}").status_code == 204
    rule(client)


def test_get_a_rule(client: httpx2.Client) -> None:
    own = rule(client)
    assert ok_json(client.get(f"{RULES}/{own['id']}")) == own
    shipped = platform_rule(client)
    assert ok_json(client.get(f"{RULES}/{shipped['id']}")) == shipped
    check_error(client.get(f"{RULES}/{UNKNOWN_ID}"), 404, "RULE_NOT_FOUND")


def test_another_tenants_rule_is_not_found(client: httpx2.Client, tenant: str) -> None:
    own = rule(client)
    headers = {"X-Tenant-ID": f"{tenant}-other"}
    for answer in (
        client.get(f"{RULES}/{own['id']}", headers=headers),
        client.put(f"{RULES}/{own['id']}", headers=headers, json={"enabled": False}),
        client.delete(f"{RULES}/{own['id']}", headers=headers),
        client.get(f"{RULES}/{own['id']}/versions", headers=headers),
    ):
        check_error(answer, 404, "RULE_NOT_FOUND")
    assert ok_json(client.get(f"{RULES}/{own['id']}")) == own


def test_update_a_rule(client: httpx2.Client) -> None:
    own = rule(client)
    assert decide(client, "PROJ-1234")["outcome"] == "ALLOW"
    answer = ok_json(client.put(f"{RULES}/{own['id']}", json={"action_tier": "redact"}))
    assert answer == {**own, "action_tier": "redact"}
    assert decide(client, "PROJ-1234")["redacted_text"] == "[REDACTED]"
    newest, oldest = ok_json(client.get(f"{RULES}/{own['id']}/versions"))
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


def test_a_change_has_a_summary(client: httpx2.Client) -> None:
    own = rule(client)
    config = {"pattern": r"\bP-[0-9]+\b", "replacement": "[P]"}
    answer = ok_json(client.put(f"{RULES}/{own['id']}", json={"config_json": config}))
    assert answer["config_json"] == config
    newest = ok_json(client.get(f"{RULES}/{own['id']}/versions"))[0]
    always = {"enabled": True, "action_tier": "log_only"}
    assert newest["old_values"] == {**always, "config_json": PROJECT["config_json"]}
    assert newest["new_values"] == {**always, "config_json": config}


def test_invalid_updates_are_refused(client: httpx2.Client) -> None:
    own = rule(client)
    url = f"{RULES}/{own['id']}"
    bad = {"config_json": {"pattern": "(x"}, "action_tier": "block"}
    check_error(client.put(url, json=bad), 400, "INVALID_PATTERN", "config_json.pattern")
    check_error(client.put(url, json={"enabled": "yes"}), 400, "INVALID_ARGUMENT", "enabled")
    check_error(
        client.put(url, json={"detector_type": "ner"}),
        400,
        "INVALID_ARGUMENT",
        "config_json.pattern",
    )
    other = rule(client, detector_name="Another")
    conflict = client.put(url, json={"detector_name": "Another"})
    assert other["id"] in conflict.json()["error"]["details"][0]["reason"]
    check_error(conflict, 409, "NAME_EXISTS", "detector_name")
    assert ok_json(client.get(url)) == own
    assert len(ok_json(client.get(f"{url}/versions"))) == 1
    check_error(client.put(f"{RULES}/{UNKNOWN_ID}", json={}), 404, "RULE_NOT_FOUND")


def test_an_update_with_a_stale_etag_is_refused(client: httpx2.Client) -> None:
    own = rule(client)
    url = f"{RULES}/{own['id']}"
    tag = client.get(url).headers["etag"]
    assert client.put(url, json={"enabled": False}, headers={"If-Match": tag}).status_code == 200
    late = client.put(url, json={"enabled": True}, headers={"If-Match": tag})
    check_error(late, 412, "PRECONDITION_FAILED", "If-Match")
    assert client.delete(url, headers={"If-Match": tag}).status_code == 412


def test_delete_a_rule(client: httpx2.Client) -> None:
    own = rule(client, action_tier="block")
    url = f"{RULES}/{own['id']}"
    assert decide(client, "PROJ-1234")["outcome"] == "BLOCK"
    answer = client.delete(url)
    assert (answer.status_code, answer.content) == (204, b"")
    assert decide(client, "PROJ-1234")["outcome"] == "ALLOW"
    check_error(client.get(url), 404, "RULE_NOT_FOUND")
    check_error(client.delete(url), 404, "RULE_NOT_FOUND")
    newest, oldest = ok_json(client.get(f"{url}/versions"))
    assert (newest["change_type"], oldest["change_type"]) == ("delete", "create")
    assert newest["old_values"] == {**PROJECT, "action_tier": "block"}
    assert newest["new_values"] is None
    check_error(client.get(f"{RULES}/{UNKNOWN_ID}/versions"), 404, "RULE_NOT_FOUND")


def test_a_platform_rule_is_customised(client: httpx2.Client, tenant: str) -> None:
    shipped = platform_rule(client)
    url = f"{RULES}/{shipped['id']}"
    settings = {"action_tier": "block", "confidence_threshold": 0.5}
    answer = ok_json(client.put(url, json=settings))
    assert answer == {**shipped, **settings}
    assert ok_json(client.get(url)) == answer
    assert decide(client, CARD_TEXT)["reason_code"] == "DLP_BLOCK"
    newest = ok_json(client.get(f"{url}/versions"))[0]
    assert newest["change_type"] == "update"
    assert newest["old_values"]["action_tier"] == shipped["action_tier"]
    assert newest["new_values"] == {"enabled": True, **settings}
    others = client.get(url, headers={"X-Tenant-ID": f"{tenant}-other"})
    assert ok_json(others) == shipped


def test_fixed_fields_of_platform_rules_cannot_change(client: httpx2.Client) -> None:
    shipped = platform_rule(client)
    url = f"{RULES}/{shipped['id']}"
    check_error(client.delete(url), 403, "PLATFORM_READONLY", "rule_id")
    check_error(
        client.put(url, json={"detector_name": "Mine", "enabled": False}),
        403,
        "PLATFORM_READONLY",
        "detector_name",
    )
    whole = {name: shipped[name] for name in RULE[1:]}
    assert ok_json(client.put(url, json=whole)) == shipped  # unchanged fields are accepted


def test_a_rule_can_be_suppressed(client: httpx2.Client) -> None:
    shipped = platform_rule(client)
    before = evaluate(client, CARD_TEXT)
    ok_json(client.put(f"{RULES}/{shipped['id']}", json={"enabled": False}))
    after = evaluate(client, CARD_TEXT)
    assert after["suppressed_rule_ids"] == [shipped["id"]]
    assert after["rules_evaluated"] == before["rules_evaluated"] - 1
    assert shipped["id"] not in [each["rule_id"] for each in after["matched_rules"]]
    assert "redacted_text" not in decide(client, CARD_TEXT)
    assert "Left out 1 suppressed platform rule(s)" in after["decision_trace"]


def test_available_patterns_are_listed(client: httpx2.Client) -> None:
    everything = ok_json(client.get(f"{RULES}/available-patterns"))
    by_category = {each["category"]: each for each in everything["categories"]}
    assert set(by_category) == {"secret", "pii", "financial", "medical", "infrastructure"}
    assert everything["total"] == sum(each["count"] for each in by_category.values()) >= 45
    for category, listed in by_category.items():
        one = ok_json(client.get(f"{RULES}/available-patterns?category={category}"))
        assert one == {"categories": [listed], "total": listed["count"]}
        assert len(listed["patterns"]) == listed["count"]
        for pattern in listed["patterns"]:
            assert pattern["category"] == category
            assert pattern["id"]
            assert pattern["description"]
            assert "pattern" not in pattern
    check_error(
        client.get(f"{RULES}/available-patterns?category=x"), 400, "INVALID_ARGUMENT", "category"
    )


def test_a_rule_can_use_an_available_pattern(client: httpx2.Client) -> None:
    rule(
        client,
        entity_type="IBAN",
        action_tier="block",
        confidence_threshold=0.5,
        config_json={"detector": "iban"},
    )
    assert decide(client, "IBAN DE89370400440532013000")["reason_code"] == "DLP_BLOCK"
    assert decide(client, "IBAN DE89370400440532013001")["reason_code"] != "DLP_BLOCK"


def test_default_actions_redact_secrets_and_log_other_data(client: httpx2.Client) -> None:
    """Secrets and card numbers are redacted, other personal data is logged (docs/decide.md)."""
    assert decide(client, CARD_TEXT)["redacted_text"] == (
        "Please process payment for card [REDACTED]."
    )
    mail = decide(client, "Write to ann.miller@corp-mail.com, please.")
    assert (mail["outcome"], mail["pii_detected"]) == ("ALLOW", True)
    assert "redacted_text" not in mail
    plain = decide(client, "The weather is fine.")
    assert (plain["outcome"], plain["matches"]) == ("ALLOW", [])
