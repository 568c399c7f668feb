"""PolicyChainService, and the trial of a chain that SimulateService serves (seed 002)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import policy_chain_pb2 as pb
from pdp._gen.pdp.v1 import simulate_pb2
from pdp.admin.packs.chains import PackPlace
from pdp.domain.policy_chain import FIRST_APPLICABLE
from pdp.transport.etag import expectation, settled, stored
from pdp.transport.servicers.policy_pack import document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.message import Message

    from pdp.admin.packs.chains import ChainView, PolicyChains
    from pdp.domain.policy_chain import ChainEntry
    from pdp.engine.layers.chain import ChainDryRun, EvaluatedRule
    from pdp.transport.call import Call, Endpoint

    AnyPlace = pb.ChainPack | simulate_pb2.OverlayChainPack


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
        found = await self._chains.list(call.tenant_id)
        return pb.ListPolicyChainsResponse(chains=[_chain(each) for each in found])

    async def replace_org(self, call: Call, message: Message) -> pb.ReplaceOrgPolicyChainResponse:
        """Replaces the tenant's own chain."""
        asked = cast("pb.ReplaceOrgPolicyChainRequest", message)
        written = await self._chains.replace(
            call.tenant_id,
            call.principal.name,
            places(asked.packs),
            asked.combining_algorithm or FIRST_APPLICABLE,
            expected=expectation(call),
        )
        return pb.ReplaceOrgPolicyChainResponse(chain=_chain(stored(call, written)))

    async def replace_user(self, call: Call, message: Message) -> pb.ReplaceUserPolicyChainResponse:
        """Replaces a user's chain."""
        asked = cast("pb.ReplaceUserPolicyChainRequest", message)
        written = await self._chains.replace(
            call.tenant_id,
            call.principal.name,
            places(asked.packs),
            asked.combining_algorithm or FIRST_APPLICABLE,
            user_id=asked.user_id,
            expected=expectation(call),
        )
        return pb.ReplaceUserPolicyChainResponse(chain=_chain(stored(call, written)))

    async def delete_user(self, call: Call, message: Message) -> pb.DeleteUserPolicyChainResponse:
        """Deletes a user's chain."""
        asked = cast("pb.DeleteUserPolicyChainRequest", message)
        written = await self._chains.delete(
            call.tenant_id, call.principal.name, asked.user_id, expectation(call)
        )
        settled(call, written)
        return pb.DeleteUserPolicyChainResponse()


def places(asked: Iterable[AnyPlace]) -> list[PackPlace]:
    """Returns the packs that a message puts into a chain."""
    return [
        PackPlace(each.id, each.sequence if each.HasField("sequence") else None) for each in asked
    ]


def trial_response(trial: ChainDryRun) -> simulate_pb2.SimulatePolicyChainResponse:
    """Returns the wire form of what a chain comes to."""
    response = simulate_pb2.SimulatePolicyChainResponse(
        evaluation_trace=[_evaluation(each) for each in trial.rules]
    )
    decided = trial.deciding
    if decided is not None:
        rule, pack = decided.chain_rule.rule, decided.chain_rule.pack
        response.matched = True
        response.matched_pack_id, response.matched_pack_name = pack.id, pack.name
        response.matched_rule_id, response.matched_rule_name = rule.id, rule.name
        response.matched_sequence = rule.sequence
        response.action.CopyFrom(document(rule.action))
        response.match_reason = decided.result.reason
    return response


def _evaluation(looked: EvaluatedRule) -> simulate_pb2.ChainEvaluation:
    rule, pack = looked.chain_rule.rule, looked.chain_rule.pack
    return simulate_pb2.ChainEvaluation(
        pack_id=pack.id,
        pack_name=pack.name,
        rule_id=rule.id,
        rule_name=rule.name,
        sequence=rule.sequence,
        matched=looked.result.matched,
        match_reason=looked.result.reason,
    )


def _time(seconds: float) -> Timestamp:
    """Whole seconds, as the seeds show times."""
    return Timestamp(seconds=int(seconds))


def _chain(view: ChainView) -> pb.PolicyChain:
    chain = view.chain
    return pb.PolicyChain(
        id=chain.id,
        scope=chain.scope,
        user_id=chain.user_id,
        combining_algorithm=chain.combining_algorithm,
        packs=[_entry(each, view) for each in chain.packs],
        created_at=_time(chain.created_at),
        updated_at=_time(chain.updated_at),
    )


def _entry(entry: ChainEntry, view: ChainView) -> pb.PolicyChainEntry:
    shown = pb.PolicyChainEntry(id=entry.id, pack_id=entry.pack_id, sequence=entry.sequence)
    kept = view.packs.get(entry.pack_id)
    # A bundle may be gone with a release; its place is shown all the same.
    if kept is not None:
        shown.pack_name, shown.pack_type = kept.pack.name, kept.pack.pack_type
        shown.rule_count, shown.is_active = kept.pack.rule_count, kept.pack.is_active
    return shown
