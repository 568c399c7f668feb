"""PolicyPackService (seed 002)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import policy_pack_pb2 as pb
from pdp.admin.packs.rule_drafts import RuleDraft
from pdp.domain.policy_pack import BUNDLE, CUSTOM, PolicyPack
from pdp.jsonpb.structs import struct_object
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import simulate_pb2
    from pdp.admin.packs.entities import KeptPack
    from pdp.admin.packs.packs import PolicyPacks
    from pdp.admin.packs.rules import PolicyRules
    from pdp.domain.policy_pack import JsonObject, PolicyRule
    from pdp.transport.call import Call, Endpoint

    AnyRuleDraft = pb.PolicyRuleDraft | pb.CreatePolicyRuleRequest | simulate_pb2.OverlayRule

_PACK_FIELDS: Final = ("name", "description", "compliance_standard", "version", "is_active")
_RULE_FIELDS: Final = ("sequence", "name", "description", "applies_to", "is_active")
_DOCUMENTS: Final = ("conditions", "action")


class PolicyPackServicer:
    """Administers policy packs and rules for the tenant that a call acts for."""

    def __init__(self, packs: PolicyPacks, rules: PolicyRules) -> None:
        self._packs = packs
        self._rules = rules

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListPolicyPacks": self.list,
            "ListPolicyPackBundles": self.bundles,
            "CreatePolicyPack": self.create,
            "GetPolicyPack": self.get,
            "UpdatePolicyPack": self.update,
            "DeletePolicyPack": self.delete,
            "ListPolicyRules": self.rules,
            "CreatePolicyRule": self.create_rule,
            "UpdatePolicyRule": self.update_rule,
            "DeletePolicyRule": self.delete_rule,
            "ReorderPolicyRules": self.reorder,
        }

    async def list(self, call: Call, message: Message) -> pb.ListPolicyPacksResponse:
        """Lists all packs."""
        found = await self._packs.list(call.tenant_id)
        return pb.ListPolicyPacksResponse(packs=[_pack(each) for each in found])

    async def bundles(self, call: Call, message: Message) -> pb.ListPolicyPackBundlesResponse:
        """Lists the bundles."""
        found = await self._packs.bundles(call.tenant_id)
        return pb.ListPolicyPackBundlesResponse(packs=[_pack(each) for each in found])

    async def create(self, call: Call, message: Message) -> pb.CreatePolicyPackResponse:
        """Makes a pack."""
        asked = cast("pb.CreatePolicyPackRequest", message)
        has = asked.HasField
        draft = PolicyPack(
            id="",
            name=asked.name,
            description=asked.description,
            pack_type=asked.pack_type or CUSTOM,
            compliance_standard=asked.compliance_standard if has("compliance_standard") else None,
            version=asked.version if has("version") else "1.0",
            is_active=asked.is_active if has("is_active") else True,
        )
        rules = [rule_draft(each) for each in asked.rules]
        written = await self._packs.create(call.tenant_id, call.principal.name, draft, rules)
        return pb.CreatePolicyPackResponse(pack=_pack(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetPolicyPackResponse:
        """Returns a pack with its rules."""
        asked = cast("pb.GetPolicyPackRequest", message)
        detail = with_etag(call, await self._packs.get(call.tenant_id, asked.pack_id))
        pack = pb.PolicyPackDetail(**_fields(detail.kept), rules=map(_rule, detail.rules))
        return pb.GetPolicyPackResponse(pack=pack)

    async def update(self, call: Call, message: Message) -> pb.UpdatePolicyPackResponse:
        """Changes the fields that were sent."""
        asked = cast("pb.UpdatePolicyPackRequest", message)
        changes = _sent(asked, _PACK_FIELDS)
        written = await self._packs.update(
            call.tenant_id, call.principal.name, asked.pack_id, changes, expectation(call)
        )
        return pb.UpdatePolicyPackResponse(pack=_pack(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeletePolicyPackResponse:
        """Deletes a pack."""
        asked = cast("pb.DeletePolicyPackRequest", message)
        written = await self._packs.delete(
            call.tenant_id, call.principal.name, asked.pack_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeletePolicyPackResponse()

    async def rules(self, call: Call, message: Message) -> pb.ListPolicyRulesResponse:
        """Lists a pack's rules."""
        asked = cast("pb.ListPolicyRulesRequest", message)
        found = await self._rules.list(call.tenant_id, asked.pack_id)
        return pb.ListPolicyRulesResponse(rules=map(_rule, found))

    async def create_rule(self, call: Call, message: Message) -> pb.CreatePolicyRuleResponse:
        """Adds a rule."""
        asked = cast("pb.CreatePolicyRuleRequest", message)
        written = await self._rules.create(
            call.tenant_id, call.principal.name, asked.pack_id, rule_draft(asked)
        )
        return pb.CreatePolicyRuleResponse(rule=_rule(with_new_etag(call, written)))

    async def update_rule(self, call: Call, message: Message) -> pb.UpdatePolicyRuleResponse:
        """Changes the fields that were sent."""
        asked = cast("pb.UpdatePolicyRuleRequest", message)
        changes = _sent(asked, _RULE_FIELDS)
        for name in _DOCUMENTS:
            if asked.HasField(name):
                changes[name] = struct_object(getattr(asked, name))
        written = await self._rules.update(
            call.tenant_id,
            call.principal.name,
            asked.pack_id,
            asked.rule_id,
            changes,
            expected=expectation(call),
        )
        return pb.UpdatePolicyRuleResponse(rule=_rule(with_new_etag(call, written)))

    async def delete_rule(self, call: Call, message: Message) -> pb.DeletePolicyRuleResponse:
        """Deletes a rule."""
        asked = cast("pb.DeletePolicyRuleRequest", message)
        written = await self._rules.delete(
            call.tenant_id, call.principal.name, asked.pack_id, asked.rule_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeletePolicyRuleResponse()

    async def reorder(self, call: Call, message: Message) -> pb.ReorderPolicyRulesResponse:
        """Gives a pack's rules new sequences."""
        asked = cast("pb.ReorderPolicyRulesRequest", message)
        entries = [(each.id, each.sequence) for each in asked.entries]
        written = await self._rules.reorder(
            call.tenant_id, call.principal.name, asked.pack_id, entries
        )
        rules = with_revision(call, written)
        return pb.ReorderPolicyRulesResponse(rules=map(_rule, rules))


def rule_draft(asked: AnyRuleDraft) -> RuleDraft:
    """Returns the rule that a message asks to make."""
    return RuleDraft(
        name=asked.name,
        action=struct_object(asked.action),
        conditions=struct_object(asked.conditions),
        sequence=asked.sequence if asked.HasField("sequence") else None,
        description=asked.description,
        applies_to=asked.applies_to or "input",
        is_active=asked.is_active if asked.HasField("is_active") else True,
    )


def document(value: JsonObject) -> Struct:
    """Returns the wire form of a document."""
    struct = Struct()
    struct.update(value)
    return struct


def _sent(asked: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in names if asked.HasField(name)}


def _time(seconds: float) -> Timestamp:
    """Whole seconds, as the seeds show times."""
    return Timestamp(seconds=int(seconds))


def _pack(kept: KeptPack) -> pb.PolicyPack:
    return pb.PolicyPack(**_fields(kept))


def _fields(kept: KeptPack) -> dict[str, Any]:
    pack = kept.pack
    return {
        "id": pack.id,
        "tenant_id": None if pack.pack_type == BUNDLE else kept.owner,
        "name": pack.name,
        "description": pack.description,
        "pack_type": pack.pack_type,
        "compliance_standard": pack.compliance_standard,
        "version": pack.version,
        "is_active": pack.is_active,
        "rule_count": pack.rule_count,
        "created_at": _time(pack.created_at),
        "updated_at": _time(pack.updated_at),
    }


def _rule(rule: PolicyRule) -> pb.PolicyRule:
    return pb.PolicyRule(
        id=rule.id,
        pack_id=rule.pack_id,
        sequence=rule.sequence,
        name=rule.name,
        description=rule.description,
        applies_to=rule.applies_to,
        conditions=document(rule.conditions),
        action=document(rule.action),
        is_active=rule.is_active,
        created_at=_time(rule.created_at),
        updated_at=_time(rule.updated_at),
    )
