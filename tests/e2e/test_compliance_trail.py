"""Changes of bundles and groups in the change log, and their errors over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from pdp._gen.pdp.v1 import compliance_bundle_pb2 as bundles_pb
from pdp._gen.pdp.v1 import compliance_bundle_pb2_grpc, user_group_pb2_grpc
from pdp._gen.pdp.v1 import user_group_pb2 as groups_pb
from pdp.catalog.compliance import bundle_id
from tests.e2e.test_grpc import error_details
from tests.support.rest.compliance import BUNDLES, GROUPS, bundle, detail, dlp_rule, group, seeded
from tests.support.rest.packs import UNKNOWN_ID, check_error, ok_json
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    import httpx2


def summaries(client: httpx2.Client, kind: str) -> list[str]:
    """Returns the summaries of the changes of one kind, oldest first."""
    page = ok_json(client.get("/api/admin/audit/changes", params={"kind": kind}))
    return [each["summary"] for each in reversed(page["changes"])]


class TestAuditEvents:
    def test_of_custom_bundles(self, client: httpx2.Client) -> None:
        created = bundle(client, "Ours", rule_ids=[dlp_rule(client)["id"]])
        path = f"{BUNDLES}/{created['id']}"
        ok_json(client.put(path, json={"description": "New"}))
        ok_json(client.put(path, json={"description": "New"}))
        ok_json(client.post(f"{path}/deactivate"))
        ok_json(client.post(f"{path}/deactivate"))
        assert client.delete(path).status_code == 204
        assert summaries(client, "compliance_bundle") == [
            'Created compliance bundle "Ours"',
            'Updated compliance bundle "Ours": description',
            'Deactivated compliance bundle "Ours"; rules: 1',
            'Deleted compliance bundle "Ours"',
        ]

    def test_of_seeded_bundles(self, client: httpx2.Client) -> None:
        path = f"{BUNDLES}/{seeded(client)['id']}"
        ok_json(client.post(f"{path}/activate"))
        ok_json(client.post(f"{path}/upgrade"))
        assert client.post(f"{path}/upgrade").status_code == 400
        assert summaries(client, "bundle_state") == [
            'Activated compliance bundle "PCI-DSS"; rules: 8',
            'Upgraded compliance bundle "PCI-DSS" from 1.0 to 1.1; rules added: 3, removed: 1',
        ]

    def test_of_groups(self, client: httpx2.Client) -> None:
        path = f"{GROUPS}/{group(client, 'Clerks')['id']}"
        ok_json(client.post(f"{path}/members", json={"user_ids": ["u1"]}))
        ok_json(client.put(f"{path}/bundles/{seeded(client)['id']}"))
        assert client.delete(path).status_code == 204
        assert summaries(client, "user_group") == [
            'Created user group "Clerks"',
            'Updated members of user group "Clerks"',
            'Updated bundle_ids of user group "Clerks"',
            'Deleted user group "Clerks"',
        ]


def test_a_partly_invalid_change_changes_nothing(client: httpx2.Client) -> None:
    rule = dlp_rule(client)
    created = bundle(client, "Ours")
    before = detail(client, created["id"])
    body = {"name": "New", "enabled": False, "rule_ids": [rule["id"], UNKNOWN_ID]}
    answer = client.put(f"{BUNDLES}/{created['id']}", json=body)
    check_error(answer, 400, "INVALID_ARGUMENT", "rule_ids[1]")
    assert detail(client, created["id"]) == before
    assert len(summaries(client, "compliance_bundle")) == 1


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        (
            "DeleteComplianceBundle",
            {"bundle_id": bundle_id("pci_dss")},
            (grpc.StatusCode.PERMISSION_DENIED, "PLATFORM_READONLY", ["bundle_id"]),
        ),
        (
            "GetComplianceBundle",
            {"bundle_id": UNKNOWN_ID},
            (grpc.StatusCode.NOT_FOUND, "BUNDLE_NOT_FOUND", []),
        ),
        (
            "CreateComplianceBundle",
            {"name": "HIPAA"},
            (grpc.StatusCode.ALREADY_EXISTS, "NAME_EXISTS", ["name"]),
        ),
        (
            "UpgradeComplianceBundle",
            {"bundle_id": bundle_id("sox")},
            (grpc.StatusCode.FAILED_PRECONDITION, "NO_UPGRADE", ["bundle_id"]),
        ),
        (
            "GetUserGroup",
            {"group_id": UNKNOWN_ID},
            (grpc.StatusCode.NOT_FOUND, "GROUP_NOT_FOUND", []),
        ),
    ],
)
def test_errors_over_grpc(
    channel: grpc.Channel,
    tenant: str,
    name: str,
    fields: dict[str, Any],
    expected: tuple[grpc.StatusCode, str, list[str]],
) -> None:
    stub: Any = compliance_bundle_pb2_grpc.ComplianceBundleServiceStub(channel)
    module: Any = bundles_pb
    if name == "GetUserGroup":
        stub, module = user_group_pb2_grpc.UserGroupServiceStub(channel), groups_pb
    with pytest.raises(grpc.RpcError) as error:
        getattr(stub, name)(
            getattr(module, f"{name}Request")(**fields),
            metadata=(("x-tenant-id", tenant),),
            timeout=TIMEOUT_S,
        )
    assert error_details(error) == expected


def test_grpc_and_http_return_the_same(
    channel: grpc.Channel, client: httpx2.Client, tenant: str
) -> None:
    """A write over one transport is read over the other, field by field."""
    stub = compliance_bundle_pb2_grpc.ComplianceBundleServiceStub(channel)
    metadata = (("x-tenant-id", tenant),)
    done = stub.ActivateComplianceBundle(
        bundles_pb.ActivateComplianceBundleRequest(bundle_id=bundle_id("hipaa")),
        metadata=metadata,
        timeout=TIMEOUT_S,
    )
    shown = detail(client, bundle_id("hipaa"))
    assert (done.enabled, done.rules_updated) == (shown["enabled"], shown["rule_count"])
    answer = stub.GetComplianceBundle(
        bundles_pb.GetComplianceBundleRequest(bundle_id=bundle_id("hipaa")),
        metadata=metadata,
        timeout=TIMEOUT_S,
    )
    assert [each.clause for each in answer.bundle.rules] == [
        each["clause"] for each in shown["rules"]
    ]
