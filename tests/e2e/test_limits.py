"""Limits over HTTP and gRPC: administration, usage, batches, streams, simulations, restarts."""

from __future__ import annotations

import re
import signal
import socket
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from pdp._gen.pdp.v1 import decide_pb2, decide_pb2_grpc
from tests import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import grpc

PATH = "/api/admin/limits/"
NULLS = {
    "daily_request_limit": None,
    "monthly_request_limit": None,
    "daily_token_limit": None,
    "monthly_token_limit": None,
    "daily_cost_limit_usd": None,
    "monthly_cost_limit_usd": None,
    "requests_per_minute": None,
}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LAYERS = ["kill_switch", "limits", "customer", "static", "chain", "dlp", "org"]


@pytest.fixture
def http(server: running.Server, tenant: str) -> Iterator[httpx2.Client]:
    """HTTP, as a tenant that nobody has used."""
    with client_of(server, tenant) as client:
        yield client


def client_of(server: running.Server, tenant: str) -> httpx2.Client:
    return httpx2.Client(
        base_url=server.http_url, headers={"X-Tenant-ID": tenant}, timeout=60, trust_env=False
    )


def make(http: httpx2.Client, **fields: Any) -> dict[str, Any]:
    answer = http.post(PATH, json={"scope": "user", "subject_id": "u1", **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def ask(**usage: Any) -> dict[str, Any]:
    return {"subject": {"user_id": "u1", "groups": ["g1"]}, "usage": usage}


def outcome(http: httpx2.Client, **usage: Any) -> str:
    found: str = http.post("/v1/decide", json=ask(**usage)).json()["outcome"]
    return found


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


class TestAdministration:
    def test_from_creation_to_deletion(self, http: httpx2.Client) -> None:
        assert http.get(PATH).json() == []
        answer = http.post(PATH, json={"scope": "user", "subject_id": "u1"})
        assert answer.status_code == 201
        made = answer.json()
        assert UUID.fullmatch(made["id"])
        assert TIME.fullmatch(made["created_at"])
        assert made == {
            "id": made["id"],
            "scope": "user",
            "subject_id": "u1",
            **NULLS,
            "is_active": True,
            "created_at": made["created_at"],
            "updated_at": made["created_at"],
        }
        assert list(made)[:3] == ["id", "scope", "subject_id"]
        place = f"{PATH}{made['id']}"
        assert http.get(place).json() == made
        assert http.get(PATH).json() == [made]
        gone = http.delete(place)
        assert (gone.status_code, gone.content) == (204, b"")
        assert code(http.get(place)) == (404, "LIMIT_NOT_FOUND")
        assert http.get(PATH).json() == []

    def test_all_bounds_come_back_as_they_were_sent(self, http: httpx2.Client) -> None:
        bounds = {
            "daily_request_limit": 100,
            "monthly_request_limit": 0,
            "daily_token_limit": 9007199254740991,
            "monthly_token_limit": 5,
            "daily_cost_limit_usd": 0.29,
            "monthly_cost_limit_usd": 999999.999999,
            "requests_per_minute": 60,
        }
        made = make(http, scope="group", is_active=False, **bounds)
        assert {name: made[name] for name in bounds} == bounds
        assert (made["scope"], made["is_active"]) == ("group", False)
        assert http.get(f"{PATH}{made['id']}").json() == made

    def test_a_put_changes_what_is_sent_and_null_makes_unlimited(self, http: httpx2.Client) -> None:
        made = make(http, daily_request_limit=5, daily_cost_limit_usd=1.5, requests_per_minute=9)
        place = f"{PATH}{made['id']}"
        changed = http.put(place, json={"daily_request_limit": None, "monthly_token_limit": 7})
        assert changed.status_code == 200
        expected = {**made, "daily_request_limit": None, "monthly_token_limit": 7}
        expected["updated_at"] = changed.json()["updated_at"]
        assert changed.json() == expected == http.get(place).json()
        assert http.put(place, json={"is_active": False}).json()["is_active"] is False
        assert http.put(place, json={"scope": "user", "subject_id": "u1"}).status_code == 200

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"scope": None}, "scope"),
            ({"subject_id": None}, "subject_id"),
            ({"scope": "team"}, "scope"),
            ({"subject_id": "u" * 257}, "subject_id"),
            ({"subject_id": "u\0"}, "subject_id"),
            ({"daily_request_limit": -1}, "daily_request_limit"),
            ({"daily_token_limit": 1.5}, "daily_token_limit"),
            ({"requests_per_minute": "9"}, "requests_per_minute"),
            ({"daily_cost_limit_usd": -0.1}, "daily_cost_limit_usd"),
            ({"monthly_cost_limit_usd": 1e-7}, "monthly_cost_limit_usd"),
            ({"daily_limit": 5}, "daily_limit"),
        ],
    )
    def test_a_limit_that_is_none(
        self, http: httpx2.Client, body: dict[str, Any], field: str
    ) -> None:
        body = {"scope": "user", "subject_id": "u", **body}
        answer = http.post(PATH, json=body)
        assert code(answer) == (400, "INVALID_ARGUMENT")
        assert [each["field"] for each in answer.json()["error"]["details"]] == [field]
        assert http.get(PATH).json() == []

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"daily_request_limit": -1}, "daily_request_limit"),
            ({"daily_request_limit": 1.5}, "daily_request_limit"),
            ({"monthly_request_limit": "5"}, "monthly_request_limit"),
            ({"daily_token_limit": 2**53}, "daily_token_limit"),
            ({"monthly_token_limit": []}, "monthly_token_limit"),
            ({"requests_per_minute": True}, "requests_per_minute"),
            ({"daily_cost_limit_usd": 1000000001}, "daily_cost_limit_usd"),
            ({"monthly_cost_limit_usd": 0.1234567}, "monthly_cost_limit_usd"),
            ({"scope": "group"}, "scope"),
            ({"subject_id": "u2"}, "subject_id"),
            ({"name": "x"}, "name"),
        ],
    )
    def test_a_change_that_is_none(
        self, http: httpx2.Client, body: dict[str, Any], field: str
    ) -> None:
        made = make(http, daily_request_limit=5)
        answer = http.put(f"{PATH}{made['id']}", json={"is_active": False, **body})
        assert code(answer) == (400, "INVALID_ARGUMENT")
        assert [each["field"] for each in answer.json()["error"]["details"]] == [field]
        assert http.get(f"{PATH}{made['id']}").json() == made

    def test_one_limit_a_subject(self, http: httpx2.Client) -> None:
        make(http)
        answer = http.post(PATH, json={"scope": "user", "subject_id": "u1"})
        assert code(answer) == (409, "LIMIT_EXISTS")
        assert answer.json()["error"]["details"][0]["field"] == "subject_id"
        make(http, scope="group")
        make(http, subject_id="U1")
        assert len(http.get(PATH).json()) == 3

    def test_what_is_not_there(self, http: httpx2.Client, server: running.Server) -> None:
        made = make(http)
        for verb, body in (("GET", None), ("PUT", {"is_active": True}), ("DELETE", None)):
            answer = http.request(verb, f"{PATH}nothing", json=body)
            assert code(answer) == (404, "LIMIT_NOT_FOUND")
            with client_of(server, "somebody-else") as stranger:
                answer = stranger.request(verb, f"{PATH}{made['id']}", json=body)
                assert code(answer) == (404, "LIMIT_NOT_FOUND")

    def test_no_writer_loses_a_change(self, http: httpx2.Client) -> None:
        place = f"{PATH}{make(http)['id']}"
        tag = http.get(place).headers["etag"]
        first = http.put(place, json={"daily_request_limit": 1}, headers={"If-Match": tag})
        assert first.status_code == 200
        second = http.put(place, json={"daily_request_limit": 2}, headers={"If-Match": tag})
        assert code(second) == (412, "PRECONDITION_FAILED")
        assert code(http.delete(place, headers={"If-Match": tag})) == (412, "PRECONDITION_FAILED")
        fresh = {"If-Match": first.headers["etag"]}
        assert http.delete(place, headers=fresh).status_code == 204


