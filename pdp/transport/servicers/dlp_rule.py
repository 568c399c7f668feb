"""DlpRuleService (the DLP API)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from pdp._gen.pdp.v1 import dlp_rule_pb2 as pb
from pdp.admin.dlp.import_export import SKIP
from pdp.domain.dlp_rule import DlpRule
from pdp.jsonpb.structs import struct_object, value_of
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.paging import answer_list
from pdp.transport.servicers.fields import present_fields, to_struct, to_timestamp
from pdp.transport.servicers.placements import (
    placement_changes,
    placement_fields,
    placement_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import simulate_pb2
    from pdp.admin.dlp.entities import StoredDlpRule
    from pdp.admin.dlp.import_export import DlpRuleImportExport
    from pdp.admin.dlp.rules import DlpRules
    from pdp.admin.dlp.versions import DlpRuleVersion
    from pdp.admin.pages import Page, PageRequest
    from pdp.domain.detector import EntityDetector
    from pdp.transport.call import Call, Endpoint

EXPORT_VERSION: Final = "1.0"

_FIELDS: Final = (
    "detector_name",
    "detector_type",
    "entity_type",
    "action_tier",
    "enabled",
    "confidence_threshold",
)


class DlpRuleServicer:
    """Administers DLP rules for the tenant that a call acts for."""

    def __init__(self, rules: DlpRules, import_export: DlpRuleImportExport) -> None:
        self._rules = rules
        self._import_export = import_export

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListDlpRules": self.list,
            "CreateDlpRule": self.create,
            "ExportDlpRules": self.export_rules,
            "ImportDlpRules": self.import_rules,
            "ListAvailablePatterns": self.patterns,
            "GetDlpRule": self.get,
            "UpdateDlpRule": self.update,
            "DeleteDlpRule": self.delete,
            "ListDlpRuleVersions": self.versions,
        }

    async def list(self, call: Call, message: Message) -> pb.ListDlpRulesResponse:
        """Lists rules."""
        request = cast("pb.ListDlpRulesRequest", message)
        enabled = request.enabled if request.HasField("enabled") else None

        def read(page: PageRequest) -> Awaitable[Page[StoredDlpRule]]:
            return self._rules.list(
                call.tenant_id, page, enabled=enabled, detector_type=request.detector_type
            )

        return await answer_list(
            call,
            request,
            "rules",
            read=read,
            build=lambda page: pb.ListDlpRulesResponse(rules=map(_rule, page.items)),
        )

    async def create(self, call: Call, message: Message) -> pb.CreateDlpRuleResponse:
        """Creates a rule."""
        request = cast("pb.CreateDlpRuleRequest", message)
        written = await self._rules.create(call.tenant_id, call.principal.name, rule_draft(request))
        return pb.CreateDlpRuleResponse(rule=_rule(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetDlpRuleResponse:
        """Returns a rule."""
        request = cast("pb.GetDlpRuleRequest", message)
        rule = with_etag(call, await self._rules.get(call.tenant_id, request.rule_id))
        return pb.GetDlpRuleResponse(rule=_rule(rule))

    async def update(self, call: Call, message: Message) -> pb.UpdateDlpRuleResponse:
        """Changes the fields that are set in the request."""
        request = cast("pb.UpdateDlpRuleRequest", message)
        changes = present_fields(request, _FIELDS) | placement_changes(request)
        if request.HasField("config_json"):
            changes["config_json"] = struct_object(request.config_json)
        written = await self._rules.update(
            call.tenant_id, call.principal.name, request.rule_id, changes, expectation(call)
        )
        return pb.UpdateDlpRuleResponse(rule=_rule(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteDlpRuleResponse:
        """Deletes a rule."""
        request = cast("pb.DeleteDlpRuleRequest", message)
        written = await self._rules.delete(
            call.tenant_id, call.principal.name, request.rule_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteDlpRuleResponse()

    async def versions(self, call: Call, message: Message) -> pb.ListDlpRuleVersionsResponse:
        """Returns a rule's history."""
        request = cast("pb.ListDlpRuleVersionsRequest", message)
        return await answer_list(
            call,
            request,
            "versions",
            read=lambda page: self._rules.versions(call.tenant_id, request.rule_id, page),
            build=lambda page: pb.ListDlpRuleVersionsResponse(versions=map(_version, page.items)),
        )

    async def export_rules(self, call: Call, message: Message) -> pb.ExportDlpRulesResponse:
        """Exports the tenant's rules for a backup."""
        rules = await self._import_export.export_rules(call.tenant_id)
        return pb.ExportDlpRulesResponse(
            version=EXPORT_VERSION,
            exported_at=to_timestamp(time.time()),
            count=len(rules),
            rules=map(_rule, rules),
        )

    async def import_rules(self, call: Call, message: Message) -> pb.ImportDlpRulesResponse:
        """Creates or replaces many rules."""
        request = cast("pb.ImportDlpRulesRequest", message)
        documents = [value_of(each) for each in request.rules]
        written = await self._import_export.import_rules(
            call.tenant_id, call.principal.name, documents, request.mode or SKIP
        )
        result = with_revision(call, written)
        return pb.ImportDlpRulesResponse(
            created=result.created,
            skipped=result.skipped,
            overwritten=result.overwritten,
            errors=[pb.DlpImportError(**error._asdict()) for error in result.errors],
        )

    async def patterns(self, call: Call, message: Message) -> pb.ListAvailablePatternsResponse:
        """Lists the detectors that ship with the product."""
        request = cast("pb.ListAvailablePatternsRequest", message)
        by_category = self._rules.patterns(request.category)
        return pb.ListAvailablePatternsResponse(
            categories=[
                pb.PatternCategory(
                    category=category, count=len(detectors), patterns=map(_pattern, detectors)
                )
                for category, detectors in by_category.items()
            ],
            total=sum(map(len, by_category.values())),
        )


