"""Gateways that ask about requests and answers which must be approved or confirmed."""

from __future__ import annotations

import itertools
import json
import re
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import yaml

from pdp._gen.agentgateway import ext_mcp_pb2 as ext
from tests.support.adapter_calls import check, ext_mcp, process
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.doc_blocks import block_of
from tests.support.envoy import (
    body_message,
    check_of,
    refused,
    request_headers,
    response_headers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import grpc
    import httpx2

    from tests.support.approvals import ApprovalTenant

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


class Asker:
    """Sends what a gateway sends."""

    def __init__(self, tenant: ApprovalTenant, channel: grpc.Channel) -> None:
        self.tenant = tenant
        self.channel = channel

    def post(
        self, path: str, body: Any = None, *, method: str = "POST", **headers: str | None
    ) -> httpx2.Response:
        """Sends an HTTP request with the key of the gateway."""
        named = {name.replace("_", "-"): value for name, value in headers.items() if value}
        return self.tenant.server.request(method, path, self.tenant.pep, json=body, headers=named)


class Gateway(Asker, ABC):
    """Asks as a gateway does, for Ann; the client's tokens come as it sends them."""

    @abstractmethod
    def ask(self, text: str, tokens: str | None = None) -> Told:
        """Asks about a request with a text."""


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


MALFORMED: Final = {
    "too many": ",".join(["x.y.z"] * 9),
    "too long": "x" * 8193,
    "no token": "x y z",
}


def approvals_of(tenant: ApprovalTenant) -> list[Any]:
    """Returns all approvals of a tenant."""
    answer = tenant.server.request("GET", "/v1/approvals", tenant.bob)
    approvals: list[Any] = answer.json()
    return approvals


def of_answer(name: str, gateway: Asker, text: str, tokens: str = "") -> Told:
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


@contextmanager
def gateway_server(folder: Path) -> Iterator[AuthenticatedServer]:
    """Starts a server with `MAPPING` and the webhooks that the page shows.

    Args:
        folder: an empty folder.
    """
    mapping = yaml.safe_load(MAPPING)
    page = yaml.safe_load(block_of("integrations/webhooks.md", "yaml", "$approval_id"))
    mapping["hooks"] |= page["hooks"]
    (folder / "adapters.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    settings = {"PDP_ADAPTERS_FILE": str(folder / "adapters.yaml")}
    with authenticated_server(folder / "data", **settings) as opened:
        yield opened
