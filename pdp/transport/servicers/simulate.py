"""SimulateService: what would be decided. Consumes nothing, records nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import simulate_pb2 as pb
from pdp.admin.simulation.dry_runs import PatternDryRun, dry_run_chain, dry_run_pattern
from pdp.admin.simulation.overlay import apply_overlay
from pdp.domain.decision import Outcome
from pdp.domain.ids import new_id
from pdp.domain.layers import LIMITS
from pdp.domain.static_policy import StaticPolicy
from pdp.engine.evaluate import evaluate
from pdp.messages.conversion import to_match, to_request, to_response
from pdp.transport.guards import settle_tenant
from pdp.transport.servicers.customer_policy import candidate_of
from pdp.transport.servicers.dlp_rule import dlp_candidate
from pdp.transport.servicers.limits import quotas_of, rate_limits_of
from pdp.transport.servicers.org_policy import changes_of
from pdp.transport.servicers.policy_chain import chain_of, chain_request, chain_response
from pdp.transport.servicers.policy_pack import packs_of
from pdp.transport.servicers.policy_simulation import decide_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.transport.call import Call, Endpoint
    from pdp.transport.servicers.decide import DecideServicer


class SimulateServicer:
    """Judges requests with candidate policies laid over the tenant's own."""

    def __init__(self, decide: DecideServicer) -> None:
        self._decide = decide

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "Simulate": self.simulate,
            "SimulatePolicy": self.simulate_policy,
            "TestStaticPattern": self.test_pattern,
            "SimulatePolicyChain": self.try_chain,
        }

    async def simulate(self, call: Call, message: Message) -> pb.SimulateResponse:
        """Judges one request for which the overlay is compiled, and forgotten.

        Raises:
            InvalidPattern: a candidate's pattern is not RE2.
            StoreUnavailable: the tenant's policies cannot be read.
        """
        asked = cast("pb.SimulateRequest", message)
        wanted = asked.request
        tenant_id = settle_tenant(call, wanted.tenant_id, "request.tenant_id")
        call.tenant_id = tenant_id
        request_id = wanted.request_id or call.request_id
        request = to_request(wanted, tenant_id, request_id, "request.")
        snapshot = await self._snapshot(call, tenant_id, wanted.min_revision, asked)
        request = await self._decide.named(snapshot, request)
        request = self._decide.standing(snapshot, request._replace(explain=True))
        decision = evaluate(snapshot, request, new_id())
        shown = decision if wanted.explain else decision._replace(trace=())
        return pb.SimulateResponse(
            decision=to_response(shown), layers=_layers(decision, snapshot, request)
        )

    async def simulate_policy(self, call: Call, message: Message) -> pb.SimulatePolicyResponse:
        """Judges one prompt and tells what each layer says of it.

        Raises:
            InvalidArgument: something is said in two ways that differ.
            InvalidPattern: a candidate's pattern is not RE2.
            StoreUnavailable: the tenant's policies cannot be read.
        """
        asked = cast("pb.SimulatePolicyRequest", message)
        request = to_request(decide_request(asked), call.tenant_id, call.request_id)
        snapshot = await self._snapshot(call, call.tenant_id, asked.min_revision, asked)
        request = await self._decide.named(snapshot, request)
        request = self._decide.standing(snapshot, request._replace(explain=True))
        decision = evaluate(snapshot, request, new_id())
        full = _asked_of_all(decision, snapshot, request)
        response = to_response(decision)
        answer = pb.SimulatePolicyResponse(
            decision=response, layers=_layers(full, snapshot, request), trace=response.trace
        )
        if not asked.explain:
            answer.decision.ClearField("trace")
        return answer

    async def _snapshot(
        self,
        call: Call,
        tenant_id: str,
        min_revision: int,
        asked: pb.SimulateRequest | pb.SimulatePolicyRequest,
    ) -> Snapshot:
        """Returns the tenant's snapshot, with the candidates in `asked` laid over it."""
        snapshot = await self._decide.snapshot(call, tenant_id, min_revision)
        if not asked.HasField("overlay"):
            return snapshot
        # Candidates may be many: what they take to compile, no decision waits for.
        return await asyncio.to_thread(with_candidates, snapshot, asked.overlay)

    async def test_pattern(self, call: Call, message: Message) -> pb.TestStaticPatternResponse:
        """Runs a pattern over sample texts.

        Raises:
            InvalidPattern: it is not RE2.
        """
        asked = cast("pb.TestStaticPatternRequest", message)
        results = [_result(trial) for trial in dry_run_pattern(asked.pattern, asked.test_inputs)]
        return pb.TestStaticPatternResponse(
            pattern=asked.pattern,
            results=results,
            match_count=sum(result.matched for result in results),
            total_inputs=len(results),
        )

    async def try_chain(self, call: Call, message: Message) -> pb.SimulatePolicyChainResponse:
        """Runs a prompt through the tenant's own chain alone.

        Raises:
            StoreUnavailable: the tenant's policies cannot be read.
        """
        asked = cast("pb.SimulatePolicyChainRequest", message)
        snapshot = await self._decide.snapshot(call, call.tenant_id, 0)
        request = chain_request(asked, call.tenant_id)
        return chain_response(await asyncio.to_thread(dry_run_chain, snapshot, request))


