"""Limits over HTTP and gRPC: administration, usage, batches, streams, restarts."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from pdp._gen.pdp.v1 import decide_pb2, decide_pb2_grpc
from tests.support import servers

if TYPE_CHECKING:
    from pathlib import Path

    import grpc
    import httpx2
from tests.support.rest.limits import NULLS, PATH, TIME, UUID, ask, code, make, outcome

pytestmark = pytest.mark.usefixtures("same_day")


class TestAdministration:
    def test_a_limit_is_created_read_changed_and_deleted(self, client: httpx2.Client) -> None:
        assert client.get(PATH).json() == []
        answer = client.post(PATH, json={"scope": "user", "subject_id": "u1"})
        assert answer.status_code == 201
        limit = answer.json()
        assert UUID.fullmatch(limit["id"])
        assert TIME.fullmatch(limit["created_at"])
        assert limit == {
            "id": limit["id"],
            "scope": "user",
            "subject_id": "u1",
            **NULLS,
            "is_active": True,
            "created_at": limit["created_at"],
            "updated_at": limit["created_at"],
        }
        assert list(limit)[:3] == ["id", "scope", "subject_id"]
        place = f"{PATH}{limit['id']}"
        assert client.get(place).json() == limit
        assert client.get(PATH).json() == [limit]
        gone = client.delete(place)
        assert (gone.status_code, gone.content) == (204, b"")
        assert code(client.get(place)) == (404, "LIMIT_NOT_FOUND")
        assert client.get(PATH).json() == []

    def test_a_response_has_all_bounds(self, client: httpx2.Client) -> None:
        bounds = {
            "daily_request_limit": 100,
            "monthly_request_limit": 0,
            "daily_token_limit": 9007199254740991,
            "monthly_token_limit": 5,
            "daily_cost_limit_usd": 0.29,
            "monthly_cost_limit_usd": 999999.999999,
            "requests_per_minute": 60,
        }
        limit = make(client, scope="group", is_active=False, **bounds)
        assert {name: limit[name] for name in bounds} == bounds
        assert (limit["scope"], limit["is_active"]) == ("group", False)
        assert client.get(f"{PATH}{limit['id']}").json() == limit

    def test_an_update_changes_only_its_fields_and_null_removes_a_bound(
        self, client: httpx2.Client
    ) -> None:
        limit = make(client, daily_request_limit=5, daily_cost_limit_usd=1.5, requests_per_minute=9)
        place = f"{PATH}{limit['id']}"
        changed = client.put(place, json={"daily_request_limit": None, "monthly_token_limit": 7})
        assert changed.status_code == 200
        expected = {**limit, "daily_request_limit": None, "monthly_token_limit": 7}
        expected["updated_at"] = changed.json()["updated_at"]
        assert changed.json() == expected == client.get(place).json()
        assert client.put(place, json={"is_active": False}).json()["is_active"] is False
        assert client.put(place, json={"scope": "user", "subject_id": "u1"}).status_code == 200

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
    def test_invalid_limits_are_refused(
        self, client: httpx2.Client, body: dict[str, Any], field: str
    ) -> None:
        body = {"scope": "user", "subject_id": "u", **body}
        answer = client.post(PATH, json=body)
        assert code(answer) == (400, "INVALID_ARGUMENT")
        assert [each["field"] for each in answer.json()["error"]["details"]] == [field]
        assert client.get(PATH).json() == []

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
    def test_invalid_changes_are_refused(
        self, client: httpx2.Client, body: dict[str, Any], field: str
    ) -> None:
        limit = make(client, daily_request_limit=5)
        answer = client.put(f"{PATH}{limit['id']}", json={"is_active": False, **body})
        assert code(answer) == (400, "INVALID_ARGUMENT")
        assert [each["field"] for each in answer.json()["error"]["details"]] == [field]
        assert client.get(f"{PATH}{limit['id']}").json() == limit

    def test_a_subject_has_one_limit(self, client: httpx2.Client) -> None:
        make(client)
        answer = client.post(PATH, json={"scope": "user", "subject_id": "u1"})
        assert code(answer) == (409, "LIMIT_EXISTS")
        assert answer.json()["error"]["details"][0]["field"] == "subject_id"
        make(client, scope="group")
        make(client, subject_id="U1")
        assert len(client.get(PATH).json()) == 3

    def test_unknown_limits_are_not_found(
        self, client: httpx2.Client, server: servers.Server
    ) -> None:
        limit = make(client)
        for verb, body in (("GET", None), ("PUT", {"is_active": True}), ("DELETE", None)):
            answer = client.request(verb, f"{PATH}nothing", json=body)
            assert code(answer) == (404, "LIMIT_NOT_FOUND")
            with server.client("somebody-else") as stranger:
                answer = stranger.request(verb, f"{PATH}{limit['id']}", json=body)
                assert code(answer) == (404, "LIMIT_NOT_FOUND")

    def test_an_update_with_a_stale_etag_is_refused(self, client: httpx2.Client) -> None:
        place = f"{PATH}{make(client)['id']}"
        tag = client.get(place).headers["etag"]
        first = client.put(place, json={"daily_request_limit": 1}, headers={"If-Match": tag})
        assert first.status_code == 200
        second = client.put(place, json={"daily_request_limit": 2}, headers={"If-Match": tag})
        assert code(second) == (412, "PRECONDITION_FAILED")
        assert code(client.delete(place, headers={"If-Match": tag})) == (412, "PRECONDITION_FAILED")
        fresh = {"If-Match": first.headers["etag"]}
        assert client.delete(place, headers=fresh).status_code == 204


class TestUse:
    def test_a_limit_is_in_force_for_the_next_decision(self, client: httpx2.Client) -> None:
        limit = make(client, daily_request_limit=1)
        assert [outcome(client), outcome(client)] == ["ALLOW", "BLOCK"]
        client.put(f"{PATH}{limit['id']}", json={"daily_request_limit": 2})
        assert [outcome(client), outcome(client)] == ["ALLOW", "BLOCK"]
        client.put(f"{PATH}{limit['id']}", json={"is_active": False})
        assert outcome(client) == "ALLOW"
        client.put(f"{PATH}{limit['id']}", json={"is_active": True})
        assert outcome(client) == "BLOCK"
        client.delete(f"{PATH}{limit['id']}")
        assert outcome(client) == "ALLOW"

    def test_a_refusal_has_the_time_to_retry(self, client: httpx2.Client) -> None:
        make(client, requests_per_minute=1)
        outcome(client)
        answer = client.post("/v1/decide", json=ask()).json()
        assert (answer["reason_code"], answer["status_hint"]) == ("LIMIT_EXCEEDED", 429)
        assert 1 <= answer["retry_after_s"] <= 61
        wait = answer["retry_after_s"]
        assert (
            answer["message"] == f"The request rate of user u1 is reached. Try again in {wait} s."
        )

    def test_the_usage_report(self, client: httpx2.Client) -> None:
        user = make(
            client, daily_request_limit=5, monthly_cost_limit_usd=0.3, requests_per_minute=2
        )
        group = make(client, scope="group", subject_id="g1", daily_token_limit=100)
        outcome(client, tokens=30, cost_usd=0.1)
        outcome(client, tokens=80, cost_usd=0.1)  # the group's tokens refuse it
        outcome(client, tokens=20, cost_usd=0.1)
        first, second = client.get(f"{PATH}usage").json()
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

    def test_items_of_a_batch_count_in_order(self, client: httpx2.Client) -> None:
        make(client, daily_token_limit=10)
        sizes = [4, 4, 4, 2, 1]
        answer = client.post(
            "/v1/decide/batch", json={"requests": [ask(tokens=size) for size in sizes]}
        ).json()
        assert [each["outcome"] for each in answer["responses"]] == [
            "ALLOW", "ALLOW", "BLOCK", "ALLOW", "BLOCK"
        ]  # fmt: skip

    def test_messages_of_a_stream_count_in_order(
        self, client: httpx2.Client, channel: grpc.Channel, tenant: str
    ) -> None:
        make(client, daily_request_limit=2)
        stub = decide_pb2_grpc.DecideServiceStub(channel)
        item = decide_pb2.DecideStreamRequest(
            request=decide_pb2.DecideRequest(
                tenant_id=tenant, subject=decide_pb2.Subject(user_id="u1")
            )
        )
        answers = list(stub.DecideStream(iter([item] * 3)))
        assert [each.response.allowed for each in answers] == [True, True, False]
        refusal = answers[2].response
        assert refusal.HasField("retry_after_s")
        assert not answers[0].response.HasField("retry_after_s")

    def test_a_large_text_counts_like_a_small_one(self, client: httpx2.Client) -> None:
        make(client, daily_request_limit=2)
        large = {**ask(), "content": {"text": "word " * 20_000}}
        outcomes = [client.post("/v1/decide", json=large).json()["outcome"] for _ in range(3)]
        assert outcomes == ["ALLOW", "ALLOW", "BLOCK"]

    def test_requests_for_a_disabled_model_do_not_count(
        self, client: httpx2.Client, tenant: str
    ) -> None:
        make(client, daily_request_limit=1)
        name = f"model-{tenant}"
        models = client.post(
            "/api/admin/models", json={"provider": f"p-{tenant}", "model_id": name}
        )
        place = f"/api/admin/kill-switch/models/{models.json()['id']}"
        assert client.post(f"{place}/disable", json={"reason": "other"}).is_success
        body = {**ask(), "model": {"provider": f"p-{tenant}", "model": name}}
        for _ in range(3):
            answer = client.post("/v1/decide", json=body).json()
            assert answer["reason_code"] == "MODEL_KILL_SWITCH"
        client.post(f"{place}/enable")
        assert [outcome(client), outcome(client)] == ["ALLOW", "BLOCK"]


class TestRestarts:
    def test_a_draining_server_writes_its_counts(self, tmp_path: Path) -> None:
        with (
            servers.start(tmp_path, PDP_DRAIN_S=servers.DRAIN_S) as first,
            first.client("acme") as client,
        ):
            make(client, daily_request_limit=3)
            assert [outcome(client), outcome(client)] == ["ALLOW", "ALLOW"]
            first.process.send_signal(signal.SIGTERM)
            assert first.wait() == 0
        with servers.start(tmp_path) as second, second.client("acme") as client:
            assert [outcome(client), outcome(client)] == ["ALLOW", "BLOCK"]

    def test_written_counts_survive_a_kill(self, tmp_path: Path) -> None:
        with servers.start(tmp_path) as first, first.client("acme") as client:
            make(client, daily_request_limit=3)
            assert [outcome(client), outcome(client)] == ["ALLOW", "ALLOW"]
            client.get(f"{PATH}usage")  # writes down what was counted
            first.process.kill()
            first.wait()
        with servers.start(tmp_path) as second, second.client("acme") as client:
            assert [outcome(client), outcome(client)] == ["ALLOW", "BLOCK"]

    def test_workers_add_their_counts(self, tmp_path: Path) -> None:
        """Each connection may be another worker's. All come to refuse, and no count is lost."""
        with servers.start_workers(tmp_path, PDP_DRAIN_S=servers.DRAIN_S) as fleet:
            with fleet.client("acme") as client:
                make(client, daily_request_limit=20)
            outcomes: list[str] = []
            while outcomes[-20:] != ["BLOCK"] * 20:
                with fleet.client("acme") as client:
                    outcomes.append(outcome(client))
            fleet.process.send_signal(signal.SIGTERM)
            assert fleet.wait() == 0
        passed = outcomes.count("ALLOW")
        assert passed >= 20
        with servers.start(tmp_path) as alone, alone.client("acme") as client:
            used = client.get(f"{PATH}usage").json()[0]["daily_request_limit"]["used"]
        # The count excludes requests that a worker allowed before it loaded the limit.
        assert 20 <= used <= passed
