"""SimulateService: what would be decided. It counts nothing and records nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import simulate_pb2 as pb
from pdp.admin.simulation.dry_runs import PatternDryRun, dry_run_chain, dry_run_pattern
from pdp.admin.simulation.overlay import apply_overlay
from pdp.admin.simulation.overlay_warnings import overlay_warnings
from pdp.admin.write_checks import pattern_warnings
from pdp.domain.layers import LIMITS
from pdp.domain.static_policy import StaticPolicy
from pdp.jsonpb.structs import struct_object
from pdp.messages.conversion import to_match, to_response
from pdp.policy_files.overlay import with_policy_file
from pdp.transport.call import Handler
from pdp.transport.guards import settle_tenant
from pdp.transport.servicers.customer_policy import candidate_of
from pdp.transport.servicers.dlp_rule import dlp_candidate
from pdp.transport.servicers.limits import quotas_of, rate_limits_of
from pdp.transport.servicers.org_policy import changes_of
from pdp.transport.servicers.placements import placement_of
from pdp.transport.servicers.policy_chain import chain_of, chain_request, chain_response
from pdp.transport.servicers.policy_file import REPLACE
from pdp.transport.servicers.policy_pack import packs_of
from pdp.transport.servicers.policy_simulation import decide_request
from pdp.transport.servicers.request_conversion import convert, read_payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.decisions.decider import Decider, Simulation
    from pdp.domain.policy_set import PolicySet
    from pdp.engine.snapshot import Snapshot
    from pdp.transport.call import Call, Endpoint


class SimulateServicer:
    """Decides requests with candidate policies laid over the tenant's own."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    def handlers(self) -> Mapping[str, Endpoint | Handler]:
        """Returns the handler of each RPC, by its name."""
        return {
            "Simulate": Handler(self.simulate, settles_tenant=True),
            "SimulatePolicy": self.simulate_policy,
            "TestStaticPattern": self.test_pattern,
            "SimulatePolicyChain": self.try_chain,
        }

    async def simulate(self, call: Call, message: Message) -> pb.SimulateResponse:
        """Decides one request with an overlay that is compiled for this call alone.

        Raises:
            InvalidArgument: the payload is not understood.
            InvalidPattern: a candidate's pattern is not RE2.
            StoreUnavailable: the tenant's policies cannot be read.
        """
        body = cast("pb.SimulateRequest", message)
        inner = body.request
        tenant_id = settle_tenant(call, inner.tenant_id, "request.tenant_id")
        call.tenant_id = tenant_id
        request_id = inner.request_id or call.request_id
        heavy = self._decider.evaluator.heavy
        request = await convert(heavy, inner, tenant_id, request_id, "request.", takes_payload=True)
        payload = None
        if inner.HasField("payload"):
            payload = await read_payload(heavy, tenant_id, inner, "request.")
        snapshot = await self._snapshot(call, inner.min_revision, body)
        if payload is None:
            simulation = await self._decider.simulate(snapshot, request)
        else:
            simulation = await self._decider.simulate_payload(
                snapshot, request, payload, inner.payload.history
            )
        decision = simulation.decision
        if not inner.explain:
            decision = decision._replace(trace=())
        return pb.SimulateResponse(
            decision=to_response(decision, inner), layers=_layers(snapshot, simulation)
        )

    async def simulate_policy(self, call: Call, message: Message) -> pb.SimulatePolicyResponse:
        """Decides one prompt and shows what each layer says of it.

        Raises:
            InvalidArgument: two fields say the same thing in two ways that differ.
            InvalidPattern: a candidate's pattern is not RE2.
            StoreUnavailable: the tenant's policies cannot be read.
        """
        body = cast("pb.SimulatePolicyRequest", message)
        inner = decide_request(body)
        heavy = self._decider.evaluator.heavy
        request = await convert(heavy, inner, call.tenant_id, call.request_id)
        snapshot = await self._snapshot(call, body.min_revision, body)
        simulation = await self._decider.simulate(snapshot, request, past_gates=True)
        response = to_response(simulation.decision, inner)
        answer = pb.SimulatePolicyResponse(
            decision=response, layers=_layers(snapshot, simulation), trace=response.trace
        )
        if not body.explain:
            answer.decision.ClearField("trace")
        return answer

    async def _snapshot(
        self, call: Call, min_revision: int, body: pb.SimulateRequest | pb.SimulatePolicyRequest
    ) -> Snapshot:
        """Returns the tenant's snapshot, with the candidates in `body` laid over it."""
        snapshot = await self._decider.snapshot(call.tenant_id, min_revision, call.deadline)
        if not body.HasField("overlay"):
            return snapshot
        # There may be many candidates, and no decision should wait until they are compiled.
        return await asyncio.to_thread(_with_warnings, call, snapshot, body.overlay)

    async def test_pattern(self, call: Call, message: Message) -> pb.TestStaticPatternResponse:
        """Runs a pattern over sample texts.

        Raises:
            InvalidPattern: it is not RE2.
        """
        body = cast("pb.TestStaticPatternRequest", message)
        results = [_result(trial) for trial in dry_run_pattern(body.pattern, body.test_inputs)]
        call.warnings = await asyncio.to_thread(pattern_warnings, "pattern", body.pattern)
        return pb.TestStaticPatternResponse(
            pattern=body.pattern,
            results=results,
            match_count=sum(result.matched for result in results),
            total_inputs=len(results),
        )

    async def try_chain(self, call: Call, message: Message) -> pb.SimulatePolicyChainResponse:
        """Runs a prompt through the tenant's own chain alone.

        Raises:
            StoreUnavailable: the tenant's policies cannot be read.
        """
        body = cast("pb.SimulatePolicyChainRequest", message)
        snapshot = await self._decider.snapshot(call.tenant_id)
        request = chain_request(body, call.tenant_id)
        return chain_response(await asyncio.to_thread(dry_run_chain, snapshot, request))


