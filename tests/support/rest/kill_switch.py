"""Calls of the kill switch API and the model catalog API, for their tests.

Both APIs change the whole platform, and could block requests of other tests. So these tests use a
separate server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2


PROVIDERS: Final = "/api/admin/kill-switch/providers"
MODELS: Final = "/api/admin/kill-switch/models"
CATALOG: Final = "/api/admin/models"
REASONS: Final = ("maintenance", "cost_runaway", "security_event", "other")
OFF: Final = {"kill_switch_active", "kill_switch_disabled_at", "disabled_reason"}
STATE: Final = [
    "id",
    "provider",
    "model_id",
    "display_name",
    "is_active",
    *sorted(OFF),
    "covered_names",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.start(tmp_path_factory.mktemp("kill_switch")) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: servers.Server) -> Iterator[httpx2.Client]:
    with server.client(Authorization="Bearer x") as opened:
        yield opened


@pytest.fixture(autouse=True)
def switched_on(client: httpx2.Client) -> Iterator[None]:
    """Enables all models after each test."""
    yield
    for provider in providers(client):
        if provider["kill_switch_disabled_count"]:
            client.post(f"{PROVIDERS}/{provider['provider']}/enable").raise_for_status()


def providers(client: httpx2.Client) -> list[dict[str, Any]]:
    answer = client.get(PROVIDERS)
    assert answer.status_code == 200
    page: list[dict[str, Any]] = answer.json()
    return page


def provider(client: httpx2.Client, name: str) -> dict[str, Any]:
    return next(each for each in providers(client) if each["provider"] == name)


def model_id(client: httpx2.Client, provider_name: str, name: str) -> str:
    models = provider(client, provider_name)["models"]
    return str(next(each["id"] for each in models if each["model_id"] == name))


def decide(client: httpx2.Client, provider_name: str, name: str) -> dict[str, Any]:
    body = {"model": {"provider": provider_name, "model": name}, "content": {"text": "Hello"}}
    answer = client.post("/v1/decide", json=body)
    assert answer.status_code == 200
    decision: dict[str, Any] = answer.json()
    return decision


def added(client: httpx2.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post(CATALOG, json=fields)
    assert answer.status_code == 201, answer.text
    model: dict[str, Any] = answer.json()
    return model


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def fields(answer: httpx2.Response) -> list[str]:
    return [each["field"] for each in answer.json()["error"]["details"]]
