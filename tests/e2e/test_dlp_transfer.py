"""Export and import of DLP rules over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.rest.dlp import PROJECT, RULE, RULES, decided, platform_rule, rule
from tests.support.rest.packs import TIME, found, refused

if TYPE_CHECKING:
    import httpx2

NOTHING: Any = {"created": 0, "skipped": 0, "overwritten": 0, "errors": []}


def taken_in(client: httpx2.Client, rules: list[Any], mode: str = "") -> Any:
    params = {"mode": mode} if mode else {}
    return found(client.post(f"{RULES}/import", json=rules, params=params))


def own(client: httpx2.Client) -> dict[str, Any]:
    rules = found(client.get(f"{RULES}/"))
    return {each["detector_name"]: each for each in rules if "source" not in each}


def test_export(client: httpx2.Client) -> None:
    first = rule(client)
    second = rule(client, detector_name="Another", enabled=False)
    card = platform_rule(client)
    changed = found(client.put(f"{RULES}/{card['id']}", json={"action_tier": "block"}))
    answer = found(client.get(f"{RULES}/export"))
    assert list(answer) == ["version", "exported_at", "count", "rules"]
    assert (answer["version"], answer["count"]) == ("1.0", 3)
    assert TIME.fullmatch(answer["exported_at"])
    assert answer["rules"] == [changed, first, second]


def test_a_fresh_tenants_export(client: httpx2.Client) -> None:
    answer = found(client.get(f"{RULES}/export"))
    assert (answer["count"], answer["rules"]) == (0, [])


def test_one_bad_rule_does_not_stop_the_rest(client: httpx2.Client) -> None:
    rules = [
        PROJECT,
        {**PROJECT, "detector_name": "Bad Pattern", "config_json": {"pattern": "(x"}},
        {**PROJECT, "detector_name": "Bad Tier", "action_tier": "shout"},
        7,
        {"entity_type": "X"},
        {**PROJECT, "detector_name": "Typo", "enbled": True},
        {**PROJECT, "detector_name": "Good"},
    ]
    answer = taken_in(client, rules)
    assert (answer["created"], answer["skipped"], answer["overwritten"]) == (2, 0, 0)
    errors = {each["detector_name"]: each["error"] for each in answer["errors"]}
    assert list(errors) == ["Bad Pattern", "Bad Tier", "rules[3]", "rules[4]", "Typo"]
    assert errors["Bad Pattern"] == "Invalid regex: missing ): (x"
    assert errors["Bad Tier"].startswith("action_tier: must be one of")
    assert errors["Typo"] == "enbled: unknown field"
    assert set(own(client)) == {"Internal Project Code", "Good"}
    assert decided(client, "PROJ-1234")["matches"][-1]["name"] in own(client)


def test_skip_is_the_default(client: httpx2.Client) -> None:
    present = rule(client)
    rules = [{**PROJECT, "action_tier": "block"}, {**PROJECT, "detector_name": "New"}]
    assert taken_in(client, rules) == {**NOTHING, "created": 1, "skipped": 1}
    assert own(client)["Internal Project Code"] == present
    assert taken_in(client, rules, "skip") == {**NOTHING, "skipped": 2}


def test_overwrite(client: httpx2.Client) -> None:
    present = rule(client)
    rules = [{**PROJECT, "action_tier": "block"}, {**PROJECT, "detector_name": "New"}]
    assert taken_in(client, rules, "overwrite") == {**NOTHING, "created": 1, "overwritten": 1}
    assert own(client)["Internal Project Code"] == {**present, "action_tier": "block"}
    newest = found(client.get(f"{RULES}/{present['id']}/versions"))[0]
    assert newest["change_type"] == "update"
    assert newest["new_values"] == {"enabled": True, "action_tier": "block"}


def test_rename(client: httpx2.Client) -> None:
    rule(client)
    assert taken_in(client, [PROJECT, PROJECT], "rename") == {**NOTHING, "created": 2}
    assert taken_in(client, [PROJECT], "rename") == {**NOTHING, "created": 1}
    assert list(own(client)) == [
        "Internal Project Code",
        *(f"Internal Project Code_import{number}" for number in (1, 2, 3)),
    ]


def test_the_same_name_twice_in_an_import(client: httpx2.Client) -> None:
    assert taken_in(client, [PROJECT, PROJECT]) == {**NOTHING, "created": 1, "skipped": 1}


def test_a_platform_rules_name(client: httpx2.Client) -> None:
    """It is there already: skipped, or what the tenant sets of it, or a rule beside it."""
    card = platform_rule(client)
    sent = {**{name: card[name] for name in RULE}, "action_tier": "block"}
    assert taken_in(client, [sent]) == {**NOTHING, "skipped": 1}
    assert taken_in(client, [sent], "overwrite") == {**NOTHING, "overwritten": 1}
    assert platform_rule(client)["action_tier"] == "block"
    other = {**sent, "entity_type": "OTHER"}
    (fault,) = taken_in(client, [other], "overwrite")["errors"]
    assert fault["detector_name"] == card["detector_name"]
    assert "ships with the product" in fault["error"]
    assert taken_in(client, [sent], "rename") == {**NOTHING, "created": 1}
    assert list(own(client)) == [f"{card['detector_name']}_import1"]


def test_a_backup_comes_back(client: httpx2.Client, tenant: str) -> None:
    rule(client, action_tier="redact")
    rule(client, detector_name="Another", enabled=False)
    card = platform_rule(client)
    found(client.put(f"{RULES}/{card['id']}", json={"enabled": False}))
    backup = found(client.get(f"{RULES}/export"))["rules"]
    client.headers["X-Tenant-ID"] = f"{tenant}-restored"
    answer = taken_in(client, backup, "overwrite")
    assert answer == {**NOTHING, "created": 2, "overwritten": 1}
    restored = found(client.get(f"{RULES}/export"))["rules"]

    def without_ids(rules: list[Any]) -> list[Any]:
        return [{name: each[name] for name in RULE[1:]} for each in rules]

    assert without_ids(restored) == without_ids(backup)


@pytest.mark.parametrize("body", [{"rules": []}, 7, "x"])
def test_what_is_no_import(client: httpx2.Client, body: Any) -> None:
    refused(client.post(f"{RULES}/import", json=body), 400, "INVALID_ARGUMENT", "rules")


def test_an_unknown_mode(client: httpx2.Client) -> None:
    answer = client.post(f"{RULES}/import?mode=merge", json=[])
    refused(answer, 400, "INVALID_ARGUMENT", "mode")
    assert taken_in(client, []) == NOTHING
