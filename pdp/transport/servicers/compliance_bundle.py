"""ComplianceBundleService (the compliance bundle API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from pdp._gen.pdp.v1 import compliance_bundle_pb2 as pb
from pdp.admin.compliance.versions import MAX_VERSIONS
from pdp.domain.compliance_bundle import ComplianceBundle
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.paging import answer_list
from pdp.transport.servicers.fields import present_fields, to_struct, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.compliance.bundles import ComplianceBundles, MatrixRow
    from pdp.admin.compliance.entities import StoredBundle
    from pdp.admin.compliance.versions import BundleVersion
    from pdp.domain.dlp_rule import DlpRule
    from pdp.transport.call import Call, Endpoint

_CHUNK: Final = 10
"""How many versions are read at once; each has all rules of the bundle."""

_FIELDS: Final = ("name", "description", "regulatory_framework", "enabled")


class ComplianceBundleServicer:
    """Administers compliance bundles for the tenant that a call acts for."""

    def __init__(self, bundles: ComplianceBundles) -> None:
        self._bundles = bundles

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListComplianceBundles": self.list,
            "GetComplianceMatrix": self.matrix,
            "CreateComplianceBundle": self.create,
            "GetComplianceBundle": self.get,
            "UpdateComplianceBundle": self.update,
            "DeleteComplianceBundle": self.delete,
            "ActivateComplianceBundle": self.activate,
            "DeactivateComplianceBundle": self.deactivate,
            "ListComplianceBundleVersions": self.versions,
            "UpgradeComplianceBundle": self.upgrade,
        }

    async def list(self, call: Call, message: Message) -> pb.ListComplianceBundlesResponse:
        """Lists bundles."""
        request = cast("pb.ListComplianceBundlesRequest", message)
        enabled = request.enabled if request.HasField("enabled") else None
        bundles = await self._bundles.list(call.tenant_id, enabled, request.framework)
        return pb.ListComplianceBundlesResponse(
            bundles=[
                pb.ComplianceBundle(**_fields(each.bundle, each.rule_count)) for each in bundles
            ]
        )

    async def matrix(self, call: Call, message: Message) -> pb.GetComplianceMatrixResponse:
        """Returns which bundles are in force for which user groups."""
        rows = await self._bundles.matrix(call.tenant_id)
        return pb.GetComplianceMatrixResponse(groups=map(_row, rows))

    async def create(self, call: Call, message: Message) -> pb.CreateComplianceBundleResponse:
        """Creates a bundle."""
        request = cast("pb.CreateComplianceBundleRequest", message)
        draft = ComplianceBundle(
            id="",
            name=request.name,
            description=request.description,
            regulatory_framework=request.regulatory_framework,
            enabled=request.enabled if request.HasField("enabled") else True,
        )
        written = await self._bundles.create(
            call.tenant_id, call.principal.name, draft, list(request.rule_ids.rule_ids)
        )
        return pb.CreateComplianceBundleResponse(bundle=_bundle(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetComplianceBundleResponse:
        """Returns a bundle with its rules."""
        request = cast("pb.GetComplianceBundleRequest", message)
        stored_bundle = with_etag(call, await self._bundles.get(call.tenant_id, request.bundle_id))
        rules = stored_bundle.rules
        detail = pb.ComplianceBundleDetail(
            **_fields(stored_bundle.bundle, len(rules)), rules=map(_rule, rules)
        )
        return pb.GetComplianceBundleResponse(bundle=detail)

    async def update(self, call: Call, message: Message) -> pb.UpdateComplianceBundleResponse:
        """Changes the fields that are set in the request."""
        request = cast("pb.UpdateComplianceBundleRequest", message)
        written = await self._bundles.update(
            call.tenant_id,
            call.principal.name,
            request.bundle_id,
            present_fields(request, _FIELDS),
            rule_ids=list(request.rule_ids.rule_ids) if request.HasField("rule_ids") else None,
            precondition=expectation(call),
        )
        return pb.UpdateComplianceBundleResponse(bundle=_bundle(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteComplianceBundleResponse:
        """Deletes a bundle."""
        request = cast("pb.DeleteComplianceBundleRequest", message)
        written = await self._bundles.delete(
            call.tenant_id, call.principal.name, request.bundle_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteComplianceBundleResponse()

    async def activate(self, call: Call, message: Message) -> pb.ActivateComplianceBundleResponse:
        """Enables a bundle and all its rules."""
        request = cast("pb.ActivateComplianceBundleRequest", message)
        return pb.ActivateComplianceBundleResponse(
            **await self._switch(call, request.bundle_id, enabled=True)
        )

    async def deactivate(
        self, call: Call, message: Message
    ) -> pb.DeactivateComplianceBundleResponse:
        """Disables a bundle and all its rules."""
        request = cast("pb.DeactivateComplianceBundleRequest", message)
        return pb.DeactivateComplianceBundleResponse(
            **await self._switch(call, request.bundle_id, enabled=False)
        )

    async def versions(
        self, call: Call, message: Message
    ) -> pb.ListComplianceBundleVersionsResponse:
        """Lists the versions of a bundle, newest first."""
        request = cast("pb.ListComplianceBundleVersionsRequest", message)
        return await answer_list(
            call,
            request,
            "versions",
            read=lambda page: self._bundles.versions(call.tenant_id, request.bundle_id, page),
            build=lambda page: pb.ListComplianceBundleVersionsResponse(
                versions=map(_version, page.items)
            ),
            chunk=_CHUNK,
            most=MAX_VERSIONS,
        )

    async def upgrade(self, call: Call, message: Message) -> pb.UpgradeComplianceBundleResponse:
        """Upgrades a seeded bundle to its latest definition."""
        request = cast("pb.UpgradeComplianceBundleRequest", message)
        written = await self._bundles.upgrade(
            call.tenant_id, call.principal.name, request.bundle_id, expectation(call)
        )
        return pb.UpgradeComplianceBundleResponse(**with_new_etag(call, written)._asdict())

    async def _switch(self, call: Call, bundle_id: str, *, enabled: bool) -> dict[str, Any]:
        written = await self._bundles.switch(
            call.tenant_id,
            call.principal.name,
            bundle_id,
            enabled=enabled,
            precondition=expectation(call),
        )
        stored_bundle = with_new_etag(call, written)
        return {
            "bundle_id": stored_bundle.bundle.id,
            "enabled": stored_bundle.bundle.enabled,
            "rules_updated": len(stored_bundle.rules),
        }


def _bundle(stored_bundle: StoredBundle) -> pb.ComplianceBundle:
    return pb.ComplianceBundle(**_fields(stored_bundle.bundle, len(stored_bundle.rules)))


def _fields(bundle: ComplianceBundle, rule_count: int) -> dict[str, Any]:
    return {
        "id": bundle.id,
        "name": bundle.name,
        "description": bundle.description,
        "regulatory_framework": bundle.regulatory_framework,
        "enabled": bundle.enabled,
        "is_seeded": bundle.is_seeded,
        "version": bundle.version,
        "rule_count": rule_count,
        "created_at": to_timestamp(bundle.created_at),
        "updated_at": to_timestamp(bundle.updated_at),
    }


def _rule(rule: DlpRule) -> pb.BundleRule:
    return pb.BundleRule(
        id=rule.id,
        detector_name=rule.detector_name,
        detector_type=rule.detector_type,
        entity_type=rule.entity_type,
        action_tier=rule.action_tier,
        enabled=rule.enabled,
        confidence_threshold=rule.confidence_threshold,
        config_json=to_struct(rule.config_json),
        clause=rule.clause,
    )


def _row(row: MatrixRow) -> pb.ComplianceGroup:
    return pb.ComplianceGroup(
        group_id=row.group.id,
        group_name=row.group.name,
        member_count=len(row.group.members),
        bundles=[
            pb.ComplianceCell(
                bundle_id=bundle.id,
                bundle_name=bundle.name,
                framework=bundle.regulatory_framework,
                enabled=enabled,
                enforcement_mode=bundle.enforcement_mode,
                version_status=bundle.version_status,
                upgrade_available=bundle.upgrade_available,
                version=bundle.version,
            )
            for bundle, enabled in row.bundles
        ],
    )


def _version(version: BundleVersion) -> pb.ComplianceBundleVersion:
    bundle = version.bundle
    return pb.ComplianceBundleVersion(
        id=version.id,
        bundle_id=bundle.id,
        version=bundle.version,
        change_type=version.change_type,
        summary=version.summary,
        changed_by=version.changed_by,
        name=bundle.name,
        description=bundle.description,
        regulatory_framework=bundle.regulatory_framework,
        enabled=bundle.enabled,
        rule_count=len(version.rules),
        rules=map(_rule, version.rules),
        created_at=to_timestamp(version.created_at),
    )
