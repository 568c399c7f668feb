"""The model catalog over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.support.rest.kill_switch import (
    CATALOG,
    MODELS,
    PROVIDERS,
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
from tests.support.rest.packs import TIME

if TYPE_CHECKING:
    import httpx2

__all__ = ["client", "server", "switched_on"]


class TestCatalog:
    def test_the_list_is_an_array_and_can_be_filtered(self, client: httpx2.Client) -> None:
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

    def test_the_display_name_defaults_to_the_model(self, client: httpx2.Client) -> None:
        model = added(client, provider="named", model_id="x-1", tier="opus", is_active=False)
        assert (model["display_name"], model["tier"]) == ("x-1", "opus")
        assert model["is_active"] is False

    def test_a_model_cannot_be_added_twice(self, client: httpx2.Client) -> None:
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

    def test_an_update_with_a_stale_etag_is_refused(self, client: httpx2.Client) -> None:
        path = f"{CATALOG}/{model_id(client, 'cohere', 'embed-v4.0')}"
        tag = client.get(path).headers["etag"]
        answer = client.put(path, json={"display_name": "E"}, headers={"If-Match": tag})
        assert answer.status_code == 200
        assert answer.headers["etag"] != tag
        answer = client.put(path, json={"display_name": "F"}, headers={"If-Match": tag})
        assert code(answer) == (412, "PRECONDITION_FAILED")
        assert code(client.delete(path, headers={"If-Match": tag})) == (412, "PRECONDITION_FAILED")
        assert client.get(path).json()["display_name"] == "E"

    def test_aliases_are_other_names_of_a_model(self, client: httpx2.Client) -> None:
        model = added(client, provider="aliases", model_id="m-1", aliases=["prod", "Blue/Chat"])
        assert model["aliases"] == ["prod", "Blue/Chat"]
        path = f"{CATALOG}/{model['id']}"
        answer = client.put(path, json={"display_name": "M"})
        assert answer.json()["aliases"] == ["prod", "Blue/Chat"], "what is not sent stays"
        assert client.put(path, json={"aliases": ["prod"]}).json()["aliases"] == ["prod"]
        assert "aliases" not in client.put(path, json={"aliases": []}).json()

    def test_a_name_means_one_model_of_a_provider(self, client: httpx2.Client) -> None:
        added(client, provider="unique", model_id="u-1", aliases=["front"])
        body = {"provider": "unique", "model_id": "u-2"}
        for aliases, field in (
            (["FRONT"], "aliases[0]"),
            (["back", "u-1"], "aliases[1]"),
            (["opus"], "aliases[0]"),
            (["a", "a"], "aliases"),
            ([" "], "aliases[0]"),
            ([f"a{number}" for number in range(21)], "aliases"),
        ):
            answer = client.post(CATALOG, json={**body, "aliases": aliases})
            assert (code(answer), fields(answer)) == ((400, "INVALID_ARGUMENT"), [field]), aliases
        answer = client.post(CATALOG, json={"provider": "unique", "model_id": "Front"})
        assert (code(answer), fields(answer)) == ((400, "INVALID_ARGUMENT"), ["model_id"])
        added(client, provider="unique", model_id="u-2", aliases=["back"])
        added(client, provider="elsewhere", model_id="u-3", aliases=["front"])

    def test_a_disabled_model_stays_in_the_catalog(self, client: httpx2.Client) -> None:
        """A disabled model cannot be deleted: it would be unknown, and so allowed."""
        model = added(client, provider="leaving", model_id="m-1")
        client.post(f"{MODELS}/{model['id']}/disable", json={"reason": "security_event"})
        answer = client.delete(f"{CATALOG}/{model['id']}")
        assert (code(answer), fields(answer)) == ((409, "MODEL_DISABLED"), ["model_config_id"])
        assert decide(client, "leaving", "m-1")["outcome"] == "BLOCK"
        client.post(f"{MODELS}/{model['id']}/enable")
        assert client.delete(f"{CATALOG}/{model['id']}").status_code == 204

    def test_a_model_of_a_disabled_provider_is_disabled(self, client: httpx2.Client) -> None:
        """A new model of a provider that an admin has disabled is disabled too."""
        added(client, provider="closed", model_id="m-1")
        client.post(f"{PROVIDERS}/CLOSED/disable", json={"reason": "security_event"})
        model = added(client, provider="closed", model_id="m-2")
        assert model["kill_switch_active"] is True
        assert model["disabled_reason"] == "security_event"
        assert provider(client, "closed")["kill_switch_active"] is True
        assert decide(client, "closed", "m-3")["outcome"] == "BLOCK"
