"""SimulateService: what would be decided. Consumes nothing, records nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import simulate_pb2 as pb
from pdp.admin.chain_trial import try_chain
from pdp.admin.overlay import overlaid
from pdp.admin.pattern_trial import Trial, try_pattern
from pdp.domain.static_policy import StaticPolicy
from pdp.engine.evaluate import evaluate
from pdp.transport.call import Call, Endpoint, new_id
from pdp.transport.chain import settle_tenant
from pdp.transport.convert import to_match, to_request, to_response
from pdp.transport.servicers.customer_policy import candidate_of
from pdp.transport.servicers.org_policy import changes_of
from pdp.transport.servicers.overlay_packs import chain_of, chain_request, packs_of
from pdp.transport.servicers.policy_chain import trial_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.domain.decision import LayerResult
    from pdp.transport.servicers.decide import DecideServicer


class SimulateServicer:
    """Judges requests with candidate policies laid over the tenant's own."""

    def __init__(self, decide: DecideServicer) -> None:
        self._decide = decide

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "Simulate": self.simulate,
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
        request_id = wanted.request_id or call.request_id
        request = to_request(wanted, tenant_id, request_id, "request.")
        snapshot = await self._decide.snapshot(call, tenant_id, wanted.min_revision)
        if asked.HasField("overlay"):
            snapshot = overlaid(
                snapshot,
                static_policies=_candidates(asked.overlay),
                org_policy=changes_of(asked.overlay.org_policy),
                customer_policy=candidate_of(asked.overlay),
                packs=packs_of(asked.overlay),
                chain=chain_of(asked.overlay),
            )
        decision = evaluate(snapshot, request._replace(explain=True), new_id())
        shown = decision if wanted.explain else decision._replace(trace=())
        return pb.SimulateResponse(
            decision=to_response(shown), layers=[_layer(layer) for layer in decision.layers]
        )

    async def test_pattern(self, call: Call, message: Message) -> pb.TestStaticPatternResponse:
        """Runs a pattern over sample texts.

        Raises:
            InvalidPattern: it is not RE2.
        """
        asked = cast("pb.TestStaticPatternRequest", message)
        results = [_result(trial) for trial in try_pattern(asked.pattern, asked.test_inputs)]
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
        return trial_response(try_chain(snapshot, chain_request(asked, call.tenant_id)))


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


def _layer(result: LayerResult) -> pb.LayerResult:
    return pb.LayerResult(
        layer=result.layer,
        outcome=result.outcome,  # type: ignore[arg-type] # the numbers are the proto's
        reason=result.reason,
        matches=[to_match(match) for match in result.matches],
    )


def _result(trial: Trial) -> pb.PatternTestResult:
    return pb.PatternTestResult(
        input=trial.text,
        matched=bool(trial.positions),
        match_positions=[pb.MatchPosition(start=start, end=end) for start, end in trial.positions],
    )
