"""Approvals and prompts over the adapters of gateways: what a client sees, and what passes."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import grpc
import pytest
import yaml

from demo.gateway import filter_of
from pdp._gen.agentgateway import ext_mcp_pb2 as ext
from pdp.adapters.envoy.contract import BodyMode
from pdp.adapters.mapping import find_faults
from tests.e2e.test_agentgateway import call as ext_mcp
from tests.e2e.test_envoy_server import check, process
from tests.support import servers
from tests.support.approvals import ApprovalTenant, approval_of, confirmation_of, is_blocked
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.doc_blocks import block_of, blocks_of
from tests.support.envoy import (
    body_message,
    check_of,
    header_changes,
    refused,
    request_headers,
    response_headers,
)
from tests.support.envoy_gateways import chain, envoy_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import httpx2

TOKENS: Final = "x-pdp-tokens"
ERASE: Final = "erase production"
PAY: Final = "wire money"
STOP: Final = "our rival"
PLAIN: Final = "good morning"
CONFIRMATIONS: Final = {"x-pdp-confirmations": "true"}

ESCALATION: Final = {"type": "ESCALATE", "message": "Erasing needs an approval."}
PROMPT: Final = {"type": "PROMPT", "prompt_message": "Wire the money?"}
BLOCK: Final = {"type": "BLOCK", "message": "Not here."}
ACTIONS: Final = {ERASE: "db:prod:erase", PAY: "bank:own:wire", STOP: "rival:all:read"}


def rules(applies_to: str = "both") -> tuple[dict[str, Any], ...]:
    """Returns the rules of a tenant, by text and by action."""
    found: list[dict[str, Any]] = []
    for word, action in ((ERASE, ESCALATION), (PAY, PROMPT), (STOP, BLOCK)):
        for conditions in ({"content_regex": word}, {"actions": [ACTIONS[word]]}):
            rule = {"conditions": conditions, "action": action, "applies_to": applies_to}
            found.append({**rule, "name": f"{word} {len(found)}", "sequence": len(found) + 1})
    return tuple(found)


MAPPING: Final = """
version: 1
routes:
  - name: openai
    match: {path: /openai}
    request_payload: openai.chat_completions
    response_payload: openai.chat_completions
    context: {user: {header: x-user, required: true}}
    refusal: openai
  - name: anthropic
    match: {path: /anthropic}
    request_payload: openai.chat_completions
    response_payload: openai.chat_completions
    context: {user: {header: x-user, required: true}}
    refusal: anthropic
  - name: pdp
    match: {path: /pdp}
    request_payload: openai.chat_completions
    context: {user: {header: x-user, required: true}}
  - name: followed
    match: {path: /followed}
    request_payload: openai.chat_completions
    context: {user: {header: x-user, required: true}}
    ext_proc_follows: true
  - name: action
    match: {path: /action}
    context: {user: {header: x-user, required: true}, action: {value: "db:prod:erase"}}
hooks:
  request:
    direction: input
    text: /text
    context: {user: {body: /user}}
    answers:
      allow: {status: 200, body: {pass: true}}
      deny:
        status: 200
        body:
          pass: false
          code: $reason_code
          message: $message
          approval_id: $approval_id
          approval_state: $approval_state
          confirmation: $confirmation
          expires_at: $expires_at
  response:
    direction: output
    text: /text
    context: {user: {body: /user}}
    answers:
      allow: {status: 200, body: {pass: true}}
      deny:
        status: 200
        body:
          pass: false
          code: $reason_code
          message: $message
          approval_id: $approval_id
          approval_state: $approval_state
          confirmation: $confirmation
          expires_at: $expires_at
"""

_numbers = itertools.count()


class Told(NamedTuple):
    """What a client gets.

    Attributes:
        passed: whether its request passes.
        facts: what a refusal has for it.
        raw: all that it gets.
    """

    passed: bool
    facts: Mapping[str, str]
    raw: str


class Gateway:
    """Asks as a gateway does, for Ann; the client's tokens come as it sends them."""

    def __init__(self, tenant: ApprovalTenant, channel: grpc.Channel) -> None:
        self.tenant = tenant
        self.channel = channel

    def ask(self, text: str, tokens: str | None = None) -> Told:
        """Asks about a request with a text."""
        raise NotImplementedError

    def post(
        self, path: str, body: Any = None, *, method: str = "POST", **headers: str | None
    ) -> httpx2.Response:
        """Sends an HTTP request with the key of the gateway."""
        named = {name.replace("_", "-"): value for name, value in headers.items() if value}
        return self.tenant.server.request(method, path, self.tenant.pep, json=body, headers=named)


