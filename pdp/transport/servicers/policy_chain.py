"""PolicyChainService (the policy chain API), candidate chains and dry runs of chains."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import policy_chain_pb2 as pb
from pdp._gen.pdp.v1 import simulate_pb2
from pdp.admin.policy_packs.chains import ChainEntryDraft
from pdp.admin.simulation.overlay import ChainCandidate
from pdp.domain.policy_chain import FIRST_APPLICABLE
from pdp.domain.request import Request, Subject
from pdp.transport.etag import expectation, with_new_etag, with_revision
from pdp.transport.servicers.fields import to_struct, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.message import Message

    from pdp.admin.policy_packs.chains import ChainView, PolicyChains
    from pdp.domain.policy_chain import ChainEntry
    from pdp.engine.layers.chain import ChainDryRun
    from pdp.engine.rules.evaluated import EvaluatedRule
    from pdp.transport.call import Call, Endpoint

    AnyChainPack = pb.ChainPack | simulate_pb2.OverlayChainPack


class PolicyChainServicer:
    """Administers policy chains for the tenant that a call acts for."""

    def __init__(self, chains: PolicyChains) -> None:
        self._chains = chains

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListPolicyChains": self.list,
            "ReplaceOrgPolicyChain": self.replace_org,
            "ReplaceUserPolicyChain": self.replace_user,
            "DeleteUserPolicyChain": self.delete_user,
        }

    async def list(self, call: Call, message: Message) -> pb.ListPolicyChainsResponse:
        """Lists all chains."""
        chains = await self._chains.list(call.tenant_id)
        return pb.ListPolicyChainsResponse(chains=[_chain(each) for each in chains])

    async def replace_org(self, call: Call, message: Message) -> pb.ReplaceOrgPolicyChainResponse:
        """Replaces the tenant's own chain."""
        request = cast("pb.ReplaceOrgPolicyChainRequest", message)
        written = await self._chains.replace(
            call.tenant_id,
            call.principal.name,
            _entry_drafts(request.packs),
            request.combining_algorithm or FIRST_APPLICABLE,
            precondition=expectation(call),
        )
        return pb.ReplaceOrgPolicyChainResponse(chain=_chain(with_new_etag(call, written)))

    async def replace_user(self, call: Call, message: Message) -> pb.ReplaceUserPolicyChainResponse:
        """Replaces a user's chain."""
        request = cast("pb.ReplaceUserPolicyChainRequest", message)
        written = await self._chains.replace(
            call.tenant_id,
            call.principal.name,
            _entry_drafts(request.packs),
            request.combining_algorithm or FIRST_APPLICABLE,
            user_id=request.user_id,
            precondition=expectation(call),
        )
        return pb.ReplaceUserPolicyChainResponse(chain=_chain(with_new_etag(call, written)))

    async def delete_user(self, call: Call, message: Message) -> pb.DeleteUserPolicyChainResponse:
        """Deletes a user's chain."""
        request = cast("pb.DeleteUserPolicyChainRequest", message)
        written = await self._chains.delete(
            call.tenant_id, call.principal.name, request.user_id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteUserPolicyChainResponse()


def chain_of(overlay: simulate_pb2.Overlay) -> ChainCandidate | None:
    """Returns the candidate chain of an overlay, or None."""
    if not overlay.HasField("chain"):
        return None
    algorithm = overlay.chain.combining_algorithm or FIRST_APPLICABLE
    return ChainCandidate(_entry_drafts(overlay.chain.packs), algorithm)


def chain_request(message: simulate_pb2.SimulatePolicyChainRequest, tenant_id: str) -> Request:
    """Returns the decision request of a dry run of the chain."""
    return Request(
        text=message.prompt,
        provider=message.provider,
        model=message.model,
        tenant_id=tenant_id,
        subject=Subject(groups=tuple(message.user_groups)),
        timestamp=time.time(),
    )


def chain_response(dry_run: ChainDryRun) -> simulate_pb2.SimulatePolicyChainResponse:
    """Returns the response of a dry run of the chain."""
    response = simulate_pb2.SimulatePolicyChainResponse(
        evaluation_trace=[_evaluation(each) for each in dry_run.rules]
    )
    deciding = dry_run.deciding
    if deciding is not None:
        rule, pack = deciding.chain_rule.rule, deciding.chain_rule.pack
        response.matched = True
        response.matched_pack_id, response.matched_pack_name = pack.id, pack.name
        response.matched_rule_id, response.matched_rule_name = rule.id, rule.name
        response.matched_sequence = rule.sequence
        response.action.CopyFrom(to_struct(rule.action))
        response.match_reason = deciding.result.reason
    return response


def _entry_drafts(packs: Iterable[AnyChainPack]) -> list[ChainEntryDraft]:
    return [
        ChainEntryDraft(each.id, each.sequence if each.HasField("sequence") else None)
        for each in packs
    ]


def _evaluation(evaluated: EvaluatedRule) -> simulate_pb2.ChainEvaluation:
    rule, pack = evaluated.chain_rule.rule, evaluated.chain_rule.pack
    return simulate_pb2.ChainEvaluation(
        pack_id=pack.id,
        pack_name=pack.name,
        rule_id=rule.id,
        rule_name=rule.name,
        sequence=rule.sequence,
        matched=evaluated.result.matched,
        match_reason=evaluated.result.reason,
    )


def _chain(view: ChainView) -> pb.PolicyChain:
    chain = view.chain
    return pb.PolicyChain(
        id=chain.id,
        scope=chain.scope,
        user_id=chain.user_id,
        combining_algorithm=chain.combining_algorithm,
        packs=[_entry(each, view) for each in chain.packs],
        created_at=to_timestamp(chain.created_at),
        updated_at=to_timestamp(chain.updated_at),
    )


def _entry(entry: ChainEntry, view: ChainView) -> pb.PolicyChainEntry:
    message = pb.PolicyChainEntry(id=entry.id, pack_id=entry.pack_id, sequence=entry.sequence)
    stored_pack = view.packs.get(entry.pack_id)
    # A release may have removed a bundle; the entry is shown even then.
    if stored_pack is not None:
        pack = stored_pack.pack
        message.pack_name, message.pack_type = pack.name, pack.pack_type
        message.rule_count, message.is_active = pack.rule_count, pack.is_active
    return message
