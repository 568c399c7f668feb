"""Export and import of DLP rules, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.rest.dlp import PROJECT, RULE, RULES, decide, platform_rule, rule
from tests.support.rest.packs import TIME, check_error, ok_json

if TYPE_CHECKING:
    import httpx2

NOTHING: Any = {"created": 0, "skipped": 0, "overwritten": 0, "errors": []}


def import_rules(client: httpx2.Client, rules: list[Any], mode: str = "") -> Any:
    params = {"mode": mode} if mode else {}
    return ok_json(client.post(f"{RULES}/import", json=rules, params=params))


def own(client: httpx2.Client) -> dict[str, Any]:
    rules = ok_json(client.get(f"{RULES}/"))
    return {each["detector_name"]: each for each in rules if "source" not in each}


def test_the_export_has_all_rules(client: httpx2.Client) -> None:
    first = rule(client)
    second = rule(client, detector_name="Another", enabled=False)
    card = platform_rule(client)
    changed = ok_json(client.put(f"{RULES}/{card['id']}", json={"action_tier": "block"}))
    answer = ok_json(client.get(f"{RULES}/export"))
    assert list(answer) == ["version", "exported_at", "count", "rules"]
    assert (answer["version"], answer["count"]) == ("1.0", 3)
    assert TIME.fullmatch(answer["exported_at"])
    assert answer["rules"] == [changed, first, second]


def test_the_export_of_a_new_tenant(client: httpx2.Client) -> None:
    answer = ok_json(client.get(f"{RULES}/export"))
    assert (answer["count"], answer["rules"]) == (0, [])


def test_an_invalid_rule_does_not_stop_the_others(client: httpx2.Client) -> None:
    rules = [
        PROJECT,
        {**PROJECT, "detector_name": "Bad Pattern", "config_json": {"pattern": "(x"}},
        {**PROJECT, "detector_name": "Bad Tier", "action_tier": "shout"},
        7,
        {"entity_type": "X"},
        {**PROJECT, "detector_name": "Typo", "enbled": True},
        {**PROJECT, "detector_name": "Good"},
    ]
    answer = import_rules(client, rules)
    assert (answer["created"], answer["skipped"], answer["overwritten"]) == (2, 0, 0)
    errors = {each["detector_name"]: each["error"] for each in answer["errors"]}
    assert list(errors) == ["Bad Pattern", "Bad Tier", "rules[3]", "rules[4]", "Typo"]
    assert errors["Bad Pattern"] == "Invalid regex: missing ): (x"
    assert errors["Bad Tier"].startswith("action_tier: must be one of")
    assert errors["Typo"] == "enbled: unknown field"
    assert set(own(client)) == {"Internal Project Code", "Good"}
    assert decide(client, "PROJ-1234")["matches"][-1]["name"] in own(client)


def test_existing_rules_are_skipped_by_default(client: httpx2.Client) -> None:
    present = rule(client)
    rules = [{**PROJECT, "action_tier": "block"}, {**PROJECT, "detector_name": "New"}]
    assert import_rules(client, rules) == {**NOTHING, "created": 1, "skipped": 1}
    assert own(client)["Internal Project Code"] == present
    assert import_rules(client, rules, "skip") == {**NOTHING, "skipped": 2}


def test_overwrite_replaces_existing_rules(client: httpx2.Client) -> None:
    present = rule(client)
    rules = [{**PROJECT, "action_tier": "block"}, {**PROJECT, "detector_name": "New"}]
    assert import_rules(client, rules, "overwrite") == {**NOTHING, "created": 1, "overwritten": 1}
    assert own(client)["Internal Project Code"] == {**present, "action_tier": "block"}
    newest = ok_json(client.get(f"{RULES}/{present['id']}/versions"))[0]
    assert newest["change_type"] == "update"
    assert newest["new_values"] == {"enabled": True, "action_tier": "block"}


def test_rename_imports_under_a_new_name(client: httpx2.Client) -> None:
    rule(client)
    assert import_rules(client, [PROJECT, PROJECT], "rename") == {**NOTHING, "created": 2}
    assert import_rules(client, [PROJECT], "rename") == {**NOTHING, "created": 1}
    assert list(own(client)) == [
        "Internal Project Code",
        *(f"Internal Project Code_import{number}" for number in (1, 2, 3)),
    ]


def test_a_repeated_name_in_an_import_is_skipped(client: httpx2.Client) -> None:
    assert import_rules(client, [PROJECT, PROJECT]) == {**NOTHING, "created": 1, "skipped": 1}


def test_import_of_a_platform_rules_name(client: httpx2.Client) -> None:
    """A platform rule exists already: it is skipped, customised, or copied to a new name."""
    card = platform_rule(client)
    sent = {**{name: card[name] for name in RULE}, "action_tier": "block"}
    assert import_rules(client, [sent]) == {**NOTHING, "skipped": 1}
    assert import_rules(client, [sent], "overwrite") == {**NOTHING, "overwritten": 1}
    assert platform_rule(client)["action_tier"] == "block"
    other = {**sent, "entity_type": "OTHER"}
    (fault,) = import_rules(client, [other], "overwrite")["errors"]
    assert fault["detector_name"] == card["detector_name"]
    assert "ships with the product" in fault["error"]
    assert import_rules(client, [sent], "rename") == {**NOTHING, "created": 1}
    assert list(own(client)) == [f"{card['detector_name']}_import1"]


def test_an_export_can_be_imported_by_another_tenant(client: httpx2.Client, tenant: str) -> None:
    rule(client, action_tier="redact")
    rule(client, detector_name="Another", enabled=False)
    card = platform_rule(client)
    ok_json(client.put(f"{RULES}/{card['id']}", json={"enabled": False}))
    backup = ok_json(client.get(f"{RULES}/export"))["rules"]
    client.headers["X-Tenant-ID"] = f"{tenant}-restored"
    answer = import_rules(client, backup, "overwrite")
    assert answer == {**NOTHING, "created": 2, "overwritten": 1}
    restored = ok_json(client.get(f"{RULES}/export"))["rules"]

    def without_ids(rules: list[Any]) -> list[Any]:
        return [{name: each[name] for name in RULE[1:]} for each in rules]

    assert without_ids(restored) == without_ids(backup)


@pytest.mark.parametrize("body", [{"rules": []}, 7, "x"])
def test_an_invalid_import_is_refused(client: httpx2.Client, body: Any) -> None:
    check_error(client.post(f"{RULES}/import", json=body), 400, "INVALID_ARGUMENT", "rules")


def test_an_unknown_mode_is_refused(client: httpx2.Client) -> None:
    answer = client.post(f"{RULES}/import?mode=merge", json=[])
    check_error(answer, 400, "INVALID_ARGUMENT", "mode")
    assert import_rules(client, []) == NOTHING
