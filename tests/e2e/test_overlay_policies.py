"""Policy files as overlays of simulations and replays: every section counts, added or removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx2

IMPORT: Final = "/v1/policy-file/import"
SIMULATE: Final = "/v1/simulate"
REPLAY: Final = "/v1/simulate/replay"

RIVALS: Final = {"name": "No rivals", "category": "custom", "pattern": "rival", "action": "block"}


class Section(NamedTuple):
    """A section whose policies decide on a request.

    Attributes:
        policies: its policies.
        request: what they decide on.
        outcome: the outcome with them.
        without: the outcome without them.
        others: policies of other sections that they need; the tenant has them.
    """

    policies: Any
    request: dict[str, Any]
    outcome: str = "BLOCK"
    without: str = "ALLOW"
    others: Mapping[str, Any] = {}


def text(words: str, **fields: Any) -> dict[str, Any]:
    """Returns a request with a text."""
    return {"content": {"text": words}, "subject": {"user_id": "ann"}, **fields}


STOP: Final = {
    "name": "Words",
    "rules": [
        {"name": "Stop", "conditions": {"content_regex": "stop"}, "action": {"type": "BLOCK"}}
    ],
}
TICKETS: Final = {
    "detector_name": "ticket",
    "detector_type": "regex",
    "entity_type": "TICKET",
    "action_tier": "block",
    "config_json": {"pattern": "TCK-[0-9]+"},
}
FOR_ANN: Final = {
    "name": "Ann may",
    "reason": "tests",
    "ticket": "T-1",
    "users": ["ann"],
    "policies": ["No rivals"],
    "valid_until": "2099-01-01T00:00:00Z",
}

SECTIONS: Final = {
    "static_policies": Section([RIVALS], text("a rival")),
    "overrides": Section(
        [{"policy_id": "sys_sqli_union", "action": "log", "reason": "tests"}],
        text("1 UNION SELECT password FROM users"),
        "ALLOW",
        "BLOCK",
    ),
    "dlp": Section([TICKETS], text("see TCK-12")),
    "dlp_settings": Section(
        [{"rule": "email", "action_tier": "block"}], text("to a@b.example.com")
    ),
    "user_chains": Section(
        [{"user_id": "ann", "packs": ["Words"]}], text("stop"), others={"packs": [STOP]}
    ),
    "customer_policies": Section(
        [{"customer_id": "c", "policies": {"blocked_actions": ["d:e:f"]}}],
        text("hello", customer_id="c", action="a:b:c"),
        "ALLOW",
        "BLOCK",
    ),
    "exceptions": Section(
        [FOR_ANN], text("a rival"), "ALLOW", "BLOCK", others={"static_policies": [RIVALS]}
    ),
    "limits": Section(
        [{"scope": "user", "subject_id": "ann", "daily_token_limit": 5}],
        text("hello", usage={"tokens": 9}),
    ),
    "org_policy": Section(
        {"blocking_rules": {"enabled": True, "block_on": "medium"}},
        text("a rival"),
        without="WARN",
        others={"static_policies": [{**RIVALS, "action": "warn", "severity": "critical"}]},
    ),
    "tenant_settings": Section(
        {"unknown_model": "block"}, text("hello", model={"provider": "nobody", "model": "none"})
    ),
}


@pytest.fixture(params=SECTIONS)
def section(request: pytest.FixtureRequest) -> tuple[str, Section]:
    """A section, with its name."""
    return request.param, SECTIONS[request.param]


def post(client: httpx2.Client, path: str, body: dict[str, Any]) -> Any:
    """Sends a request; returns the answer."""
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def simulated(client: httpx2.Client, request: dict[str, Any], **overlay: Any) -> str:
    """Returns the outcome of a request with an overlay."""
    body = {"request": request, "overlay": overlay} if overlay else {"request": request}
    outcome: str = post(client, SIMULATE, body)["decision"]["outcome"]
    return outcome


def changes(client: httpx2.Client, **body: Any) -> list[tuple[str, str]]:
    """Returns the outcomes that a replay would change."""
    answer = post(client, REPLAY, body)
    return [(each["from"], each["to"]) for each in answer["changes"]]


def empty(policies: Any) -> Any:
    """Returns the section without policies."""
    return [] if isinstance(policies, list) else {}


def test_a_simulation_adds_policies(client: httpx2.Client, section: tuple[str, Section]) -> None:
    name, case = section
    post(client, IMPORT, {"policies": case.others})
    assert simulated(client, case.request) == case.without
    assert simulated(client, case.request, policies={name: case.policies}) == case.outcome


def test_a_simulation_removes_policies(client: httpx2.Client, section: tuple[str, Section]) -> None:
    """Only with the mode `replace`, and only from the sections of the overlay."""
    name, case = section
    post(client, IMPORT, {"policies": {**case.others, name: case.policies}})
    draft = {name: empty(case.policies)}
    assert simulated(client, case.request) == case.outcome
    for mode in ("", "merge"):
        overlay = {"policies": draft, "policies_mode": mode}
        assert simulated(client, case.request, **overlay) == case.outcome
    overlay = {"policies": draft, "policies_mode": "replace"}
    assert simulated(client, case.request, **overlay) == case.without
    assert simulated(client, case.request, policies={}, policies_mode="replace") == case.outcome


@pytest.mark.parametrize("name", sorted(SECTIONS.keys() - {"limits"}))
def test_a_replay_of_requests_adds_and_removes_policies(client: httpx2.Client, name: str) -> None:
    """Except limits: a replay uses nothing of them (docs/replay.md)."""
    case = SECTIONS[name]
    post(client, IMPORT, {"policies": case.others})
    overlay: dict[str, Any] = {"policies": {name: case.policies}}
    there = [(case.without, case.outcome)]
    assert changes(client, overlay=overlay, requests=[case.request]) == there
    post(client, IMPORT, overlay)
    overlay = {"policies": {name: empty(case.policies)}, "policies_mode": "replace"}
    assert changes(client, overlay=overlay, requests=[case.request]) == [
        (case.outcome, case.without)
    ]


def test_a_replay_of_records_removes_policies(client: httpx2.Client) -> None:
    post(client, IMPORT, {"policies": {"static_policies": [RIVALS]}})
    post(client, "/v1/decide", text("a rival"))
    draft: dict[str, Any] = {"policies": {"static_policies": []}}
    assert changes(client, overlay=draft) == []
    assert changes(client, overlay={**draft, "policies_mode": "replace"}) == [("BLOCK", "ALLOW")]


def test_faults_of_a_replacing_overlay_have_their_places(client: httpx2.Client) -> None:
    overlay = {"policies": {"chain": {"packs": ["Nope"]}}, "policies_mode": "replace"}
    answer = client.post(SIMULATE, json={"request": text("x"), "overlay": overlay})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "overlay.policies.chain.packs[0]"


def test_an_unknown_mode_is_refused(client: httpx2.Client) -> None:
    overlay = {"policies": {}, "policies_mode": "delete"}
    answer = client.post(SIMULATE, json={"request": text("x"), "overlay": overlay})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "overlay.policies_mode"