def _with_warnings(call: Call, snapshot: Snapshot, overlay: pb.Overlay) -> Snapshot:
    """Returns the snapshot with the candidates in it; the call gets the warnings about them."""
    simulated = with_candidates(snapshot, overlay)
    call.warnings = overlay_warnings(
        simulated,
        static_policies=_candidates(overlay),
        customer_policy=candidate_of(overlay),
        packs=packs_of(overlay),
        dlp_rules=[dlp_candidate(each) for each in overlay.dlp_rules],
    )
    return simulated


def with_candidates(snapshot: Snapshot, overlay: pb.Overlay) -> Snapshot:
    return apply_overlay(
        snapshot,
        policies=_policies(snapshot, overlay),
        static_policies=_candidates(overlay),
        org_policy=changes_of(overlay.org_policy),
        customer_policy=candidate_of(overlay),
        packs=packs_of(overlay),
        chain=chain_of(overlay),
        dlp_rules=[dlp_candidate(each) for each in overlay.dlp_rules],
    )


def _policies(snapshot: Snapshot, overlay: pb.Overlay) -> PolicySet | None:
    """Returns the tenant's policies with those of the overlay's policy file; None without one."""
    if not overlay.HasField("policies"):
        return None
    document = struct_object(overlay.policies)
    platform = snapshot.platform
    return with_policy_file(
        snapshot.policies,
        platform.policies,
        document,
        platform.detectors,
        "overlay.policies.",
        replace=overlay.policies_mode == REPLACE,
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
            in_prose=each.in_prose,
            **placement_of(each),
        )
        for each in overlay.static_policies
    ]


def _layers(snapshot: Snapshot, simulation: Simulation) -> list[pb.LayerResult]:
    request = simulation.request
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
        for result in simulation.layers
    ]


def _result(trial: PatternDryRun) -> pb.PatternTestResult:
    return pb.PatternTestResult(
        input=trial.text,
        matched=bool(trial.positions),
        match_positions=[pb.MatchPosition(start=start, end=end) for start, end in trial.positions],
    )
