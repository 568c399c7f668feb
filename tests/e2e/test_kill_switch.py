"""The kill switch API over HTTP, from the first operation to the last."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
import pytest

from pdp._gen.pdp.v1 import kill_switch_pb2 as pb
from pdp._gen.pdp.v1.kill_switch_pb2_grpc import KillSwitchServiceStub
from pdp.client.remote import open_channel
from tests.support import servers
from tests.support.rest.kill_switch import (
    CATALOG,
    MODELS,
    PROVIDERS,
    REASONS,
    STATE,
    added,
    client,
    code,
    decide,
    fields,
    model_id,
    provider,
    providers,
    server,
    switched_on,
)
from tests.support.rest.packs import TIME, UNKNOWN_ID

if TYPE_CHECKING:
    import httpx2

__all__ = ["client", "server", "switched_on"]


class TestSwitches:
    """The operations in the order of the API's contract."""

    def test_the_list_of_providers(self, client: httpx2.Client) -> None:
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
            "covered_names": gpt["covered_names"],
        }
        assert gpt["covered_names"][:2] == ["gpt-4o", "openai/gpt-4o"]
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

    def test_an_unknown_provider_is_not_found(self, client: httpx2.Client) -> None:
        answer = client.post(f"{PROVIDERS}/nobody/disable", json={"reason": "other"})
        assert code(answer) == (404, "PROVIDER_NOT_FOUND")
        assert code(client.post(f"{PROVIDERS}/nobody/enable")) == (404, "PROVIDER_NOT_FOUND")

    def test_the_state_of_a_model(self, client: httpx2.Client) -> None:
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

    @pytest.mark.parametrize("name", [UNKNOWN_ID, "gpt-4o", "x"])
    def test_an_unknown_model_is_not_found(self, client: httpx2.Client, name: str) -> None:
        """Models are addressed by their UUID, not by their name."""
        assert code(client.get(f"{MODELS}/{name}")) == (404, "MODEL_NOT_FOUND")
        answer = client.post(f"{MODELS}/{name}/disable", json={"reason": "other"})
        assert code(answer) == (404, "MODEL_NOT_FOUND")
        assert code(client.post(f"{MODELS}/{name}/enable")) == (404, "MODEL_NOT_FOUND")

    def test_the_answer_says_which_names_a_switch_covers(self, client: httpx2.Client) -> None:
        """All of them are stopped; the names of other models are not."""
        config_id = model_id(client, "anthropic", "claude-sonnet-4-5")
        answer = client.post(f"{MODELS}/{config_id}/disable", json={"reason": "other"})
        names = answer.json()["covered_names"]
        bedrock = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
        for name in ("claude-sonnet-4-5", "sonnet", "anthropic/claude-sonnet-4.5", bedrock):
            assert name in names
        assert not any("sonnet-4-2" in name or "haiku" in name for name in names)
        for name in names:
            assert decide(client, "", name)["outcome"] == "BLOCK"
        assert decide(client, "bedrock", bedrock)["reason_code"] == "MODEL_KILL_SWITCH"
        assert decide(client, "anthropic", "claude-sonnet-4-20250514")["outcome"] == "ALLOW"
        enabled = client.post(f"{MODELS}/{config_id}/enable")
        assert enabled.json()["covered_names"] == names
        assert decide(client, "bedrock", bedrock)["outcome"] == "ALLOW"

    def test_a_name_that_is_added_to_the_catalog_is_not_covered(
        self, client: httpx2.Client
    ) -> None:
        """It has a switch of its own then."""
        dated = "grok-4-0709"
        config_id = model_id(client, "xai", "grok-4")
        state = client.post(f"{MODELS}/{config_id}/disable", json={"reason": "other"}).json()
        assert dated in state["covered_names"]
        assert decide(client, "xai", dated)["outcome"] == "BLOCK"
        model = added(client, provider="xai", model_id=dated, display_name="Grok 4 of July")
        assert dated not in client.get(f"{MODELS}/{config_id}").json()["covered_names"]
        assert decide(client, "xai", dated)["outcome"] == "ALLOW"
        assert decide(client, "openrouter", f"x-ai/{dated}:free")["outcome"] == "ALLOW"
        assert client.delete(f"{CATALOG}/{model['id']}").status_code == 204
        assert decide(client, "xai", dated)["outcome"] == "BLOCK"

    def test_a_provider_is_stopped_at_resellers(self, client: httpx2.Client) -> None:
        client.post(f"{PROVIDERS}/openai/disable", json={"reason": "other"}).raise_for_status()
        for provider_name, name in (
            ("openrouter", "openai/gpt-4o"),
            ("openrouter", "openai/gpt-99"),
            ("azure", "gpt-99"),
        ):
            assert decide(client, provider_name, name)["reason_code"] == "MODEL_KILL_SWITCH"
        assert decide(client, "openrouter", "anthropic/claude-opus-4")["outcome"] == "ALLOW"


