"""Seed 002's kill switch from top to bottom over HTTP, and the model catalog that it is of.

On a server of its own: the switch is the platform's, and would stop the requests of other tests.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import grpc
import httpx2
import pytest

from pdp._gen.pdp.v1 import kill_switch_pb2 as pb
from pdp._gen.pdp.v1.kill_switch_pb2_grpc import KillSwitchServiceStub
from pdp.callers.remote import open_channel
from tests import running

if TYPE_CHECKING:
    from collections.abc import Iterator

PROVIDERS: Final = "/api/admin/kill-switch/providers"
MODELS: Final = "/api/admin/kill-switch/models"
CATALOG: Final = "/api/admin/models"
REASONS: Final = ("maintenance", "cost_runaway", "security_event", "other")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
NOBODY: Final = "00000000-0000-4000-8000-000000000000"

OFF: Final = {"kill_switch_active", "kill_switch_disabled_at", "disabled_reason"}
STATE: Final = ["id", "provider", "model_id", "display_name", "is_active", *sorted(OFF)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    with running.start(tmp_path_factory.mktemp("kill_switch")) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: running.Server) -> Iterator[httpx2.Client]:
    headers = {"Authorization": "Bearer x"}
    with httpx2.Client(
        base_url=server.http_url, timeout=60.0, trust_env=False, headers=headers
    ) as opened:
        yield opened


@pytest.fixture(autouse=True)
def switched_on(client: httpx2.Client) -> Iterator[None]:
    """Every test leaves all models on."""
    yield
    for provider in providers(client):
        if provider["kill_switch_disabled_count"]:
            client.post(f"{PROVIDERS}/{provider['provider']}/enable").raise_for_status()


def providers(client: httpx2.Client) -> list[dict[str, Any]]:
    answer = client.get(PROVIDERS)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()
    return found


def provider(client: httpx2.Client, name: str) -> dict[str, Any]:
    return next(each for each in providers(client) if each["provider"] == name)


def model_id(client: httpx2.Client, provider_name: str, name: str) -> str:
    models = provider(client, provider_name)["models"]
    return str(next(each["id"] for each in models if each["model_id"] == name))


def decide(client: httpx2.Client, provider_name: str, name: str) -> dict[str, Any]:
    body = {"model": {"provider": provider_name, "model": name}, "content": {"text": "Hello"}}
    answer = client.post("/v1/decide", json=body)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def added(client: httpx2.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post(CATALOG, json=fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def fields(answer: httpx2.Response) -> list[str]:
    return [each["field"] for each in answer.json()["error"]["details"]]


class TestTheSeed:
    """In the order of its document."""

    def test_providers(self, client: httpx2.Client) -> None:
        openai = provider(client, "openai")
        assert list(openai) == [
            "provider",
            "total_models",
            "kill_switch_disabled_count",
            "kill_switch_active",
            "models",
        ]
        assert {**openai, "models": []} == {
            "provider": "openai",
            "total_models": 5,
            "kill_switch_disabled_count": 0,
            "kill_switch_active": False,
            "models": [],
        }
        gpt = next(each for each in openai["models"] if each["model_id"] == "gpt-4o")
        assert str(UUID(gpt["id"])) == gpt["id"]
        assert gpt == {
            "id": gpt["id"],
            "provider": "openai",
            "model_id": "gpt-4o",
            "display_name": "GPT-4o",
            "is_active": True,
            "kill_switch_active": False,
            "kill_switch_disabled_at": None,
            "disabled_reason": None,
        }
        for each in providers(client):
            assert each["total_models"] == len(each["models"]) > 0
            assert all(model["provider"] == each["provider"] for model in each["models"])

    def test_disable_and_enable_a_provider(self, client: httpx2.Client) -> None:
        answer = client.post(f"{PROVIDERS}/openai/disable", json={"reason": "security_event"})
        summary = answer.json()
        assert answer.status_code == 200
        assert summary["kill_switch_active"] is True
        assert summary["kill_switch_disabled_count"] == summary["total_models"] == 5
        for model in summary["models"]:
            assert model["kill_switch_active"] is True
            assert TIME.fullmatch(model["kill_switch_disabled_at"])
            assert model["disabled_reason"] == "security_event"
        assert provider(client, "openai") == summary
        assert provider(client, "anthropic")["kill_switch_disabled_count"] == 0
        decision = decide(client, "openai", "gpt-4o")
        assert (decision["outcome"], decision["status_hint"]) == ("BLOCK", 503)
        assert decision["reason_code"] == "MODEL_KILL_SWITCH"
        assert decide(client, "anthropic", "claude-opus-4")["outcome"] == "ALLOW"

        answer = client.post(f"{PROVIDERS}/openai/enable")
        summary = answer.json()
        assert answer.status_code == 200
        assert summary["kill_switch_active"] is False
        assert summary["kill_switch_disabled_count"] == 0
        for model in summary["models"]:
            assert model["kill_switch_active"] is False
            assert model["kill_switch_disabled_at"] is None
            assert model["disabled_reason"] is None
        assert decide(client, "openai", "gpt-4o")["outcome"] == "ALLOW"

    def test_a_provider_without_models(self, client: httpx2.Client) -> None:
        answer = client.post(f"{PROVIDERS}/nobody/disable", json={"reason": "other"})
        assert code(answer) == (404, "PROVIDER_NOT_FOUND")
        assert code(client.post(f"{PROVIDERS}/nobody/enable")) == (404, "PROVIDER_NOT_FOUND")

    def test_a_model(self, client: httpx2.Client) -> None:
        config_id = model_id(client, "openai", "gpt-4o")
        answer = client.get(f"{MODELS}/{config_id}")
        assert answer.status_code == 200
        assert sorted(answer.json()) == sorted(STATE)
        assert answer.json() == provider(client, "openai")["models"][0]

    def test_disable_and_enable_a_model(self, client: httpx2.Client) -> None:
        config_id = model_id(client, "openai", "gpt-4o")
        before = client.get(f"{MODELS}/{config_id}").json()
        answer = client.post(f"{MODELS}/{config_id}/disable", json={"reason": "maintenance"})
        state = answer.json()
        assert answer.status_code == 200
        assert TIME.fullmatch(state["kill_switch_disabled_at"])
        assert state == {
            **before,
            "kill_switch_active": True,
            "kill_switch_disabled_at": state["kill_switch_disabled_at"],
            "disabled_reason": "maintenance",
        }
        assert client.get(f"{MODELS}/{config_id}").json() == state
        openai = provider(client, "openai")
        assert (openai["kill_switch_disabled_count"], openai["kill_switch_active"]) == (1, False)
        assert decide(client, "openai", "gpt-4o")["outcome"] == "BLOCK"
        assert decide(client, "openai", "gpt-4o-mini")["outcome"] == "ALLOW"

        answer = client.post(f"{MODELS}/{config_id}/enable")
        assert (answer.status_code, answer.json()) == (200, before)
        assert decide(client, "openai", "gpt-4o")["outcome"] == "ALLOW"

    @pytest.mark.parametrize("name", [NOBODY, "gpt-4o", "x"])
    def test_a_model_that_is_not_there(self, client: httpx2.Client, name: str) -> None:
        """By the UUID, not by the model's own name."""
        assert code(client.get(f"{MODELS}/{name}")) == (404, "MODEL_NOT_FOUND")
        answer = client.post(f"{MODELS}/{name}/disable", json={"reason": "other"})
        assert code(answer) == (404, "MODEL_NOT_FOUND")
        assert code(client.post(f"{MODELS}/{name}/enable")) == (404, "MODEL_NOT_FOUND")