FACTS: Final = ("approval_id", "approval_state", "confirmation", "expires_at", "code")


def told(body: str | bytes) -> Told:
    """Returns a refusal in any of the forms of the mapping file."""
    raw = body if isinstance(body, str) else body.decode()
    document = json.loads(raw)
    members = {**document, **document.get("error", {})}
    return Told(False, {name: members[name] for name in FACTS if members.get(name)}, raw)


def chat(text: str) -> dict[str, Any]:
    """Returns a chat request."""
    return {"messages": [{"role": "user", "content": text}]}


def of_ann(tokens: str | None) -> dict[str, Any]:
    """Returns the headers of a request of Ann; `_` in their names stands for `-`."""
    return {"x_user": "ann", **({} if tokens is None else {"x_pdp_tokens": tokens})}


class ExtAuthz(Gateway):
    path = "/openai"

    def ask(self, text: str, tokens: str | None = None) -> Told:
        headers = of_ann(tokens)
        body = json.dumps(chat(text)).encode()
        answer = check(
            self.channel, check_of(body, path=self.path, **headers), x_api_key=self.tenant.pep
        )
        if answer.status.code == 0:
            return Told(True, {}, str(answer))
        return told(answer.denied_response.body)


class ExtProc(Gateway):
    path = "/anthropic"

    def ask(self, text: str, tokens: str | None = None) -> Told:
        headers = of_ann(tokens)
        messages = [
            request_headers(path=self.path, **headers),
            body_message("request", json.dumps(chat(text)).encode()),
        ]
        return passed_by_proc(process(self.channel, messages, x_api_key=self.tenant.pep))


def passed_by_proc(answers: list[Any]) -> Told:
    """Returns what the answers of ext_proc tell a client."""
    if refused(answers[-1]):
        return told(answers[-1].immediate_response.body)
    return Told(True, {}, str(answers))


class LiteLlm(Gateway):
    def ask(self, text: str, tokens: str | None = None) -> Told:
        headers = {} if tokens is None else {"X-PDP-Tokens": tokens, "host": "[present]"}
        return self.question("request", text, request_headers=headers)

    def question(self, input_type: str, text: str, **fields: Any) -> Told:
        """Asks about a request or an answer."""
        body = {
            "input_type": input_type,
            "texts": [text],
            "request_data": {"user_api_key_user_id": "ann"},
            "litellm_call_id": f"call-{next(_numbers)}",
            **fields,
        }
        path = "/beta/litellm_basic_guardrail_api"
        answer = self.post(path, body, x_pdp_confirmations="true")
        assert answer.status_code == 200
        if answer.json()["action"] == "NONE":
            return Told(True, {}, answer.text)
        return Told(False, facts_in(answer.json()["blocked_reason"]), answer.text)


def facts_in(reason: str) -> dict[str, str]:
    """Returns the facts in the sentence that a client of LiteLLM reads."""
    facts = {"code": reason}
    patterns = {
        "approval_id": r"ask for approval (\S+) and send the request again, before",
        "confirmation": r"with the confirmation (\S+) in the header X-PDP-Tokens, before",
        "expires_at": r"before (\S+)$",
    }
    for name, pattern in patterns.items():
        if match := re.search(pattern, reason):
            facts[name] = match[1]
    return facts


class PromptGuard(Gateway):
    def ask(self, text: str, tokens: str | None = None) -> Told:
        body = {"body": chat(text)}
        answer = self.post("/v1/agentgateway/request", body, x_pdp_user="ann", x_pdp_tokens=tokens)
        return passed_by_webhook(answer)


def passed_by_webhook(answer: httpx2.Response) -> Told:
    """Returns what the answer to agentgateway's webhook tells a client."""
    action = answer.json()["action"]
    if "status_code" not in action:
        return Told(True, {}, answer.text)
    facts = told(action["body"]).facts
    if approval := facts.get("approval_id"):
        assert action["reason"].endswith(f"approval {approval} until {facts['expires_at']}")
    assert "eyJ" not in action["reason"]
    return Told(False, facts, answer.text)


