"""ETag and If-Match on both transports: a client does not overwrite a change of another client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from pdp._gen.pdp.v1 import org_policy_pb2 as pb
from pdp._gen.pdp.v1.org_policy_pb2_grpc import OrgPolicyServiceStub

if TYPE_CHECKING:
    import httpx2

PATH: Final = "/v1/org/policy"


def put(client: httpx2.Client, body: Any, tag: str = "") -> httpx2.Response:
    return client.put(PATH, json=body, headers={"If-Match": tag} if tag else {})


def fields(answer: httpx2.Response) -> list[str]:
    return [each["field"] for each in answer.json()["error"]["details"]]


def test_defaults_have_a_tag(client: httpx2.Client) -> None:
    assert client.get(PATH).headers["etag"] == '"0"'
    assert put(client, {"logging_level": "full"}, '"0"').status_code == 200
    assert put(client, {"logging_level": "minimal"}, '"0"').status_code == 412


def test_the_second_of_two_writers_is_refused(client: httpx2.Client) -> None:
    put(client, {"frameworks": {"soc2": True}})
    tag = client.get(PATH).headers["etag"]
    first = put(client, {"logging_level": "full"}, tag)
    assert first.status_code == 200
    assert first.headers["etag"] == client.get(PATH).headers["etag"] != tag
    second = put(client, {"logging_level": "minimal"}, tag)
    assert second.status_code == 412
    assert second.json()["error"]["code"] == "PRECONDITION_FAILED"
    assert fields(second) == ["If-Match"]
    assert client.get(PATH).json()["logging_level"] == "full"
    assert put(client, {"logging_level": "minimal"}, first.headers["etag"]).is_success


def test_a_malformed_tag_is_refused(client: httpx2.Client) -> None:
    answer = put(client, {"logging_level": "full"}, "42")
    assert (answer.status_code, fields(answer)) == (422, ["If-Match"])


@pytest.mark.parametrize("header", ["*", '"0"', '"7", "0"'])
def test_one_of_several_tags_may_match(client: httpx2.Client, header: str) -> None:
    assert put(client, {"logging_level": "full"}, header).status_code == 200


def test_a_weak_tag_never_matches(client: httpx2.Client) -> None:
    assert put(client, {"logging_level": "full"}, 'W/"0"').status_code == 412


def test_an_invalid_value_is_reported_before_a_stale_tag(client: httpx2.Client) -> None:
    assert put(client, {"logging_level": "loud"}, '"9"').status_code == 422


def test_tags_in_grpc_metadata(channel: grpc.Channel, tenant: str) -> None:
    stub: Any = OrgPolicyServiceStub(channel)
    metadata = [("x-tenant-id", tenant)]
    expecting = [*metadata, ("if-match", '"0"')]
    message = pb.UpdateOrgPolicyRequest(logging_level="full")
    _, write = stub.UpdateOrgPolicy.with_call(message, metadata=expecting)
    policy, read = stub.GetOrgPolicy.with_call(pb.GetOrgPolicyRequest(), metadata=metadata)
    assert policy.policy.logging_level == "full"
    assert dict(read.trailing_metadata())["etag"] == dict(write.trailing_metadata())["etag"]
    with pytest.raises(grpc.RpcError) as refusal:
        stub.UpdateOrgPolicy(message, metadata=expecting)
    error: Any = refusal.value
    assert error.code() is grpc.StatusCode.ABORTED
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    status_pb2.Status.FromString(details).details[0].Unpack(info)
    assert info.reason == "PRECONDITION_FAILED"


def test_updates_of_a_static_policy_need_the_current_tag(client: httpx2.Client) -> None:
    path = "/api/v1/static-policies"
    draft = {"name": "P", "category": "custom", "pattern": "p", "action": "log"}
    policy = client.post(path, json=draft)
    one = f"{path}/{policy.json()['policy']['id']}"
    tag = policy.headers["etag"]
    assert client.get(one).headers["etag"] == tag
    changed = client.put(one, json={"action": "warn"}, headers={"If-Match": tag})
    assert changed.status_code == 200
    stale = {"If-Match": tag}
    assert client.put(one, json={"action": "block"}, headers=stale).status_code == 412
    assert client.patch(one, json={"enabled": False}, headers=stale).status_code == 412
    assert client.delete(one, headers=stale).status_code == 412
    assert client.get(one).json()["action"] == "warn"
    assert client.get(one).json()["version"] == 2
    fresh = {"If-Match": changed.headers["etag"]}
    toggled = client.patch(one, json={"enabled": False}, headers=fresh)
    assert toggled.status_code == 200
    assert client.delete(one, headers={"If-Match": toggled.headers["etag"]}).status_code == 200


def test_missing_and_read_only_entities_are_reported_first(client: httpx2.Client) -> None:
    path, stale = "/api/v1/static-policies", {"If-Match": '"1"'}
    body = {"action": "warn"}
    assert client.put(f"{path}/pol_none", json=body, headers=stale).status_code == 404
    assert client.put(f"{path}/sys_sqli_union", json=body, headers=stale).status_code == 403
