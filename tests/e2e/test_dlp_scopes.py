"""Scopes of DLP rules, over HTTP: bundles, frameworks, groups, simulations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.rest.dlp import (
    CARD_TEXT,
    PROJECT,
    RULES,
    decide,
    evaluate,
    platform_rule,
    rule,
)
from tests.support.rest.packs import check_error, created_json, ok_json

if TYPE_CHECKING:
    import httpx2

BUNDLES = "/api/admin/compliance-bundles"
GROUPS = "/api/admin/user-groups"
NO_FRAMEWORKS = {"frameworks": {"gdpr": False, "ai_act": False, "soc2": False}}


def bundle(client: httpx2.Client, framework: str = "PCI-DSS") -> Any:
    """Returns a seeded bundle with its rules."""
    (listed,) = ok_json(client.get(f"{BUNDLES}/", params={"framework": framework}))
    return ok_json(client.get(f"{BUNDLES}/{listed['id']}"))


def test_an_activated_bundle_requires_its_rules(client: httpx2.Client) -> None:
    pci = bundle(client)
    rule_id = pci["rules"][0]["id"]
    url = f"{RULES}/{rule_id}"
    assert ok_json(client.get(url))["bundle_id"] == pci["id"]
    tag = client.get(url).headers["etag"]
    ok_json(client.post(f"{BUNDLES}/{pci['id']}/activate"))
    assert ok_json(client.get(url))["enabled"] is True
    late = client.put(url, json={"action_tier": "block"}, headers={"If-Match": tag})
    check_error(late, 412, "PRECONDITION_FAILED", "If-Match")
    newest = ok_json(client.get(f"{url}/versions"))[0]
    assert (newest["rule_id"], newest["change_type"]) == (rule_id, "update")
    change = (newest["old_values"]["enabled"], newest["new_values"]["enabled"])
    assert change == (False, True)
    message = check_error(client.put(url, json={"enabled": False}), 409, "RULE_REQUIRED", "enabled")
    assert pci["name"] in message
    check_error(client.put(url, json={"action_tier": "none"}), 409, "RULE_REQUIRED", "action_tier")
    assert ok_json(client.put(url, json={"action_tier": "block"}))["action_tier"] == "block"
    check_error(client.delete(url), 403, "PLATFORM_READONLY", "rule_id")
    ok_json(client.post(f"{BUNDLES}/{pci['id']}/deactivate"))
    assert ok_json(client.put(url, json={"enabled": False}))["enabled"] is False


def test_rules_outside_the_bundle_can_be_suppressed(client: httpx2.Client) -> None:
    ok_json(client.post(f"{BUNDLES}/{bundle(client)['id']}/activate"))
    card = platform_rule(client)
    assert ok_json(client.put(f"{RULES}/{card['id']}", json={"enabled": False}))["enabled"] is False
    answer = evaluate(client, CARD_TEXT)
    assert answer["suppressed_rule_ids"] == [card["id"]]
    assert answer["rules_matched"] > 0  # the bundle's own rule


def test_a_match_names_the_articles_of_the_framework(client: httpx2.Client) -> None:
    text = "Write to ann.miller@corp-mail.com, please."
    on = decide(client, text)
    assert any(article.startswith("GDPR") for article in on["frameworks"])
    assert on["outcome"] == "ALLOW"
    ok_json(client.put("/v1/org/policy", json=NO_FRAMEWORKS))
    off = decide(client, text)
    assert off["frameworks"] == []
    assert len(off["matches"]) < len(on["matches"])
    assert decide(client, "The weather is fine.")["frameworks"] == []


def test_a_group_can_have_stricter_rules(client: httpx2.Client) -> None:
    own = rule(client)
    strict = [{"rule_id": own["id"], "action_tier": "block"}]
    created_json(
        client.post(
            f"{GROUPS}/",
            json={"name": "Night shift", "members": ["u1"], "dlp_rules": strict},
        )
    )
    assert evaluate(client, "PROJ-1234")["final_action"] == "log_only"
    for who in ({"group_id": "Night shift"}, {"user_id": "u1"}):
        answer = evaluate(client, "PROJ-1234", **who)
        assert answer["final_action"] == "block"
        assert answer["matched_rules"][0]["action_tier"] == "block"
    trace = evaluate(client, "PROJ-1234", group_id="Night shift")["decision_trace"]
    assert "Group 'Night shift' changes 1 rule(s)" in trace
    assert evaluate(client, "PROJ-1234", user_id="u2")["final_action"] == "log_only"
    member = decide(client, "PROJ-1234", subject={"user_id": "u1"})
    named = decide(client, "PROJ-1234", subject={"groups": ["Night shift"]})
    other = decide(client, "PROJ-1234", subject={"user_id": "u2"})
    assert [each["outcome"] for each in (member, named, other)] == ["BLOCK", "BLOCK", "ALLOW"]


def simulated(client: httpx2.Client, text: str, rules: list[Any]) -> Any:
    body = {"request": {"content": {"text": text}}, "overlay": {"dlp_rules": rules}}
    return ok_json(client.post("/v1/simulate", json=body))


def test_a_simulation_applies_candidate_rules(client: httpx2.Client) -> None:
    own = rule(client)
    block = {**PROJECT, "action_tier": "block"}
    for candidate in ({**own, "action_tier": "block"}, block):  # by id, and by name
        answer = simulated(client, "PROJ-1234", [candidate])
        assert answer["decision"]["reason_code"] == "DLP_BLOCK"
        (layer,) = [each for each in answer["layers"] if each["layer"] == "dlp"]
        assert layer["outcome"] == "BLOCK"
        assert [match["policy_id"] for match in layer["matches"]] == [own["id"]]
    added = {**block, "detector_name": "New", "config_json": {"pattern": "rival"}}
    assert simulated(client, "rival", [added])["decision"]["outcome"] == "BLOCK"
    card = {**platform_rule(client), "action_tier": "block"}
    assert simulated(client, CARD_TEXT, [card])["decision"]["reason_code"] == "DLP_BLOCK"
    assert decide(client, "PROJ-1234 rival")["outcome"] == "ALLOW"
    assert ok_json(client.get(f"{RULES}/{own['id']}")) == own


def test_invalid_candidates_are_refused(client: httpx2.Client) -> None:
    def post(*rules: Any) -> httpx2.Response:
        overlay = {"dlp_rules": rules}
        return client.post("/v1/simulate", json={"request": {}, "overlay": overlay})

    place = "overlay.dlp_rules[1]"
    bad = {**PROJECT, "detector_name": "Bad", "config_json": {"pattern": "(x"}}
    check_error(post(PROJECT, bad), 400, "INVALID_PATTERN", f"{place}.config_json.pattern")
    other = {**platform_rule(client), "entity_type": "OTHER"}
    check_error(post(PROJECT, other), 400, "INVALID_ARGUMENT", f"{place}.entity_type")
