"""agentgateway over HTTP and gRPC: no answer lets through what is not understood."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp._gen.agentgateway import ext_mcp_pb2 as ext
from pdp.domain.access import ROLES
from tests.support import servers
from tests.support.adapter_calls import ext_mcp
from tests.support.agentgateway import MASK, PASS, REJECT, raw_reading_of, reading_of
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.grpc_fronts import FRONTS
from tests.support.rest.limits import make
from tests.unit.test_agentgateway_messages import MALFORMED as MALFORMED_JSON
from tests.unit.test_agentgateway_webhook import MALFORMED as MALFORMED_PROMPTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2
    from google.protobuf.message import Message

    from tests.support.servers import Server

REQUEST: Final = "/v1/agentgateway/request"
RESPONSE: Final = "/v1/agentgateway/response"
CARD: Final = "4111 1111 1111 1111"
DROP: Final = "SELECT 1; DROP TABLE users;"
PEP_ROLES: Final = {"pep", "editor", "admin", "follower"}
Code = ext.AuthorizationError


def prompt(*contents: Any) -> dict[str, Any]:
    """Returns a message about a request."""
    return {"body": {"messages": [{"role": "user", "content": each} for each in contents]}}


def answer_text(text: str) -> dict[str, Any]:
    """Returns a message about an answer."""
    return {"body": {"choices": [{"message": {"role": "assistant", "content": text}}]}}


class TestWebhook:
    def test_a_harmless_prompt_passes(self, client: httpx2.Client) -> None:
        answer = client.post(REQUEST, json=prompt("hello")).json()
        assert reading_of(answer) == PASS
        assert answer["action"]["reason"].startswith("decision ")

    def test_texts_are_masked(self, client: httpx2.Client) -> None:
        answer = client.post(REQUEST, json=prompt("hello", f"card {CARD}")).json()
        assert reading_of(answer) == MASK
        messages = answer["action"]["body"]["messages"]
        assert [each["content"] for each in messages] == ["hello", "card [REDACTED]"]
        headers = {"X-PDP-Mask-Responses": "true"}
        answer = client.post(RESPONSE, json=answer_text(f"card {CARD}"), headers=headers).json()
        assert reading_of(answer) == MASK
        (choice,) = answer["action"]["body"]["choices"]
        assert choice["message"] == {"role": "assistant", "content": "card [REDACTED]"}

    def test_a_large_prompt_is_masked_too(self, client: httpx2.Client) -> None:
        answer = client.post(REQUEST, json=prompt(f"{'word ' * 20_000}{CARD}")).json()
        assert reading_of(answer) == MASK
        (message,) = answer["action"]["body"]["messages"]
        assert message["content"].endswith("word [REDACTED]")

    @pytest.mark.parametrize("headers", [{}, {"X-PDP-Mask-Responses": "false"}], ids=str)
    def test_an_answer_that_may_be_a_stream_is_not_masked(
        self, client: httpx2.Client, headers: dict[str, str]
    ) -> None:
        """The gateway would send a piece of a stream as it is."""
        answer = client.post(RESPONSE, json=answer_text(f"card {CARD}"), headers=headers).json()
        assert reading_of(answer) == REJECT

    @pytest.mark.parametrize(
        "contents",
        [
            [[{"type": "text", "text": f"card {CARD}"}]],
            [f"card {CARD}", [{"type": "text", "text": "hello"}]],
            [f"card {CARD}", None],
        ],
        ids=["in an array", "beside an array", "beside null"],
    )
    def test_a_mask_that_the_gateway_could_not_read_is_a_rejection(
        self, client: httpx2.Client, contents: list[Any]
    ) -> None:
        answer = client.post(REQUEST, json=prompt(*contents)).json()
        assert reading_of(answer) == REJECT
        assert CARD not in json.dumps(answer)

    def test_arrays_are_judged(self, client: httpx2.Client, blocked: str) -> None:
        parts = [{"type": "text", "text": "hello"}, {"type": "text", "text": "our rival"}]
        assert reading_of(client.post(REQUEST, json=prompt(parts[:1])).json()) == PASS
        assert reading_of(client.post(REQUEST, json=prompt(parts)).json()) == REJECT

    @pytest.mark.parametrize("path", [REQUEST, RESPONSE])
    def test_a_rejection_has_the_reason_for_the_client(
        self, client: httpx2.Client, blocked: str, path: str
    ) -> None:
        body = prompt("our rival") if path == REQUEST else answer_text("our rival")
        answer = client.post(path, json=body).json()
        assert reading_of(answer) == REJECT
        assert answer["action"]["status_code"] == 403
        error = json.loads(answer["action"]["body"])["error"]
        assert error["message"] == "No!"
        assert error["decision_id"] in answer["action"]["reason"]

    @pytest.mark.usefixtures("same_day")
    def test_headers_say_who_asks(self, client: httpx2.Client) -> None:
        make(client, daily_request_limit=1)
        readings = []
        for user in ("u1", "u1", "u2"):
            headers = {"X-PDP-User": user}
            answer = client.post(REQUEST, json=prompt("hello"), headers=headers).json()
            readings.append((reading_of(answer), answer["action"].get("status_code")))
        assert readings == [(PASS, None), (REJECT, 429), (PASS, None)]

    @pytest.mark.parametrize(
        ("history", "reading"), [("", REJECT), ("all", REJECT), ("latest", MASK), ("no", REJECT)]
    )
    def test_earlier_messages_may_be_replaced(
        self, client: httpx2.Client, blocked: str, history: str, reading: str
    ) -> None:
        roles = {"our rival": "user", "no": "assistant", "hello": "user"}
        messages = [{"role": role, "content": text} for text, role in roles.items()]
        headers = {"X-PDP-History": history} if history else {}
        answer = client.post(REQUEST, json={"body": {"messages": messages}}, headers=headers)
        assert reading_of(answer.json()) == reading
        if reading == MASK:
            masked = answer.json()["action"]["body"]["messages"]
            assert [each["content"] for each in masked] == ["[BLOCKED]", "no", "hello"]

    @pytest.mark.parametrize("body", MALFORMED_PROMPTS.values(), ids=MALFORMED_PROMPTS)
    def test_a_malformed_message_is_rejected(self, client: httpx2.Client, body: bytes) -> None:
        headers = {"content-type": "application/json"}
        answer = client.post(REQUEST, content=body, headers=headers)
        assert answer.status_code == 400
        assert reading_of(answer.json()) == REJECT

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"content-type": "text/plain"}, 415),
            ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
            ({"content-type": "application/json", "x-pdp-usr": "u1"}, 400),
            ({"content-type": "application/json", "x-pdp-mask-responses": "yes"}, 400),
        ],
        ids=["text", "gzip", "unknown header", "unknown value"],
    )
    def test_headers_that_cannot_be_read_are_rejected(
        self, client: httpx2.Client, headers: dict[str, str], status: int
    ) -> None:
        answer = client.post(REQUEST, content=json.dumps(prompt("hello")), headers=headers)
        assert answer.status_code == status
        assert reading_of(answer.json()) == REJECT


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
MESSAGE: Final = st.fixed_dictionaries(
    {}, optional={"role": st.just("user") | JSON, "content": st.text(max_size=40) | JSON}
)
PROMPTS: Final = st.fixed_dictionaries(
    {},
    optional={
        "body": st.fixed_dictionaries(
            {},
            optional={
                "messages": st.lists(MESSAGE, max_size=3) | JSON,
                "choices": st.lists(st.fixed_dictionaries({"message": MESSAGE}), max_size=3) | JSON,
            },
        )
        | JSON,
        "messages": JSON,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(message=PROMPTS | JSON, path=st.sampled_from([REQUEST, RESPONSE]))
def test_any_prompt_is_decided_or_rejected(client: httpx2.Client, message: Any, path: str) -> None:
    answer = client.post(path, json=message)
    reading = reading_of(answer.json())
    assert reading in {PASS, MASK, REJECT}
    body = message.get("body") if isinstance(message, dict) else None
    name = "messages" if path == REQUEST else "choices"
    if not isinstance(body, dict) or not isinstance(body.get(name), list):
        assert reading == REJECT
        assert raw_reading_of(answer.json()) != PASS


@pytest.fixture(scope="module", params=FRONTS)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server for each gRPC front."""
    with servers.start(
        tmp_path_factory.mktemp(request.param), PDP_GRPC_SERVER=request.param
    ) as one:
        yield one


@pytest.fixture(scope="module")
def front_channel(front: Server) -> Iterator[grpc.Channel]:
    """A channel to it."""
    with grpc.insecure_channel(front.grpc_address) as channel:
        yield channel


@pytest.fixture
def admin(front: Server, tenant: str) -> Iterator[httpx2.Client]:
    """An HTTP client of the server for a new tenant."""
    with front.client(tenant) as opened:
        yield opened


def tool_call(tool: str, *, server: str = "db", **arguments: Any) -> ext.McpRequest:
    """Returns a message about a call of a tool."""
    params = json.dumps({"name": tool, "arguments": arguments})
    return ext.McpRequest(service_names=[server], method="tools/call", mcp_request=params.encode())


def result_of(method: str, **result: Any) -> ext.McpResponse:
    """Returns a message about a result."""
    return ext.McpResponse(
        service_names=["db"], method=method, mcp_response=json.dumps(result).encode()
    )


def text_result(text: str) -> ext.McpResponse:
    """Returns a message about the result of a tool."""
    return result_of("tools/call", content=[{"type": "text", "text": text}])


def kind(answer: Any) -> str:
    """Returns what an answer is: pass, mutated or error."""
    return str(answer.WhichOneof("result"))


class TestExtMcp:
    def test_a_harmless_call_passes(self, front_channel: grpc.Channel, tenant: str) -> None:
        answer = ext_mcp(front_channel, tool_call("note", text="hello"), x_tenant_id=tenant)
        assert kind(answer) == "pass"
        assert answer.metadata.fields["pdp_decision_id"].string_value
        assert kind(ext_mcp(front_channel, text_result("hello"), x_tenant_id=tenant)) == "pass"

    def test_arguments_are_redacted_and_all_else_stays(
        self, front_channel: grpc.Channel, tenant: str
    ) -> None:
        params = f'{{"name":"note",  "arguments":{{"n":1.0,"text":"{CARD}"}}}}'
        message = ext.McpRequest(
            service_names=["db"], method="tools/call", mcp_request=params.encode()
        )
        answer = ext_mcp(front_channel, message, x_tenant_id=tenant)
        assert answer.mutated.decode() == params.replace(CARD, "[REDACTED]")

    def test_results_are_redacted(self, front_channel: grpc.Channel, tenant: str) -> None:
        answer = ext_mcp(front_channel, text_result(f"card {CARD}"), x_tenant_id=tenant)
        assert json.loads(answer.mutated)["content"][0]["text"] == "card [REDACTED]"

    def test_a_refusal_has_the_reason_and_the_decision(
        self, front_channel: grpc.Channel, tenant: str
    ) -> None:
        answer = ext_mcp(front_channel, tool_call("run_sql", q=DROP), x_tenant_id=tenant)
        assert answer.error.code == Code.PERMISSION_DENIED
        assert "STATIC_POLICY_BLOCK, decision " in answer.error.reason

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("prompts/get", {"name": "p", "arguments": {"text": CARD}}),
            ("resources/read", {"uri": f"file:///{CARD}"}),
            ("completion/complete", {"argument": {"name": "a", "value": CARD}}),
            ("vendor/own", {"text": CARD}),
        ],
    )
    def test_all_methods_are_judged(
        self, front_channel: grpc.Channel, tenant: str, method: str, params: dict[str, Any]
    ) -> None:
        message = ext.McpRequest(
            service_names=["db"], method=method, mcp_request=json.dumps(params).encode()
        )
        answer = ext_mcp(front_channel, message, x_tenant_id=tenant)
        assert kind(answer) == "mutated"
        assert CARD not in answer.mutated.decode()

    @pytest.mark.usefixtures("same_day")
    def test_metadata_says_who_asks(
        self, front_channel: grpc.Channel, admin: httpx2.Client, tenant: str
    ) -> None:
        make(admin, daily_request_limit=1)
        message = tool_call("note", text="hello")
        message.metadata_context["tenant"] = tenant
        message.metadata_context["user"] = "u1"
        assert kind(ext_mcp(front_channel, message)) == "pass"
        assert ext_mcp(front_channel, message).error.code == Code.RESOURCE_EXHAUSTED
        message.metadata_context["user"] = "u2"
        assert kind(ext_mcp(front_channel, message)) == "pass"

    def test_a_list_has_only_the_tools_that_the_caller_may_use(
        self, front_channel: grpc.Channel, admin: httpx2.Client, tenant: str
    ) -> None:
        policies = {"allowed_tools": ["select"]}
        posted = admin.post("/policies/c1", json=policies)
        assert posted.is_success, posted.text
        tools: list[Any] = [{"name": name, "inputSchema": {}} for name in ("drop_table", "select")]
        message = result_of("tools/list", tools=tools, ttlMs=5, nextCursor="n")
        message.metadata_context["customer"] = "c1"
        answer = ext_mcp(front_channel, message, x_tenant_id=tenant)
        assert kind(answer) == "mutated", answer
        assert json.loads(answer.mutated) == {
            "tools": tools[1:],
            "ttlMs": 5,
            "nextCursor": "n",
            "cacheScope": "private",
        }

    @pytest.mark.usefixtures("same_day")
    def test_lists_do_not_count(
        self, front_channel: grpc.Channel, admin: httpx2.Client, tenant: str
    ) -> None:
        make(admin, daily_request_limit=1)
        message = result_of("tools/list", tools=[{"name": "select", "inputSchema": {}}])
        message.metadata_context["user"] = "u1"
        for _ in range(3):
            assert kind(ext_mcp(front_channel, message, x_tenant_id=tenant)) == "pass"
        used = tool_call("select")
        used.metadata_context["user"] = "u1"
        assert kind(ext_mcp(front_channel, used, x_tenant_id=tenant)) == "pass"
        assert kind(ext_mcp(front_channel, used, x_tenant_id=tenant)) == "error"
        assert kind(ext_mcp(front_channel, message, x_tenant_id=tenant)) == "pass"

    @pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/list"])
    def test_lists_are_redacted(
        self, front_channel: grpc.Channel, tenant: str, method: str
    ) -> None:
        name = method.partition("/")[0]
        item = {"name": "a", "uri": "file:///a", "description": CARD, "inputSchema": {}}
        answer = ext_mcp(front_channel, result_of(method, **{name: [item]}), x_tenant_id=tenant)
        assert json.loads(answer.mutated)[name][0]["description"] == "[REDACTED]"

    def test_large_messages_are_redacted_too(
        self, front_channel: grpc.Channel, tenant: str
    ) -> None:
        text = f"{'word ' * 20_000}{CARD}"
        for message in (tool_call("note", text=text), text_result(text)):
            answer = ext_mcp(front_channel, message, x_tenant_id=tenant)
            assert answer.mutated.decode().count("[REDACTED]") == 1
            assert CARD not in answer.mutated.decode()

    @pytest.mark.parametrize("raw", MALFORMED_JSON.values(), ids=MALFORMED_JSON)
    def test_malformed_messages_are_errors(
        self, front_channel: grpc.Channel, tenant: str, raw: bytes
    ) -> None:
        for method in ("tools/call", "tools/list"):
            request = ext.McpRequest(service_names=["db"], method=method, mcp_request=raw)
            response = ext.McpResponse(service_names=["db"], method=method, mcp_response=raw)
            for message in (request, response):
                answer = ext_mcp(front_channel, message, x_tenant_id=tenant)
                assert answer.error.code == Code.INVALID

    @pytest.mark.parametrize(
        "message",
        [
            ext.McpRequest(service_names=["db"], mcp_request=b"{}"),
            ext.McpRequest(service_names=["db"], method="tools/call", mcp_request=b"{}"),
            ext.McpRequest(service_names=["s" * 257], method="ping", mcp_request=b"{}"),
            ext.McpResponse(service_names=["db"], method="tools/list", mcp_response=b"{}"),
            ext.McpResponse(method="tools/list", mcp_response=b'{"tools":[{"name":1}]}'),
        ],
        ids=["no method", "no tool", "long server", "no tools", "a tool without a name"],
    )
    def test_messages_that_make_no_sense_are_errors(
        self, front_channel: grpc.Channel, tenant: str, message: Message
    ) -> None:
        answer = ext_mcp(front_channel, message, x_tenant_id=tenant)
        assert answer.error.code == Code.INVALID


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    method=st.sampled_from(["tools/call", "tools/list", "prompts/get", "x/list"])
    | st.text(max_size=10),
    value=st.fixed_dictionaries(
        {},
        optional={
            "name": st.just("note") | JSON,
            "arguments": st.dictionaries(st.text(max_size=5), JSON, max_size=2) | JSON,
            "tools": st.lists(st.fixed_dictionaries({"name": st.text(max_size=5)})) | JSON,
            "content": JSON,
        },
    )
    | JSON,
)
def test_any_message_is_decided_or_refused(
    front_channel: grpc.Channel, tenant: str, method: str, value: Any
) -> None:
    raw = json.dumps(value).encode()
    messages = (
        ext.McpRequest(service_names=["db"], method=method, mcp_request=raw),
        ext.McpResponse(service_names=["db"], method=method, mcp_response=raw),
    )
    for message in messages:
        answer = ext_mcp(front_channel, message, x_tenant_id=tenant)
        assert kind(answer) in {"pass", "mutated", "error"}
        if not isinstance(value, dict):
            assert answer.error.code == Code.INVALID
        if kind(answer) == "mutated":
            assert isinstance(json.loads(answer.mutated), dict)


@pytest.fixture(scope="module")
def required(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("agentgateway")) as opened:
        yield opened


@pytest.fixture(scope="module")
def required_channel(required: AuthenticatedServer) -> Iterator[grpc.Channel]:
    """A channel to it."""
    with grpc.insecure_channel(required.server.grpc_address) as channel:
        yield channel


@pytest.mark.parametrize("path", [REQUEST, RESPONSE])
def test_the_credential_comes_before_the_body_and_its_type(
    required: AuthenticatedServer, path: str
) -> None:
    for headers in ({}, {"content-type": "application/json"}):
        answer = required.request("POST", path, content=b"{", headers=headers)
        assert answer.status_code == 401
        assert reading_of(answer.json()) == REJECT
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", [REQUEST, RESPONSE])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("bound_to", ["own", "*"])
@pytest.mark.parametrize("tenant", ["own", "other", ""])
def test_role_and_tenant_of_the_webhook_are_checked(
    required: AuthenticatedServer, path: str, role: str, bound_to: str, tenant: str
) -> None:
    body = prompt("hello") if path == REQUEST else answer_text("hello")
    answer = required.request("POST", path, required.key(role, bound_to), tenant, json=body)
    if role not in PEP_ROLES or (tenant == "other" and bound_to == "own"):
        assert (answer.status_code, reading_of(answer.json())) == (403, REJECT)
    else:
        assert (answer.status_code, reading_of(answer.json())) == (200, PASS)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("bound_to", ["own", "*"])
@pytest.mark.parametrize(
    ("tenant", "in_metadata"),
    [("own", False), ("other", False), ("", False), ("own", True), ("other", True)],
)
def test_role_and_tenant_of_the_guardrails_are_checked(  # noqa: PLR0917 - the table's columns
    required: AuthenticatedServer,
    required_channel: grpc.Channel,
    role: str,
    bound_to: str,
    tenant: str,
    in_metadata: bool,
) -> None:
    key = required.key(role, bound_to)
    header = "" if in_metadata else tenant
    tools = result_of("tools/list", tools=[])
    for message in (tool_call("note"), text_result("hello"), tools):
        if in_metadata and tenant:
            message.metadata_context["tenant"] = tenant
        try:
            answer = ext_mcp(required_channel, message, x_api_key=key, x_tenant_id=header)
        except grpc.RpcError as error:
            failed: Any = error
            assert failed.code() is grpc.StatusCode.PERMISSION_DENIED
            assert role not in PEP_ROLES or (header == "other" and bound_to == "own")
            continue
        assert role in PEP_ROLES
        if tenant == "other" and bound_to == "own":
            assert answer.error.code == Code.PERMISSION_DENIED
        else:
            assert kind(answer) == "pass"


def test_the_guardrails_need_a_credential(required_channel: grpc.Channel) -> None:
    for message in (tool_call("note"), text_result("hello")):
        with pytest.raises(grpc.RpcError) as raised:
            ext_mcp(required_channel, message, x_tenant_id="own")
        failed: Any = raised.value
        assert failed.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_fault_of_the_engine_is_a_refusal(tmp_path: Path) -> None:
    with (
        servers.start(tmp_path, patch="layer:dlp") as server,
        server.client("acme") as client,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        for path, body in ((REQUEST, prompt("hello")), (RESPONSE, answer_text("hello"))):
            assert reading_of(client.post(path, json=body).json()) == REJECT
        for message in (tool_call("note"), text_result("hello")):
            assert kind(ext_mcp(channel, message, x_tenant_id="acme")) == "error"
        tools = result_of("tools/list", tools=[{"name": "note"}])
        assert kind(ext_mcp(channel, tools, x_tenant_id="acme")) == "error"