def rule_draft(message: pb.CreateDlpRuleRequest | simulate_pb2.OverlayDlpRule) -> DlpRule:
    """Returns the new rule in a message."""
    threshold = message.confidence_threshold if message.HasField("confidence_threshold") else 0.5
    return DlpRule(
        id="",
        detector_name=message.detector_name,
        detector_type=message.detector_type,
        entity_type=message.entity_type,
        action_tier=message.action_tier,
        enabled=message.enabled if message.HasField("enabled") else True,
        confidence_threshold=threshold,
        config_json=struct_object(message.config_json),
        **placement_of(message),
    )


def dlp_candidate(message: simulate_pb2.OverlayDlpRule) -> DlpRule:
    """Returns a candidate rule of an overlay."""
    return replace(rule_draft(message), id=message.id)


def _rule(stored_rule: StoredDlpRule) -> pb.DlpRule:
    rule = stored_rule.rule
    return pb.DlpRule(
        id=rule.id,
        **{name: getattr(rule, name) for name in _FIELDS},
        config_json=to_struct(rule.config_json),
        source="platform" if stored_rule.of_platform else "",
        bundle_id=rule.bundle_id,
        clause=rule.clause,
        **placement_fields(rule),
    )


def _version(version: DlpRuleVersion) -> pb.DlpRuleVersion:
    old, new = version.old_values, version.new_values
    return pb.DlpRuleVersion(
        id=version.id,
        rule_id=version.rule_id,
        changed_by=version.changed_by,
        change_type=version.change_type,
        old_values=None if old is None else to_struct(old),
        new_values=None if new is None else to_struct(new),
        changed_at=to_timestamp(version.changed_at),
    )


def _pattern(detector: EntityDetector) -> pb.AvailablePattern:
    return pb.AvailablePattern(
        id=detector.id,
        name=detector.name,
        entity_type=detector.entity_type,
        category=detector.category,
        description=detector.description,
        validator=detector.validator,
        confidence=detector.confidence,
        context_confidence=detector.context_confidence,
        context=detector.context,
    )
