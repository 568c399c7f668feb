"""The decider of a program that has no event loop: it runs in the caller's thread.

The steps are those of `pdp.decisions.decider`. The embedded engine calls it.
"""

from __future__ import annotations

import time
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pdp.decisions.approvals.desk import HoldSteps, NoDesk, run_here, run_now
from pdp.decisions.decider import DecisionSteps
from pdp.decisions.input_hash import with_input_hash
from pdp.decisions.payloads import (
    begin_all,
    judge,
    questions_of,
    record_request,
    request_to_record,
    texts_for_models,
    with_entities,
    with_model,
    with_requests,
)
from pdp.decisions.recording import unrecorded
from pdp.decisions.request_requirements import check_requirements
from pdp.domain.ids import new_id
from pdp.engine.dlp.named_entities import texts_of, with_findings
from pdp.engine.evaluate import evaluate, stopped
from pdp.errors import ServerNeeded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.decisions.approvals.desk import ApprovalDesk
    from pdp.decisions.decider import Observer, PendingDecision
    from pdp.decisions.payloads import Asked
    from pdp.decisions.recording import DecisionRecorder
    from pdp.domain.decision import Decision
    from pdp.domain.ner import NerFindings
    from pdp.domain.request import Request
    from pdp.engine.evaluation import Mark
    from pdp.engine.snapshot import Snapshot
    from pdp.payloads.payload import Payload
    from pdp.usage.metering import CallerMeter


class BlockingDecider(DecisionSteps):
    """Decides requests in the caller's own thread; any number of threads may call it at once."""

    def __init__(
        self,
        snapshot: Callable[[str], Snapshot],
        meter: CallerMeter,
        find_entities: Callable[[list[tuple[str | None, str]], Any], NerFindings],
        recorder: DecisionRecorder,
        observe: Observer,
        *,
        desk: ApprovalDesk | None = None,
    ) -> None:
        """Takes what the steps work with.

        Args:
            snapshot: returns a tenant's snapshot, and loads it if it is not in memory.
            meter: the counters of limits; safe for threads.
            find_entities: runs the models on texts, each with its path, for the given labels.
            recorder: records decisions; its acknowledgements are for threads.
            observe: called with every decision that is answered.
            desk: opens and uses approvals in the caller's thread; None refuses what would need one.
        """
        super().__init__(meter, recorder, observe)
        self.meter: CallerMeter = meter
        self._approvals = HoldSteps(desk or NoDesk(), run_here)
        self._snapshot = snapshot
        self._find_entities = find_entities

    def decide(
        self,
        request: Request,
        payload: Payload | None = None,
        *,
        history: str = "",
        arrived: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> Decision:
        """Decides one request; see `Decider.decide` and `Decider.decide_payload`.

        Args:
            request: validated, with its ids and its timestamp set.
            payload: its payload; None if it has none.
            history: see `pdp.decisions.payloads.judge`.
            arrived: when the caller sent it; None for now.
            snapshot: the tenant's policies, if the caller has them.

        Raises:
            InvalidArgument: the request does not have what the tenant's settings require.
            ServerNeeded: this process cannot decide it.
        """
        try:
            if snapshot is None:
                snapshot = self._snapshot(request.tenant_id)
        except ServerNeeded:
            raise
        except Exception as error:  # any error leaves nothing to decide on
            return self._answer(*self.undecidable(request, error))
        if snapshot.has_requirements:
            check_requirements(snapshot, request, arrived=arrived)
        try:
            if payload is None:
                decision, acknowledgement = self._run_steps(snapshot, request)
            else:
                decision, acknowledgement = self._run_payload(
                    snapshot, with_model(request, payload), payload, history
                )
        except ServerNeeded:
            raise
        except Exception as error:  # a meter or a model failed
            decision, acknowledgement = self.undecidable(request, error)
        return self._answer(decision, acknowledgement)

    def _run_payload(
        self, snapshot: Snapshot, request: Request, payload: Payload, history: str
    ) -> PendingDecision:
        charge = self.meter.charge(snapshot, request)
        if charge is not None:
            request = charge.request
        questions = questions_of(snapshot, request, payload)
        if snapshot.ner and not stopped(snapshot, request):
            texts = texts_for_models(questions)
            questions = with_entities(questions, self._find_entities(texts, snapshot.ner))
        began = perf_counter()
        decision = run_now(self._payload_decision(snapshot, request, questions, payload, history))
        request = request_to_record(snapshot, request, payload, decision)
        if charge is not None:
            self.meter.settle(charge, decision)
        return decision, self.recorder.take(snapshot, request, decision, began)

    def _answer(self, decision: Decision, acknowledgement: Any) -> Decision:
        if acknowledgement is not None and not acknowledgement.wait():
            decision = unrecorded(decision)
        self.observe(decision)
        return decision

    def _run_steps(self, snapshot: Snapshot, request: Request) -> PendingDecision:
        charge = None if snapshot.limits is None else self.meter.charge(snapshot, request)
        if charge is not None:
            request = charge.request
        if snapshot.ner and not stopped(snapshot, request):
            findings = self._find_entities(texts_of(request), snapshot.ner)
            request = with_findings(request, findings)
        if snapshot.needs_clock:
            request = request._replace(server_time=time.time())
        began = perf_counter()
        marks = [("", began)] if snapshot.timed else None
        if request.tokens:
            decision = run_now(self._granted_decision(snapshot, request, marks))
        else:
            decision = evaluate(snapshot, request, new_id(), None, marks)
            if not decision.plain or snapshot.records_plain or request.want_input_hash:
                decision = with_input_hash(snapshot, request, decision)  # else it needs none
            if decision.holds:
                decision = run_now(self._approvals.settled(snapshot, request, decision))
        if charge is not None:
            self.meter.settle(charge, decision)
        return decision, self.recorder.take(snapshot, request, decision, began, marks or ())

    async def _granted_decision(
        self, snapshot: Snapshot, request: Request, marks: list[Mark] | None
    ) -> Decision:
        """Returns the decision on a request that has tokens. Nothing is awaited that waits."""

        async def evaluate_granted(inputs: Sequence[Request]) -> Decision:
            (granted,) = inputs
            return self._evaluate(snapshot, granted, marks)

        return await self._approvals.decide(
            snapshot, request, (request,), evaluate_granted, lambda: request
        )

    async def _payload_decision(
        self,
        snapshot: Snapshot,
        request: Request,
        questions: list[Asked],
        payload: Payload,
        history: str,
    ) -> Decision:
        """Returns the decision on a payload. Nothing is awaited that waits."""

        async def judge_granted(inputs: Sequence[Request]) -> Decision:
            asked = with_requests(questions, inputs)
            begun = begin_all(snapshot, asked, new_id())
            return judge(snapshot, asked, payload, begun, history)

        inputs = [each.request for each in questions]
        return await self._approvals.decide(
            snapshot, request, inputs, judge_granted, lambda: record_request(request, payload)
        )

    def _evaluate(self, snapshot: Snapshot, request: Request, marks: list[Mark] | None) -> Decision:
        decision = evaluate(snapshot, request, new_id(), None, marks)
        return with_input_hash(snapshot, request, decision)
