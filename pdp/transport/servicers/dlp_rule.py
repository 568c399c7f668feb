"""DlpRuleService (seed 002)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import dlp_rule_pb2 as pb
from pdp.admin.dlp.transfer import SKIP
from pdp.domain.dlp_rule import DlpRule
from pdp.jsonpb.structs import struct_object, value_of
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.servicers.policy_pack import document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import simulate_pb2
    from pdp.admin.dlp.entities import KeptRule
    from pdp.admin.dlp.rules import DlpRules
    from pdp.admin.dlp.transfer import DlpTransfer
    from pdp.admin.dlp.versions import DlpVersion
    from pdp.domain.detector import EntityDetector
    from pdp.transport.call import Call, Endpoint

EXPORT_VERSION: Final = "1.0"

_PLAIN: Final = (
    "detector_name",
    "detector_type",
    "entity_type",
    "action_tier",
    "enabled",
    "confidence_threshold",
)


class DlpRuleServicer:
    """Administers DLP rules for the tenant that a call acts for."""

    def __init__(self, rules: DlpRules, transfer: DlpTransfer) -> None:
        self._rules = rules
        self._transfer = transfer

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListDlpRules": self.list,
            "CreateDlpRule": self.create,
            "ExportDlpRules": self.export,
            "ImportDlpRules": self.take_in,
            "ListAvailablePatterns": self.patterns,
            "GetDlpRule": self.get,
            "UpdateDlpRule": self.update,
            "DeleteDlpRule": self.delete,
            "ListDlpRuleVersions": self.versions,
        }

    async def list(self, call: Call, message: Message) -> pb.ListDlpRulesResponse:
        """Lists rules."""
        asked = cast("pb.ListDlpRulesRequest", message)
        enabled = asked.enabled if asked.HasField("enabled") else None
        found = await self._rules.list(
            call.tenant_id, enabled=enabled, detector_type=asked.detector_type
        )
        return pb.ListDlpRulesResponse(rules=map(_rule, found))

    async def create(self, call: Call, message: Message) -> pb.CreateDlpRuleResponse:
        """Makes a rule."""
        asked = cast("pb.CreateDlpRuleRequest", message)
        written = await self._rules.create(call.tenant_id, call.principal.name, rule_draft(asked))
        return pb.CreateDlpRuleResponse(rule=_rule(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetDlpRuleResponse:
        """Returns a rule."""
        asked = cast("pb.GetDlpRuleRequest", message)
        rule = with_etag(call, await self._rules.get(call.tenant_id, asked.rule_id))
        return pb.GetDlpRuleResponse(rule=_rule(rule))

    async def update(self, call: Call, message: Message) -> pb.UpdateDlpRuleResponse:
        """Changes the fields that were sent."""
        asked = cast("pb.UpdateDlpRuleRequest", message)
        changes: dict[str, Any] = {
            name: getattr(asked, name) for name in _PLAIN if asked.HasField(name)
        }
        if asked.HasField("config_json"):
            changes["config_json"] = struct_object(asked.config_json)
        written = await self._rules.update(
            call.tenant_id, call.principal.name, asked.rule_id, changes, expectation(call)
        )
        return pb.UpdateDlpRuleResponse(rule=_rule(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteDlpRuleResponse:
        """Deletes a rule."""
        asked = cast("pb.DeleteDlpRuleRequest", message)
        written = await self._rules.delete(
            call.tenant_id, call.principal.name, asked.rule_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteDlpRuleResponse()

    async def versions(self, call: Call, message: Message) -> pb.ListDlpRuleVersionsResponse:
        """Returns a rule's history."""
        asked = cast("pb.ListDlpRuleVersionsRequest", message)
        found = await self._rules.versions(call.tenant_id, asked.rule_id)
        return pb.ListDlpRuleVersionsResponse(versions=map(_version, found))

    async def export(self, call: Call, message: Message) -> pb.ExportDlpRulesResponse:
        """Returns a backup."""
        found = await self._transfer.export(call.tenant_id)
        return pb.ExportDlpRulesResponse(
            version=EXPORT_VERSION,
            exported_at=_time(time.time()),
            count=len(found),
            rules=map(_rule, found),
        )

    async def take_in(self, call: Call, message: Message) -> pb.ImportDlpRulesResponse:
        """Makes or replaces many rules."""
        asked = cast("pb.ImportDlpRulesRequest", message)
        documents = [value_of(each) for each in asked.rules]
        written = await self._transfer.take_in(
            call.tenant_id, call.principal.name, documents, asked.mode or SKIP
        )
        imported = with_revision(call, written)
        return pb.ImportDlpRulesResponse(
            created=imported.created,
            skipped=imported.skipped,
            overwritten=imported.overwritten,
            errors=[pb.DlpImportError(**fault._asdict()) for fault in imported.errors],
        )

    async def patterns(self, call: Call, message: Message) -> pb.ListAvailablePatternsResponse:
        """Lists what ships with the product."""
        asked = cast("pb.ListAvailablePatternsRequest", message)
        found = self._rules.patterns(asked.category)
        return pb.ListAvailablePatternsResponse(
            categories=[
                pb.PatternCategory(
                    category=category, count=len(detectors), patterns=map(_pattern, detectors)
                )
                for category, detectors in found.items()
            ],
            total=sum(map(len, found.values())),
        )


def rule_draft(asked: pb.CreateDlpRuleRequest | simulate_pb2.OverlayDlpRule) -> DlpRule:
    """Returns the rule that a message asks to make."""
    threshold = asked.confidence_threshold if asked.HasField("confidence_threshold") else 0.5
    return DlpRule(
        id="",
        detector_name=asked.detector_name,
        detector_type=asked.detector_type,
        entity_type=asked.entity_type,
        action_tier=asked.action_tier,
        enabled=asked.enabled if asked.HasField("enabled") else True,
        confidence_threshold=threshold,
        config_json=struct_object(asked.config_json),
    )


def dlp_candidate(asked: simulate_pb2.OverlayDlpRule) -> DlpRule:
    """Returns the candidate of an overlay."""
    return replace(rule_draft(asked), id=asked.id)


def _time(seconds: float) -> Timestamp:
    """Whole seconds, as the seeds show times."""
    return Timestamp(seconds=int(seconds))


def _rule(kept: KeptRule) -> pb.DlpRule:
    rule = kept.rule
    return pb.DlpRule(
        id=rule.id,
        **{name: getattr(rule, name) for name in _PLAIN},
        config_json=document(rule.config_json),
        source="platform" if kept.of_platform else "",
        bundle_id=rule.bundle_id,
        clause=rule.clause,
    )


def _version(version: DlpVersion) -> pb.DlpRuleVersion:
    old, new = version.old_values, version.new_values
    return pb.DlpRuleVersion(
        id=version.id,
        rule_id=version.rule_id,
        changed_by=version.changed_by,
        change_type=version.change_type,
        old_values=None if old is None else document(old),
        new_values=None if new is None else document(new),
        changed_at=_time(version.changed_at),
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
