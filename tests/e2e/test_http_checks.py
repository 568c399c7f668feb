"""Plain HTTP checks: `/v1/authz`, with headers, with a body, and by the mapping file."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.adapters.http_checks import http_check_routes
from pdp.adapters.http_checks.routes import METHODS
from pdp.adapters.mapping import MappingFile
from pdp.domain.access import ROLES
from pdp.transport.http.requests import HttpRequest
from pdp.transport.http.responses import HttpResponse
from pdp.transport.http.router import Router
from tests.support import servers
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.doc_blocks import block_of
from tests.support.rest.kill_switch import PROVIDERS
from tests.support.rest.limits import PATH as LIMITS
from tests.support.rest.packs import CHAINS, ok_json, pack, rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

    from pdp.transport.call import Call
    from pdp.transport.decide_port import DecidePort
    from pdp.transport.http.rpc_routes import Route

PAGE: Final = "integrations/nginx.md"
AUTHZ: Final = "/v1/authz"
CARD: Final = "my card is 4111 1111 1111 1111"
INJECTION: Final = "SELECT name FROM users UNION SELECT password FROM users"
CRLF: Final = "\r\n"
CHAT: Final = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}

PEP_ROLES: Final = {"pep", "editor", "admin", "follower"}

SEES_TEXT: Final = {"content": {"text": "hello"}}


def check(client: httpx2.Client, method: str = "GET", path: str = AUTHZ, **more: Any) -> Any:
    """Returns the answer of a check, which is never an outage."""
    answer = client.request(method, path, **more)
    assert answer.status_code in {200, 401, 403, 429}, answer.text
    if answer.status_code != 200:
        assert answer.headers["x-pdp-reason"]
        assert int(answer.headers["x-pdp-status-hint"]) >= 400
    return answer


def by_headers(client: httpx2.Client, **facts: str) -> Any:
    """Returns the answer of a check that headers such as `X-PDP-User` describe."""
    return check(client, headers={f"X-PDP-{name}": value for name, value in facts.items()})


def recorded(client: httpx2.Client, answer: Any, tenant: str = "") -> str:
    """Returns the record of a decision, as text."""
    path = f"/api/admin/audit/records/{answer.headers['x-pdp-decision-id']}"
    headers = {"X-Tenant-ID": tenant} if tenant else {}
    return json.dumps(ok_json(client.get(path, headers=headers)), ensure_ascii=False)


def chain(client: httpx2.Client, action: dict[str, Any]) -> None:
    """Sets the tenant's chain to one rule for a model."""
    pack_id = pack(client)["id"]
    rule(client, pack_id, "Rule", sequence=1, conditions={"models": ["gpt-4o"]}, action=action)
    ok_json(client.put(f"{CHAINS}/org", json={"packs": [{"id": pack_id}]}))


# --- with headers


def test_headers_describe_a_request_that_may_pass(client: httpx2.Client) -> None:
    answer = by_headers(client, User="alice", Model="gpt-4o", Action="crm:contacts:read")
    assert answer.status_code == 200
    assert answer.headers["x-pdp-outcome"] == "ALLOW"
    assert answer.headers["x-pdp-status-hint"] == "200"
    assert answer.headers["x-pdp-decision-id"] == answer.json()["decision_id"]
    assert answer.headers["cache-control"] == "no-store"