class TestUse:
    def test_a_limit_is_in_force_on_the_next_decision(self, http: httpx2.Client) -> None:
        made = make(http, daily_request_limit=1)
        assert [outcome(http), outcome(http)] == ["ALLOW", "BLOCK"]
        http.put(f"{PATH}{made['id']}", json={"daily_request_limit": 2})
        assert [outcome(http), outcome(http)] == ["ALLOW", "BLOCK"]
        http.put(f"{PATH}{made['id']}", json={"is_active": False})
        assert outcome(http) == "ALLOW"
        http.put(f"{PATH}{made['id']}", json={"is_active": True})
        assert outcome(http) == "BLOCK"
        http.delete(f"{PATH}{made['id']}")
        assert outcome(http) == "ALLOW"

    def test_a_refusal_says_when_to_try_again(self, http: httpx2.Client) -> None:
        make(http, requests_per_minute=1)
        outcome(http)
        answer = http.post("/v1/decide", json=ask()).json()
        assert (answer["reason_code"], answer["status_hint"]) == ("LIMIT_EXCEEDED", 429)
        assert 1 <= answer["retry_after_s"] <= 61
        wait = answer["retry_after_s"]
        assert (
            answer["message"] == f"The request rate of user u1 is reached. Try again in {wait} s."
        )

    def test_the_usage_report(self, http: httpx2.Client) -> None:
        user = make(http, daily_request_limit=5, monthly_cost_limit_usd=0.3, requests_per_minute=2)
        group = make(http, scope="group", subject_id="g1", daily_token_limit=100)
        outcome(http, tokens=30, cost_usd=0.1)
        outcome(http, tokens=80, cost_usd=0.1)  # the group's tokens refuse it
        outcome(http, tokens=20, cost_usd=0.1)
        first, second = http.get(f"{PATH}usage").json()
        assert (first["limit_id"], second["limit_id"]) == (user["id"], group["id"])
        assert set(first) == {"limit_id", "scope", "subject_id", "is_active", *NULLS}
        assert (second["scope"], second["subject_id"], second["is_active"]) == ("group", "g1", True)
        stands = {name: dict(first[name]) for name in NULLS}
        for usage in stands.values():
            assert TIME.fullmatch(usage["window_start"])
            assert TIME.fullmatch(usage["resets_at"])
            assert usage.pop("window_start") < usage.pop("resets_at")
        open_ended = {"limit": None, "remaining": None}
        assert stands == {
            "requests_per_minute": {"used": 2, "limit": 2, "remaining": 0},
            "daily_request_limit": {"used": 2, "limit": 5, "remaining": 3},
            "monthly_request_limit": {"used": 2, **open_ended},
            "daily_token_limit": {"used": 50, **open_ended},
            "monthly_token_limit": {"used": 50, **open_ended},
            "daily_cost_limit_usd": {"used": 0.2, **open_ended},
            "monthly_cost_limit_usd": {"used": 0.2, "limit": 0.3, "remaining": 0.1},
        }
        assert second["daily_token_limit"]["remaining"] == 50
        assert first["daily_request_limit"]["window_start"].endswith("T00:00:00Z")

    def test_items_of_a_batch_use_a_limit_in_order(self, http: httpx2.Client) -> None:
        make(http, daily_token_limit=10)
        sizes = [4, 4, 4, 2, 1]
        answer = http.post(
            "/v1/decide/batch", json={"requests": [ask(tokens=size) for size in sizes]}
        ).json()
        assert [each["outcome"] for each in answer["responses"]] == [
            "ALLOW", "ALLOW", "BLOCK", "ALLOW", "BLOCK"
        ]  # fmt: skip

    def test_messages_of_a_stream_use_a_limit_in_order(
        self, http: httpx2.Client, channel: grpc.Channel, tenant: str
    ) -> None:
        make(http, daily_request_limit=2)
        stub = decide_pb2_grpc.DecideServiceStub(channel)
        item = decide_pb2.DecideStreamRequest(
            request=decide_pb2.DecideRequest(
                tenant_id=tenant, subject=decide_pb2.Subject(user_id="u1")
            )
        )
        answers = list(stub.DecideStream(iter([item] * 3)))
        assert [each.response.allowed for each in answers] == [True, True, False]
        refused = answers[2].response
        assert refused.HasField("retry_after_s")
        assert not answers[0].response.HasField("retry_after_s")

    def test_a_large_text_uses_a_limit_as_a_small_one_does(self, http: httpx2.Client) -> None:
        make(http, daily_request_limit=2)
        large = {**ask(), "content": {"text": "word " * 20_000}}
        outcomes = [http.post("/v1/decide", json=large).json()["outcome"] for _ in range(3)]
        assert outcomes == ["ALLOW", "ALLOW", "BLOCK"]

    def test_a_killed_model_uses_nothing(self, http: httpx2.Client, tenant: str) -> None:
        make(http, daily_request_limit=1)
        name = f"model-{tenant}"
        models = http.post("/api/admin/models", json={"provider": f"p-{tenant}", "model_id": name})
        place = f"/api/admin/kill-switch/models/{models.json()['id']}"
        assert http.post(f"{place}/disable", json={"reason": "other"}).is_success
        asked = {**ask(), "model": {"provider": f"p-{tenant}", "model": name}}
        for _ in range(3):
            answer = http.post("/v1/decide", json=asked).json()
            assert answer["reason_code"] == "MODEL_KILL_SWITCH"
        http.post(f"{place}/enable")
        assert [outcome(http), outcome(http)] == ["ALLOW", "BLOCK"]


