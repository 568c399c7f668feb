"""Replay on a real server: of recorded decisions, and of requests in the call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.cli.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx2

    from tests.e2e.conftest import CommandResult
    from tests.support.servers import Server

SQLI: Final = "SELECT name FROM users WHERE id = 1 UNION SELECT password FROM users"
OVERLAY: Final = {
    "static_policies": [
        {"name": "No rivals", "category": "custom", "pattern": "(?i)rival", "action": "block"}
    ]
}


def post(client: httpx2.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def decide(client: httpx2.Client, text: str, **fields: Any) -> dict[str, Any]:
    return post(client, "/v1/decide", {"content": {"text": text}, **fields})


def keep_all(client: httpx2.Client) -> None:
    """Makes the server record every decision, with its redacted text."""
    assert client.put("/v1/org/policy", json={"logging_level": "full"}).status_code == 200


def test_a_weaker_policy_allows_blocked_requests(client: httpx2.Client) -> None:
    keep_all(client)
    blocked = decide(client, SQLI)
    decide(client, "hello")
    system = {match["policy_id"]: match for match in blocked["matches"]}
    candidates = []
    for policy_id in system:
        policy = client.get(f"/api/v1/static-policies/{policy_id}").json()
        fields = {key: policy[key] for key in ("id", "name", "category", "pattern", "severity")}
        candidates.append({**fields, "action": "log"})
    answer = post(client, "/v1/simulate/replay", {"overlay": {"static_policies": candidates}})
    assert (answer["replayed"], answer["changed"], answer["progress"]) == (2, 1, 1.0)
    [change] = answer["changes"]
    assert (change["from"], change["to"], change["count"]) == ("BLOCK", "ALLOW", 1)
    assert change["examples"][0]["decision_id"] == blocked["decision_id"]
    assert {each["policy_id"] for each in change["policies"]} == set(system)
    assert answer["next_cursor"] == ""


def test_a_new_pattern_runs_on_redacted_texts(client: httpx2.Client) -> None:
    keep_all(client)
    decide(client, "our RIVAL is cheaper")
    decide(client, "hello")
    answer = post(client, "/v1/simulate/replay", {"overlay": OVERLAY})
    assert [(each["from"], each["to"], each["count"]) for each in answer["changes"]] == [
        ("ALLOW", "BLOCK", 1)
    ]
    assert answer["gaps"] == []


def test_single_decisions_can_be_replayed(client: httpx2.Client) -> None:
    """In any order, each once; an id without a record is counted as not replayed."""
    keep_all(client)
    first, second = decide(client, "our RIVAL"), decide(client, "a rival, too")
    decide(client, "the third rival")
    ids = [second["decision_id"], first["decision_id"], "nope", first["decision_id"]]
    body = {"overlay": OVERLAY, "recorded": {"decision_ids": ids}, "examples": 9}
    answer = post(client, "/v1/simulate/replay", body)
    assert (answer["replayed"], answer["changed"], answer["next_cursor"]) == (2, 2, "")
    named = {each["decision_id"] for each in answer["changes"][0]["examples"]}
    assert named == {first["decision_id"], second["decision_id"]}
    [missing] = answer["not_replayed"]
    assert (missing["reason"].partition(":")[0], missing["count"]) == ("records", 1)
    assert "coverage" not in answer


def test_decisions_of_other_tenants_cannot_be_replayed(
    client: httpx2.Client, server: Server, tenant: str
) -> None:
    with server.client(f"{tenant}-other") as other:
        keep_all(other)
        foreign = decide(other, "our rival")
    body = {"overlay": OVERLAY, "recorded": {"decision_ids": [foreign["decision_id"]]}}
    answer = post(client, "/v1/simulate/replay", body)
    assert (answer["replayed"], answer["not_replayed"][0]["count"]) == (0, 1)


@pytest.mark.parametrize(
    ("recorded", "field"),
    [
        ({"decision_ids": ["x"], "user_id": "u"}, "recorded.user_id"),
        ({"decision_ids": ["x"] * 101}, "recorded.decision_ids"),
        ({"decision_ids": [""]}, "recorded.decision_ids[0]"),
    ],
)
def test_a_selection_by_ids_has_no_other_conditions(
    client: httpx2.Client, recorded: dict[str, Any], field: str
) -> None:
    answer = client.post("/v1/simulate/replay", json={"recorded": recorded})
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]] == [field]


def test_records_can_be_replayed_on_an_earlier_revision(client: httpx2.Client) -> None:
    keep_all(client)
    created = client.post(
        "/api/v1/static-policies",
        json={"name": "No rivals", "category": "custom", "pattern": "rival", "action": "block"},
    )
    assert created.status_code == 201
    blocked = decide(client, "a rival")
    assert blocked["outcome"] == "BLOCK"
    before = blocked["revision"] - 1
    answer = post(client, "/v1/simulate/replay", {"revision": before})
    assert [(each["from"], each["to"]) for each in answer["changes"]] == [("BLOCK", "ALLOW")]


def test_pages_add_up(client: httpx2.Client) -> None:
    keep_all(client)
    for index in range(7):
        decide(client, "a rival" if index % 2 else "hello")
    cursor, replayed, changed, shares = "", 0, 0, []
    while True:
        body = {"overlay": OVERLAY, "limit": 3, "cursor": cursor}
        page = post(client, "/v1/simulate/replay", body)
        replayed += page["replayed"]
        changed += page["changed"]
        shares.append(page["progress"])
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert (replayed, changed) == (7, 3)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_nothing_is_recorded_by_a_replay(client: httpx2.Client) -> None:
    keep_all(client)
    decide(client, "hello")
    for _ in range(2):
        answer = post(client, "/v1/simulate/replay", {"overlay": OVERLAY})
        assert answer["replayed"] == 1


def test_records_can_be_selected(client: httpx2.Client) -> None:
    keep_all(client)
    decide(client, SQLI, subject={"user_id": "eve"})
    decide(client, "hello", subject={"user_id": "ada"})
    for selection, expected in (
        ({"outcomes": ["BLOCK"]}, 1),
        ({"user_id": "ada"}, 1),
        ({"policy_id": "sys_sqli_union"}, 1),
        ({"since": "2100-01-01T00:00:00Z"}, 0),
        ({"until": "2100-01-01T00:00:00Z"}, 2),
    ):
        body = {"overlay": OVERLAY, "recorded": selection}
        assert post(client, "/v1/simulate/replay", body)["replayed"] == expected, selection


def test_requests_of_the_caller_can_be_replayed(client: httpx2.Client) -> None:
    requests = [{"content": {"text": text}} for text in ("a rival", "hello", SQLI)]
    answer = post(client, "/v1/simulate/replay", {"overlay": OVERLAY, "requests": requests})
    assert (answer["replayed"], answer["changed"]) == (3, 1)
    assert answer["changes"][0]["examples"][0]["decision_id"] == "requests[0]"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cursor": "next"}, "cursor"),
        ({"cursor": f"{10**24}.1.{10**25}"}, "cursor"),
        ({"cursor": "1.9.12"}, "cursor"),
        ({"cursor": "12.1.9"}, "cursor"),
        ({"cursor": "\u0663.1.9"}, "cursor"),
        ({"revision": 1 << 40}, "revision"),
        ({"recorded": {"outcomes": ["UNSPECIFIED"]}}, "recorded.outcomes"),
        ({"limit": -1}, "limit"),
        ({"requests": [{"action": "NO"}]}, "requests[0].action"),
    ],
)
def test_invalid_replays_are_refused(
    client: httpx2.Client, body: dict[str, Any], field: str
) -> None:
    answer = client.post("/v1/simulate/replay", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == field


def test_the_command_prints_the_changes(
    server: Server,
    client: httpx2.Client,
    tenant: str,
    cli: Callable[..., CommandResult],
    tmp_path: Path,
) -> None:
    keep_all(client)
    decide(client, "a rival")
    decide(client, "hello")
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps(OVERLAY))
    target = ("--server", server.grpc_address, "--tenant", tenant)
    ran = cli("replay", *target, "--overlay", str(overlay))
    assert ran.code == Exit.NO
    assert "1 of 2 decisions would change" in ran.out
    assert "No rivals" in ran.out
    requests = tmp_path / "requests.ndjson"
    requests.write_text('{"content": {"text": "hello"}}\n\n{"content": {"text": "bye"}}\n')
    ran = cli("replay", *target, "--overlay", str(overlay), "--requests", str(requests), "--json")
    assert ran.code == Exit.OK
    whole = json.loads(ran.out)
    assert (whole["replayed"], whole["changed"]) == (2, 0)


def test_the_command_accepts_relative_times(
    client: httpx2.Client, tenant: str, cli: Callable[..., CommandResult]
) -> None:
    keep_all(client)
    decide(client, "hello")
    base = ("replay", "--tenant", tenant, "--revision", "1", "--json")
    assert cli(*base, "--since", "1h").json["replayed"] == 1
    assert cli(*base, "--until", "1h").json["replayed"] == 0
    ran = cli(*base, "--since", "yesterday")
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert '--since: "yesterday" is not a time' in ran.err


def test_the_command_reports_the_line_of_an_invalid_request(
    tenant: str, cli: Callable[..., CommandResult]
) -> None:
    lines = '{"content": {"text": "hello"}}\n\n{\n'
    base = ("replay", "--tenant", tenant, "--revision", "1", "--requests", "-")
    ran = cli(*base, stdin=lines)
    assert (ran.code, ran.out) == (Exit.INVALID, "")
    assert "--requests -, line 3 is not JSON: " in ran.err


def test_the_command_needs_a_revision_or_an_overlay(
    server: Server, cli: Callable[..., CommandResult]
) -> None:
    ran = cli("replay", "--server", server.grpc_address)
    assert ran.code == Exit.USAGE
    assert "--overlay or --revision" in ran.err