class TestReasons:
    @pytest.mark.parametrize("reason", REASONS)
    def test_each_reason_is_stored(self, client: httpx2.Client, reason: str) -> None:
        config_id = model_id(client, "openai", "o3")
        answer = client.post(f"{MODELS}/{config_id}/disable", json={"reason": reason})
        assert answer.json()["disabled_reason"] == reason

    @pytest.mark.parametrize(
        "body", [{}, {"reason": ""}, {"reason": None}, {"reason": "Maintenance"}, {"reason": "fun"}]
    )
    @pytest.mark.parametrize("path", [f"{PROVIDERS}/openai", f"{MODELS}/{UNKNOWN_ID}"])
    def test_other_reasons_are_refused(self, client: httpx2.Client, path: str, body: Any) -> None:
        answer = client.post(f"{path}/disable", json=body)
        assert code(answer) == (400, "INVALID_ARGUMENT")
        assert fields(answer) == ["reason"]

    @pytest.mark.parametrize("content", ["", "{", "[]", '"other"'])
    def test_a_body_without_a_reason_is_refused(self, client: httpx2.Client, content: str) -> None:
        answer = client.post(
            f"{PROVIDERS}/openai/disable",
            content=content,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 400
        assert provider(client, "openai")["kill_switch_disabled_count"] == 0

    def test_enabling_accepts_an_empty_body_or_none(self, client: httpx2.Client) -> None:
        assert client.post(f"{PROVIDERS}/openai/enable").status_code == 200
        assert client.post(f"{PROVIDERS}/openai/enable", json={}).status_code == 200
        answer = client.post(f"{PROVIDERS}/openai/enable", json={"reason": "other"})
        assert code(answer) == (400, "MALFORMED_REQUEST")


class TestState:
    def test_the_state_is_in_the_documented_table(
        self, client: httpx2.Client, server: servers.Server
    ) -> None:
        """The state is persisted in `model_configs`, in the column `kill_switch_disabled_at`."""
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

    def test_the_state_survives_a_restart(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("restarted")
        for outcome in ("ALLOW", "BLOCK"):
            with (
                servers.start(folder) as started,
                started.client() as asking,
            ):
                assert decide(asking, "google", "gemini-2.5-pro")["outcome"] == outcome
                body = {"reason": "cost_runaway"}
                asking.post(f"{PROVIDERS}/google/disable", json=body).raise_for_status()

    def test_the_state_is_the_same_for_all_tenants(self, client: httpx2.Client) -> None:
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

    def test_a_write_returns_its_revision(self, client: httpx2.Client) -> None:
        answer = client.post(f"{PROVIDERS}/openai/disable", json={"reason": "other"})
        revision = int(answer.headers["x-pdp-revision"])
        body = {"model": {"provider": "openai"}, "min_revision": revision}
        assert client.post("/v1/decide", json=body).json()["outcome"] == "BLOCK"

    def test_grpc_has_the_same_state(self, server: servers.Server) -> None:
        with open_channel(server.grpc_address) as channel:
            stub = KillSwitchServiceStub(channel)
            answer = stub.DisableProvider(pb.DisableProviderRequest(provider="xai", reason="other"))
            assert answer.summary.kill_switch_active
            listed = stub.ListProviderKillSwitches(pb.ListProviderKillSwitchesRequest()).providers
            assert [each.provider for each in listed if each.kill_switch_active] == ["xai"]
            with pytest.raises(grpc.RpcError) as failed:
                stub.GetModelKillSwitch(pb.GetModelKillSwitchRequest(model_config_id=UNKNOWN_ID))
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND
