"""Approvals and prompts over each adapter: what only it has, its page, and a real Envoy."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from demo.gateway import filter_of
from pdp._gen.agentgateway import ext_mcp_pb2 as ext
from pdp.adapters.envoy.contract import BodyMode
from pdp.adapters.mapping import find_faults
from tests.support import servers
from tests.support.adapter_calls import check, process
from tests.support.approval_gateways import (
    ACTIONS,
    BLOCK,
    ERASE,
    ESCALATION,
    MALFORMED,
    MAPPING,
    PAY,
    PLAIN,
    STOP,
    TOKENS,
    Asker,
    CheckByBody,
    CheckByHeaders,
    ExtAuthz,
    ExtMcp,
    ExtProc,
    LiteLlm,
    approvals_of,
    chat,
    gateway_server,
    of_ann,
    rules,
    told,
    told_by_ext_mcp,
)
from tests.support.approvals import (
    ApprovalTenant,
    approval_of,
    confirmation_of,
    is_blocked,
    new_tenant,
)
from tests.support.authenticated_servers import AuthenticatedServer
from tests.support.doc_blocks import block_of, blocks_of
from tests.support.envoy import (
    body_message,
    check_of,
    header_changes,
    refused,
    request_headers,
)
from tests.support.envoy_gateways import chain, envoy_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    with gateway_server(tmp_path_factory.mktemp("approvals")) as opened:
        yield opened


@pytest.fixture(scope="module")
def channel(server: AuthenticatedServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.server.grpc_address) as opened:
        yield opened


@pytest.fixture
def tenant(server: AuthenticatedServer) -> ApprovalTenant:
    return new_tenant(server, *rules())


# Envoy


@pytest.mark.parametrize("tokens", [None, "", "confirmation"])
def test_envoy_removes_the_header(
    tenant: ApprovalTenant, channel: grpc.Channel, tokens: str | None
) -> None:
    """It may not have shown it to the filter, so it is removed in any case."""
    confirmation, text = tokens, PLAIN
    if tokens:
        confirmation, text = ExtAuthz(tenant, channel).ask(PAY).facts["confirmation"], PAY
    headers = of_ann(confirmation)
    body = json.dumps(chat(text)).encode()
    key = {"x_api_key": tenant.pep}
    checked = check(channel, check_of(body, path="/openai", **headers), **key)
    assert checked.status.code == 0
    assert list(checked.ok_response.headers_to_remove) == [TOKENS]

    if tokens:
        headers["x_pdp_tokens"] = ExtAuthz(tenant, channel).ask(PAY).facts["confirmation"]
    messages = [request_headers(path="/openai", **headers), body_message("request", body)]
    first, second = process(channel, messages, **key)
    assert TOKENS in header_changes(first)[1]
    assert not refused(second)


class TestBothFilters:
    """ext_authz leaves what is used once to ext_proc, if that one follows on the route."""

    @staticmethod
    def filters(tenant: ApprovalTenant, channel: grpc.Channel) -> tuple[ExtAuthz, ExtProc]:
        early, late = ExtAuthz(tenant, channel), ExtProc(tenant, channel)
        early.path = late.path = "/followed"
        return early, late

    def test_an_approval_is_used_by_the_second(
        self, tenant: ApprovalTenant, channel: grpc.Channel
    ) -> None:
        early, late = self.filters(tenant, channel)
        approval_id = early.ask(ERASE).facts["approval_id"]
        assert late.ask(ERASE).facts["approval_id"] == approval_id
        assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
        assert early.ask(ERASE).passed
        assert tenant.approval(approval_id)["state"] == "approved"
        assert late.ask(ERASE).passed
        assert tenant.approval(approval_id)["state"] == "used"
        assert not early.ask(ERASE).passed

    def test_a_confirmation_is_used_by_the_second(
        self, tenant: ApprovalTenant, channel: grpc.Channel
    ) -> None:
        early, late = self.filters(tenant, channel)
        confirmation = early.ask(PAY).facts["confirmation"]
        assert early.ask(PAY, confirmation).passed
        assert late.ask(PAY, confirmation).passed
        assert early.ask(PAY, confirmation).passed
        assert not late.ask(PAY, confirmation).passed
        assert not early.ask(STOP, confirmation).passed
        assert not early.ask(PAY, "x y").passed

    def test_the_first_leaves_the_header_to_the_second(
        self, tenant: ApprovalTenant, channel: grpc.Channel
    ) -> None:
        request = check_of(json.dumps(chat(PLAIN)).encode(), path="/followed", x_user="ann")
        answer = check(channel, request, x_api_key=tenant.pep)
        assert answer.status.code == 0
        assert list(answer.ok_response.headers_to_remove) == []

    def test_what_the_first_has_judged_is_not_asked_again(
        self, tenant: ApprovalTenant, channel: grpc.Channel
    ) -> None:
        """Otherwise the second would need another approval."""
        key = {"x_api_key": tenant.pep}

        def both() -> tuple[Any, list[Any]]:
            checked = check(channel, check_of(path="/action", method="GET", x_user="ann"), **key)
            modes = (BodyMode.NONE, BodyMode.NONE)
            message = request_headers(modes, "/action", "GET", end=True, x_user="ann")
            authz = message.metadata_context.filter_metadata["envoy.filters.http.ext_authz"]
            authz.update(dict(checked.dynamic_metadata))
            return checked, process(channel, [message], **key)

        held, refusals = both()
        assert refused(refusals[0]) == 403
        approval_id = told(held.denied_response.body).facts["approval_id"]
        assert told(refusals[0].immediate_response.body).facts["approval_id"] == approval_id
        assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
        checked, (passed,) = both()
        assert checked.status.code == 0
        assert not refused(passed)
        assert [each["state"] for each in approvals_of(tenant)] == ["used"]


# The others, one by one


def test_a_check_never_shows_the_approval_token(
    tenant: ApprovalTenant, channel: grpc.Channel
) -> None:
    """Its answer may go to the client as it is. The caller of Decide gets the token."""
    gateway = CheckByBody(tenant, channel)
    body = {"content": {"text": ERASE}, "subject": {"user_id": "ann"}}
    answer = gateway.post("/v1/authz", body).json()
    assert "token" not in approval_of(answer)
    assert approval_of(gateway.post("/v1/decide", body).json())["token"]


def test_the_body_of_a_check_may_have_tokens_too(
    tenant: ApprovalTenant, channel: grpc.Channel
) -> None:
    gateway = CheckByBody(tenant, channel)
    body = {"content": {"text": PAY}, "subject": {"user_id": "ann"}}
    confirmation = confirmation_of(gateway.post("/v1/authz", body).json())
    assert gateway.post("/v1/authz", {**body, "tokens": [confirmation]}).status_code == 200
    many = ",".join(f"x.y.{number}" for number in range(8))
    answer = gateway.post("/v1/authz", {**body, "tokens": [confirmation]}, x_pdp_tokens=many)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"


def test_a_check_by_headers_needs_more_than_tokens(
    tenant: ApprovalTenant, channel: grpc.Channel
) -> None:
    answer = CheckByHeaders(tenant, channel).post("/v1/authz", method="GET", x_pdp_tokens="x.y.z")
    assert answer.status_code == 403
    assert "describe the request" in answer.text


def test_a_payload_takes_tokens_in_the_header(
    tenant: ApprovalTenant, channel: grpc.Channel
) -> None:
    """Its caller is an enforcement point: it gets the decision as it is, with the token."""
    gateway = Asker(tenant, channel)
    path, user = "/v1/decide/payload/openai.chat_completions", {"x_pdp_user": "ann"}

    def decide(text: str, tokens: str = "") -> Any:
        answer = gateway.post(path, chat(text), x_pdp_tokens=tokens, **user)
        return answer.json()

    held = approval_of(decide(ERASE))
    assert tenant.answer("approve", held["approval_id"], tenant.bob)[0] == 200
    assert approval_of(decide(ERASE))["approval_state"] == "approved"
    assert is_blocked(decide(f"{ERASE} all", held["token"]), "TOKEN_MISMATCH")
    assert decide(ERASE, held["token"])["outcome"] == "ALLOW"
    assert is_blocked(decide(ERASE, held["token"]), "TOKEN_USED")
    assert decide(PAY, confirmation_of(decide(PAY)))["outcome"] == "ALLOW"
    for value in MALFORMED.values():
        error = decide(PLAIN, value)["error"]
        assert (error["code"], error["details"][0]["field"]) == ("INVALID_ARGUMENT", TOKENS)


@pytest.mark.parametrize(
    "source", ["{header: X-PDP-Tokens}", "{jwt_claim: a, header: x-pdp-tokens}"]
)
def test_tokens_are_no_source_of_a_fact(source: str) -> None:
    mapping = MAPPING.replace("{header: x-user, required: true}", source, 1)
    (fault,) = find_faults(mapping.encode())
    assert fault.path == "routes[0].context.user.header"
    assert find_faults(MAPPING.encode()) == ()


class TestLiteLlm:
    """LiteLLM writes refusals into its log, and passes only configured headers on."""

    def test_a_header_that_was_not_passed_on_is_refused(
        self, tenant: ApprovalTenant, channel: grpc.Channel
    ) -> None:
        refusal = LiteLlm(tenant, channel).ask(PLAIN, "[present]")
        assert not refusal.passed
        assert "extra_headers" in refusal.raw

    @pytest.mark.parametrize(
        "headers", [[], "x", {TOKENS: 7}, {TOKENS: "x.y.z", TOKENS.upper(): "x.y.z"}], ids=str
    )
    def test_headers_of_another_form_are_refused(
        self, tenant: ApprovalTenant, channel: grpc.Channel, headers: Any
    ) -> None:
        answer = LiteLlm(tenant, channel).question("request", PLAIN, request_headers=headers)
        assert not answer.passed
        assert "request_headers" in answer.raw

    @pytest.mark.parametrize("confirms", [None, "false", "yes"])
    def test_a_confirmation_is_shown_only_if_it_can_come_back(
        self, tenant: ApprovalTenant, channel: grpc.Channel, confirms: str | None
    ) -> None:
        body = {"input_type": "request", "texts": [PAY], "request_data": {}}
        path = "/beta/litellm_basic_guardrail_api"
        answer = Asker(tenant, channel).post(path, body, x_pdp_confirmations=confirms).json()
        assert answer["action"] == "BLOCKED"
        assert "eyJ" not in answer["blocked_reason"]
        assert ("must be true or false" in answer["blocked_reason"]) == (confirms == "yes")

    def test_each_round_of_a_held_answer_is_decided(
        self, tenant: ApprovalTenant, channel: grpc.Channel
    ) -> None:
        """A client may use the id of a call again, after its answer was approved."""
        litellm = LiteLlm(tenant, channel)
        held = litellm.question("response", ERASE, litellm_call_id="same")
        approval_id = held.facts["approval_id"]
        assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
        assert litellm.question("response", ERASE, litellm_call_id="same").passed
        assert not litellm.question("response", ERASE, litellm_call_id="same").passed


class TestExtMcp:
    """agentgateway's guardrails for MCP."""

    def test_a_list_opens_no_approval_and_has_what_needs_one(
        self, tenant: ApprovalTenant, channel: grpc.Channel
    ) -> None:
        named = ({"actions": ["mcp:db:erase"]}, ESCALATION), ({"actions": ["mcp:db:stop"]}, BLOCK)
        for number, (conditions, action) in enumerate(named, 20):
            rule = {"name": f"tool {number}", "sequence": number, "conditions": conditions}
            tenant.add_rule({**rule, "action": action})
        gateway = ExtMcp(tenant, channel)
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("erase", "stop")]
        answer = gateway.response("tools/list", {"tools": tools})
        assert [each["name"] for each in json.loads(answer.mutated)["tools"]] == ["erase"]
        assert approvals_of(tenant) == []
        call = {"name": "erase", "arguments": {}}
        assert told_by_ext_mcp(gateway.request("tools/call", call)).facts["approval_id"]

    def test_all_but_the_tokens_reaches_the_server(
        self, tenant: ApprovalTenant, channel: grpc.Channel
    ) -> None:
        gateway = ExtMcp(tenant, channel)
        call: dict[str, Any] = {"name": "sql", "arguments": {"query": PAY}, "_meta": {"a": 1.0}}
        confirmation = told_by_ext_mcp(gateway.request("tools/call", call)).facts["confirmation"]
        call["_meta"]["dev.pdp/tokens"] = [confirmation]
        answer = gateway.request("tools/call", call)
        del call["_meta"]["dev.pdp/tokens"]
        assert json.loads(answer.mutated) == call

    @pytest.mark.parametrize("value", ["x.y.z", None, [7], [""], {"a": "x.y.z"}], ids=str)
    def test_what_is_no_list_of_tokens_is_refused(
        self, tenant: ApprovalTenant, channel: grpc.Channel, value: Any
    ) -> None:
        call = {"name": "sql", "arguments": {}, "_meta": {"dev.pdp/tokens": value}}
        answer = ExtMcp(tenant, channel).request("tools/call", call)
        assert answer.error.code == ext.AuthorizationError.INVALID
        assert "dev.pdp/tokens" in answer.error.reason
        assert "x.y.z" not in answer.error.reason


# The pages


def test_the_refusals_on_the_page_of_envoy(tenant: ApprovalTenant, channel: grpc.Channel) -> None:
    for text, member in ((ERASE, '"approval_id"'), (PAY, '"confirmation"')):
        example = json.loads(block_of("integrations/envoy.md", "json", member))
        refusal = json.loads(ExtAuthz(tenant, channel).ask(text).raw)
        assert example["error"].keys() == refusal["error"].keys()
        for name in ("message", "type", "code"):
            assert example["error"][name] == refusal["error"][name]


VARYING: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9-]{10}T[0-9:]{8}Z|eyJ\S+")
"""Ids, times and tokens."""


def test_the_reasons_on_the_page_of_litellm(tenant: ApprovalTenant, channel: grpc.Channel) -> None:
    examples = blocks_of("integrations/litellm.md", "text")
    reasons = [LiteLlm(tenant, channel).ask(text).facts["code"] for text in (ERASE, PAY)]
    assert [VARYING.sub("", each.strip()) for each in examples] == [
        VARYING.sub("", each) for each in reasons
    ]


def test_the_check_on_the_page_of_nginx(tenant: ApprovalTenant, channel: grpc.Channel) -> None:
    code = block_of("integrations/nginx.md", "sh", "X-PDP-Tokens")
    code = code.replace("http://127.0.0.1:8080", tenant.server.server.http_url)
    code = code.replace("aa_live_KEY", tenant.pep)
    gateway = Asker(tenant, channel)
    facts = {"x_pdp_user": "ann", "x_pdp_action": ACTIONS[PAY]}
    asked = gateway.post("/v1/authz", method="GET", **facts)
    confirmation = asked.headers["x-pdp-confirmation"]
    for each, status in (("x.y.z", 403), (confirmation, 200), (confirmation, 403)):
        script = code.replace("CONFIRMATION", each)
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"HTTP/1.1 {status} "), done.stdout


