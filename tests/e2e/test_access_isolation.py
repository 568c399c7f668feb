"""Nothing of one tenant is read or changed by another, by guessing its ids too (docs/access.md).

The first tenant makes one of everything that the API's own examples show how to make. The second,
an admin of itself alone, then asks every route with every id that the first has seen.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from itertools import product
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import grpc
import pytest

from pdp.client.remote import failure, open_channel
from pdp.transport.http.binding import bindings
from pdp.transport.methods import methods
from tests.support.secured_servers import Locked, locked
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.transport.http.binding import Binding
    from pdp.transport.methods import Method

FIRST, SECOND = "first-tenant", "second-tenant"
MARK: Final = "ofthefirsttenantalone"
"""Stands in every name and description of the first tenant's things."""

EXAMPLES: Final[dict[str, Any]] = json.loads(
    (resources.files("tools.openapi") / "examples.json").read_text(encoding="utf-8")
)
BODIES: Final[dict[str, Any]] = {
    **{name: example.get("request", {}) for name, example in EXAMPLES.items()},
    "CreateComplianceBundle": {"name": "House rules"},
    "CreateDlpRule": {
        "detector_name": "Projects",
        "detector_type": "regex",
        "entity_type": "PROJECT",
        "action_tier": "redact",
        "config_json": {"pattern": "PROJ-[0-9]{4}"},
    },
    "CreateUserGroup": {"name": "Contractors", "members": ["u1"]},
    "ReplaceOrgPolicyChain": {"packs": []},
    "ReplaceUserPolicyChain": {"packs": []},
}
"""What is sent; examples that name ids of their own are replaced."""

ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z]{2,8}_[0-9a-f]{8,}")
NOW: Final = re.compile(r'"(exported_at|(window_)?(start|end|resets_at))":"[^"]*"')
"""What an answer says of when it was asked for."""