def with_candidates(snapshot: Snapshot, overlay: pb.Overlay) -> Snapshot:
    return apply_overlay(
        snapshot,
        static_policies=_candidates(overlay),
        org_policy=changes_of(overlay.org_policy),
        customer_policy=candidate_of(overlay),
        packs=packs_of(overlay),
        chain=chain_of(overlay),
        dlp_rules=[dlp_candidate(each) for each in overlay.dlp_rules],
    )


def _candidates(overlay: pb.Overlay) -> list[StaticPolicy]:
    return [
        StaticPolicy(
            id=each.id,
            name=each.name,
            description=each.description,
            category=each.category or "custom",
            pattern=each.pattern,
            action=each.action,
            severity=each.severity or "medium",
            enabled=each.enabled if each.HasField("enabled") else True,
            message=each.message,
        )
        for each in overlay.static_policies
    ]


def _asked_of_all(decision: Decision, snapshot: Snapshot, request: Request) -> Decision:
    """Returns `decision` with what the layers say that a gate has kept it from asking."""
    if not any(_stops(decision, gate.name) for gate in snapshot.gates):
        return decision
    beyond = evaluate(replace(snapshot, gates=()), request, decision.decision_id)
    gates = {gate.name for gate in snapshot.gates}
    layers = tuple(
        own if own.layer in gates else other
        for own, other in zip(decision.layers, beyond.layers, strict=True)
    )
    return decision._replace(layers=layers)


def _stops(decision: Decision, gate: str) -> bool:
    return any(each.layer == gate and each.outcome is Outcome.BLOCK for each in decision.layers)


def _layers(decision: Decision, snapshot: Snapshot, request: Request) -> list[pb.LayerResult]:
    limits = snapshot.limits.of(request.subject) if snapshot.limits else ()
    return [
        pb.LayerResult(
            layer=result.layer,
            outcome=result.outcome,  # type: ignore[arg-type] # the numbers are the proto's
            reason=result.reason,
            matches=[to_match(match) for match in result.matches],
            quotas=quotas_of(limits, request) if result.layer == LIMITS else None,
            rate_limits=rate_limits_of(limits, request) if result.layer == LIMITS else None,
        )
        for result in decision.layers
    ]


def _result(trial: PatternDryRun) -> pb.PatternTestResult:
    return pb.PatternTestResult(
        input=trial.text,
        matched=bool(trial.positions),
        match_positions=[pb.MatchPosition(start=start, end=end) for start, end in trial.positions],
    )