def test_every_header_sets_its_field(client: httpx2.Client) -> None:
    """The record of the decision has what the headers said."""
    ok_json(client.put("/v1/org/policy", json={"logging_level": "full"}))
    answer = by_headers(
        client,
        User="alice",
        Groups="a, b%2Cc",
        Agent="bot",
        Session="s1",
        Direction="output",
        Channel="api",
        Provider="openai",
        Model="gpt-4o",
        Action="crm:contacts:read",
        Tool=quote("sé,nd"),
        **{"Resource-Type": "table", "Resource-ID": "users"},
    )
    assert answer.status_code == 200, answer.text
    facts = recorded(client, answer)
    said = ("alice", "b,c", "bot", "output", "api", "openai", "gpt-4o", "crm:contacts:read")
    assert [value for value in (*said, "sé,nd", "table", "users") if value not in facts] == []


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({}, "is empty; send a DecideRequest"),
        ({"X-PDP-Supported-Obligations": "REDACT"}, "is empty"),
        ({"X-PDP-Usr": "alice"}, "did you mean x-pdp-user?"),
        ({"X-PDP-Outcome": "ALLOW"}, "is unknown"),
        ({"X-PDP-User": "alice, bob"}, "sent more than once"),
        ({"X-PDP-User": "%ff"}, "not UTF-8"),
        ({"X-PDP-Action": "Read Everything"}, "action"),
        ({"X-PDP-Direction": "sideways"}, "direction"),
        ({"X-PDP-Groups": ",".join("g" * 1001)}, "more than 1000"),
        ({"X-PDP-User": "alice", "X-Tenant-ID": "no tenant!"}, "X-Tenant-ID"),
        ({"X-PDP-User": "a" * 300}, "user_id"),
    ],
)
def test_headers_that_cannot_be_read_are_a_denial(
    client: httpx2.Client, headers: dict[str, str], problem: str
) -> None:
    answer = check(client, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["x-pdp-reason"] == "INVALID_ARGUMENT"
    assert answer.headers["x-pdp-status-hint"] == "400"
    assert problem in answer.json()["error"]["message"]


def test_two_headers_of_a_name_are_a_denial(client: httpx2.Client) -> None:
    """A client's own header beside that of the gateway does not win."""
    headers = [("X-PDP-User", "alice"), ("X-PDP-User", "mallory")]
    assert check(client, headers=headers).status_code == 403


@pytest.mark.parametrize("method", [*METHODS, "HEAD"])
def test_every_method_is_a_check(client: httpx2.Client, method: str) -> None:
    """OPTIONS must not be answered 204, which nginx would take for a pass."""
    allowed = check(client, method, headers={"X-PDP-User": "alice"})
    assert (allowed.status_code, allowed.headers["x-pdp-outcome"]) == (200, "ALLOW")
    assert check(client, method).status_code == 403
    assert check(client, method, f"{AUTHZ}/v1/chat").status_code == 403


@pytest.mark.parametrize("path", [f"{AUTHZ}//x", f"{AUTHZ}/../healthz", f"{AUTHZ}x"])
def test_other_paths_are_no_pass(client: httpx2.Client, path: str) -> None:
    with socket.create_connection(_address(client)) as connection:
        head = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-PDP-User: a\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(head.encode())
        status = int(connection.makefile("rb").readline().split()[1])
    assert status == 404


def _address(client: httpx2.Client) -> tuple[str, int]:
    host, _, port = urlsplit(str(client.base_url)).netloc.partition(":")
    return host, int(port)


# --- denials


DENIALS: Final[list[tuple[dict[str, Any], str, int]]] = [
    ({"type": "BLOCK", "message": "No."}, "BLOCK", 403),
    ({"type": "PROMPT", "prompt_message": "Sure?"}, "PROMPT", 403),
    ({"type": "CANCEL", "message": "Stop."}, "CANCEL", 403),
    ({"type": "ROUTE_TO", "route_to_model": "claude-sonnet-4"}, "ROUTE_TO", 403),
    ({"type": "ALLOW_WITH_OVERRIDE", "override_message": "Mind."}, "ALLOW_WITH_OVERRIDE", 200),
]


@pytest.mark.parametrize(("action", "outcome", "status"), DENIALS)
def test_an_outcome_has_its_status(
    client: httpx2.Client, action: dict[str, Any], outcome: str, status: int
) -> None:
    chain(client, action)
    for answer in (
        by_headers(client, Model="gpt-4o"),
        check(client, "POST", json={"model": {"model": "gpt-4o"}}),
    ):
        assert (answer.status_code, answer.headers["x-pdp-outcome"]) == (status, outcome)
        assert answer.json()["outcome"] == outcome
        assert answer.headers["x-pdp-decision-id"] == answer.json()["decision_id"]


@pytest.mark.usefixtures("same_day")
def test_a_limit_is_429(client: httpx2.Client) -> None:
    bound = {"scope": "user", "subject_id": "u1", "requests_per_minute": 1}
    assert client.post(LIMITS, json=bound).status_code == 201
    assert by_headers(client, User="u1").status_code == 200
    answer = by_headers(client, User="u1")
    assert (answer.status_code, answer.headers["x-pdp-reason"]) == (429, "LIMIT_EXCEEDED")
    assert int(answer.headers["retry-after"]) > 0
    assert by_headers(client, User="u2").status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "problem"),
    [
        (b"{", {}, "MALFORMED_REQUEST"),
        (b"[]", {}, "INVALID_ARGUMENT"),
        (b'{"contnet": {}}', {}, "INVALID_ARGUMENT"),
        (b'{"content": {"text": "a"}, "content": {"text": "b"}}', {}, "MALFORMED_REQUEST"),
        (b"\xff", {}, "MALFORMED_REQUEST"),
        (b"{}", {"Content-Type": "text/plain"}, "UNSUPPORTED_MEDIA_TYPE"),
        (b"{}", {"Content-Encoding": "gzip"}, "UNSUPPORTED_MEDIA_TYPE"),
        (b"{}", {"X-PDP-User": "alice"}, "INVALID_ARGUMENT"),
        (b"[" + b"1," * 200_000 + b"1]", {}, "INVALID_ARGUMENT"),
        (b" " * (8 << 20) + b"{}", {}, "REQUEST_TOO_LARGE"),
        (b'{"tenant_id": "other"}', {}, "TENANT_MISMATCH"),
        (b'{"payload": {"format": "nope", "body": "{}"}}', {}, "INVALID_ARGUMENT"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_denial(
    client: httpx2.Client, body: bytes, headers: dict[str, str], problem: str
) -> None:
    answer = check(
        client, "POST", content=body, headers={"Content-Type": "application/json", **headers}
    )
    assert (answer.status_code, answer.headers["x-pdp-reason"]) == (403, problem)
    assert answer.json()["error"]["code"] == problem


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(METHODS),
    st.binary(max_size=60) | st.just(b"{}"),
    st.dictionaries(
        st.sampled_from(["X-PDP-User", "X-PDP-Groups", "X-PDP-Tool", "X-PDP-Foo", "Content-Type"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12),
        max_size=3,
    ),
)
def test_any_check_is_a_decision_or_a_denial(
    client: httpx2.Client, method: str, body: bytes, headers: dict[str, str]
) -> None:
    answer = check(client, method, content=body, headers=headers)
    if answer.status_code == 200:
        assert answer.json()["outcome"] in {"ALLOW", "WARN", "ALLOW_WITH_OVERRIDE"}


class _Broken:
    """A port whose decisions fail."""

    def call(self, *_arguments: Any) -> Any:
        class Reply:
            reply: dict[str, str] = {}  # noqa: RUF012 - it does not change
            request_id = ""

        return Reply()

    def count_refusal(self, *_arguments: Any) -> None:
        """Counts nothing."""

    def admit(self, _call: Call) -> None:
        """Admits everyone."""

    async def decide(self, _call: Call, _request: Any) -> Any:
        """Fails as no code of ours should."""
        raise ZeroDivisionError("SELECT secret")


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_a_fault_of_the_server_is_a_denial() -> None:
    """A 5xx would be an outage for the gateway, which may let requests pass then."""
    routes = http_check_routes(cast("DecidePort", _Broken()), MappingFile())
    router: Router[Route] = Router()
    for each in routes:
        router.add(each.http_method, each.template, each.route)
    match = router.find(AUTHZ.encode())
    assert match is not None
    request = HttpRequest("GET", AUTHZ.encode(), b"", {"x-pdp-user": "alice"}, _nothing)
    answer = await match.values["GET"](request, ())
    assert isinstance(answer, HttpResponse)
    assert answer.status == 403
    assert (b"x-pdp-reason", b"INTERNAL") in answer.headers
    assert b"secret" not in answer.body


# --- obligations


def test_a_redaction_passes_only_a_caller_that_redacts(client: httpx2.Client) -> None:
    body = {"content": {"text": CARD}}
    denied = check(client, "POST", json=body)
    assert (denied.status_code, denied.headers["x-pdp-outcome"]) == (403, "REDACT")
    other = {"X-PDP-Supported-Obligations": "MASK_FIELDS, PROMPT, NEW"}
    assert check(client, "POST", json=body, headers=other).status_code == 403
    able = {"X-PDP-Supported-Obligations": "MASK_FIELDS,REDACT"}
    answer = check(client, "POST", json=body, headers=able)
    assert (answer.status_code, answer.headers["x-pdp-outcome"]) == (200, "REDACT")
    assert answer.json()["obligations"][0]["type"] == "REDACT"
    assert "4111" not in answer.json()["redacted_text"]
    assert check(client, "POST", json=SEES_TEXT).status_code == 200


def test_a_redaction_of_a_check_without_a_body_never_passes(client: httpx2.Client) -> None:
    """There is no text that the caller could get back redacted."""
    chain(client, {"type": "REDACT"})
    able = {"X-PDP-Supported-Obligations": "REDACT"}
    answer = check(client, headers={"X-PDP-Model": "gpt-4o", **able})
    assert (answer.status_code, answer.headers["x-pdp-outcome"]) == (403, "REDACT")


def test_fields_are_masked_by_a_caller_that_masks(client: httpx2.Client) -> None:
    ok_json(client.post("/policies/c1", json={"sensitive_fields": ["ssn"]}))
    body = {"customer_id": "c1", "target": {"resource_type": "table", "fields": ["ssn"]}}
    assert check(client, "POST", json=body).status_code == 403
    able = {"X-PDP-Supported-Obligations": "MASK_FIELDS"}
    answer = check(client, "POST", json=body, headers=able)
    assert answer.status_code == 200
    assert answer.json()["obligations"] == [{"type": "MASK_FIELDS", "fields": ["ssn"]}]


def test_a_prompt_is_a_denial_whatever_the_caller_supports(client: httpx2.Client) -> None:
    chain(client, {"type": "PROMPT", "prompt_message": "Sure?"})
    headers = {"X-PDP-Model": "gpt-4o", "X-PDP-Supported-Obligations": "PROMPT"}
    assert check(client, headers=headers).status_code == 403


def test_a_route_passes_a_caller_that_routes(client: httpx2.Client) -> None:
    chain(client, {"type": "ROUTE_TO", "route_to_model": "claude-sonnet-4"})
    headers = {"X-PDP-Model": "gpt-4o", "X-PDP-Supported-Obligations": "ROUTE_TO"}
    answer = check(client, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["obligations"][0]["model"] == "claude-sonnet-4"


def test_the_example_of_the_page_is_denied(server: servers.Server) -> None:
    code = block_of(PAGE, "sh", "UNION").replace("http://127.0.0.1:8080", server.http_url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("HTTP/1.1 403 "), done.stdout
    assert "x-pdp-reason: STATIC_POLICY_BLOCK" in done.stdout
    assert shlex.split(code)[0] == "curl"


# --- by the mapping file


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A server with the mapping file of the page."""
    folder = tmp_path_factory.mktemp("mapped")
    file = folder / "adapters.yaml"
    file.write_text(block_of(PAGE, "yaml", "version: 1"))
    with servers.start(folder / "data", PDP_ADAPTERS_FILE=str(file)) as server:
        with server.client(tenant="acme") as client:
            ok_json(client.put("/v1/org/policy", json={"logging_level": "full"}))
        yield server


def traefik(
    client: httpx2.Client,
    body: Any = None,
    *,
    uri: str = "/v1/chat/completions",
    method: str = "POST",
    user: str = "alice",
    **headers: str,
) -> Any:
    """Returns the answer to a check as Traefik sends it."""
    forwarded = {
        "X-Forwarded-Method": method,
        "X-Forwarded-Host": "api.example.com",
        "X-Forwarded-Uri": uri,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "192.0.2.1",
        **({"X-Auth-User": user} if user else {}),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
    return check(client, "GET", content=content, headers=forwarded)


@pytest.fixture
def gateway(mapped: servers.Server) -> Iterator[httpx2.Client]:
    """A client of the server with the mapping file; it names no tenant."""
    with mapped.client() as opened:
        yield opened


def chat(text: str) -> dict[str, Any]:
    """Returns a chat completion request."""
    return {**CHAT, "messages": [{"role": "user", "content": text}]}


def test_a_route_carries_a_payload(gateway: httpx2.Client) -> None:
    passed = traefik(gateway, chat("hello"))
    assert (passed.status_code, passed.headers["x-pdp-outcome"]) == (200, "ALLOW")
    assert passed.json()["payload_format"] == "openai.chat_completions"
    denied = traefik(gateway, chat(INJECTION))
    assert (denied.status_code, denied.headers["x-pdp-reason"]) == (403, "STATIC_POLICY_BLOCK")
    error = denied.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "STATIC_POLICY_BLOCK")
    assert error["decision_id"] == denied.headers["x-pdp-decision-id"]


def test_a_redaction_is_a_denial_whatever_the_client_claims(gateway: httpx2.Client) -> None:
    """The headers of such a check are those of the client."""
    denied = traefik(gateway, chat(CARD), X_PDP_Supported_Obligations="REDACT")
    assert (denied.status_code, denied.headers["x-pdp-outcome"]) == (403, "REDACT")


def test_a_route_without_a_payload_has_its_action(gateway: httpx2.Client) -> None:
    answer = traefik(gateway, uri="/v1/models?limit=1", method="GET")
    assert answer.status_code == 200
    facts = recorded(gateway, answer, "acme")
    assert "api:models:list" in facts
    assert "alice" in facts


def test_the_same_by_the_path_of_the_check(gateway: httpx2.Client) -> None:
    user = {"X-Auth-User": "alice"}
    path = f"{AUTHZ}/v1/chat/completions"
    assert check(gateway, "POST", path, json=chat("hi"), headers=user).status_code == 200
    assert check(gateway, "POST", path, json=chat(INJECTION), headers=user).status_code == 403
    assert check(gateway, "GET", f"{AUTHZ}/v1/models", headers=user).status_code == 200
    assert check(gateway, "GET", path, headers=user).status_code == 403


def test_nothing_counts_that_the_mapping_does_not_name(gateway: httpx2.Client) -> None:
    answer = traefik(gateway, chat("hi"), X_Tenant_ID="mallory", X_PDP_User="admin")
    assert answer.status_code == 200
    facts = recorded(gateway, answer, "acme")
    assert "admin" not in facts
    assert "mallory" not in facts


REFUSED: Final[list[tuple[Any, dict[str, str], str]]] = [
    (None, {}, "MALFORMED_REQUEST"),
    (b"{", {}, "INVALID_ARGUMENT"),
    (b"\xff{}", {}, "MALFORMED_REQUEST"),
    (CHAT, {"user": ""}, "INVALID_ARGUMENT"),
    (CHAT, {"user": "alice, bob"}, "INVALID_ARGUMENT"),
    (CHAT, {"uri": "/v2/chat"}, "ACCESS_DENIED"),
    (CHAT, {"uri": "/v1/chat/completions/"}, "ACCESS_DENIED"),
    (CHAT, {"uri": "/v1/models/../chat/completions"}, "INVALID_ARGUMENT"),
    (CHAT, {"uri": "//v1/chat/completions"}, "INVALID_ARGUMENT"),
    (CHAT, {"uri": "https://evil/v1/chat"}, "INVALID_ARGUMENT"),
    (CHAT, {"uri": ""}, "INVALID_ARGUMENT"),
    (CHAT, {"method": "post"}, "ACCESS_DENIED"),
    (CHAT, {"method": ""}, "INVALID_ARGUMENT"),
    (CHAT, {"Content_Encoding": "gzip"}, "INVALID_ARGUMENT"),
    (CHAT, {"X_Envoy_Auth_Partial_Body": "true"}, "INVALID_ARGUMENT"),
    (["not", "a", "chat"], {}, "INVALID_ARGUMENT"),
]


@pytest.mark.parametrize(("body", "changes", "reason"), REFUSED)
def test_what_the_mapping_does_not_understand_is_a_denial(
    gateway: httpx2.Client, body: Any, changes: dict[str, str], reason: str
) -> None:
    answer = traefik(gateway, body, **changes)
    assert (answer.status_code, answer.headers["x-pdp-reason"]) == (403, reason), answer.text


def test_a_root_path_is_a_request_too(gateway: httpx2.Client) -> None:
    """A client cannot describe its own request by asking for the root."""
    headers = {"X-PDP-User": "alice", "X-Auth-User": "alice"}
    assert check(gateway, "GET", f"{AUTHZ}/", headers=headers).status_code == 403


def test_a_check_with_headers_still_works(gateway: httpx2.Client) -> None:
    assert by_headers(gateway, User="alice").status_code == 200


def test_a_model_that_is_off_is_403_with_a_hint(mapped: servers.Server) -> None:
    """A 503 would be an outage for the gateway."""
    with mapped.client(tenant="acme") as client:
        client.post(f"{PROVIDERS}/google/disable", json={"reason": "maintenance"})
        answer = by_headers(client, Provider="google", Model="gemini-2.5-pro")
        client.post(f"{PROVIDERS}/google/enable")
    assert (answer.status_code, answer.headers["x-pdp-outcome"]) == (403, "BLOCK")
    assert answer.headers["x-pdp-status-hint"] == "503"


def test_a_mapping_with_a_fault_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "adapters.yaml"
    file.write_text("version: 1\nroutes:\n  - name: a\n    mtach: {}\n")
    with pytest.raises(servers.ServerEnded) as caught:
        servers.start(tmp_path / "data", PDP_ADAPTERS_FILE=str(file))
    assert "PDP_ADAPTERS_FILE" in str(caught.value)
    assert "line 4: routes[0].mtach: is unknown; did you mean match?" in str(caught.value)


# --- access


OWN: Final = "own-tenant"
OTHER: Final = "other-tenant"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("secured")) as opened:
        yield opened


@pytest.mark.parametrize("path", [AUTHZ, f"{AUTHZ}/v1/chat"])
@pytest.mark.parametrize("method", METHODS)
def test_the_credential_comes_first(secured: AuthenticatedServer, method: str, path: str) -> None:
    """Before the body, its type and its size; 401 is only for it."""
    for key in ("", "aa_live_wrong"):
        headers = {"X-API-Key": key} if key else {}
        answer = secured.request(method, path, content=b"\xff", headers=headers)
        assert (answer.status_code, answer.headers["x-pdp-reason"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("tenant", [OWN, OTHER, ""])
@pytest.mark.parametrize("bound_to", [OWN, "*"])
@pytest.mark.parametrize("role", ROLES)
def test_checks_need_the_right_role_and_tenant(
    secured: AuthenticatedServer, role: str, bound_to: str, tenant: str
) -> None:
    key = secured.key(role, bound_to)
    answer = secured.request("GET", AUTHZ, key, tenant, headers={"X-PDP-User": "alice"})
    reason = answer.headers.get("x-pdp-reason", "OK")
    if role not in PEP_ROLES:
        assert (answer.status_code, reason) == (403, "ACCESS_DENIED")
    elif tenant == OTHER and bound_to != "*":
        assert (answer.status_code, reason) == (403, "TENANT_MISMATCH")
    else:
        assert (answer.status_code, reason) == (200, "OK")
    body = secured.request("POST", AUTHZ, key, json={"tenant_id": OTHER})
    assert (body.status_code == 200) is (role in PEP_ROLES and bound_to == "*")


def test_the_rate_of_the_gateway_is_429(tmp_path: Path) -> None:
    rates = {"PDP_RATE_PER_S": "0.001", "PDP_RATE_BURST": "2"}
    with authenticated_server(tmp_path, **rates) as opened:
        key = opened.key("pep", OWN)
        headers = {"X-PDP-User": "alice"}
        answers = [opened.request("GET", AUTHZ, key, headers=headers) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[-1].headers["x-pdp-reason"] == "RATE_LIMITED"
    assert int(answers[-1].headers["retry-after"]) > 0