# Real programs between a client and a model


@pytest.mark.programs
@pytest.mark.parametrize("config", ["ext_authz.yaml", "ext_proc.yaml"])
def test_a_real_envoy(tmp_path: Path, config: str) -> None:
    """Its filter asks; the header with the confirmation does not reach the model."""
    envoy_program()
    created = servers.run_pdp(
        *("keys", "create", "--role", "admin", "--tenant", "*"),
        PDP_DATABASE_URL=f"sqlite:///{tmp_path}/pdp/pdp.db",
    )
    assert created.returncode == 0, created.stderr
    admin = created.stdout.splitlines()[-1]

    def add_key(loaded: dict[str, Any]) -> None:
        service = filter_of(loaded, f"envoy.filters.http.{config.removesuffix('.yaml')}")
        metadata = service["grpc_service"].setdefault("initial_metadata", [])
        metadata.append({"key": "x-api-key", "value": admin})

    with ExitStack() as stack, chain(tmp_path, config, add_key, PDP_AUTH="required") as opened:
        pdp = AuthenticatedServer(opened.pdp, admin)
        stack.callback(pdp.close)
        tenant = ApprovalTenant(pdp, "acme", rules("input"))
        held = opened.chat(ERASE)
        assert held.status_code == 403
        approval_id = told(held.text).facts["approval_id"]
        assert not opened.upstream.bodies
        assert tenant.answer("approve", approval_id, tenant.ann)[0] == 403
        assert opened.chat(ERASE).status_code == 403
        assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
        assert opened.chat(f"{ERASE} too").status_code == 403
        assert opened.chat(ERASE).status_code == 200
        assert opened.chat(ERASE).status_code == 403

        confirmation = told(opened.chat(PAY).text).facts["confirmation"]
        before = len(opened.upstream.bodies)
        for tokens, status in (("x y", 400), (confirmation, 200), (confirmation, 403), ("", 403)):
            opened.client.headers[TOKENS] = tokens
            assert opened.chat(PAY).status_code == status
        assert opened.chat(PLAIN).status_code == 200
        assert len(opened.upstream.bodies) == before + 2
        assert not any(TOKENS in each for each in opened.upstream.headers)
