"""Webhooks that a mapping file describes: `POST /v1/hooks/{name}`, with the files of the page."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.domain.access import ROLES
from tests.support import servers
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.doc_blocks import blocks_of
from tests.support.rest.limits import PATH as LIMITS
from tests.support.rest.packs import ok_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

PAGE: Final = "integrations/webhooks.md"
HOOKS: Final = "/v1/hooks"
PEP_ROLES: Final = {"pep", "editor", "admin", "follower"}
CARD: Final = "my card is 4111 1111 1111 1111"
INJECTION: Final = "SELECT name FROM users UNION SELECT password FROM users"

OWN: Final = """
text:
  direction: input
  text: /a/0
  context:
    user: [{body: /user}, {header: x-user, required: true}]
    groups: {body: /groups}
  answers:
    allow: {status: 200, body: {pass: true}}
    deny:
      status: 406
      body: {pass: false, why: $reason_code, id: $decision_id, hint: $status_hint}
    redact: {status: 200, body: {pass: true, text: $redacted, price: $$5}}
string:
  direction: input
  payload: {body: /raw, format: openai.chat_completions}
  answers:
    allow: {status: 200, body: ok}
    deny: {status: 200, body: denied}
    redact: {status: 200, body: {raw: $redacted}}
whole:
  direction: input
  payload: {body: "", format: json, history: latest}
  answers:
    allow: {status: 204, body: null}
    deny: {status: 403, body: [$outcome, $message]}
"""
"""Webhooks beside those of the page."""


def mapping_file() -> str:
    """Returns a mapping file with all webhooks of the page and those of this test."""
    hooks = yaml.safe_load(OWN)
    for code in blocks_of(PAGE, "yaml", "hooks:"):
        hooks |= yaml.safe_load(code)["hooks"]
    return yaml.safe_dump({"version": 1, "hooks": hooks})


@pytest.fixture(scope="module")
def hook_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A server with these webhooks."""
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "adapters.yaml").write_text(mapping_file())
    with servers.start(folder / "data", PDP_ADAPTERS_FILE=str(folder / "adapters.yaml")) as server:
        yield server


@pytest.fixture
def gateway(hook_server: servers.Server, tenant: str) -> Iterator[httpx2.Client]:
    """A client of that server, for a new tenant."""
    with hook_server.client(tenant) as opened:
        yield opened


def call(client: httpx2.Client, name: str, body: Any, **headers: str) -> tuple[int, Any]:
    """Returns the status and the JSON of the answer of a webhook."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    typed = {"Content-Type": "application/json", **headers}
    answer = client.post(f"{HOOKS}/{name}", content=content, headers=typed)
    return answer.status_code, answer.json() if answer.content else None


def chat(text: str) -> dict[str, Any]:
    """Returns a chat completion request, with a number that few encoders can hold."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return {"model": "gpt-4o-mini", "messages": messages, "seed": 10**40 + 1, "top_p": 1.0}


