"""The policy chain API over HTTP, and the effect of chains on decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.support.rest.packs import (
    BLOCK,
    CHAINS,
    CONDITIONS,
    PACKS,
    UNKNOWN_ID,
    bundle,
    check_error,
    ok_json,
    pack,
    rule,
)

if TYPE_CHECKING:
    import httpx2


def test_a_pack_in_a_chain_cannot_be_deleted(client: httpx2.Client) -> None:
    made_pack = pack(client)
    path, body = f"{PACKS}/{made_pack['id']}", {"packs": [{"id": made_pack["id"]}]}
    ok_json(client.put(f"{CHAINS}/org", json=body))
    assert "the org chain" in check_error(client.delete(path), 409, "PACK_IN_USE", "pack_id")
    ok_json(client.put(f"{CHAINS}/org", json={"packs": []}))
    ok_json(client.put(f"{CHAINS}/users/u1", json=body))
    assert "user u1" in check_error(client.delete(path), 409, "PACK_IN_USE", "pack_id")
    assert client.delete(f"{CHAINS}/users/u1").status_code == 204
    assert client.delete(path).status_code == 204


def test_the_list_of_chains(client: httpx2.Client) -> None:
    assert ok_json(client.get(f"{CHAINS}/")) == []
    mine, shipped = pack(client, is_active=False), bundle(client)
    body = {
        "packs": [{"id": shipped["id"], "sequence": 1}, {"id": mine["id"], "sequence": 0}],
        "combining_algorithm": "first_applicable",
    }
    chain = ok_json(client.put(f"{CHAINS}/org", json=body))
    fields = ["id", "scope", "combining_algorithm", "packs", "created_at", "updated_at"]
    assert list(chain) == fields
    assert (chain["scope"], chain["combining_algorithm"]) == ("org", "first_applicable")
    assert chain["packs"] == [
        {
            "id": entry["id"],
            "pack_id": each["id"],
            "pack_name": each["name"],
            "pack_type": each["pack_type"],
            "rule_count": each["rule_count"],
            "sequence": sequence,
            "is_active": each["is_active"],
        }
        for sequence, (entry, each) in enumerate(zip(chain["packs"], (mine, shipped), strict=True))
    ]
    assert ok_json(client.get(f"{CHAINS}/")) == ok_json(client.get(CHAINS)) == [chain]


def test_a_chain_is_replaced_as_a_whole(client: httpx2.Client) -> None:
    first, second = pack(client)["id"], pack(client)["id"]
    before = ok_json(client.put(f"{CHAINS}/org", json={"packs": [{"id": first}, {"id": second}]}))
    body = {"packs": [{"id": second, "sequence": 4}], "combining_algorithm": "deny_overrides"}
    after = ok_json(client.put(f"{CHAINS}/org", json=body))
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert [each["pack_id"] for each in after["packs"]] == [second]
    assert after["packs"][0]["id"] not in {each["id"] for each in before["packs"]}
    assert after["combining_algorithm"] == "deny_overrides"
    empty = ok_json(client.put(f"{CHAINS}/org", json={}))
    assert (empty["packs"], empty["combining_algorithm"]) == ([], "first_applicable")


def test_invalid_chains_are_refused(client: httpx2.Client) -> None:
    first, second = pack(client)["id"], pack(client)["id"]
    chain = ok_json(client.put(f"{CHAINS}/org", json={"packs": [{"id": first}]}))

    def put(*packs: dict[str, Any], **fields: Any) -> httpx2.Response:
        return client.put(f"{CHAINS}/org", json={"packs": [*packs], **fields})

    check_error(put({"id": first}, {"id": UNKNOWN_ID}), 400, "INVALID_ARGUMENT", "packs[1].id")
    check_error(put({"id": first}, {"id": first}), 400, "INVALID_ARGUMENT", "packs[1].id")
    same = put({"id": first, "sequence": 1}, {"id": second, "sequence": 1})
    check_error(same, 400, "INVALID_ARGUMENT", "packs[1].sequence")
    check_error(put({"sequence": 1}), 400, "INVALID_ARGUMENT", "packs[0].id")
    unknown = put({"id": first}, combining_algorithm="majority")
    check_error(unknown, 400, "INVALID_ARGUMENT", "combining_algorithm")
    check_error(put(*[{"id": first}] * 101), 400, "INVALID_ARGUMENT", "packs")
    assert ok_json(client.get(CHAINS)) == [chain]


def test_chains_of_users(client: httpx2.Client) -> None:
    pack_id = pack(client)["id"]
    org = ok_json(client.put(f"{CHAINS}/org", json={"packs": []}))
    body = {"packs": [{"id": pack_id, "sequence": 0}], "combining_algorithm": "deny_overrides"}
    late = ok_json(client.put(f"{CHAINS}/users/zoe", json=body))
    early = ok_json(client.put(f"{CHAINS}/users/a%2Fb", json=body))
    assert (late["scope"], late["user_id"], early["user_id"]) == ("user", "zoe", "a/b")
    assert ok_json(client.get(f"{CHAINS}/")) == [org, early, late]
    assert client.delete(f"{CHAINS}/users/zoe").status_code == 204
    check_error(client.delete(f"{CHAINS}/users/zoe"), 404, "CHAIN_NOT_FOUND")
    check_error(client.delete(f"{CHAINS}/users/org"), 404, "CHAIN_NOT_FOUND")
    assert ok_json(client.get(f"{CHAINS}/")) == [org, early]


def test_a_chain_can_be_simulated(client: httpx2.Client) -> None:
    made_pack = pack(client)
    name = "Block GPT-4o for contractors"
    other = rule(client, made_pack["id"], "Off topic", conditions={"content_regex": "weather"})
    made_rule = rule(
        client,
        made_pack["id"],
        name,
        conditions={"user_groups": ["contractors"]},
        action=BLOCK,
    )
    rule(client, made_pack["id"], "Never reached")
    ok_json(client.put(f"{CHAINS}/org", json={"packs": [{"id": made_pack["id"]}]}))
    body = {
        "prompt": "What is the patient's SSN?",
        "provider": "openai",
        "model": "gpt-4o",
        "user_groups": ["contractors", "us-east"],
    }
    answer = ok_json(client.post(f"{CHAINS}/simulate", json=body))
    reason = "user_groups matched: ['contractors']"
    row = {"pack_id": made_pack["id"], "pack_name": made_pack["name"]}
    assert answer == {
        "matched": True,
        "matched_pack_id": made_pack["id"],
        "matched_pack_name": made_pack["name"],
        "matched_rule_id": made_rule["id"],
        "matched_rule_name": name,
        "matched_sequence": 1,
        "action": BLOCK,
        "match_reason": reason,
        "evaluation_trace": [
            {
                **row,
                "rule_id": other["id"],
                "rule_name": "Off topic",
                "sequence": 0,
                "matched": False,
                "match_reason": "content_regex did not match",
            },
            {
                **row,
                "rule_id": made_rule["id"],
                "rule_name": name,
                "sequence": 1,
                "matched": True,
                "match_reason": reason,
            },
        ],
    }


def test_a_simulation_without_a_match(client: httpx2.Client) -> None:
    """Only the trace shows whether no rule matched or the chain is empty."""
    nothing: dict[str, Any] = {
        "matched": False,
        "matched_pack_id": None,
        "matched_pack_name": None,
        "matched_rule_id": None,
        "matched_rule_name": None,
        "matched_sequence": None,
        "action": None,
        "match_reason": None,
        "evaluation_trace": [],
    }
    assert ok_json(client.post(f"{CHAINS}/simulate", json={"prompt": "hello"})) == nothing
    pack_id = pack(client, rules=[{"name": "r", "conditions": CONDITIONS, "action": BLOCK}])["id"]
    ok_json(client.put(f"{CHAINS}/org", json={"packs": [{"id": pack_id}]}))
    answer = ok_json(client.post(f"{CHAINS}/simulate", json={"prompt": "hello"}))
    assert len(answer["evaluation_trace"]) == 1
    assert {**answer, "evaluation_trace": []} == nothing


def test_a_rule_is_in_force_for_the_next_decision(client: httpx2.Client) -> None:
    word = f"word-{uuid4().hex}"

    def decide() -> Any:
        return ok_json(client.post("/v1/decide", json={"content": {"text": word}}))["outcome"]

    made_pack = pack(client)
    ok_json(client.put(f"{CHAINS}/org", json={"packs": [{"id": made_pack["id"]}]}))
    assert decide() == "ALLOW"
    made_rule = rule(client, made_pack["id"], conditions={"content_regex": word}, action=BLOCK)
    assert decide() == "BLOCK"
    path = f"{PACKS}/{made_pack['id']}"
    ok_json(client.put(path, json={"is_active": False}))
    assert decide() == "ALLOW"
    ok_json(client.put(path, json={"is_active": True}))
    rule_path = f"{path}/rules/{made_rule['id']}"
    ok_json(client.put(rule_path, json={"action": {"type": "CANCEL"}}))
    assert decide() == "CANCEL"
    assert client.delete(rule_path).status_code == 204
    assert decide() == "ALLOW"


def test_a_simulation_applies_candidates(client: httpx2.Client) -> None:
    """A simulation takes packs and a chain in their REST form, and writes nothing."""
    made_pack = pack(client, rules=[{"name": "r", "action": BLOCK}])
    ok_json(client.put(f"{CHAINS}/org", json={"packs": [{"id": made_pack["id"]}]}))
    listed = ok_json(client.get(PACKS)), ok_json(client.get(CHAINS))

    def simulate(**overlay: Any) -> Any:
        body = {"request": {"content": {"text": "a secret"}}, "overlay": overlay}
        return ok_json(client.post("/v1/simulate", json=body))["decision"]

    assert simulate()["outcome"] == "BLOCK"
    detail = ok_json(client.get(f"{PACKS}/{made_pack['id']}"))
    detail["rules"][0]["conditions"] = {"content_regex": "elsewhere"}
    assert simulate(packs=[detail])["outcome"] == "ALLOW"
    by_name = {"name": made_pack["name"], "rules": [{"name": "c", "action": {"type": "CANCEL"}}]}
    assert simulate(packs=[by_name])["outcome"] == "CANCEL"
    redacting = {
        "name": "New",
        "rules": [
            {"name": "s", "conditions": {"content_regex": "secret"}, "action": {"type": "REDACT"}}
        ],
    }
    decision = simulate(packs=[redacting], chain={"packs": [{"id": "New"}]})
    assert (decision["outcome"], decision["redacted_text"]) == ("REDACT", "a [REDACTED]")
    assert simulate(chain={"packs": []})["outcome"] == "ALLOW"
    shipped = ok_json(client.get(f"{PACKS}/{bundle(client)['id']}"))
    shipped["rules"] = shipped["rules"][:0]
    chain = {"packs": [{"id": shipped["id"]}, {"id": made_pack["id"]}]}
    assert simulate(packs=[shipped], chain=chain)["outcome"] == "BLOCK"
    body = {
        "request": {},
        "overlay": {"packs": [{"name": "x", "rules": [{"name": "r", "action": {"type": "?"}}]}]},
    }
    answer = client.post("/v1/simulate", json=body)
    check_error(answer, 400, "INVALID_ARGUMENT", "overlay.packs[0].rules[0].action.type")
    answer = client.post(
        "/v1/simulate", json={"request": {}, "overlay": {"chain": {"packs": [{"id": "?"}]}}}
    )
    check_error(answer, 400, "INVALID_ARGUMENT", "overlay.chain.packs[0].id")
    assert (ok_json(client.get(PACKS)), ok_json(client.get(CHAINS))) == listed
