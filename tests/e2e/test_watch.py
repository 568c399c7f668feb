"""Who gets the policies of a tenant, and what a stream of them does."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import audit_pb2, audit_pb2_grpc, policy_pb2, policy_pb2_grpc
from pdp.auth.signatures import verify
from pdp.client.remote import open_channel
from tests.support.authenticated_servers import authenticated_server
from tests.support.servers import TIMEOUT_S, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.authenticated_servers import AuthenticatedServer

TENANT: Final = "acme"
WEBHOOK: Final = "https://hooks.slack.com/services/T000/B000/the-secret-of-a-webhook"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("secured")) as server:
        yield server


def watch(channel: grpc.Channel, key: str, tenant: str = "", **fields: Any) -> Any:
    """Starts a stream; iterate over it."""
    metadata = (("x-api-key", key),) if key else ()
    if tenant:
        metadata = (*metadata, ("x-tenant-id", tenant))
    stub = policy_pb2_grpc.PolicyServiceStub(channel)
    return stub.Watch(policy_pb2.WatchRequest(**fields), metadata=metadata, timeout=TIMEOUT_S)


def first_update(stream: Any) -> list[policy_pb2.PolicyUpdate]:
    """Returns the parts of the next update."""
    parts = []
    for message in stream:
        verify(message.public_key, message.update, message.signature)
        parts.append(policy_pb2.PolicyUpdate.FromString(message.update))
        if parts[-1].last:
            return parts
    raise AssertionError("the stream has ended")


def refusal(stream: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as error:
        next(stream)
    assert isinstance(error.value, grpc.Call)
    code: grpc.StatusCode = error.value.code()
    return code


@pytest.mark.parametrize("role", ["pep", "auditor", "editor", "approver", "admin"])
def test_no_other_role_gets_policies(secured: AuthenticatedServer, role: str) -> None:
    with open_channel(secured.server.grpc_address) as channel:
        stream = watch(channel, secured.key(role, TENANT))
        assert refusal(stream) is grpc.StatusCode.PERMISSION_DENIED
        report = audit_pb2_grpc.AuditServiceStub(channel).ReportRecords
        with pytest.raises(grpc.RpcError) as error:
            report(
                audit_pb2.ReportRecordsRequest(records=["{}"]),
                metadata=(("x-api-key", secured.key(role, TENANT)),),
                timeout=TIMEOUT_S,
            )
        assert isinstance(error.value, grpc.Call)
        assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_nobody_gets_policies_without_a_credential(
    secured: AuthenticatedServer, tmp_path: Path
) -> None:
    with open_channel(secured.server.grpc_address) as channel:
        assert refusal(watch(channel, "")) is grpc.StatusCode.UNAUTHENTICATED
    with start(tmp_path) as server, open_channel(server.grpc_address) as channel:
        assert refusal(watch(channel, "")) is grpc.StatusCode.PERMISSION_DENIED


def test_a_follower_gets_the_policies_of_its_tenants_only(secured: AuthenticatedServer) -> None:
    with open_channel(secured.server.grpc_address) as channel:
        key = secured.key("follower", TENANT)
        assert refusal(watch(channel, key, "other")) is grpc.StatusCode.PERMISSION_DENIED
        [*_, last] = first_update(watch(channel, key))
        assert last.tenant_id == TENANT


def test_a_follower_may_ask_for_decisions_and_nothing_else(secured: AuthenticatedServer) -> None:
    key = secured.key("follower", TENANT)
    assert secured.request("POST", "/v1/decide", key, json={}).status_code == 200
    assert secured.request("GET", "/api/v1/static-policies", key).status_code == 403
    assert secured.request("GET", "/api/admin/audit/records", key).status_code == 403


def test_changes_follow_and_a_stream_goes_on_where_the_last_one_ended(
    secured: AuthenticatedServer,
) -> None:
    with open_channel(secured.server.grpc_address) as channel:
        key = secured.key("follower", TENANT)
        stream = watch(channel, key)
        [*_, whole] = first_update(stream)
        assert whole.from_revision == 0
        other = {"name": "Other", "category": "custom", "pattern": "x", "action": "block"}
        body = {**other, "severity": "high"}
        path = "/api/v1/static-policies"
        for tenant in ("another-tenant", TENANT):
            answer = secured.request("POST", path, secured.admin, tenant, json=body)
            assert answer.status_code == 201, answer.text
        [change] = first_update(stream)
        assert change.from_revision == whole.revision
        assert change.revision == int(answer.headers["x-pdp-revision"])
        [state] = [each for each in change.states if each.body_json]
        assert (state.kind, state.platform) == ("static_policy", False)
        resumed = watch(channel, key, installation=whole.installation, revision=whole.revision)
        [again] = first_update(resumed)
        assert again.states == change.states
        foreign = watch(channel, key, installation="another one", revision=whole.revision)
        assert first_update(foreign)[-1].from_revision == 0


def test_no_address_of_a_webhook_is_sent(secured: AuthenticatedServer) -> None:
    rule = {
        "name": "Critical",
        "condition": {"risk_level_gte": "high"},
        "notify": {"slack_webhook_url": WEBHOOK},
    }
    answer = secured.request(
        "PUT", "/v1/org/policy", secured.admin, TENANT, json={"alert_rules": [rule]}
    )
    assert answer.is_success, answer.text
    with open_channel(secured.server.grpc_address) as channel:
        parts = first_update(watch(channel, secured.key("follower", TENANT)))
    sent = b"".join(each.SerializeToString() for each in parts)
    assert b"risk_level_gte" in sent
    assert b"the-secret-of-a-webhook" not in sent


def test_the_signing_key_is_that_of_the_messages(secured: AuthenticatedServer) -> None:
    answer = secured.request(
        "GET", "/v1/policies/signing-key", secured.key("auditor", TENANT)
    ).json()
    with open_channel(secured.server.grpc_address) as channel:
        message = next(watch(channel, secured.key("follower", TENANT)))
    assert base64.b64decode(answer["public_key"]) == message.public_key
    update = policy_pb2.PolicyUpdate.FromString(message.update)
    assert answer["installation"] == update.installation


def test_a_revoked_key_ends_the_stream(secured: AuthenticatedServer) -> None:
    created = secured.new_key("follower", TENANT)
    with open_channel(secured.server.grpc_address) as channel:
        stream = watch(channel, created["key"])
        first_update(stream)
        path = f"/api/admin/api-keys/{created['api_key']['id']}"
        assert secured.request("DELETE", path, secured.admin).is_success
        with pytest.raises(grpc.RpcError) as error:
            list(stream)
    assert isinstance(error.value, grpc.Call)
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_server_that_drains_waits_for_no_follower(tmp_path: Path) -> None:
    with authenticated_server(tmp_path, PDP_DRAIN_S=str(TIMEOUT_S)) as server:
        with open_channel(server.server.grpc_address) as channel:
            stream = watch(channel, server.key("follower", TENANT))
            first_update(stream)
            server.server.process.terminate()
            rest = list(stream)
        assert server.server.wait() == 0
        assert len(rest) < TIMEOUT_S / 5  # it has not gone on until the end of the drain
