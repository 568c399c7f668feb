"""The messages of agentgateway's guardrails for MCP: what is judged, and cut out again."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.agentgateway import ext_mcp_pb2 as ext
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.agentgateway.facts import read_headers, read_metadata
from pdp.adapters.agentgateway.rpc_messages import (
    MAX_NAME,
    MAX_SERVICES,
    check_services,
    request_message,
    result_message,
)
from pdp.adapters.agentgateway.tool_lists import server_of
from pdp.adapters.agentgateway.webhook import MASK_RESPONSES, REQUEST, RESPONSE
from pdp.errors import InvalidArgument
from pdp.transport.http.fact_headers import MAX_GROUPS
from tests.e2e.test_documentation import blocks

PAGE = "docs/integrations/agentgateway.md"

PARAMS = b'{"name": "f",  "arguments": {"n": 1.0, "big": 12345678901234567890}}'


def test_the_bytes_of_the_parameters_stay_as_they_are() -> None:
    message = request_message("tools/call", PARAMS)
    assert json.loads(message.body)["method"] == "tools/call"
    assert message.cut(message.body) == PARAMS
    redacted = message.body.replace('"f"', '"[X]"')
    assert message.cut(redacted) == PARAMS.replace(b'"f"', b'"[X]"')


@pytest.mark.parametrize(
    ("before", "after"),
    [("tools/call", "[X]"), ('"id":1', '"id":2'), ("}}}", "}}"), ("}}}", "}} ")],
    ids=["method", "id", "no end", "another end"],
)
def test_what_is_redacted_outside_of_the_parameters_is_not_cut(before: str, after: str) -> None:
    message = request_message("tools/call", PARAMS)
    assert before in message.body
    assert message.cut(message.body.replace(before, after)) is None


def test_without_parameters_there_is_nothing_to_cut() -> None:
    message = request_message("tools/list", None)
    assert json.loads(message.body) == {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert message.cut(message.body) is None


MALFORMED = {
    "empty": b"",
    "no JSON": b"{",
    "not UTF-8": b'{"a":"\xff"}',
    "an array": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "a repeated name": b'{"a":1,"a":2}',
    "two documents": b"{}{}",
    "members of the message around it": b'{},"method":"tools/list","params":{}',
    "a Struct of an older gateway": ext.McpRequest(method="x").SerializeToString(),
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_malformed_parameters_and_results_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidArgument):
        request_message("tools/call", raw)
    with pytest.raises(InvalidArgument):
        result_message(raw)


@pytest.mark.parametrize("method", ["", "m" * 257])
def test_a_method_has_a_name(method: str) -> None:
    with pytest.raises(InvalidArgument):
        request_message(method, PARAMS)


@given(st.text(min_size=1, max_size=40))
def test_any_method_stays_one_string(method: str) -> None:
    assert json.loads(request_message(method, PARAMS).body)["method"] == method


def test_servers_are_bounded() -> None:
    check_services(["s"] * MAX_SERVICES)
    for names in (["s"] * (MAX_SERVICES + 1), ["s" * (MAX_NAME + 1)]):
        with pytest.raises(InvalidArgument):
            check_services(names)


@pytest.mark.parametrize(
    ("name", "services", "expected"),
    [
        ("echo", ["a"], ("a", "echo")),
        ("a_echo", ["a"], ("a", "a_echo")),
        ("a_echo", ["a", "b"], ("a", "echo")),
        ("a_b_echo", ["a", "a_b"], ("a_b", "echo")),
        ("echo", ["a", "b"], ("", "echo")),
        ("_echo", ["", "b"], ("", "_echo")),
        ("echo", [], ("", "echo")),
    ],
)
def test_the_server_of_a_tool(name: str, services: list[str], expected: tuple[str, str]) -> None:
    assert server_of(name, services) == expected


def test_headers_say_who_asks() -> None:
    message = pb.DecideRequest()
    headers = {
        "x-pdp-user": "gr%C3%BC%C3%9Fe",
        "x-pdp-groups": "a, b,,c",
        "x-pdp-agent": "cli",
        "x-pdp-customer": "c1",
        "x-pdp-session": "s1",
        "x-pdp-model": "gpt-4o",
        "x-pdp-provider": "openai",
        "x-other": "ignored",
    }
    read_headers(message, headers)
    assert message == pb.DecideRequest(
        customer_id="c1",
        session_id="s1",
        subject=pb.Subject(user_id="grüße", groups=["a", "b", "c"], agent_id="cli"),
        model=pb.Model(model="gpt-4o", provider="openai"),
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"x-pdp-usr": "u1"},
        {"x-pdp-tenant": "acme"},
        {"x-pdp-user": "%ff"},
        {"x-pdp-groups": ",".join("g" * (MAX_GROUPS + 1))},
    ],
    ids=lambda each: str(each)[:30],
)
def test_a_header_that_cannot_be_read_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        read_headers(pb.DecideRequest(), headers)


def test_metadata_says_who_asks() -> None:
    message = pb.DecideRequest()
    read_metadata(
        message, {"tenant": "acme", "user": "u1", "groups": ["a"], "agent": None, "plan": "gold"}
    )
    assert message == pb.DecideRequest(
        tenant_id="acme", subject=pb.Subject(user_id="u1", groups=["a"])
    )


@pytest.mark.parametrize(
    "metadata", [{"user": 1}, {"tenant": ["acme"]}, {"groups": "a"}, {"groups": [1]}], ids=str
)
def test_metadata_of_another_type_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        read_metadata(pb.DecideRequest(), metadata)


def test_the_configurations_on_the_page_ask_for_what_is_served() -> None:
    """Without agentgateway itself, its paths, headers and names are compared with the code."""
    first, masks, second = (
        yaml.safe_load(code) for language, code in blocks(PAGE) if language == "yaml"
    )
    (model,) = first["llm"]["models"]
    paths = []
    for phase in ("request", "response"):
        (guard,) = model["guardrails"][phase]
        webhook = guard["webhook"]
        assert webhook["failureMode"] == "failClosed"
        headers = dict(webhook["headers"])
        paths.append(headers.pop(":path").strip('"'))
        read_headers(pb.DecideRequest(), dict.fromkeys(headers, "x"))
        assert "x-api-key" in headers
    assert paths == [REQUEST, RESPONSE]
    assert masks == {"headers": {MASK_RESPONSES: '"true"'}}
    (route,) = second["binds"][0]["listeners"][0]["routes"]
    (processor,) = route["policies"]["mcpGuardrails"]["processors"]
    assert processor["failureMode"] == "failClosed"
    assert processor["methods"]["tools/call"] == "full"
    message = pb.DecideRequest()
    read_metadata(message, dict.fromkeys(processor["metadata"], "x"))
    assert message.subject.user_id == "x"


def test_the_contract_is_that_of_the_wire() -> None:
    """The names and numbers are agentgateway's (crates/protos/proto/ext_mcp.proto)."""
    service = ext.DESCRIPTOR.services_by_name["ExtMcp"]
    assert service.full_name == "agentgateway.dev.ext_mcp.ExtMcp"
    assert [each.name for each in service.methods] == ["CheckRequest", "CheckResponse"]
    numbers = {
        message.name: {field.name: field.number for field in message.fields}
        for message in ext.DESCRIPTOR.message_types_by_name.values()
    }
    request = {"service_names": 1, "method": 2, "metadata_context": 3}
    result = {"pass": 1, "mutated": 2, "error": 3}
    assert numbers == {
        "McpRequest": {**request, "mcp_request": 4, "headers": 5},
        "McpResponse": {**request, "mcp_response": 4},
        "McpRequestResult": {**result, "header_mutation": 4, "metadata": 5},
        "McpResponseResult": result,
        "HeaderMutation": {"set": 1, "remove": 2},
        "McpHeader": {"key": 1, "value": 2},
        "Pass": {},
        "AuthorizationError": {"code": 1, "reason": 2, "mcp_error": 3},
    }
    assert dict(ext.AuthorizationError.Code.items()) == {
        "UNKNOWN": 0,
        "PERMISSION_DENIED": 1,
        "RESOURCE_EXHAUSTED": 2,
        "INVALID": 3,
    }