def completion(text: str) -> dict[str, Any]:
    """Returns a chat completion."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1741592910,
        "model": "gpt-4o-mini",
        "choices": [choice],
    }


def redacted(document: dict[str, Any]) -> Any:
    """Returns a document as it must be after the redaction of the card number."""
    return json.loads(json.dumps(document).replace("4111 1111 1111 1111", "[REDACTED]"))


# --- Portkey


def portkey(request: str, response: str = "") -> dict[str, Any]:
    """Returns what Portkey sends before a request, or after it if there is a response."""
    return {
        "request": {
            "json": chat(request),
            "text": request,
            "isStreamingRequest": False,
            "isTransformed": False,
        },
        "response": {
            "json": completion(response) if response else {},
            "text": response,
            "statusCode": 200 if response else None,
            "isTransformed": False,
        },
        "provider": "openai",
        "requestType": "chatComplete",
        "metadata": {"_user": "visarg123"},
        "eventType": "afterRequestHook" if response else "beforeRequestHook",
    }


def test_portkey_before_a_request(gateway: httpx2.Client) -> None:
    assert call(gateway, "portkey-request", portkey("hi")) == (200, {"verdict": True})
    status, answer = call(gateway, "portkey-request", portkey(INJECTION))
    assert (status, answer["verdict"]) == (200, False)
    assert answer["data"]["code"] == "STATIC_POLICY_BLOCK"
    assert answer["data"]["reason"]
    assert answer["data"]["decision_id"]
    assert call(gateway, "portkey-request", portkey(CARD)) == (
        200,
        {"verdict": True, "transformedData": {"request": {"json": redacted(chat(CARD))}}},
    )


def test_portkey_after_a_request(gateway: httpx2.Client) -> None:
    assert call(gateway, "portkey-response", portkey("hi", "hello")) == (200, {"verdict": True})
    assert call(gateway, "portkey-response", portkey("hi", CARD)) == (
        200,
        {"verdict": True, "transformedData": {"response": {"json": redacted(completion(CARD))}}},
    )


def test_the_user_of_portkey_counts(gateway: httpx2.Client) -> None:
    bound = {"scope": "user", "subject_id": "visarg123", "daily_request_limit": 0}
    assert gateway.post(LIMITS, json=bound).status_code == 201
    status, answer = call(gateway, "portkey-request", portkey("hi"))
    assert (status, answer["verdict"]) == (200, False)
    assert answer["data"]["code"] == "LIMIT_EXCEEDED"
    other = {**portkey("hi"), "metadata": {}}
    assert call(gateway, "portkey-request", other) == (200, {"verdict": True})


# --- Aperture


def aperture(text: str, **changes: Any) -> dict[str, Any]:
    """Returns what Aperture sends before a request, with `request_body` in the grant."""
    messages = [{"role": "user", "content": text}]
    body = {"model": "claude-sonnet-4-20250514", "max_tokens": 4096, "messages": messages}
    metadata = {
        "login_name": "alice@example.com",
        "user_agent": "claude-code/1.0",
        "url": "https://aperture.tail1234.ts.net/v1/messages",
        "model": "claude-sonnet-4-20250514",
        "provider": "anthropic",
        "tailnet_name": "example.ts.net",
        "stable_node_id": "nSTABLE123",
        "request_id": "req_abc123",
        "session_id": "sess_xyz789",
        **changes,
    }
    return {"metadata": metadata, "request_body": body}


def test_aperture_allows_blocks_and_modifies(gateway: httpx2.Client) -> None:
    assert call(gateway, "aperture", aperture("hi")) == (200, {"action": "allow"})
    status, answer = call(gateway, "aperture", aperture(INJECTION))
    assert (status, answer["action"], answer["status_code"]) == (200, "block", 403)
    assert answer["message"]
    assert call(gateway, "aperture", aperture(CARD)) == (
        200,
        {"action": "modify", "request_body": redacted(aperture(CARD)["request_body"])},
    )


def test_a_required_fact_that_is_not_there_is_a_denial(gateway: httpx2.Client) -> None:
    status, answer = call(gateway, "aperture", aperture("hi", login_name=""))
    assert (status, answer["action"], answer["status_code"]) == (400, "block", 400)
    assert "context.user" in answer["message"]


# --- Kong


def test_kong_blocks_requests_and_responses(gateway: httpx2.Client) -> None:
    for source in ("INPUT", "OUTPUT"):
        body = {"source": source, "content": "hello"}
        assert call(gateway, "kong", body) == (200, {"block": False, "block_message": ""})
    status, answer = call(gateway, "kong", {"source": "INPUT", "content": INJECTION})
    assert (status, answer["block"]) == (200, True)
    assert answer["block_message"]


def test_a_redaction_is_a_denial_if_the_gateway_cannot_redact(gateway: httpx2.Client) -> None:
    status, answer = call(gateway, "kong", {"source": "INPUT", "content": CARD})
    assert (status, answer["block"]) == (200, True)


def test_the_direction_comes_from_the_body(gateway: httpx2.Client) -> None:
    ok_json(gateway.put("/v1/org/policy", json={"logging_level": "full"}))
    for source, direction in (("INPUT", "input"), ("OUTPUT", "output")):
        _, answer = call(gateway, "kong", {"source": source, "content": CARD})
        path = f"/api/admin/audit/records/{answer['decision_id']}"
        assert ok_json(gateway.get(path))["direction"] == direction
    for other in ("BOTH", "", None, 7, ["INPUT"]):
        status, answer = call(gateway, "kong", {"source": other, "content": "hello"})
        assert (status, answer["block"]) == (400, True)
        assert answer["block_message"].startswith("/source: ")


# --- any webhook


def test_a_text_is_denied_redacted_or_let_through(gateway: httpx2.Client) -> None:
    def ask(text: str) -> tuple[int, Any]:
        return call(gateway, "text", {"a": [text], "user": "alice"})

    assert ask("hello") == (200, {"pass": True})
    assert ask("") == (200, {"pass": True})
    assert ask(CARD) == (200, {"pass": True, "text": "my card is [REDACTED]", "price": "$5"})
    status, answer = ask(INJECTION)
    assert (status, answer["pass"], answer["why"]) == (406, False, "STATIC_POLICY_BLOCK")
    assert (bool(answer["id"]), answer["hint"]) == (True, 403)


def test_a_fact_can_come_from_a_header(gateway: httpx2.Client) -> None:
    assert call(gateway, "text", {"a": ["hi"]})[0] == 400
    assert call(gateway, "text", {"a": ["hi"]}, **{"X-User": "bob"}) == (200, {"pass": True})


def test_a_payload_can_be_json_in_a_text(gateway: httpx2.Client) -> None:
    """Then all of its text stays the same but for the redaction."""
    raw = json.dumps(chat(CARD), indent=3)
    assert call(gateway, "string", {"raw": json.dumps(chat("hi"))}) == (200, "ok")
    assert call(gateway, "string", {"raw": raw}) == (
        200,
        {"raw": raw.replace("4111 1111 1111 1111", "[REDACTED]")},
    )
    assert call(gateway, "string", {"raw": json.dumps(chat(INJECTION))}) == (200, "denied")


def test_the_whole_body_can_be_the_payload(gateway: httpx2.Client) -> None:
    assert call(gateway, "whole", {"x": ["hello"]}) == (204, None)
    status, (outcome, message) = call(gateway, "whole", {"x": [INJECTION]})
    assert (status, outcome) == (403, "BLOCK")
    assert message
    assert call(gateway, "whole", {"x": [CARD]})[0] == 403


MALFORMED: Final[list[tuple[str, Any, int]]] = [
    ("text", b"", 400),
    ("text", b"{", 400),
    ("text", b"\xff", 400),
    ("text", b"null", 400),
    ("text", b'{"a": ["x"], "a": ["y"]}', 400),
    ("text", b"[" * 100_000, 400),
    ("text", {}, 400),
    ("text", {"a": []}, 400),
    ("text", {"a": [7]}, 400),
    ("text", {"a": [None]}, 400),
    ("text", b'{"a": ["\\ud800"], "user": "u"}', 400),
    ("text", b'{"a": ["x"], "user": "\\ud800"}', 400),
    ("text", {"a": ["x"], "user": {"id": "u"}}, 400),
    ("text", {"a": ["x"], "user": ["u"]}, 400),
    ("text", {"a": ["x"], "user": True}, 400),
    ("text", {"a": ["x"], "user": "u" * 300}, 400),
    ("text", {"a": ["x"], "user": "u", "groups": [1]}, 400),
    ("text", {"a": ["x" * (1 << 20) + "y"], "user": "u"}, 400),
    ("text", b'{"a": ["' + b"x" * (8 << 20) + b'"]}', 413),
    ("text", b"[" + b"1," * 200_000 + b"1]", 400),
    ("string", {"raw": "{"}, 400),
    ("string", {"raw": 7}, 400),
    ("string", {"raw": {"no": "chat"}}, 400),
    ("whole", b"7", 400),
    ("whole", b'{"x": 1e400}', 400),
]


@pytest.mark.parametrize(("name", "body", "expected"), MALFORMED)
def test_what_is_not_understood_is_the_denial_of_the_hook(
    gateway: httpx2.Client, name: str, body: Any, expected: int
) -> None:
    status, answer = call(gateway, name, body)
    assert status == expected, answer
    if name == "text":
        assert (answer["pass"], answer["id"], answer["hint"]) == (False, "", expected)
        assert answer["why"]
    elif name == "string":
        assert answer == "denied"
    else:
        assert answer[0] == "BLOCK"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"X-Tenant-ID": "no tenant!"}, 400),
    ],
)
def test_wrong_headers_are_the_denial_of_the_hook(
    gateway: httpx2.Client, headers: dict[str, str], expected: int
) -> None:
    status, answer = call(gateway, "text", {"a": ["hi"], "user": "alice"}, **headers)
    assert (status, answer["pass"]) == (expected, False)


@pytest.mark.parametrize("name", ["nothing", "TEXT", "te%78t", "text%2F"])
def test_an_unknown_hook_is_404(gateway: httpx2.Client, name: str) -> None:
    status, answer = call(gateway, name, {"a": ["hi"]})
    assert (status, answer["error"]["code"]) == (404, "ROUTE_NOT_FOUND")
    if name == "nothing":
        assert "it has aperture, kong, " in answer["error"]["message"]


def test_other_methods_and_paths_are_refused(gateway: httpx2.Client) -> None:
    assert gateway.get(f"{HOOKS}/text").status_code == 405
    assert gateway.post(f"{HOOKS}/text/x", json={}).status_code == 404
    assert gateway.post(HOOKS, json={}).status_code == 404


def test_a_large_body_is_judged(gateway: httpx2.Client) -> None:
    """It is read in a thread, so that no other call waits for it."""
    body = {"a": [f"{'word ' * 40_000} {CARD}"], "user": "alice"}
    status, answer = call(gateway, "text", body)
    assert (status, answer["pass"]) == (200, True)
    assert answer["text"].endswith("my card is [REDACTED]")


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
DENIED: Final = {"portkey-request", "portkey-response", "aperture", "kong", "text"}
SAMPLES: Final[list[tuple[str, Any]]] = [
    ("portkey-request", portkey(INJECTION)),
    ("portkey-response", portkey("hi", INJECTION)),
    ("aperture", aperture(INJECTION)),
    ("kong", {"source": "INPUT", "content": INJECTION}),
    ("text", {"a": [INJECTION], "user": "alice"}),
]


def is_pass(status: int, answer: Any) -> bool:
    """Whether one of the gateways would let the request pass."""
    if status not in range(200, 300) or not isinstance(answer, dict):
        return status in range(200, 300)
    return (
        answer.get("verdict") is not False
        and answer.get("action") != "block"
        and answer.get("block") is not True
        and answer.get("pass") is not False
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_message_that_is_changed_anywhere_else_does_not_pass(
    gateway: httpx2.Client, data: st.DataObject
) -> None:
    """The injection in it is found, or the message is not understood."""
    name, body = copy.deepcopy(data.draw(st.sampled_from(SAMPLES)))
    owner, keys = body, []
    while True:
        key = data.draw(st.sampled_from(sorted(owner) if isinstance(owner, dict) else [0]))
        keys.append(key)
        inner = owner[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        owner = inner
    held = json.dumps(owner[keys[-1]])
    owner[keys[-1]] = data.draw(JSON)
    status, answer = call(gateway, name, body)
    assert status < 500
    if INJECTION not in held:
        assert not is_pass(status, answer), (name, keys, body)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(DENIED)), st.binary(max_size=80) | JSON)
def test_anything_else_is_a_denial(gateway: httpx2.Client, name: str, body: Any) -> None:
    status, answer = call(gateway, name, body)
    assert status in range(400, 500)
    assert not is_pass(status, answer)


# --- access


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials, with these webhooks."""
    folder = tmp_path_factory.mktemp("secured_hooks")
    (folder / "adapters.yaml").write_text(mapping_file())
    (folder / "data").mkdir()
    setting = {"PDP_ADAPTERS_FILE": str(folder / "adapters.yaml")}
    with authenticated_server(folder / "data", **setting) as opened:
        yield opened


