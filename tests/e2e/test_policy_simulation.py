"""Simulations of limits, and the full policy simulator, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx2
from tests.support.rest.limits import LAYERS, ask, code, make, outcome

pytestmark = pytest.mark.usefixtures("same_day")


class TestSimulations:
    def test_a_simulation_shows_the_limits_and_does_not_count(self, client: httpx2.Client) -> None:
        limit = make(client, daily_request_limit=2, requests_per_minute=9)
        outcome(client)
        for _ in range(5):
            answer = client.post("/v1/simulate", json={"request": ask()}).json()
            assert answer["decision"]["outcome"] == "ALLOW"
        limits = next(each for each in answer["layers"] if each["layer"] == "limits")
        [quota], [rate] = limits["quotas"], limits["rate_limits"]
        assert (quota["limit_id"], quota["exceeded"]) == (limit["id"], False)
        assert quota["daily_request_limit"]["used"] == 1
        assert "daily_token_limit" not in quota
        assert rate["requests_per_minute"]["remaining"] == 8
        others = [each for each in answer["layers"] if each["layer"] != "limits"]
        assert not any("quotas" in each or "rate_limits" in each for each in others)
        outcome(client)
        answer = client.post("/v1/simulate", json={"request": ask()}).json()
        assert answer["decision"]["reason_code"] == "LIMIT_EXCEEDED"
        limits = next(each for each in answer["layers"] if each["layer"] == "limits")
        assert (limits["outcome"], limits["quotas"][0]["exceeded"]) == ("BLOCK", True)
        assert limits["rate_limits"][0]["exceeded"] is False

    def test_the_full_simulator_accepts_its_own_request_format(self, client: httpx2.Client) -> None:
        answer = client.post(
            "/api/admin/policy/simulate",
            json={
                "prompt": "1 UNION SELECT password FROM users",
                "provider": "openai",
                "model": "gpt-4o",
                "user_groups": ["contractors", "us-east"],
                "user_id": "u1",
            },
        )
        assert answer.status_code == 200
        simulation = answer.json()
        assert set(simulation) == {"decision", "layers", "trace"}
        assert simulation["decision"]["reason_code"] == "STATIC_POLICY_BLOCK"
        assert "trace" not in simulation["decision"]
        assert [each["layer"] for each in simulation["layers"]] == LAYERS
        layers = {each["layer"]: each for each in simulation["layers"]}
        assert layers["static"]["outcome"] == "BLOCK"
        assert (layers["limits"]["quotas"], layers["limits"]["rate_limits"]) == ([], [])
        assert list(dict.fromkeys(row["layer"] for row in simulation["trace"])) == LAYERS
        assert any(row["policy_id"].startswith("sys_sqli") for row in simulation["trace"])

    def test_the_full_simulator_accepts_every_field_of_a_decide_request(
        self, client: httpx2.Client
    ) -> None:
        make(client, scope="group", subject_id="g1", daily_token_limit=10)
        body = {
            "prompt": "hello",
            "model": {"provider": "openai", "model": "gpt-4o"},
            "subject": {"user_id": "u1", "groups": ["g1"], "attributes": {"a": 1}},
            "customer_id": "cust_unknown",
            "action": "database:table:drop",
            "tool": "read_file",
            "arguments": {"sql": "select 1"},
            "target": {"resource_type": "table", "classifications": ["PII"]},
            "context": {"batch_size": 200},
            "timestamp": "2026-02-26T03:00:00Z",
            "entities": [{"entity_type": "SSN", "confidence": 0.9, "start": 0, "end": 5}],
            "usage": {"tokens": 11},
            "user_risk_score": 0.4,
            "direction": "input",
            "channel": "api",
            "intent_complexity": "simple",
            "request_id": "r1",
            "explain": True,
        }
        simulation = client.post("/api/admin/policy/simulate", json=body).json()
        assert simulation["decision"]["request_id"] == "r1"
        assert simulation["decision"]["trace"] == simulation["trace"]
        layers = {each["layer"]: each["outcome"] for each in simulation["layers"]}
        assert (layers["limits"], layers["customer"]) == ("BLOCK", "BLOCK")
        assert {match["layer"] for match in simulation["decision"]["matches"]} >= {
            "limits",
            "customer",
        }

    def test_the_full_simulator_runs_all_layers_for_a_disabled_model(
        self, client: httpx2.Client, tenant: str
    ) -> None:
        make(client, daily_request_limit=0)
        provider = f"q-{tenant}"
        creation = client.post("/api/admin/models", json={"provider": provider, "model_id": "m"})
        place = f"/api/admin/kill-switch/models/{creation.json()['id']}"
        client.post(f"{place}/disable", json={"reason": "other"})
        simulation = client.post(
            "/api/admin/policy/simulate",
            json={"prompt": "hi", "provider": provider, "model": "m", "user_id": "u1"},
        ).json()
        client.post(f"{place}/enable")
        assert simulation["decision"]["reason_code"] == "MODEL_KILL_SWITCH"
        layers = {each["layer"]: each["outcome"] for each in simulation["layers"]}
        assert (layers["kill_switch"], layers["limits"]) == ("BLOCK", "BLOCK")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"prompt": "a", "content": {"text": "b"}}, "prompt"),
            ({"user_id": "a", "subject": {"user_id": "b"}}, "user_id"),
            ({"user_groups": ["a"], "subject": {"groups": ["b"]}}, "user_groups"),
            ({"user_risk_score": 1, "subject": {"risk_score": 2}}, "user_risk_score"),
            ({"provider": "a", "model": {"provider": "b"}}, "provider"),
            ({"model": 7}, "model"),
            ({"model": {"name": "x"}}, "model.name"),
            ({"model": {"model": 7}}, "model.model"),
            ({"promt": "a"}, "promt"),
            ({"action": "DROP"}, "action"),
            ({"usage": {"tokens": -1}}, "usage.tokens"),
        ],
    )
    def test_invalid_simulations_are_refused(
        self, client: httpx2.Client, body: dict[str, Any], field: str
    ) -> None:
        answer = client.post("/api/admin/policy/simulate", json=body)
        assert code(answer) == (400, "INVALID_ARGUMENT")
        assert answer.json()["error"]["details"][0]["field"] == field
