"""PolicyPackService (the policy pack API), and the candidate packs of overlays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from pdp._gen.pdp.v1 import policy_pack_pb2 as pb
from pdp.admin.policy_packs.rules import RuleDraft
from pdp.admin.simulation.overlay import PackCandidate
from pdp.domain.policy_pack import BUNDLE, CUSTOM, PolicyPack
from pdp.jsonpb.structs import struct_object
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.servicers.fields import present_fields, to_struct, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import simulate_pb2
    from pdp.admin.policy_packs.entities import StoredPack
    from pdp.admin.policy_packs.packs import PolicyPacks
    from pdp.admin.policy_packs.rules import PolicyRules
    from pdp.domain.policy_pack import PolicyRule
    from pdp.transport.call import Call, Endpoint

    AnyRuleDraft = pb.PolicyRuleDraft | pb.CreatePolicyRuleRequest | simulate_pb2.OverlayRule

_PACK_FIELDS: Final = ("name", "description", "compliance_standard", "version", "is_active")
_RULE_FIELDS: Final = (
    "sequence",
    "name",
    "description",
    "applies_to",
    "is_active",
    "mode",
    "redaction",
)
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
        packs = await self._packs.list(call.tenant_id)
        return pb.ListPolicyPacksResponse(packs=[_pack(each) for each in packs])

    async def bundles(self, call: Call, message: Message) -> pb.ListPolicyPackBundlesResponse:
        """Lists the bundles."""
        bundles = await self._packs.bundles(call.tenant_id)
        return pb.ListPolicyPackBundlesResponse(packs=[_pack(each) for each in bundles])

    async def create(self, call: Call, message: Message) -> pb.CreatePolicyPackResponse:
        """Creates a pack."""
        request = cast("pb.CreatePolicyPackRequest", message)
        has = request.HasField
        draft = PolicyPack(
            id="",
            name=request.name,
            description=request.description,
            pack_type=request.pack_type or CUSTOM,
            compliance_standard=request.compliance_standard if has("compliance_standard") else None,
            version=request.version if has("version") else "1.0",
            is_active=request.is_active if has("is_active") else True,
        )
        rules = [rule_draft(each) for each in request.rules]
        written = await self._packs.create(call.tenant_id, call.principal.name, draft, rules)
        return pb.CreatePolicyPackResponse(pack=_pack(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetPolicyPackResponse:
        """Returns a pack with its rules."""
        request = cast("pb.GetPolicyPackRequest", message)
        detail = with_etag(call, await self._packs.get(call.tenant_id, request.pack_id))
        pack = pb.PolicyPackDetail(**_fields(detail.stored_pack), rules=map(_rule, detail.rules))
        return pb.GetPolicyPackResponse(pack=pack)

    async def update(self, call: Call, message: Message) -> pb.UpdatePolicyPackResponse:
        """Changes the fields that are set in the request."""
        request = cast("pb.UpdatePolicyPackRequest", message)
        changes = present_fields(request, _PACK_FIELDS)
        written = await self._packs.update(
            call.tenant_id, call.principal.name, request.pack_id, changes, expectation(call)
        )
        return pb.UpdatePolicyPackResponse(pack=_pack(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeletePolicyPackResponse:
        """Deletes a pack."""
        request = cast("pb.DeletePolicyPackRequest", message)
        written = await self._packs.delete(
            call.tenant_id, call.principal.name, request.pack_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeletePolicyPackResponse()

    async def rules(self, call: Call, message: Message) -> pb.ListPolicyRulesResponse:
        """Lists a pack's rules."""
        request = cast("pb.ListPolicyRulesRequest", message)
        rules = await self._rules.list(call.tenant_id, request.pack_id)
        return pb.ListPolicyRulesResponse(rules=map(_rule, rules))

    async def create_rule(self, call: Call, message: Message) -> pb.CreatePolicyRuleResponse:
        """Adds a rule."""
        request = cast("pb.CreatePolicyRuleRequest", message)
        written = await self._rules.create(
            call.tenant_id, call.principal.name, request.pack_id, rule_draft(request)
        )
        return pb.CreatePolicyRuleResponse(rule=_rule(with_new_etag(call, written)))

    async def update_rule(self, call: Call, message: Message) -> pb.UpdatePolicyRuleResponse:
        """Changes the fields that are set in the request."""
        request = cast("pb.UpdatePolicyRuleRequest", message)
        changes = present_fields(request, _RULE_FIELDS)
        for name in _DOCUMENTS:
            if request.HasField(name):
                changes[name] = struct_object(getattr(request, name))
        written = await self._rules.update(
            call.tenant_id,
            call.principal.name,
            request.pack_id,
            request.rule_id,
            changes,
            precondition=expectation(call),
        )
        return pb.UpdatePolicyRuleResponse(rule=_rule(with_new_etag(call, written)))

    async def delete_rule(self, call: Call, message: Message) -> pb.DeletePolicyRuleResponse:
        """Deletes a rule."""
        request = cast("pb.DeletePolicyRuleRequest", message)
        written = await self._rules.delete(
            call.tenant_id, call.principal.name, request.pack_id, request.rule_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeletePolicyRuleResponse()

    async def reorder(self, call: Call, message: Message) -> pb.ReorderPolicyRulesResponse:
        """Gives a pack's rules new sequences."""
        request = cast("pb.ReorderPolicyRulesRequest", message)
        entries = [(each.id, each.sequence) for each in request.entries]
        written = await self._rules.reorder(
            call.tenant_id, call.principal.name, request.pack_id, entries
        )
        rules = with_revision(call, written)
        return pb.ReorderPolicyRulesResponse(rules=map(_rule, rules))


def rule_draft(message: AnyRuleDraft) -> RuleDraft:
    """Returns the new rule in a message."""
    return RuleDraft(
        name=message.name,
        action=struct_object(message.action),
        conditions=struct_object(message.conditions),
        sequence=message.sequence if message.HasField("sequence") else None,
        description=message.description,
        applies_to=message.applies_to or "input",
        is_active=message.is_active if message.HasField("is_active") else True,
        mode=message.mode,
        redaction=message.redaction,
    )


def packs_of(overlay: simulate_pb2.Overlay) -> list[PackCandidate]:
    """Returns the candidate packs of an overlay."""
    return [_candidate(each) for each in overlay.packs]


def _candidate(message: simulate_pb2.OverlayPack) -> PackCandidate:
    pack = PolicyPack(
        id=message.id,
        name=message.name,
        description=message.description,
        pack_type=CUSTOM,
        compliance_standard=message.compliance_standard or None,
        version=message.version or "1.0",
        is_active=message.is_active if message.HasField("is_active") else True,
    )
    rules = [rule_draft(each) for each in message.rules]
    return PackCandidate(pack, rules, [each.id for each in message.rules])


def _pack(stored_pack: StoredPack) -> pb.PolicyPack:
    return pb.PolicyPack(**_fields(stored_pack))


def _fields(stored_pack: StoredPack) -> dict[str, Any]:
    pack = stored_pack.pack
    return {
        "id": pack.id,
        "tenant_id": None if pack.pack_type == BUNDLE else stored_pack.owner,
        "name": pack.name,
        "description": pack.description,
        "pack_type": pack.pack_type,
        "compliance_standard": pack.compliance_standard,
        "version": pack.version,
        "is_active": pack.is_active,
        "rule_count": pack.rule_count,
        "created_at": to_timestamp(pack.created_at),
        "updated_at": to_timestamp(pack.updated_at),
    }


def _rule(rule: PolicyRule) -> pb.PolicyRule:
    return pb.PolicyRule(
        id=rule.id,
        pack_id=rule.pack_id,
        sequence=rule.sequence,
        name=rule.name,
        description=rule.description,
        applies_to=rule.applies_to,
        conditions=to_struct(rule.conditions),
        action=to_struct(rule.action),
        is_active=rule.is_active,
        mode=rule.mode,
        created_at=to_timestamp(rule.created_at),
        updated_at=to_timestamp(rule.updated_at),
        redaction=rule.redaction,
    )