@pytest.mark.parametrize("name", ["kong", "nothing"])
@pytest.mark.parametrize("content", [b"\xff", b"x" * (9 << 20), b"{}"])
def test_the_credential_comes_first(
    secured: AuthenticatedServer, name: str, content: bytes
) -> None:
    """Before the name, the body, its type and its size."""
    for key in ("", "aa_live_000000000000_wrong"):
        answer = secured.request("POST", f"{HOOKS}/{name}", key, content=content)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        if name == "kong":
            assert answer.json()["block"] is True


@pytest.mark.parametrize("tenant", ["own-tenant", "other-tenant", ""])
@pytest.mark.parametrize("bound_to", ["own-tenant", "*"])
@pytest.mark.parametrize("role", ROLES)
def test_hooks_need_the_right_role_and_tenant(
    secured: AuthenticatedServer, role: str, bound_to: str, tenant: str
) -> None:
    key = secured.key(role, bound_to)
    body = {"source": "INPUT", "content": "hello"}
    answer = secured.request("POST", f"{HOOKS}/kong", key, tenant, json=body)
    is_foreign = tenant == "other-tenant" and bound_to != "*"
    if role not in PEP_ROLES or is_foreign:
        assert (answer.status_code, answer.json()["block"]) == (403, True)
    else:
        assert (answer.status_code, answer.json()["block"]) == (200, False)


