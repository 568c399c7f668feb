"""Answers in canonical ProtoJSON: `Accept: application/json;profile=protojson`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from google.protobuf import json_format

from pdp._gen.pdp.v1 import (
    audit_pb2,
    decide_pb2,
    kill_switch_pb2,
    org_policy_pb2,
    policy_pack_pb2,
    static_policy_pb2,
)
from pdp.client.remote import RemoteClient
from tests.e2e.test_documentation import blocks, run
from tests.support import servers
from tests.support.rest.packs import PACKS, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2
    from google.protobuf.message import Message

PROFILE: Final = {"Accept": "application/json;profile=protojson"}
CONTENT_TYPE: Final = "application/json;profile=protojson"
ATTACK: Final = {"content": {"text": "1 UNION SELECT password FROM users"}}
POLICIES: Final = "/api/v1/static-policies"


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    name: str = request.node.name
    return "protojson-" + "".join(each if each.isalnum() else "-" for each in name)[:80]


@pytest.fixture
def client(server: servers.Server, tenant: str) -> Iterator[httpx2.Client]:
    with server.client(tenant) as opened:
        yield opened


def parsed(answer: httpx2.Response, message: Message) -> Any:
    """Returns the body as the message, by the parser of protobuf, which refuses other names."""
    assert answer.headers["content-type"] == CONTENT_TYPE
    json_format.Parse(answer.content, message)
    assert answer.json() == json_format.MessageToDict(message)
    return message


def test_a_decision(client: httpx2.Client) -> None:
    answer = client.post("/v1/decide", json=ATTACK, headers=PROFILE)
    response = parsed(answer, decide_pb2.DecideResponse())
    assert response.outcome == decide_pb2.OUTCOME_BLOCK
    assert answer.json()["outcome"] == "OUTCOME_BLOCK"
    assert answer.json()["revision"] == str(response.revision)
    assert "redactedText" not in answer.json()


def test_redacted_arguments_are_those_of_grpc(client: httpx2.Client) -> None:
    """Exact numbers are JSON text, as over gRPC."""
    body = {"tool": "post", "arguments": {"id": 1234567890123456789, "n": "4111 1111 1111 1111"}}
    answer = client.post("/v1/decide", json=body, headers=PROFILE)
    response = parsed(answer, decide_pb2.DecideResponse())
    arguments = json.loads(response.redacted_arguments_json)
    assert arguments == {"id": 1234567890123456789, "n": "[REDACTED]"}


def test_a_batch(client: httpx2.Client) -> None:
    body = {"requests": [ATTACK, {"content": {"text": "x" * 70_000}}]}
    answer = client.post("/v1/decide/batch", json=body, headers=PROFILE)
    response = parsed(answer, decide_pb2.DecideBatchResponse())
    outcomes = [each.outcome for each in response.responses]
    assert outcomes == [decide_pb2.OUTCOME_BLOCK, decide_pb2.OUTCOME_ALLOW]


def test_a_body_that_is_one_field(
    client: httpx2.Client, server: servers.Server, tenant: str
) -> None:
    """It is the message that gRPC sends in that field."""
    answer = client.get("/v1/org/policy", headers=PROFILE)
    policy = parsed(answer, org_policy_pb2.OrgPolicy())
    with RemoteClient(server.grpc_address, timeout_s=servers.TIMEOUT_S) as remote:
        reply = remote.call("GetOrgPolicy", org_policy_pb2.GetOrgPolicyRequest(), tenant)
    assert isinstance(reply.message, org_policy_pb2.GetOrgPolicyResponse)
    assert policy == reply.message.policy


def test_a_body_that_is_an_array(client: httpx2.Client) -> None:
    answer = client.get("/api/admin/kill-switch/providers", headers=PROFILE)
    assert answer.headers["content-type"] == CONTENT_TYPE
    rest = client.get("/api/admin/kill-switch/providers").json()
    assert [each["provider"] for each in answer.json()] == [each["provider"] for each in rest]
    for each in answer.json():
        json_format.ParseDict(each, kill_switch_pb2.ProviderKillSwitchSummary())
    assert "killSwitchDisabledCount" not in answer.json()[0]


def test_an_empty_array(client: httpx2.Client) -> None:
    """A field without values is absent in ProtoJSON, but a body needs a value."""
    answer = client.get("/api/admin/limits", headers=PROFILE)
    assert (answer.status_code, answer.json()) == (200, client.get("/api/admin/limits").json())


@pytest.mark.parametrize("query", ["", "?page_size=2"])
def test_long_lists(client: httpx2.Client, query: str) -> None:
    """They are written part by part, in either form."""
    rest = client.get(f"{POLICIES}{query}").json()
    answer = client.get(f"{POLICIES}{query}", headers=PROFILE)
    assert answer.headers["content-type"] == CONTENT_TYPE
    page = json_format.Parse(answer.content, static_policy_pb2.ListStaticPoliciesResponse())
    assert [each.id for each in page.policies] == [each["id"] for each in rest["policies"]]


def test_a_stream(client: httpx2.Client) -> None:
    decided = client.post("/v1/decide", json=ATTACK).json()
    tail = client.stream("GET", "/api/admin/audit/tail", params={"cursor": "0"}, headers=PROFILE)
    with tail as answer:
        assert answer.headers["content-type"] == "application/x-ndjson;profile=protojson"
        line = next(answer.iter_lines())
    record = json_format.Parse(line, audit_pb2.DecisionRecord())
    assert record.decision_id == decided["decision_id"]
    assert json.loads(line)["reasonCode"] == record.reason_code


def test_warnings_of_a_write(client: httpx2.Client) -> None:
    """Beside a body that is one field, they are in the header; in a whole message, its field."""
    rules = f"{PACKS}/{pack(client)['id']}/rules"
    rule = {"name": "All", "conditions": {"content_regex": "."}, "action": {"type": "ALLOW"}}
    rest = client.post(rules, json=rule)
    assert "x-pdp-warnings" not in rest.headers
    answer = client.post(rules, json={**rule, "name": "All again"}, headers=PROFILE)
    assert parsed(answer, policy_pack_pb2.PolicyRule()).name == "All again"
    codes = {each["code"] for each in json.loads(answer.headers["x-pdp-warnings"])}
    assert codes >= {each["code"] for each in rest.json()["warnings"]} > set()

    policy = {"name": "All", "category": "custom", "pattern": ".", "action": "log"}
    answer = client.post(POLICIES, json=policy, headers=PROFILE)
    created = parsed(answer, static_policy_pb2.CreateStaticPolicyResponse())
    assert len(created.warnings) == 1
    assert "x-pdp-warnings" not in answer.headers


def test_errors_and_requests_keep_their_form(client: httpx2.Client) -> None:
    answer = client.post("/v1/decide", json={"action": "X"}, headers=PROFILE)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"
    answer = client.post("/v1/decide", json={"request_id": "r1"}, headers=PROFILE)
    assert answer.json()["requestId"] == "r1"


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "*/*",
        "",
        "application/json;profile=other",
        "text/html;profile=protojson",
        "application/json;profile=protojson;q=0",
        "application/json; profile=protojsonx",
        "protojson",
    ],
)
def test_other_values_have_no_effect(client: httpx2.Client, accept: str) -> None:
    answer = client.post("/v1/decide", json=ATTACK, headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["outcome"] == "BLOCK"


@pytest.mark.parametrize(
    "accept",
    [
        "Application/JSON; Profile=ProtoJSON",
        'application/json;profile="protojson"',
        "text/html, application/json;profile=protojson;q=0.5",
    ],
)
def test_spellings_of_the_header(client: httpx2.Client, accept: str) -> None:
    answer = client.post("/v1/decide", json=ATTACK, headers={"Accept": accept})
    assert answer.json()["outcome"] == "OUTCOME_BLOCK"


def test_the_example_of_the_page(server: servers.Server) -> None:
    [example] = [each for each in blocks("docs/decide.md") if "protojson" in each[1]]
    done = run(*example, server)
    assert done.returncode == 0, done.stderr
    response = json_format.Parse(done.stdout, decide_pb2.DecideResponse())
    assert response.outcome == decide_pb2.OUTCOME_BLOCK


@pytest.mark.parametrize("name", ["messages", "prompt", "text", "input"])
def test_names_of_model_apis_are_explained(client: httpx2.Client, name: str) -> None:
    """In a request, and in an item of a batch."""
    reason = "unknown field; use content.text"
    answer = client.post("/v1/decide", json={name: "hello"})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"] == [{"field": name, "reason": reason}]
    answer = client.post("/v1/decide/batch", json={"requests": [{name: "hello"}]})
    details = answer.json()["error"]["details"]
    assert details == [{"field": f"requests[0].{name}", "reason": reason}]
    nested = client.post("/v1/decide", json={"content": {name + "s": "hello"}})
    assert "use content.text" not in nested.text
