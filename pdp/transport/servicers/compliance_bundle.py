"""ComplianceBundleService (seed 002)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import compliance_bundle_pb2 as pb
from pdp.domain.compliance_bundle import ComplianceBundle
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.servicers.policy_pack import document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.compliance.bundles import ComplianceBundles, MatrixRow
    from pdp.admin.compliance.entities import KeptBundle
    from pdp.admin.compliance.history import BundleVersion
    from pdp.domain.dlp_rule import DlpRule
    from pdp.transport.call import Call, Endpoint


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
        asked = cast("pb.ListComplianceBundlesRequest", message)
        enabled = asked.enabled if asked.HasField("enabled") else None
        found = await self._bundles.list(call.tenant_id, enabled, asked.framework)
        return pb.ListComplianceBundlesResponse(
            bundles=[pb.ComplianceBundle(**_fields(each.bundle, each.rule_count)) for each in found]
        )

    async def matrix(self, call: Call, message: Message) -> pb.GetComplianceMatrixResponse:
        """Tells which bundles are in force for which user groups."""
        found = await self._bundles.matrix(call.tenant_id)
        return pb.GetComplianceMatrixResponse(groups=map(_row, found))

    async def create(self, call: Call, message: Message) -> pb.CreateComplianceBundleResponse:
        """Makes a bundle."""
        asked = cast("pb.CreateComplianceBundleRequest", message)
        draft = ComplianceBundle(
            id="",
            name=asked.name,
            description=asked.description,
            regulatory_framework=asked.regulatory_framework,
            enabled=asked.enabled if asked.HasField("enabled") else True,
        )
        written = await self._bundles.create(
            call.tenant_id, call.principal.name, draft, list(asked.rule_ids.rule_ids)
        )
        return pb.CreateComplianceBundleResponse(bundle=_bundle(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetComplianceBundleResponse:
        """Returns a bundle with its rules."""
        asked = cast("pb.GetComplianceBundleRequest", message)
        kept = with_etag(call, await self._bundles.get(call.tenant_id, asked.bundle_id))
        detail = pb.ComplianceBundleDetail(
            **_fields(kept.bundle, len(kept.rules)), rules=map(_rule, kept.rules)
        )
        return pb.GetComplianceBundleResponse(bundle=detail)

    async def update(self, call: Call, message: Message) -> pb.UpdateComplianceBundleResponse:
        """Changes the fields that were sent."""
        asked = cast("pb.UpdateComplianceBundleRequest", message)
        written = await self._bundles.update(
            call.tenant_id,
            call.principal.name,
            asked.bundle_id,
            {name: getattr(asked, name) for name in _FIELDS if asked.HasField(name)},
            rule_ids=list(asked.rule_ids.rule_ids) if asked.HasField("rule_ids") else None,
            expected=expectation(call),
        )
        return pb.UpdateComplianceBundleResponse(bundle=_bundle(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteComplianceBundleResponse:
        """Deletes a bundle."""
        asked = cast("pb.DeleteComplianceBundleRequest", message)
        written = await self._bundles.delete(
            call.tenant_id, call.principal.name, asked.bundle_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteComplianceBundleResponse()

    async def activate(self, call: Call, message: Message) -> pb.ActivateComplianceBundleResponse:
        """Puts a bundle and all its rules in force."""
        asked = cast("pb.ActivateComplianceBundleRequest", message)
        return pb.ActivateComplianceBundleResponse(
            **await self._switched(call, asked.bundle_id, enabled=True)
        )

    async def deactivate(
        self, call: Call, message: Message
    ) -> pb.DeactivateComplianceBundleResponse:
        """Takes a bundle and all its rules out of force."""
        asked = cast("pb.DeactivateComplianceBundleRequest", message)
        return pb.DeactivateComplianceBundleResponse(
            **await self._switched(call, asked.bundle_id, enabled=False)
        )

    async def versions(
        self, call: Call, message: Message
    ) -> pb.ListComplianceBundleVersionsResponse:
        """Lists what a bundle was, newest first."""
        asked = cast("pb.ListComplianceBundleVersionsRequest", message)
        found = await self._bundles.versions(call.tenant_id, asked.bundle_id)
        return pb.ListComplianceBundleVersionsResponse(versions=map(_version, found))

    async def upgrade(self, call: Call, message: Message) -> pb.UpgradeComplianceBundleResponse:
        """Brings a seeded bundle to its latest definition."""
        asked = cast("pb.UpgradeComplianceBundleRequest", message)
        written = await self._bundles.upgrade(
            call.tenant_id, call.principal.name, asked.bundle_id, expectation(call)
        )
        return pb.UpgradeComplianceBundleResponse(**with_new_etag(call, written)._asdict())

    async def _switched(self, call: Call, bundle_id: str, *, enabled: bool) -> dict[str, Any]:
        written = await self._bundles.switch(
            call.tenant_id,
            call.principal.name,
            bundle_id,
            enabled=enabled,
            expected=expectation(call),
        )
        kept = with_new_etag(call, written)
        return {
            "bundle_id": kept.bundle.id,
            "enabled": kept.bundle.enabled,
            "rules_updated": len(kept.rules),
        }


def _time(seconds: float) -> Timestamp:
    """Whole seconds, as the seeds show times."""
    return Timestamp(seconds=int(seconds))


def _bundle(kept: KeptBundle) -> pb.ComplianceBundle:
    return pb.ComplianceBundle(**_fields(kept.bundle, len(kept.rules)))


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
        "created_at": _time(bundle.created_at),
        "updated_at": _time(bundle.updated_at),
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
        config_json=document(rule.config_json),
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
        created_at=_time(version.created_at),
    )