# --- the command


def test_check_shows_what_a_file_maps(tmp_path: Path) -> None:
    file = tmp_path / "adapters.yaml"
    file.write_text(blocks_of(PAGE, "yaml", "routes:")[0])
    done = servers.run_pdp("adapters", "check", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("valid\n")
    assert "route chat:" in done.stdout
    as_json = servers.json_output(servers.run_pdp("adapters", "check", str(file), "--json"))
    assert as_json == {"valid": True, "routes": ["chat", "gemini", "health"], "hooks": []}


def test_check_shows_every_fault_with_its_line() -> None:
    text = "version: 1\nhooks:\n  a:\n    direction: in\n    txt: /x\n    answers: {}\n"
    done = servers.run_pdp("adapters", "check", "-", stdin=text)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines() == [
        "pdp: -:4: hooks.a.direction: must be input or output",
        "pdp: -:5: hooks.a.txt: is unknown; did you mean text?",
        'pdp: -:6: hooks.a.answers: has no "allow"; write it',
        'pdp: -:6: hooks.a.answers: has no "deny"; write it',
    ]
    answer = servers.run_pdp("adapters", "check", "-", "--json", stdin=text)
    faults = servers.json_output(answer)["faults"]
    assert [each["line"] for each in faults] == [4, 5, 6, 6]


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    done = servers.run_pdp("adapters", "check", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "cannot be read" in done.stderr


def test_the_schema_is_printed() -> None:
    schema = servers.json_output(servers.run_pdp("adapters", "schema"))
    assert schema["title"] == "Mapping of adapters"


def test_help_teaches_the_file() -> None:
    text = servers.run_pdp("adapters", "check", "--help").stdout
    example = text.partition("A small one:\n")[2].partition("\n\n")[0]
    indent = len(example) - len(example.lstrip())
    file = "\n".join(line[indent:] for line in example.splitlines()) + "\n"
    assert servers.run_pdp("adapters", "check", "-", stdin=file).returncode == 0, file