ROUTES: Final[list[tuple[Method, Binding]]] = [
    (method, binding)
    for method in methods()
    if not (method.bidirectional or method.name == "TailRecords") and method.scope == "tenant"
    for binding in bindings(method)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """A server that requires credentials."""
    with locked(tmp_path_factory.mktemp("isolation")) as opened:
        yield opened


def marked(value: Any) -> Any:
    """Returns an example with the mark in its names and descriptions."""
    if isinstance(value, list):
        return [marked(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: MARK + str(each)[:40]
        if name in {"name", "description", "detector_name"} and isinstance(each, str)
        else marked(each)
        for name, each in value.items()
    }


def ids_in(value: Any) -> Iterator[str]:
    """Yields every text in an answer that is an id."""
    if isinstance(value, dict):
        for each in value.values():
            yield from ids_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from ids_in(each)
    elif isinstance(value, str) and ID.fullmatch(value):
        yield value


class Tenant:
    """An admin of one tenant."""

    def __init__(self, server: Locked, name: str) -> None:
        self._server = server
        self._key = server.key("admin", name)

    def ask(self, binding: Binding, values: tuple[str, ...], body: Any) -> Any:
        """Asks a route; returns the answer."""
        path = binding.template
        for variable, value in zip(binding.path, values, strict=True):
            path = path.replace(f"{{{variable.name}}}", quote(value, safe=""))
        more = {"json": body} if binding.body else {}
        return self._server.ask(binding.http_method, path, self._key, **more)

    def sees(self, ids: list[str]) -> dict[str, str]:
        """Returns all that can be read: every GET, with every id."""
        seen: dict[str, str] = {}
        for method, binding in ROUTES:
            if binding.http_method != "GET" or len(binding.path) > 1:
                continue
            for values in product(ids, repeat=len(binding.path)):
                answer = self.ask(binding, values, None)
                if answer.is_success:
                    seen[f"{method.name} {values}"] = NOW.sub("", answer.text)
        return seen


def furnish(tenant: Tenant) -> list[str]:
    """Makes one of everything, and what belongs to it; returns the ids of what was made."""
    ids: list[str] = []
    for depth in range(2):
        for method, binding in ROUTES:
            if not method.writes or binding.http_method == "DELETE" or len(binding.path) != depth:
                continue
            for values in product(ids[:], repeat=depth):
                answer = tenant.ask(binding, values, marked(BODIES.get(method.name, {})))
                assert answer.status_code < 500, (method.name, answer.text)
                if method.name.startswith("Create") and not depth:
                    assert answer.is_success, (method.name, answer.text)
                if answer.is_success and answer.content:
                    ids += [each for each in ids_in(answer.json()) if each not in ids]
    return ids


def test_ids_of_another_tenant_lead_nowhere(server: Locked) -> None:
    """What the first tenant has stays unseen and as it was, whatever the second asks for."""
    first, second = Tenant(server, FIRST), Tenant(server, SECOND)
    ids = furnish(first)
    assert len(ids) >= 8, ids
    before = first.sees(ids)
    assert any(MARK in text for text in before.values())
    assert sum(MARK in text for text in before.values()) >= 8
    found = []
    for method, binding in ROUTES:
        body = BODIES.get(method.name, {})
        for values in product(ids, repeat=len(binding.path)):
            answer = second.ask(binding, values, body)
            if MARK in answer.text or answer.status_code >= 500:
                found.append((method.name, values, answer.status_code, answer.text[:300]))
    assert found == []
    after = first.sees(ids)
    assert after == before
    for text in second.sees(ids).values():
        assert MARK not in text


def test_a_nested_tenant_is_held_to_the_same(server: Locked) -> None:
    """A tenant that is named deep in a message, or in each item, opens nothing."""
    key = server.key("admin", FIRST)
    single = server.ask("POST", "/v1/simulate", key, json={"request": {"tenant_id": SECOND}})
    assert single.json()["error"]["code"] == "TENANT_MISMATCH"
    batch = server.ask("POST", "/v1/decide/batch", key, json={"requests": [{"tenant_id": SECOND}]})
    (item,) = batch.json()["responses"]
    assert item["reason_code"] == "TENANT_MISMATCH"
    assert item["allowed"] is False


def test_keys_beyond_reach_do_not_exist(server: Locked) -> None:
    """An admin of one tenant neither sees nor touches keys that act for others, too."""
    own = server.new_key("pep", FIRST)["api_key"]["id"]
    shared = server.new_key("pep", FIRST, SECOND)["api_key"]["id"]
    everywhere = server.new_key("pep", "*")["api_key"]["id"]
    admin = server.key("admin", FIRST)
    listed = {each["id"] for each in server.ask("GET", "/api/admin/api-keys", admin).json()}
    assert own in listed
    assert not {shared, everywhere} & listed
    for key_id in (shared, everywhere):
        for verb, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
            body: dict[str, Any] = {"json": {}} if verb == "POST" else {}
            answer = server.ask(verb, f"/api/admin/api-keys/{key_id}{path}", admin, **body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "KEY_NOT_FOUND")


@pytest.mark.parametrize(
    ("tenants", "code"),
    [(["*"], "ACCESS_DENIED"), ([SECOND], "TENANT_MISMATCH"), ([FIRST, SECOND], "TENANT_MISMATCH")],
)
def test_nobody_gives_more_than_they_have(server: Locked, tenants: list[str], code: str) -> None:
    """An admin of one tenant makes keys for that alone."""
    body = {"name": "more", "role": "pep", "tenants": tenants}
    answer = server.ask("POST", "/api/admin/api-keys", server.key("admin", FIRST), json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, code)


def test_webhooks_are_for_admins_eyes(server: Locked) -> None:
    """Who has a webhook's address can post to it."""
    rule = {"name": "n", "condition": {}, "notify": {"slack_webhook_url": "https://h.test/s3cret"}}
    path = "/v1/org/policy"
    put = server.ask("PUT", path, server.key("editor", FIRST), json={"alert_rules": [rule]})
    assert put.status_code == 200
    assert "s3cret" in server.ask("GET", path, server.key("admin", FIRST)).text
    for role in ("editor", "auditor"):
        shown = server.ask("GET", path, server.key(role, FIRST))
        assert "s3cret" not in shown.text
        rules = shown.json()["alert_rules"]
        assert rules[0]["notify"]["slack_webhook_url"] == "https://h.test/…"
        back = server.ask("PUT", path, server.key("editor", FIRST), json={"alert_rules": rules})
        assert back.status_code == 422


def twice(server: Locked, transport: str, given: list[tuple[str, str]]) -> str:
    """Returns why a Decide with these headers or metadata is refused; `OK` where it is not."""
    if transport == "http":
        answer = server.server.request("POST", "/v1/decide", json={}, headers=given)
        return "OK" if answer.is_success else str(answer.json()["error"]["code"])
    with open_channel(server.server.grpc_address) as channel:
        decide: Any = channel.unary_unary("/pdp.v1.DecideService/Decide")
        try:
            decide(b"", metadata=given, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return failure(error, "").code
    return "OK"


@pytest.mark.parametrize("transport", ["grpc", "http"])
@pytest.mark.parametrize("tenants", [(FIRST, SECOND), (SECOND, FIRST), ("third", FIRST)])
def test_of_two_tenants_in_the_headers_neither_is_taken(
    server: Locked, transport: str, tenants: tuple[str, str]
) -> None:
    """A proxy may have added the one and its client the other: neither counts for being last."""
    key = ("x-api-key", server.key("pep", FIRST, SECOND))
    named = [("x-tenant-id", tenant) for tenant in tenants]
    assert twice(server, transport, [key, *named]) == "INVALID_ARGUMENT"
    assert twice(server, transport, [key, named[1]]) == "OK"


@pytest.mark.parametrize("transport", ["grpc", "http"])
@pytest.mark.parametrize("name", ["x-api-key", "authorization"])
@pytest.mark.parametrize("last", [True, False], ids=["last", "first"])
def test_of_two_credentials_neither_counts(
    server: Locked, transport: str, name: str, last: bool
) -> None:
    """They may be two people's, and what checked the one may not have looked at the other."""
    scheme = "Bearer " if name == "authorization" else ""
    good = (name, scheme + server.key("pep", FIRST))
    bad = (name, scheme + "aa_live_none")
    given = [bad, good] if last else [good, bad]
    assert twice(server, transport, given) == "UNAUTHENTICATED"
    assert twice(server, transport, [good]) == "OK"