class ExtMcp(Gateway):
    def ask(self, text: str, tokens: str | None = None) -> Told:
        params: dict[str, Any] = {"name": "sql", "arguments": {"query": text}}
        if tokens is not None:
            params["_meta"] = {"dev.pdp/tokens": tokens.split(",")}
        answer = self.request("tools/call", params)
        if answer.WhichOneof("result") == "error":
            return told_by_ext_mcp(answer)
        if tokens is None:
            assert answer.WhichOneof("result") == "pass"
        else:
            del params["_meta"]
            assert json.loads(answer.mutated) == params
        return Told(True, {}, str(answer))

    def request(self, method: str, params: Any) -> Any:
        """Asks about a request of a client."""
        message = ext.McpRequest(
            service_names=["db"], method=method, mcp_request=json.dumps(params).encode()
        )
        message.metadata_context.update({"user": "ann"})
        return ext_mcp(self.channel, message, x_api_key=self.tenant.pep)

    def response(self, method: str, result: Any) -> Any:
        """Asks about the result of a server."""
        message = ext.McpResponse(
            service_names=["db"], method=method, mcp_response=json.dumps(result).encode()
        )
        message.metadata_context.update({"user": "ann"})
        return ext_mcp(self.channel, message, x_api_key=self.tenant.pep)


def told_by_ext_mcp(answer: Any) -> Told:
    """Returns a refusal of ExtMcp."""
    facts = json.loads(answer.error.mcp_error or b"{}")
    assert "eyJ" not in answer.error.reason
    if "approval_id" in facts:
        assert f"ask for approval {facts['approval_id']} and call again" in answer.error.reason
    if facts:
        assert answer.error.reason.endswith(f"before {facts['expires_at']}")
    return Told(False, {**facts, "code": answer.error.reason}, str(answer))


class Hook(Gateway):
    name = "request"

    def ask(self, text: str, tokens: str | None = None) -> Told:
        body = {"text": text, "user": "ann"}
        answer = self.post(f"/v1/hooks/{self.name}", body, x_pdp_tokens=tokens)
        document = answer.json()
        return Told(True, {}, answer.text) if document["pass"] else told(answer.text)


class HookOfThePage(Gateway):
    """The webhook that the page shows."""

    def ask(self, text: str, tokens: str | None = None) -> Told:
        body = {"request": chat(text), "user": "ann"}
        answer = self.post("/v1/hooks/with-approvals", body, x_pdp_tokens=tokens)
        document = answer.json()
        if document["allow"]:
            return Told(True, {}, answer.text)
        names = {"approval_id": "approval", "confirmation": "confirmation", "expires_at": "expires"}
        facts = {name: document[own] for name, own in names.items() if document[own]}
        return Told(False, {**facts, "code": document["reason"]}, answer.text)


class MappedCheck(Gateway):
    def ask(self, text: str, tokens: str | None = None) -> Told:
        answer = self.post("/v1/authz/pdp", chat(text), x_user="ann", x_pdp_tokens=tokens)
        by_header = told_by_headers(answer)
        if answer.status_code == 200:
            return by_header
        by_body = told(answer.text)
        if by_body.facts.keys() & {"approval_id", "confirmation"}:
            assert {**by_body.facts} == {**by_header.facts}
        return by_body


def told_by_headers(answer: httpx2.Response) -> Told:
    """Returns what the headers of an HTTP check say."""
    headers = answer.headers
    facts = {
        name: headers[f"x-pdp-{name.replace('_', '-')}"]
        for name in FACTS
        if f"x-pdp-{name.replace('_', '-')}" in headers
    }
    code = {} if answer.status_code == 200 else {"code": headers["x-pdp-reason"]}
    return Told(answer.status_code == 200, {**facts, **code}, f"{dict(headers)}{answer.text}")


class CheckByHeaders(Gateway):
    """Without a text: the action says what is done, and the resource to what."""

    def ask(self, text: str, tokens: str | None = None) -> Told:
        action = next((ACTIONS[word] for word in ACTIONS if word in text), "db:prod:read")
        facts = {"x_pdp_user": "ann", "x_pdp_action": action, "x_pdp_resource_id": quote(text)}
        return told_by_headers(self.post("/v1/authz", method="GET", x_pdp_tokens=tokens, **facts))


class CheckByBody(Gateway):
    def ask(self, text: str, tokens: str | None = None) -> Told:
        body = {"content": {"text": text}, "subject": {"user_id": "ann"}}
        return told_by_headers(self.post("/v1/authz", body, x_pdp_tokens=tokens))


