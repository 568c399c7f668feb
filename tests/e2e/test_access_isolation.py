"""A tenant cannot read or change another tenant's data, even with its ids (docs/access.md).

The first tenant creates one entity of each kind, as the API's examples show. The second, which is
an admin of itself only, then calls every route with every id of the first.
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
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.transport.http.binding import Binding
    from pdp.transport.methods import Method

FIRST, SECOND = "first-tenant", "second-tenant"
MARK: Final = "ofthefirsttenantalone"
"""A part of every name and description of the first tenant's entities."""

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
"""The request bodies by method; examples with ids are replaced."""

ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z]{2,8}_[0-9a-f]{8,}")
NOW: Final = re.compile(r'"(exported_at|(window_)?(start|end|resets_at))":"[^"]*"')
"""The fields of a response that depend on the time of the request."""

ROUTES: Final[list[tuple[Method, Binding]]] = [
    (method, binding)
    for method in methods()
    if not (method.bidirectional or method.name == "TailRecords") and method.scope == "tenant"
    for binding in bindings(method)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("isolation")) as opened:
        yield opened


def marked(value: Any) -> Any:
    """Returns an example with `MARK` in its names and descriptions."""
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
    """Yields every id in a response."""
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

    def __init__(self, server: AuthenticatedServer, name: str) -> None:
        self._server = server
        self._key = server.key("admin", name)

    def request(self, binding: Binding, values: tuple[str, ...], body: Any) -> Any:
        """Calls a route; returns the response."""
        path = binding.template
        for variable, value in zip(binding.path, values, strict=True):
            path = path.replace(f"{{{variable.name}}}", quote(value, safe=""))
        more = {"json": body} if binding.body else {}
        return self._server.request(binding.http_method, path, self._key, **more)

    def read_all(self, ids: list[str]) -> dict[str, str]:
        """Returns all that the tenant can read: every GET route with every id."""
        texts: dict[str, str] = {}
        for method, binding in ROUTES:
            if binding.http_method != "GET" or len(binding.path) > 1:
                continue
            for values in product(ids, repeat=len(binding.path)):
                answer = self.request(binding, values, None)
                if answer.is_success:
                    texts[f"{method.name} {values}"] = NOW.sub("", answer.text)
        return texts


def create_all(tenant: Tenant) -> list[str]:
    """Creates one entity of each kind, and those that belong to it; returns their ids."""
    ids: list[str] = []
    for depth in range(2):
        for method, binding in ROUTES:
            if not method.writes or binding.http_method == "DELETE" or len(binding.path) != depth:
                continue
            for values in product(ids[:], repeat=depth):
                answer = tenant.request(binding, values, marked(BODIES.get(method.name, {})))
                assert answer.status_code < 500, (method.name, answer.text)
                if method.name.startswith("Create") and not depth:
                    assert answer.is_success, (method.name, answer.text)
                if answer.is_success and answer.content:
                    ids += [each for each in ids_in(answer.json()) if each not in ids]
    return ids


def test_ids_of_another_tenant_give_no_access(server: AuthenticatedServer) -> None:
    """Another tenant's calls with these ids neither show nor change the entities."""
    first, second = Tenant(server, FIRST), Tenant(server, SECOND)
    ids = create_all(first)
    assert len(ids) >= 8, ids
    before = first.read_all(ids)
    assert any(MARK in text for text in before.values())
    assert sum(MARK in text for text in before.values()) >= 8
    leaks = []
    for method, binding in ROUTES:
        body = BODIES.get(method.name, {})
        for values in product(ids, repeat=len(binding.path)):
            answer = second.request(binding, values, body)
            if MARK in answer.text or answer.status_code >= 500:
                leaks.append((method.name, values, answer.status_code, answer.text[:300]))
    assert leaks == []
    after = first.read_all(ids)
    for texts in (before, after):  # these read the records, which are written meanwhile
        assert texts.pop("LintPolicies ()")
        assert texts.pop("SummarizeRecords ()")
    assert after == before
    for text in second.read_all(ids).values():
        assert MARK not in text


def test_a_tenant_id_inside_a_message_gives_no_access(server: AuthenticatedServer) -> None:
    """A tenant id inside a message, or in an item of a batch, gives no access."""
    key = server.key("admin", FIRST)
    single = server.request("POST", "/v1/simulate", key, json={"request": {"tenant_id": SECOND}})
    assert single.json()["error"]["code"] == "TENANT_MISMATCH"
    batch = server.request(
        "POST", "/v1/decide/batch", key, json={"requests": [{"tenant_id": SECOND}]}
    )
    (item,) = batch.json()["responses"]
    assert item["reason_code"] == "TENANT_MISMATCH"
    assert item["allowed"] is False


