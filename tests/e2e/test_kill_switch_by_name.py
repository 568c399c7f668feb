"""The kill switch by the name of a model: over HTTP, over gRPC and with `pdp models`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import kill_switch_pb2 as pb
from pdp._gen.pdp.v1.kill_switch_pb2_grpc import KillSwitchServiceStub
from pdp.cli.exit_codes import Exit
from pdp.client.remote import open_channel
from tests.support.rest.kill_switch import (
    CATALOG,
    MODELS,
    REASONS,
    added,
    client,
    code,
    decide,
    fields,
    model_id,
    server,
    switched_on,
)
from tests.support.servers import run_pdp

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    import httpx2

    from tests.support import servers

__all__ = ["client", "server", "switched_on"]

DISABLE: Final = f"{MODELS}:disable"
ENABLE: Final = f"{MODELS}:enable"


@pytest.fixture
def hosted(client: httpx2.Client) -> Iterator[str]:
    """A second model with the id `gpt-4o`, of another provider."""
    model = added(client, provider="azure", model_id="gpt-4o", display_name="GPT-4o on Azure")
    yield model["id"]
    client.post(f"{MODELS}/{model['id']}/enable").raise_for_status()
    client.delete(f"{CATALOG}/{model['id']}").raise_for_status()


def off(client: httpx2.Client, **body: Any) -> httpx2.Response:
    return client.post(DISABLE, json={"reason": "other", **body})


def message(answer: httpx2.Response) -> str:
    return str(answer.json()["error"]["message"])


class TestSwitch:
    def test_it_answers_as_the_switch_by_uuid(self, client: httpx2.Client) -> None:
        """The same state, status and headers; the switch is in force for the next decision."""
        by_id = f"{MODELS}/{model_id(client, 'openai', 'gpt-4o')}"
        reference = client.post(f"{by_id}/disable", json={"reason": "maintenance"})
        client.post(f"{by_id}/enable").raise_for_status()
        before = client.get(by_id).json()

        answer = off(client, provider="openai", model="gpt-4o", reason="maintenance")
        assert answer.status_code == reference.status_code == 200
        time = answer.json()["kill_switch_disabled_at"]
        assert answer.json() == {**reference.json(), "kill_switch_disabled_at": time}
        assert {"etag", "x-pdp-revision"} <= {*answer.headers} & {*reference.headers}
        assert decide(client, "openai", "gpt-4o")["reason_code"] == "MODEL_KILL_SWITCH"
        assert decide(client, "openai", "gpt-4o-mini")["outcome"] == "ALLOW"

        answer = client.post(ENABLE, json={"provider": "openai", "model": "gpt-4o"})
        assert (answer.status_code, answer.json()) == (200, before)
        assert decide(client, "openai", "gpt-4o")["outcome"] == "ALLOW"

    @pytest.mark.parametrize(
        "body",
        [
            {"model": "gpt-4o"},
            {"model": "openai/gpt-4o"},
            {"provider": " OpenAI ", "model": "GPT-4o"},
            {"provider": "openai", "model": "openai/gpt-4o"},
        ],
    )
    def test_ways_to_name_a_model(self, client: httpx2.Client, body: dict[str, str]) -> None:
        answer = off(client, **body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] == model_id(client, "openai", "gpt-4o")

    @pytest.mark.parametrize("reason", REASONS)
    def test_reason_and_note_are_in_the_change_log(
        self, client: httpx2.Client, reason: str
    ) -> None:
        off(client, model="openai/o3", reason=reason, note="INC-1\nsee  chat").raise_for_status()
        changes = "/api/admin/audit/platform-changes"
        newest = client.get(changes, params={"limit": 1}).json()["changes"][0]
        assert newest["summary"] == f"Disabled: {reason} (INC-1 see chat)"
        body = {"model": "openai/o3", "note": "solved"}
        client.post(ENABLE, json=body).raise_for_status()
        newest = client.get(changes, params={"limit": 1}).json()["changes"][0]
        assert newest["summary"] == "Enabled (solved)"

    def test_over_grpc(self, server: servers.Server) -> None:
        with open_channel(server.grpc_address) as channel:
            stub = KillSwitchServiceStub(channel)
            request = pb.DisableModelByNameRequest(model="xai/grok-4", reason="other")
            assert stub.DisableModelByName(request).state.kill_switch_active
            unknown = pb.DisableModelByNameRequest(model="xai/grok-44", reason="other")
            with pytest.raises(grpc.RpcError) as failed:
                stub.DisableModelByName(unknown)
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND


class TestRefusals:
    """Nothing is switched if the name does not say which model."""

    @pytest.mark.parametrize(
        ("name", "suggestion"),
        [
            ("openai/gpt4o", "openai/gpt-4o"),
            ("gpt4o", "openai/gpt-4o"),
            ("opnai/gpt-4o", "openai/gpt-4o"),
            ("openai/gpt-4o-2024-08-06", "openai/gpt-4o"),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic/claude-sonnet-4-5"),
            ("anthropic/opus", "anthropic/claude-opus-"),
        ],
    )
    @pytest.mark.parametrize("path", [DISABLE, ENABLE])
    def test_an_unknown_name_is_not_found(
        self, client: httpx2.Client, path: str, name: str, suggestion: str
    ) -> None:
        """The error suggests the closest names of the catalog."""
        answer = client.post(path, json={"model": name, "reason": "other"})
        assert code(answer) == (404, "MODEL_NOT_FOUND")
        assert f"did you mean {suggestion}" in message(answer)
        assert fields(answer) == ["model"]
        assert decide(client, "openai", "gpt-4o")["outcome"] == "ALLOW"

    def test_a_name_that_is_near_to_none(self, client: httpx2.Client) -> None:
        answer = off(client, model="zzzzzzzz")
        assert code(answer) == (404, "MODEL_NOT_FOUND")
        assert "did you mean" not in message(answer)
        assert "pdp models list" in message(answer)

    def test_another_provider_is_not_found(self, client: httpx2.Client) -> None:
        answer = off(client, provider="anthropic", model="gpt-4o")
        assert code(answer) == (404, "MODEL_NOT_FOUND")
        answer = off(client, provider="anthropic", model="openai/gpt-4o")
        assert code(answer) == (404, "MODEL_NOT_FOUND")

    def test_an_ambiguous_name(self, client: httpx2.Client, hosted: str) -> None:
        """The error names the candidates; with the provider, the name is clear."""
        answer = off(client, model="gpt-4o")
        assert code(answer) == (400, "INVALID_ARGUMENT")
        assert fields(answer) == ["provider"]
        assert "azure/gpt-4o" in message(answer)
        assert "openai/gpt-4o" in message(answer)
        assert decide(client, "openai", "gpt-4o")["outcome"] == "ALLOW"
        assert off(client, model="azure/gpt-4o").json()["id"] == hosted
        assert decide(client, "openai", "gpt-4o")["outcome"] == "ALLOW"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"model": "gpt-4o"}, "reason"),
            ({"model": "gpt-4o", "reason": "fun"}, "reason"),
            ({"reason": "other"}, "model"),
            ({"model": "", "reason": "other"}, "model"),
            ({"model": "m" * 257, "reason": "other"}, "model"),
            ({"model": "gpt-4o", "reason": "other", "note": "n" * 1025}, "note"),
        ],
    )
    def test_invalid_values(self, client: httpx2.Client, body: Any, field: str) -> None:
        answer = client.post(DISABLE, json=body)
        assert code(answer) == (400, "INVALID_ARGUMENT")
        assert fields(answer) == [field]

    def test_the_longest_values(self, client: httpx2.Client) -> None:
        answer = off(client, model="m" * 256)
        assert code(answer) == (404, "MODEL_NOT_FOUND")
        assert off(client, model="openai/o3", note="n" * 1024).status_code == 200

    @pytest.mark.parametrize("path", [f"{MODELS}:stop", f"{MODELS}%3Adisable", f"{MODELS}:"])
    def test_other_verbs_are_no_routes(self, client: httpx2.Client, path: str) -> None:
        answer = client.post(path, json={"model": "openai/gpt-4o", "reason": "other"})
        assert code(answer)[0] in {404, 405}
        assert decide(client, "openai", "gpt-4o")["outcome"] == "ALLOW"


class TestCommand:
    """`pdp models`."""

    @pytest.fixture
    def models(self, server: servers.Server) -> Any:
        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return run_pdp("models", *arguments, PDP_SERVER=server.grpc_address)

        return run

    def test_off_list_and_on(self, client: httpx2.Client, models: Any) -> None:
        ran = models("off", "openai/gpt-4o", "--reason", "security_event", "--note", "INC-1")
        assert (ran.returncode, ran.stdout.splitlines()[0]) == (Exit.OK, "openai/gpt-4o is off")
        assert decide(client, "openai", "gpt-4o")["outcome"] == "BLOCK"
        ran = models("list", "--provider", "openai")
        [line] = [each for each in ran.stdout.splitlines() if each.split()[:1] == ["openai/gpt-4o"]]
        assert " off " in line
        assert line.endswith("security_event")
        assert "5 models, 1 switched off" in ran.stdout
        ran = models("on", "gpt-4o", "--provider", "openai")
        assert (ran.returncode, ran.stdout) == (Exit.OK, "openai/gpt-4o is on\n")
        assert decide(client, "openai", "gpt-4o")["outcome"] == "ALLOW"

    def test_json(self, client: httpx2.Client, models: Any) -> None:
        """--json is the form of the HTTP API."""
        listed = json.loads(models("list", "--json").stdout)
        assert listed == client.get(CATALOG).json()
        state = json.loads(models("off", "openai/o3", "--reason", "other", "--json").stdout)
        assert state == client.get(f"{MODELS}/{state['id']}").json()

    def test_did_you_mean(self, models: Any) -> None:
        ran = models("off", "openai/gpt4o", "--reason", "other")
        assert ran.returncode == Exit.INVALID
        assert "did you mean openai/gpt-4o" in ran.stderr

    def test_a_reason_is_required(self, models: Any) -> None:
        ran = models("off", "openai/gpt-4o")
        assert ran.returncode == Exit.USAGE
        assert "--reason" in ran.stderr
