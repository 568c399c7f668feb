"""The API of rules in policy packs over HTTP, from the first operation to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.rest.packs import (
    BLOCK,
    CONDITIONS,
    PACKS,
    RULE,
    TIME,
    UNKNOWN_ID,
    check_error,
    created_json,
    ok_json,
    pack,
    rule,
    without_warnings,
)

if TYPE_CHECKING:
    import httpx2


def test_create_a_rule(client: httpx2.Client) -> None:
    made_pack = pack(client)
    body = {
        "sequence": 0,
        "name": "Block financial model for contractors",
        "description": "",
        "applies_to": "input",
        "conditions": CONDITIONS,
        "action": BLOCK,
        "is_active": True,
    }
    answer = created_json(client.post(f"{PACKS}/{made_pack['id']}/rules/", json=body))
    assert list(without_warnings(answer)) == RULE
    assert answer == {**answer, **body, "pack_id": made_pack["id"]}
    assert TIME.fullmatch(answer["created_at"])
    after = ok_json(client.get(f"{PACKS}/{made_pack['id']}"))
    assert after["rule_count"] == 1


def test_a_rule_has_defaults(client: httpx2.Client) -> None:
    """A new rule gets the next sequence, applies to prompts, has no conditions and is active."""
    pack_id = pack(client)["id"]
    rule(client, pack_id, sequence=7)
    answer = rule(client, pack_id)
    assert answer["sequence"] == 8
    assert (answer["applies_to"], answer["conditions"]) == ("input", {})
    assert (answer["description"], answer["is_active"]) == ("", True)


def test_documents_are_returned_as_posted(client: httpx2.Client) -> None:
    """A document comes back as posted: absent, [] and null stay so, and no default is added."""
    pack_id = pack(client)["id"]
    documents: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"type": "REDACT"}),
        ({"user_groups": [], "channel": []}, {"type": "BLOCK"}),
        ({"models": None, "content_regex": ""}, {"type": "CANCEL", "message": None}),
        ({"entity_types": ["SSN"], "entity_confidence_min": 0.85}, {"type": "ALLOW"}),
        ({"user_risk_score_min": 1}, {"type": "ROUTE_TO", "route_to_tier": "haiku"}),
        ({"intent_complexity": "complex"}, {"type": "PROMPT", "prompt_message": "Why?"}),
        ({"content_regex": "(?i)é+"}, {"type": "ROUTE_TO", "route_to_model": "gpt-4o"}),
        ({"providers": ["openai"]}, {"type": "ALLOW_WITH_OVERRIDE", "override_message": "n"}),
    ]
    for conditions, action in documents:
        answer = rule(client, pack_id, conditions=conditions, action=action)
        assert (answer["conditions"], answer["action"]) == (conditions, action)
    listed = ok_json(client.get(f"{PACKS}/{pack_id}/rules/"))
    assert [(each["conditions"], each["action"]) for each in listed] == documents


def test_invalid_rules_are_refused(client: httpx2.Client) -> None:
    pack_id = pack(client)["id"]
    original = rule(client, pack_id, sequence=3)

    def post(**fields: Any) -> httpx2.Response:
        body = {"name": "x", "action": {"type": "ALLOW"}, **fields}
        return client.post(f"{PACKS}/{pack_id}/rules/", json=body)

    check_error(post(conditions={"foo": 1}), 400, "INVALID_ARGUMENT", "conditions.foo")
    check_error(post(action={"type": "ALLOW", "bar": 1}), 400, "INVALID_ARGUMENT", "action.bar")
    answer = post(conditions={"content_regex": "(?<=x)y"})
    assert "look-around" in check_error(answer, 400, "INVALID_PATTERN", "conditions.content_regex")
    check_error(post(action={"type": "DELETE"}), 400, "INVALID_ARGUMENT", "action.type")
    check_error(post(action=None), 400, "INVALID_ARGUMENT", "action")
    check_error(post(action=[]), 400, "INVALID_ARGUMENT", "action")
    check_error(post(conditions=[]), 400, "INVALID_ARGUMENT", "conditions")
    check_error(post(applies_to="sideways"), 400, "INVALID_ARGUMENT", "applies_to")
    check_error(post(sequence=-1), 400, "INVALID_ARGUMENT", "sequence")
    assert original["name"] in check_error(post(sequence=3), 400, "INVALID_ARGUMENT", "sequence")
    two = post(conditions={"foo": 1}, action={"type": "PROMPT", "message": "x"})
    fields = ("conditions.foo", "action.message", "action.prompt_message")
    check_error(two, 400, "INVALID_ARGUMENT", *fields)
    assert ok_json(client.get(f"{PACKS}/{pack_id}/rules/")) == [original]


def test_update_a_rule(client: httpx2.Client) -> None:
    """Only fields in the request change; conditions and action are replaced as a whole."""
    pack_id = pack(client)["id"]
    before = rule(client, pack_id, conditions=CONDITIONS, action=BLOCK, description="d")
    rule(client, pack_id)
    path = f"{PACKS}/{pack_id}/rules/{before['id']}"
    body = {"name": "Renamed", "is_active": False}
    after = without_warnings(ok_json(client.put(path, json=body)))
    changed = {"name": "Renamed", "is_active": False, "updated_at": after["updated_at"]}
    assert after == {**before, **changed}
    after = ok_json(client.put(path, json={"conditions": {"channel": ["api"]}, "sequence": 9}))
    assert after["conditions"] == {"channel": ["api"]}
    assert (after["sequence"], after["action"]) == (9, BLOCK)
    assert ok_json(client.put(path, json={"conditions": {}}))["conditions"] == {}
    assert ok_json(client.put(path, json={"conditions": None}))["conditions"] == {}
    check_error(client.put(path, json={"sequence": 1}), 400, "INVALID_ARGUMENT", "sequence")
    check_error(
        client.put(path, json={"action": {"type": "X"}}), 400, "INVALID_ARGUMENT", "action.type"
    )
    check_error(client.put(path, json={"pack_id": UNKNOWN_ID}), 400, "INVALID_ARGUMENT", "pack_id")
    assert ok_json(client.get(f"{PACKS}/{pack_id}/rules"))[1]["name"] == "Renamed"


def test_a_rule_of_another_pack_is_not_found(client: httpx2.Client) -> None:
    mine, other = pack(client)["id"], pack(client)["id"]
    foreign = rule(client, other)["id"]
    for rule_id in (UNKNOWN_ID, foreign):
        path = f"{PACKS}/{mine}/rules/{rule_id}"
        check_error(client.put(path, json={"name": "x"}), 404, "RULE_NOT_FOUND")
        check_error(client.delete(path), 404, "RULE_NOT_FOUND")


def test_delete_a_rule(client: httpx2.Client) -> None:
    pack_id = pack(client)["id"]
    gone, other = rule(client, pack_id), rule(client, pack_id)
    answer = client.delete(f"{PACKS}/{pack_id}/rules/{gone['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    after = ok_json(client.get(f"{PACKS}/{pack_id}"))
    assert (after["rule_count"], after["rules"]) == (1, [other])


def test_rules_can_be_reordered(client: httpx2.Client) -> None:
    pack_id = pack(client)["id"]
    rules = [rule(client, pack_id, f"Rule {number}") for number in range(3)]
    path = f"{PACKS}/{pack_id}/rules/reorder"
    order = {rules[2]["id"]: 0, rules[0]["id"]: 1, rules[1]["id"]: 20}
    entries = [{"id": rule_id, "sequence": sequence} for rule_id, sequence in order.items()]
    answer = ok_json(client.post(path, json={"entries": entries}))
    assert [(each["id"], each["sequence"]) for each in answer] == [*order.items()]
    assert ok_json(client.get(f"{PACKS}/{pack_id}/rules/")) == answer


def test_a_partial_reorder_is_refused(client: httpx2.Client) -> None:
    pack_id = pack(client)["id"]
    first, second = (rule(client, pack_id)["id"] for _ in range(2))
    before = ok_json(client.get(f"{PACKS}/{pack_id}"))
    path = f"{PACKS}/{pack_id}/rules/reorder"
    foreign = rule(client, pack(client)["id"])["id"]

    def post(*entries: tuple[str, int]) -> httpx2.Response:
        body = {"entries": [{"id": each, "sequence": place} for each, place in entries]}
        return client.post(path, json=body)

    assert second in check_error(post((first, 5)), 400, "INVALID_ARGUMENT", "entries")
    check_error(
        post((first, 1), (second, 0), (foreign, 2)), 400, "INVALID_ARGUMENT", "entries[2].id"
    )
    check_error(post((first, 1), (second, 0), (first, 2)), 400, "INVALID_ARGUMENT", "entries[2].id")
    check_error(post((first, 1), (second, 1)), 400, "INVALID_ARGUMENT", "entries[1].sequence")
    check_error(post(), 400, "INVALID_ARGUMENT", "entries")
    answer = client.post(path, json={"entries": [{"id": first}, {"id": second, "sequence": 0}]})
    check_error(answer, 400, "INVALID_ARGUMENT", "entries[0].sequence")
    assert ok_json(client.get(f"{PACKS}/{pack_id}")) == before


def test_the_number_of_rules_is_limited(client: httpx2.Client) -> None:
    pack_id = pack(client, rules=[{"name": "r", "action": {"type": "ALLOW"}}] * 1000)["id"]
    body = {"name": "one too many", "action": {"type": "ALLOW"}}
    answer = client.post(f"{PACKS}/{pack_id}/rules/", json=body)
    assert "at most 1000 rules" in check_error(answer, 400, "INVALID_ARGUMENT", "pack_id")
