"""Routing: the endpoint of a request, its message and its response."""

from __future__ import annotations

import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import static_policy_pb2 as policies
from tests.support.http_api import POLICIES, Api


@pytest.fixture
def api() -> Api:
    """A new application."""
    return Api()


def test_a_call_reaches_its_endpoint(api: Api) -> None:
    api.responses["Decide"] = pb.DecideResponse(decision_id="é", outcome=pb.OUTCOME_BLOCK)
    reply = api.post("/v1/decide", {"tool": "rm"}, **{"x-tenant-id": "acme"})
    ((call, message),) = api.calls
    assert message == pb.DecideRequest(tool="rm")
    assert (call.transport, call.metadata["x-tenant-id"]) == ("http", "acme")
    assert reply.status == 200
    assert reply.json["outcome"] == "BLOCK"
    assert b'"decision_id":"\xc3\xa9","request_id":""' in reply.body
    assert reply.headers == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-request-id": "req-1",
        "content-length": str(len(reply.body)),
    }


def test_success_has_the_status_and_form_of_the_contract(api: Api) -> None:
    api.responses["GetStaticPolicy"] = policies.GetStaticPolicyResponse(
        policy=policies.StaticPolicy(id="pol_1")
    )
    body = {"name": "x", "category": "custom", "pattern": "x", "action": "log"}
    assert api.post(POLICIES, body).status == 201
    assert api.request("GET", f"{POLICIES}/pol_1").json["id"] == "pol_1"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_slash_at_the_end_makes_no_difference(api: Api, slash: str) -> None:
    for target in ("/v1/decide", f"{POLICIES}/test"):
        assert api.post(target + slash, {}).status == 200
    for target in (POLICIES, f"{POLICIES}/pol_1", "/healthz", "/docs"):
        assert api.request("GET", target + slash).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "/nothing",
        "//v1/decide",
        "/v1//decide",
        "/v1/./decide",
        "/v1/x/../decide",
        "/v1/%64ecide",
        "/v1/Decide",
        "/v1/decide/x",
        f"{POLICIES}/%2e%2e/versions",
        "http://x/v1/decide",
    ],
)
def test_an_unknown_path_is_not_found(api: Api, path: str) -> None:
    assert api.post(path, {}).error == (404, "ROUTE_NOT_FOUND")
    assert not api.calls


def test_variables_are_decoded_after_the_path_is_split(api: Api) -> None:
    api.request("GET", f"{POLICIES}/a%2Fb%20%C3%A9")
    assert api.calls[0][1] == policies.GetStaticPolicyRequest(id="a/b é")
    for path in ("%zz", "%ff", "%", "\xff"):
        assert api.request("GET", f"{POLICIES}/{path}").error == (400, "MALFORMED_REQUEST")


def test_another_method_is_refused_with_the_allowed_ones(api: Api) -> None:
    reply = api.request("GET", "/v1/decide")
    assert reply.error == (405, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == "POST, OPTIONS"
    assert api.request("DELETE", POLICIES).headers["allow"] == "GET, POST, HEAD, OPTIONS"
    assert api.request("HEAD", "/v1/decide").status == 405
    assert api.request("TRACE", "/healthz").status == 405


def test_options_lists_the_methods_and_allows_no_other_origin(api: Api) -> None:
    origin = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    reply = Api(loopback_only=False).request("OPTIONS", "/v1/decide", headers=origin)
    assert (reply.status, reply.body, reply.headers) == (204, b"", {"allow": "POST, OPTIONS"})
    assert api.request("OPTIONS", "/nothing").status == 404


def test_head_is_get_without_its_body(api: Api) -> None:
    for path in (POLICIES, "/healthz", "/docs", "/metrics"):
        head, get = api.request("HEAD", path), api.request("GET", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(get.body))


def test_a_query_is_validated_by_the_contract(api: Api) -> None:
    reply = api.request("GET", f"{POLICIES}?page=1&page=2&nope=1")
    assert reply.error == (400, "INVALID_ARGUMENT")
    assert [each["field"] for each in reply.json["error"]["details"]] == ["page", "nope"]