class TestReasons:
    @pytest.mark.parametrize("reason", REASONS)
    def test_each_is_kept(self, client: httpx2.Client, reason: str) -> None:
        config_id = model_id(client, "openai", "o3")
        answer = client.post(f"{MODELS}/{config_id}/disable", json={"reason": reason})
        assert answer.json()["disabled_reason"] == reason

    @pytest.mark.parametrize(
        "body", [{}, {"reason": ""}, {"reason": None}, {"reason": "Maintenance"}, {"reason": "fun"}]
    )
    @pytest.mark.parametrize("path", [f"{PROVIDERS}/openai", f"{MODELS}/{NOBODY}"])
    def test_others_are_refused(self, client: httpx2.Client, path: str, body: Any) -> None:
        answer = client.post(f"{path}/disable", json=body)
        assert code(answer) == (400, "INVALID_ARGUMENT")
        assert fields(answer) == ["reason"]

    @pytest.mark.parametrize("content", ["", "{", "[]", '"other"'])
    def test_no_body_that_says_one(self, client: httpx2.Client, content: str) -> None:
        answer = client.post(
            f"{PROVIDERS}/openai/disable",
            content=content,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 400
        assert provider(client, "openai")["kill_switch_disabled_count"] == 0

    def test_enabling_needs_no_body_and_takes_an_empty_one(self, client: httpx2.Client) -> None:
        assert client.post(f"{PROVIDERS}/openai/enable").status_code == 200
        assert client.post(f"{PROVIDERS}/openai/enable", json={}).status_code == 200
        answer = client.post(f"{PROVIDERS}/openai/enable", json={"reason": "other"})
        assert code(answer) == (400, "MALFORMED_REQUEST")


class TestState:
    def test_is_one_table_that_survives(
        self, client: httpx2.Client, server: running.Server
    ) -> None:
        """Seed 002: persisted in model_configs, in kill_switch_disabled_at."""
        config_id = model_id(client, "mistral", "codestral-latest")
        state = client.post(f"{MODELS}/{config_id}/disable", json={"reason": "other"}).json()
        file = server.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute("SELECT * FROM model_configs").fetchall()
            [row] = [row for row in rows if row["id"] == config_id]
        assert (row["provider"], row["model_id"]) == ("mistral", "codestral-latest")
        assert row["kill_switch_disabled_at"] == state["kill_switch_disabled_at"]
        assert row["disabled_reason"] == "other"
        off = [each["id"] for each in rows if each["kill_switch_disabled_at"] is not None]
        assert off == [config_id]

    def test_survives_a_restart(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("restarted")
        for outcome in ("ALLOW", "BLOCK"):
            with (
                running.start(folder) as started,
                httpx2.Client(base_url=started.http_url, timeout=60.0, trust_env=False) as asking,
            ):
                assert decide(asking, "google", "gemini-2.5-pro")["outcome"] == outcome
                body = {"reason": "cost_runaway"}
                asking.post(f"{PROVIDERS}/google/disable", json=body).raise_for_status()

    def test_is_the_platforms(self, client: httpx2.Client) -> None:
        config_id = model_id(client, "openai", "o3")
        client.post(
            f"{MODELS}/{config_id}/disable",
            json={"reason": "other"},
            headers={"X-Tenant-ID": "one"},
        )
        for tenant in ("one", "two"):
            answer = client.post(
                "/v1/decide", json={"model": {"model": "O3"}}, headers={"X-Tenant-ID": tenant}
            )
            assert answer.json()["outcome"] == "BLOCK"
        state = client.get(f"{MODELS}/{config_id}", headers={"X-Tenant-ID": "two"}).json()
        assert state["kill_switch_active"] is True

    def test_a_write_tells_its_revision(self, client: httpx2.Client) -> None:
        answer = client.post(f"{PROVIDERS}/openai/disable", json={"reason": "other"})
        revision = int(answer.headers["x-pdp-revision"])
        body = {"model": {"provider": "openai"}, "min_revision": revision}
        assert client.post("/v1/decide", json=body).json()["outcome"] == "BLOCK"

    def test_over_grpc(self, server: running.Server) -> None:
        with open_channel(server.grpc_address) as channel:
            stub = KillSwitchServiceStub(channel)
            answer = stub.DisableProvider(pb.DisableProviderRequest(provider="xai", reason="other"))
            assert answer.summary.kill_switch_active
            listed = stub.ListProviderKillSwitches(pb.ListProviderKillSwitchesRequest()).providers
            assert [each.provider for each in listed if each.kill_switch_active] == ["xai"]
            with pytest.raises(grpc.RpcError) as failed:
                stub.GetModelKillSwitch(pb.GetModelKillSwitchRequest(model_config_id=NOBODY))
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND


class TestCatalog:
    def test_the_list_is_bare_and_filtered(self, client: httpx2.Client) -> None:
        answer = client.get(CATALOG)
        assert answer.status_code == 200
        assert {each["provider"] for each in answer.json()} >= {
            *("openai", "anthropic", "google", "mistral", "meta", "cohere")
        }
        opus = client.get(CATALOG, params={"provider": "Anthropic", "tier": "opus"}).json()
        assert {(each["provider"], each["tier"]) for each in opus} == {("anthropic", "opus")}
        answer = client.get(CATALOG, params={"tier": "large"})
        assert (code(answer), fields(answer)) == ((400, "INVALID_ARGUMENT"), ["tier"])

    def test_a_model_is_added_changed_and_removed(self, client: httpx2.Client) -> None:
        answer = client.post(
            CATALOG, json={"provider": "acme", "model_id": "Roadrunner-1", "display_name": "R 1"}
        )
        model = answer.json()
        assert answer.status_code == 201
        assert TIME.fullmatch(model["created_at"])
        assert model == {
            "id": model["id"],
            "provider": "acme",
            "model_id": "Roadrunner-1",
            "display_name": "R 1",
            "tier": None,
            "is_active": True,
            "source": "custom",
            "kill_switch_active": False,
            "kill_switch_disabled_at": None,
            "disabled_reason": None,
            "created_at": model["created_at"],
            "updated_at": model["created_at"],
        }
        path = f"{CATALOG}/{UUID(model['id'])}"
        read = client.get(path)
        assert (read.status_code, read.json()) == (200, model)
        assert provider(client, "acme")["total_models"] == 1

        answer = client.put(path, json={"tier": "haiku", "is_active": False})
        assert answer.status_code == 200
        changed = {**model, "tier": "haiku", "is_active": False}
        assert answer.json() == {**changed, "updated_at": answer.json()["updated_at"]}
        whole = {"provider": "acme", "model_id": "Roadrunner-1", "display_name": "R", "tier": ""}
        answer = client.put(path, json=whole)
        assert (answer.status_code, answer.json()["tier"]) == (200, None)
        assert answer.json()["display_name"] == "R"

        answer = client.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
        assert code(client.get(path)) == (404, "MODEL_NOT_FOUND")
        assert code(client.delete(path)) == (404, "MODEL_NOT_FOUND")
        assert code(client.put(path, json={})) == (404, "MODEL_NOT_FOUND")
        assert "acme" not in {each["provider"] for each in providers(client)}

    def test_the_display_name_defaults_to_the_models(self, client: httpx2.Client) -> None:
        model = added(client, provider="named", model_id="x-1", tier="opus", is_active=False)
        assert (model["display_name"], model["tier"]) == ("x-1", "opus")
        assert model["is_active"] is False

    def test_a_model_is_added_once(self, client: httpx2.Client) -> None:
        body = {"provider": "openai", "model_id": "GPT-4o"}
        answer = client.post(CATALOG, json=body)
        assert (code(answer), fields(answer)) == ((409, "MODEL_EXISTS"), ["model_id"])

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"model_id": "m"}, "provider"),
            ({"provider": "p"}, "model_id"),
            ({"provider": "OpenAI", "model_id": "m"}, "provider"),
            ({"provider": "a/b", "model_id": "m"}, "provider"),
            ({"provider": "p", "model_id": "a b"}, "model_id"),
            ({"provider": "p", "model_id": "Opus"}, "model_id"),
            ({"provider": "p", "model_id": "m", "tier": "large"}, "tier"),
            ({"provider": "p", "model_id": "m", "colour": "red"}, "colour"),
            ({"provider": "p", "model_id": "m" * 257}, "model_id"),
        ],
    )
    def test_bad_models_are_refused(
        self, client: httpx2.Client, body: dict[str, str], field: str
    ) -> None:
        answer = client.post(CATALOG, json=body)
        assert (code(answer), fields(answer)) == ((400, "INVALID_ARGUMENT"), [field])

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"provider": "other"}, "provider"),
            ({"model_id": "GPT-4O"}, "model_id"),
            ({"display_name": " "}, "display_name"),
            ({"tier": "large"}, "tier"),
            ({"kill_switch_active": True}, "kill_switch_active"),
        ],
    )
    def test_bad_changes_are_refused(
        self, client: httpx2.Client, change: dict[str, Any], field: str
    ) -> None:
        config_id = model_id(client, "openai", "gpt-4o")
        before = client.get(f"{CATALOG}/{config_id}")
        answer = client.put(f"{CATALOG}/{config_id}", json=change)
        assert (code(answer), fields(answer)) == ((400, "INVALID_ARGUMENT"), [field])
        after = client.get(f"{CATALOG}/{config_id}")
        assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])

    def test_no_writer_loses_another_ones_change(self, client: httpx2.Client) -> None:
        path = f"{CATALOG}/{model_id(client, 'cohere', 'embed-v4.0')}"
        tag = client.get(path).headers["etag"]
        answer = client.put(path, json={"display_name": "E"}, headers={"If-Match": tag})
        assert answer.status_code == 200
        assert answer.headers["etag"] != tag
        answer = client.put(path, json={"display_name": "F"}, headers={"If-Match": tag})
        assert code(answer) == (412, "PRECONDITION_FAILED")
        assert code(client.delete(path, headers={"If-Match": tag})) == (412, "PRECONDITION_FAILED")
        assert client.get(path).json()["display_name"] == "E"

    def test_a_model_that_is_off_stays_in_the_catalog(self, client: httpx2.Client) -> None:
        """Otherwise it would be unknown, and pass."""
        model = added(client, provider="leaving", model_id="m-1")
        client.post(f"{MODELS}/{model['id']}/disable", json={"reason": "security_event"})
        answer = client.delete(f"{CATALOG}/{model['id']}")
        assert (code(answer), fields(answer)) == ((409, "MODEL_DISABLED"), ["model_config_id"])
        assert decide(client, "leaving", "m-1")["outcome"] == "BLOCK"
        client.post(f"{MODELS}/{model['id']}/enable")
        assert client.delete(f"{CATALOG}/{model['id']}").status_code == 204

    def test_a_model_of_a_provider_that_is_off_is_off(self, client: httpx2.Client) -> None:
        """Otherwise adding one would open what an admin has closed."""
        added(client, provider="closed", model_id="m-1")
        client.post(f"{PROVIDERS}/CLOSED/disable", json={"reason": "security_event"})
        model = added(client, provider="closed", model_id="m-2")
        assert model["kill_switch_active"] is True
        assert model["disabled_reason"] == "security_event"
        assert provider(client, "closed")["kill_switch_active"] is True
        assert decide(client, "closed", "m-3")["outcome"] == "BLOCK"