GATEWAYS: Final = (
    ExtAuthz,
    ExtProc,
    LiteLlm,
    PromptGuard,
    ExtMcp,
    Hook,
    HookOfThePage,
    MappedCheck,
    CheckByHeaders,
    CheckByBody,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    folder = tmp_path_factory.mktemp("approvals")
    mapping = yaml.safe_load(MAPPING)
    page = yaml.safe_load(block_of("integrations/webhooks.md", "yaml", "$approval_id"))
    mapping["hooks"] |= page["hooks"]
    (folder / "adapters.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    settings = {"PDP_ADAPTERS_FILE": str(folder / "adapters.yaml")}
    with authenticated_server(folder / "data", **settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def channel(server: AuthenticatedServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.server.grpc_address) as opened:
        yield opened


@pytest.fixture
def tenant(server: AuthenticatedServer) -> ApprovalTenant:
    return ApprovalTenant(server, f"tenant-{next(_numbers)}", rules())


@pytest.fixture(params=GATEWAYS)
def gateway(
    request: pytest.FixtureRequest, tenant: ApprovalTenant, channel: grpc.Channel
) -> Gateway:
    gateway: Gateway = request.param(tenant, channel)
    return gateway


def approvals_of(tenant: ApprovalTenant) -> list[Any]:
    """Returns all approvals of a tenant."""
    answer = tenant.server.request("GET", "/v1/approvals", tenant.bob)
    approvals: list[Any] = answer.json()
    return approvals


def test_what_is_held_passes_once_after_a_second_person_has_approved_it(gateway: Gateway) -> None:
    tenant, text = gateway.tenant, f"{ERASE} 7"
    held = gateway.ask(text)
    assert not held.passed
    approval_id = held.facts["approval_id"]
    assert held.facts.get("approval_state", "pending") == "pending"
    assert held.facts["expires_at"] == tenant.approval(approval_id)["expires_at"]
    assert "eyJ" not in held.raw, "the client gets a token"

    assert gateway.ask(text).facts["approval_id"] == approval_id
    status, refusal = tenant.answer("approve", approval_id, tenant.ann)
    assert (status, refusal["error"]["code"]) == (403, "APPROVAL_REFUSED")
    assert not gateway.ask(text).passed

    assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
    changed = gateway.ask(f"{ERASE} 8")
    assert not changed.passed
    assert changed.facts["approval_id"] != approval_id
    passed = gateway.ask(text)
    assert passed.passed
    assert "eyJ" not in passed.raw
    anew = gateway.ask(text)
    assert not anew.passed
    assert anew.facts["approval_id"] not in {approval_id, changed.facts["approval_id"]}


def test_a_denied_approval_is_a_refusal_like_any_other(gateway: Gateway) -> None:
    tenant, text = gateway.tenant, f"{ERASE} 7"
    approval_id = gateway.ask(text).facts["approval_id"]
    assert tenant.answer("deny", approval_id, tenant.bob)[0] == 200
    for refusal in (gateway.ask(text), gateway.ask(STOP)):
        assert not refusal.passed
        assert refusal.facts.keys() == {"code"}
    assert gateway.ask(PLAIN).passed


def test_a_prompt_passes_once_with_the_confirmation(gateway: Gateway) -> None:
    text = f"{PAY} to Bob"
    asked = gateway.ask(text)
    assert not asked.passed
    assert asked.facts["expires_at"].endswith("Z")
    confirmation = asked.facts["confirmation"]
    assert not gateway.ask(text).passed, "nothing confirms it by itself"
    assert not gateway.ask(f"{PAY} to Eve", confirmation).passed
    assert gateway.ask(text, confirmation).passed
    assert not gateway.ask(text, confirmation).passed
    assert approvals_of(gateway.tenant) == []


MALFORMED: Final = {
    "too many": ",".join(["x.y.z"] * 9),
    "too long": "x" * 8193,
    "no token": "x y z",
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_malformed_tokens_are_refused(gateway: Gateway, value: str) -> None:
    """Also beside a request that needs none; the refusal names the place, and not the value."""
    refusal = gateway.ask(PLAIN, value)
    assert not refusal.passed
    assert "tokens" in refusal.raw.lower()
    assert value[:5] not in refusal.raw.replace("x-pdp", "")
    assert gateway.ask(PLAIN).passed


def test_a_token_that_was_not_given_is_refused(gateway: Gateway) -> None:
    assert not gateway.ask(PLAIN, "x.y.z").passed
    assert gateway.ask(PLAIN).passed


def test_no_token_is_stored_or_logged(
    server: AuthenticatedServer, tenant: ApprovalTenant, channel: grpc.Channel
) -> None:
    confirmations = []
    for each in GATEWAYS:
        gateway = each(tenant, channel)
        confirmations.append(gateway.ask(f"{PAY} over {each.__name__}").facts["confirmation"])
        assert gateway.ask(f"{PAY} over {each.__name__}", confirmations[-1]).passed
    directory = server.server.data_dir
    kept = b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())
    kept += "".join(server.server.lines).encode()
    assert b"CHAIN_PROMPT" in kept
    for confirmation in confirmations:
        head, claims, _ = confirmation.replace("~", ".").split(".")
        assert claims.encode() not in kept
        assert head.encode() not in kept


# Answers of models and tools


def of_answer(name: str, gateway: Gateway, text: str, tokens: str = "") -> Told:
    """Asks about an answer with a text; the client has sent tokens with its request."""
    completion = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
    if name == "ext_proc":
        messages = [
            request_headers(path="/openai", x_user="ann"),
            body_message("request", json.dumps(chat(PLAIN)).encode()),
            response_headers(),
            body_message("response", json.dumps(completion).encode()),
        ]
        return passed_by_proc(process(gateway.channel, messages, x_api_key=gateway.tenant.pep))
    if name == "litellm":
        litellm = LiteLlm(gateway.tenant, gateway.channel)
        headers = {"x-pdp-tokens": tokens} if tokens else None
        return litellm.question("response", text, request_headers=headers)
    if name == "agentgateway":
        body = {"body": {"choices": [{"message": completion["choices"][0]["message"]}]}}
        path, user = "/v1/agentgateway/response", {"x_pdp_user": "ann"}
        return passed_by_webhook(gateway.post(path, body, x_pdp_tokens=tokens, **user))
    if name == "hook":
        hook = Hook(gateway.tenant, gateway.channel)
        hook.name = "response"
        return hook.ask(text, tokens)
    result = {"content": [{"type": "text", "text": text}]}
    answer = ExtMcp(gateway.tenant, gateway.channel).response("tools/call", result)
    is_error = answer.WhichOneof("result") == "error"
    return told_by_ext_mcp(answer) if is_error else Told(True, {}, str(answer))


ANSWERS: Final = ("ext_proc", "litellm", "agentgateway", "hook", "ext_mcp")


@pytest.mark.parametrize("name", ANSWERS)
def test_an_approved_answer_passes_if_it_is_the_same_again(
    tenant: ApprovalTenant, channel: grpc.Channel, name: str
) -> None:
    gateway, text = Gateway(tenant, channel), f"how to {ERASE}"
    approval_id = of_answer(name, gateway, text).facts["approval_id"]
    assert of_answer(name, gateway, text).facts["approval_id"] == approval_id
    assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
    assert not of_answer(name, gateway, f"{text} now").passed
    assert of_answer(name, gateway, text).passed
    assert not of_answer(name, gateway, text).passed


@pytest.mark.parametrize("name", ANSWERS)
def test_a_prompt_about_an_answer_cannot_be_confirmed(
    tenant: ApprovalTenant, channel: grpc.Channel, name: str
) -> None:
    """The client would send the confirmation with its request, which it does not fit."""
    answer = of_answer(name, Gateway(tenant, channel), f"how to {PAY}")
    assert not answer.passed
    assert answer.facts.keys() == {"code"}
    assert "eyJ" not in answer.raw


@pytest.mark.parametrize("name", ["litellm", "agentgateway", "hook"])
def test_the_tokens_of_the_request_do_not_stop_the_answer(
    tenant: ApprovalTenant, channel: grpc.Channel, name: str
) -> None:
    """These gateways send the headers of the request with both questions."""
    kinds = {"litellm": LiteLlm, "agentgateway": PromptGuard, "hook": Hook}
    gateway = kinds[name](tenant, channel)
    confirmation = gateway.ask(PAY).facts["confirmation"]
    assert gateway.ask(PAY, confirmation).passed
    assert of_answer(name, gateway, PLAIN, confirmation).passed


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
    gateway = Gateway(tenant, channel)
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
        answer = Gateway(tenant, channel).post(path, body, x_pdp_confirmations=confirms).json()
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
    gateway = Gateway(tenant, channel)
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