def test_keys_of_other_tenants_are_not_found(server: AuthenticatedServer) -> None:
    """An admin of one tenant cannot see or change keys that also act for other tenants."""
    own = server.new_key("pep", FIRST)["api_key"]["id"]
    shared = server.new_key("pep", FIRST, SECOND)["api_key"]["id"]
    everywhere = server.new_key("pep", "*")["api_key"]["id"]
    admin = server.key("admin", FIRST)
    listed = {each["id"] for each in server.request("GET", "/api/admin/api-keys", admin).json()}
    assert own in listed
    assert not {shared, everywhere} & listed
    for key_id in (shared, everywhere):
        for verb, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
            body: dict[str, Any] = {"json": {}} if verb == "POST" else {}
            answer = server.request(verb, f"/api/admin/api-keys/{key_id}{path}", admin, **body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "KEY_NOT_FOUND")


@pytest.mark.parametrize(
    ("tenants", "code"),
    [(["*"], "ACCESS_DENIED"), ([SECOND], "TENANT_MISMATCH"), ([FIRST, SECOND], "TENANT_MISMATCH")],
)
def test_an_admin_cannot_create_keys_for_other_tenants(
    server: AuthenticatedServer, tenants: list[str], code: str
) -> None:
    """An admin of one tenant can create keys only for that tenant."""
    body = {"name": "more", "role": "pep", "tenants": tenants}
    answer = server.request("POST", "/api/admin/api-keys", server.key("admin", FIRST), json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, code)


def test_only_admins_see_webhook_urls(server: AuthenticatedServer) -> None:
    """Only admins see the URL of a webhook, because anyone with the URL can post to it."""
    rule = {"name": "n", "condition": {}, "notify": {"slack_webhook_url": "https://h.test/s3cret"}}
    path = "/v1/org/policy"
    put = server.request("PUT", path, server.key("editor", FIRST), json={"alert_rules": [rule]})
    assert put.status_code == 200
    assert "s3cret" in server.request("GET", path, server.key("admin", FIRST)).text
    for role in ("editor", "auditor"):
        shown = server.request("GET", path, server.key(role, FIRST))
        assert "s3cret" not in shown.text
        rules = shown.json()["alert_rules"]
        assert rules[0]["notify"]["slack_webhook_url"] == "https://h.test/…"
        back = server.request("PUT", path, server.key("editor", FIRST), json={"alert_rules": rules})
        assert back.status_code == 422


def decide_with(server: AuthenticatedServer, transport: str, headers: list[tuple[str, str]]) -> str:
    """Returns the reason code of a Decide with these headers or metadata; `OK` if accepted."""
    if transport == "http":
        answer = server.server.request("POST", "/v1/decide", json={}, headers=headers)
        return "OK" if answer.is_success else str(answer.json()["error"]["code"])
    with open_channel(server.server.grpc_address) as channel:
        decide: Any = channel.unary_unary("/pdp.v1.DecideService/Decide")
        try:
            decide(b"", metadata=headers, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return failure(error, "").code
    return "OK"


@pytest.mark.parametrize("transport", ["grpc", "http"])
@pytest.mark.parametrize("tenants", [(FIRST, SECOND), (SECOND, FIRST), ("third", FIRST)])
def test_two_tenant_headers_are_refused(
    server: AuthenticatedServer, transport: str, tenants: tuple[str, str]
) -> None:
    """A proxy may have added one and its client the other, so the order must not decide."""
    key = ("x-api-key", server.key("pep", FIRST, SECOND))
    headers = [("x-tenant-id", tenant) for tenant in tenants]
    assert decide_with(server, transport, [key, *headers]) == "INVALID_ARGUMENT"
    assert decide_with(server, transport, [key, headers[1]]) == "OK"


@pytest.mark.parametrize("transport", ["grpc", "http"])
@pytest.mark.parametrize("name", ["x-api-key", "authorization"])
@pytest.mark.parametrize("last", [True, False], ids=["last", "first"])
def test_two_credentials_are_refused(
    server: AuthenticatedServer, transport: str, name: str, last: bool
) -> None:
    """They may belong to two callers, and a proxy may have checked only one of them."""
    scheme = "Bearer " if name == "authorization" else ""
    good = (name, scheme + server.key("pep", FIRST))
    bad = (name, scheme + "aa_live_none")
    headers = [bad, good] if last else [good, bad]
    assert decide_with(server, transport, headers) == "UNAUTHENTICATED"
    assert decide_with(server, transport, [good]) == "OK"