class TestSimulations:
    def test_a_simulation_shows_the_limits_and_uses_nothing(self, http: httpx2.Client) -> None:
        made = make(http, daily_request_limit=2, requests_per_minute=9)
        outcome(http)
        for _ in range(5):
            answer = http.post("/v1/simulate", json={"request": ask()}).json()
            assert answer["decision"]["outcome"] == "ALLOW"
        limits = next(each for each in answer["layers"] if each["layer"] == "limits")
        [quota], [rate] = limits["quotas"], limits["rate_limits"]
        assert (quota["limit_id"], quota["exceeded"]) == (made["id"], False)
        assert quota["daily_request_limit"]["used"] == 1
        assert "daily_token_limit" not in quota
        assert rate["requests_per_minute"]["remaining"] == 8
        others = [each for each in answer["layers"] if each["layer"] != "limits"]
        assert not any("quotas" in each or "rate_limits" in each for each in others)
        outcome(http)
        answer = http.post("/v1/simulate", json={"request": ask()}).json()
        assert answer["decision"]["reason_code"] == "LIMIT_EXCEEDED"
        limits = next(each for each in answer["layers"] if each["layer"] == "limits")
        assert (limits["outcome"], limits["quotas"][0]["exceeded"]) == ("BLOCK", True)
        assert limits["rate_limits"][0]["exceeded"] is False

    def test_the_full_simulator_takes_the_shape_of_seed_002(self, http: httpx2.Client) -> None:
        answer = http.post(
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
        found = answer.json()
        assert set(found) == {"decision", "layers", "trace"}
        assert found["decision"]["reason_code"] == "STATIC_POLICY_BLOCK"
        assert "trace" not in found["decision"]
        assert [each["layer"] for each in found["layers"]] == LAYERS
        layers = {each["layer"]: each for each in found["layers"]}
        assert layers["static"]["outcome"] == "BLOCK"
        assert (layers["limits"]["quotas"], layers["limits"]["rate_limits"]) == ([], [])
        assert list(dict.fromkeys(row["layer"] for row in found["trace"])) == LAYERS
        assert any(row["policy_id"].startswith("sys_sqli") for row in found["trace"])

    def test_the_full_simulator_takes_any_field_of_a_decide_request(
        self, http: httpx2.Client
    ) -> None:
        make(http, scope="group", subject_id="g1", daily_token_limit=10)
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
        found = http.post("/api/admin/policy/simulate", json=body).json()
        assert found["decision"]["request_id"] == "r1"
        assert found["decision"]["trace"] == found["trace"]
        layers = {each["layer"]: each["outcome"] for each in found["layers"]}
        assert (layers["limits"], layers["customer"]) == ("BLOCK", "BLOCK")
        assert {match["layer"] for match in found["decision"]["matches"]} >= {"limits", "customer"}

    def test_the_full_simulator_asks_all_layers_of_a_killed_model(
        self, http: httpx2.Client, tenant: str
    ) -> None:
        make(http, daily_request_limit=0)
        provider = f"q-{tenant}"
        made = http.post("/api/admin/models", json={"provider": provider, "model_id": "m"})
        place = f"/api/admin/kill-switch/models/{made.json()['id']}"
        http.post(f"{place}/disable", json={"reason": "other"})
        found = http.post(
            "/api/admin/policy/simulate",
            json={"prompt": "hi", "provider": provider, "model": "m", "user_id": "u1"},
        ).json()
        http.post(f"{place}/enable")
        assert found["decision"]["reason_code"] == "MODEL_KILL_SWITCH"
        layers = {each["layer"]: each["outcome"] for each in found["layers"]}
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
    def test_what_cannot_be_simulated(
        self, http: httpx2.Client, body: dict[str, Any], field: str
    ) -> None:
        answer = http.post("/api/admin/policy/simulate", json=body)
        assert code(answer) == (400, "INVALID_ARGUMENT")
        assert answer.json()["error"]["details"][0]["field"] == field


class TestLives:
    def test_a_server_that_drains_loses_no_count(self, tmp_path: Path) -> None:
        with running.start(tmp_path) as first, client_of(first, "acme") as http:
            make(http, daily_request_limit=3)
            assert [outcome(http), outcome(http)] == ["ALLOW", "ALLOW"]
            first.process.send_signal(signal.SIGTERM)
            assert first.wait() == 0
        with running.start(tmp_path) as second, client_of(second, "acme") as http:
            assert [outcome(http), outcome(http)] == ["ALLOW", "BLOCK"]

    def test_a_server_that_is_killed_keeps_what_was_written(self, tmp_path: Path) -> None:
        with running.start(tmp_path) as first, client_of(first, "acme") as http:
            make(http, daily_request_limit=3)
            assert [outcome(http), outcome(http)] == ["ALLOW", "ALLOW"]
            http.get(f"{PATH}usage")  # writes down what was counted
            first.process.kill()
            first.wait()
        with running.start(tmp_path) as second, client_of(second, "acme") as http:
            assert [outcome(http), outcome(http)] == ["ALLOW", "BLOCK"]

    def test_workers_count_together_what_each_lets_pass(self, tmp_path: Path) -> None:
        """Each connection may be another worker's. All come to refuse, and no count is lost."""
        settings = {
            "PDP_WORKERS": "2",
            "PDP_GRPC_LISTEN": f"127.0.0.1:{free_port()}",
            "PDP_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
        }
        with running.start(tmp_path, **settings) as fleet:
            with client_of(fleet, "acme") as http:
                make(http, daily_request_limit=20)
            outcomes: list[str] = []
            while outcomes[-20:] != ["BLOCK"] * 20:
                with client_of(fleet, "acme") as http:
                    outcomes.append(outcome(http))
            fleet.process.send_signal(signal.SIGTERM)
            assert fleet.wait() == 0
        passed = outcomes.count("ALLOW")
        assert passed >= 20
        with running.start(tmp_path) as alone, client_of(alone, "acme") as http:
            used = http.get(f"{PATH}usage").json()[0]["daily_request_limit"]["used"]
        # What a worker let pass before it knew the limit is no count of it.
        assert 20 <= used <= passed


def free_port() -> int:
    """Returns a port that is free now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port
