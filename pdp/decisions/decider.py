"""The decider: the only place that knows what happens around `evaluate`.

    snapshot → charge limits → find named entities → read tokens → evaluate
             → open or use approvals → settle limits → record

`Decider` runs on an event loop: gRPC, HTTP, streams, simulations and every adapter call it.
`BlockingDecider` (blocking_decider.py) takes the same steps in the caller's thread. Both take and
return domain values; neither knows protobuf, gRPC or HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from pdp.decisions.approvals.desk import HoldSteps, NoDesk
from pdp.decisions.evaluator import Evaluator, evaluate_aside
from pdp.decisions.payloads import (
    judge_aside,
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
from pdp.domain.decision import Decision, Fault, LayerResult, Outcome
from pdp.domain.ids import new_id
from pdp.domain.layers import ENGINE
from pdp.domain.request import Request
from pdp.engine.dlp.named_entities import texts_of, with_findings
from pdp.engine.evaluate import failed_decision, stopped
from pdp.errors import RateLimited, RevisionUnavailable, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pdp.decisions.approvals.desk import ApprovalDesk
    from pdp.decisions.payloads import Asked
    from pdp.decisions.recording import DecisionRecorder
    from pdp.domain.ner import NerFinder
    from pdp.engine.snapshot import Snapshot
    from pdp.payloads.payload import Payload
    from pdp.usage.metering import ChargedRequest, LoopMeter, SettlingMeter

MAX_WAIT_S: Final = 1.0
"""How long a decision waits for `min_revision` if the caller sets no deadline (docs/decide.md)."""


class PoliciesUnavailable(StoreUnavailable):
    """A tenant's policies are not in memory and cannot be loaded."""


class PolicySource(Protocol):
    """The snapshots in force, as an event loop reads them."""

    @property
    def revision(self) -> int:
        """The revision that is in force in this process."""

    def current(self, tenant_id: str) -> Snapshot | None:
        """Returns the tenant's snapshot, or None if it is not in memory."""

    async def load(self, tenant_id: str) -> Snapshot:
        """Loads and compiles the tenant's policies. May raise any error."""

    async def reach(self, revision: int, timeout_s: float) -> bool:
        """Waits for a revision. Returns False if it is not in force after `timeout_s` seconds."""


Observer = Callable[[Decision], None]
"""Called with every decision that is answered: counts it, and logs its faults."""


class InvalidItem(NamedTuple):
    """An item of a batch or a stream that is itself invalid, so that it is answered in its place.

    Attributes:
        request_id: the caller's id; may be empty.
        tenant_id: the tenant that it is recorded for; empty if the tenant itself is the problem,
            and then nothing is recorded.
        reason_code, message, status_hint: of the decision.
    """

    request_id: str
    tenant_id: str
    reason_code: str
    message: str
    status_hint: int


PendingDecision = tuple[Decision, Any]
"""A decision, and the acknowledgement that its answer waits for: see `DecisionRecorder.take`. A
plain tuple, because making a named one costs as much as a layer."""


class Simulation(NamedTuple):
    """What a simulation returns.

    Attributes:
        decision: with its trace.
        layers: what each layer says. A layer behind a gate that stops the request is asked as well
            if the simulation asks for that.
        request: with the usage that limits were checked against.
    """

    decision: Decision
    layers: tuple[LayerResult, ...]
    request: Request


class DecisionSteps:
    """The steps around `evaluate` that need no waiting.

    Attributes:
        meter: the counters of limits.
        recorder: records decisions.
        observe: called with every decision that is answered.
    """

    def __init__(self, meter: SettlingMeter, recorder: DecisionRecorder, observe: Observer) -> None:
        self.meter = meter
        self.recorder = recorder
        self.observe = observe

    def undecidable(self, request: Request, error: BaseException) -> PendingDecision:
        """Returns the BLOCK for a request whose policies cannot be loaded or evaluated."""
        decision = failed_decision(request.request_id, new_id(), fault=Fault(ENGINE, error))
        return decision, self.recorder.take(None, request, decision)

    def refused(self, item: InvalidItem) -> PendingDecision:
        """Returns the BLOCK for an item that is itself invalid."""
        decision = failed_decision(
            item.request_id,
            new_id(),
            reason_code=item.reason_code,
            message=item.message,
            status_hint=item.status_hint,
        )
        if not item.tenant_id:
            return decision, None
        request = Request(
            request_id=item.request_id, tenant_id=item.tenant_id, timestamp=time.time()
        )
        return decision, self.recorder.take(None, request, decision)


class Decider(DecisionSteps):
    """Decides requests on an event loop. All its methods are called on that loop's thread.

    Attributes:
        current: returns the snapshot of a tenant, or None if it is not in memory.
        evaluator: evaluates requests, in threads if that takes long.
    """

    def __init__(
        self,
        policies: PolicySource,
        meter: LoopMeter,
        entity_finder: NerFinder,
        recorder: DecisionRecorder,
        observe: Observer,
        *,
        desk: ApprovalDesk | None = None,
    ) -> None:
        """Takes what the steps work with.

        Args:
            policies: the snapshots in force.
            meter: the counters of limits.
            entity_finder: the models that find named entities.
            recorder: records decisions.
            observe: called with every decision that is answered.
            desk: opens and uses approvals; None refuses what would need one.
        """
        super().__init__(meter, recorder, observe)
        self.meter: LoopMeter = meter
        self._policies = policies
        self.current = policies.current
        self._entity_finder = entity_finder
        self.evaluator = Evaluator()
        self._approvals = HoldSteps(desk or NoDesk(), self.evaluator.heavy.run)

    def decide(
        self,
        request: Request,
        *,
        min_revision: int = 0,
        deadline: float | None = None,
        encoded_bytes: int = 0,
        path: str = "",
    ) -> PendingDecision | Awaitable[PendingDecision]:
        """Decides one request: counts it, evaluates it and has it recorded.

        If the tenant's policies cannot be loaded, the decision is a BLOCK that is `incomplete`.

        Args:
            request: validated, with its ids and its timestamp set.
            min_revision: the revision that the decision must be based on at least.
            deadline: when the caller stops waiting, by `time.monotonic`; None for never.
            encoded_bytes: the size of a request that has arguments or names a customer, else 0.
            path: the prefix of paths in errors, for a request within another message.

        Returns:
            What `answer` takes; what to await for it if that must wait.

        Raises:
            InvalidArgument: the request does not have what the tenant's settings require.
            RevisionUnavailable: when it is awaited, if `min_revision` was not reached in time.
            RateLimited: when it is awaited, if too many large requests of the tenant wait.
        """
        # Nearly always the snapshot is in memory and the request is small: then nothing is awaited.
        snapshot = None if min_revision else self.current(request.tenant_id)
        if snapshot is None:
            return self._decide_once_loaded(
                request,
                lambda snapshot: self.run(snapshot, request, encoded_bytes, self.recorder),
                min_revision,
                deadline,
                path,
            )
        if snapshot.has_requirements:
            check_requirements(snapshot, request, path)
        return self.run(snapshot, request, encoded_bytes, self.recorder)

    async def _decide_once_loaded(
        self,
        request: Request,
        run: Callable[[Snapshot], PendingDecision | Awaitable[PendingDecision]],
        min_revision: int,
        deadline: float | None,
        path: str,
    ) -> PendingDecision:
        """Decides a request by `run`, once its snapshot is in memory; see `decide`."""
        arrived = time.time()
        try:
            snapshot = await self.snapshot(request.tenant_id, min_revision, deadline)
        except PoliciesUnavailable as error:
            return self.undecidable(request, error.__cause__ or error)
        check_requirements(snapshot, request, path, arrived)
        pending = run(snapshot)
        return pending if isinstance(pending, tuple) else await pending

    async def decide_payload(
        self,
        request: Request,
        payload: Payload,
        *,
        history: str = "",
        min_revision: int = 0,
        deadline: float | None = None,
        path: str = "",
    ) -> PendingDecision:
        """Decides a payload: one request to limits, one decision, one record.

        Args:
            request: what the caller says beside the payload, validated, with its ids and its
                timestamp set.
            payload: the payload.
            history: see `pdp.decisions.payloads.judge`.
            min_revision: see `decide`.
            deadline: see `decide`.
            path: see `decide`.

        Returns:
            What `answer` takes.

        Raises:
            InvalidArgument: the request does not have what the tenant's settings require.
            RevisionUnavailable: `min_revision` was not reached in time.
            RateLimited: too many large requests of the tenant wait for their evaluation.
        """
        return await self._decide_once_loaded(
            request,
            lambda snapshot: self.run_payload(snapshot, request, payload, history, self.recorder),
            min_revision,
            deadline,
            path,
        )

    async def refuse(self, item: InvalidItem) -> Decision:
        """Returns the recorded BLOCK for an item that is itself invalid."""
        return await self.answer(*self.refused(item))

    async def snapshot(
        self, tenant_id: str, min_revision: int = 0, deadline: float | None = None
    ) -> Snapshot:
        """Returns the tenant's snapshot, once `min_revision` is in force.

        Raises:
            RevisionUnavailable: `min_revision` was not reached before the deadline.
            PoliciesUnavailable: the tenant's policies are not in memory, and cannot be read or do
                not compile.
        """
        policies = self._policies
        if min_revision > policies.revision:
            timeout_s = MAX_WAIT_S
            if deadline is not None:
                timeout_s = min(MAX_WAIT_S, max(0.0, deadline - time.monotonic()))
            if not await policies.reach(min_revision, timeout_s):
                raise RevisionUnavailable(
                    f"revision {min_revision} was not reached in time; "
                    f"this server is at {policies.revision}"
                )
        snapshot = self.current(tenant_id)
        if snapshot is not None:
            return snapshot
        try:
            return await policies.load(tenant_id)
        except Exception as error:  # any error leaves nothing to evaluate
            raise PoliciesUnavailable("the tenant's policies cannot be loaded now") from error

    async def simulate_payload(
        self, snapshot: Snapshot, request: Request, payload: Payload, history: str = ""
    ) -> Simulation:
        """Decides a payload for information; see `simulate`. The layers are those of the part that
        decides.
        """
        request = with_model(request, payload)._replace(explain=True)
        request = await self._with_usage(snapshot, request)
        questions = questions_of(snapshot, request, payload)
        if snapshot.ner:
            texts = texts_for_models(questions)
            findings = await self._entity_finder.find(texts, snapshot.ner)
            questions = with_entities(questions, findings)
        decision = await self.evaluator.heavy.run(
            request.tenant_id, judge_aside, snapshot, questions, payload, new_id(), history
        )
        return Simulation(decision, decision.layers, request)

    async def simulate(
        self, snapshot: Snapshot, request: Request, *, past_gates: bool = False
    ) -> Simulation:
        """Decides a request for information: nothing is counted, recorded or observed.

        Args:
            snapshot: the policies, with candidates laid over them if there are any.
            request: what to decide.
            past_gates: ask the layers behind a gate even if that gate stops the request.
        """
        request = await self.find_entities(snapshot, request)
        request = await self._with_usage(snapshot, request._replace(explain=True))
        run = self.evaluator.heavy.run
        decision = await run(request.tenant_id, evaluate_aside, snapshot, request, new_id())
        layers = decision.layers
        gates = {gate.name for gate in snapshot.gates}
        if past_gates and any(_stops(layer, gates) for layer in layers):
            without_gates = replace(snapshot, gates=())
            beyond = await run(
                request.tenant_id, evaluate_aside, without_gates, request, decision.decision_id
            )
            layers = tuple(
                own if own.layer in gates else other
                for own, other in zip(layers, beyond.layers, strict=True)
            )
        return Simulation(decision, layers, request)

    async def _with_usage(self, snapshot: Snapshot, request: Request) -> Request:
        read = self.meter.with_usage(snapshot, request)
        return read if isinstance(read, Request) else await read

    async def charge(self, snapshot: Snapshot, request: Request) -> ChargedRequest | None:
        """Adds a request to the counters; returns None if no limit applies to it.

        If the caller is cancelled, its charge stays.
        """
        charge = self.meter.charge(snapshot, request)
        return await charge if isinstance(charge, Awaitable) else charge

    async def find_entities(self, snapshot: Snapshot, request: Request) -> Request:
        """Returns the request with what models find in it, if a rule in force needs models."""
        if not snapshot.ner:
            return request
        texts = texts_of(request)
        if not texts:
            return request
        return with_findings(request, await self._entity_finder.find(texts, snapshot.ner))

    def run(
        self,
        snapshot: Snapshot,
        request: Request,
        encoded_bytes: int,
        recorder: DecisionRecorder,
        *,
        charge: ChargedRequest | None = None,
    ) -> PendingDecision | Awaitable[PendingDecision]:
        """Decides a request on a snapshot; returns what to await for it if that must wait.

        No coroutine is made for most requests, because a coroutine costs as much as a layer.

        Args:
            snapshot: the policies.
            request: what to decide.
            encoded_bytes: see `decide`.
            recorder: records the decision.
            charge: the charge of the request, if it was charged already.

        Raises:
            RateLimited: when it is awaited, if too many large requests of the tenant wait.
        """
        if snapshot.limits is None and not snapshot.ner:
            return self._run_evaluation(snapshot, request, encoded_bytes, recorder)
        return self._run_steps(snapshot, request, encoded_bytes, recorder, charge)

    async def _run_steps(
        self,
        snapshot: Snapshot,
        request: Request,
        encoded_bytes: int,
        recorder: DecisionRecorder,
        charge: ChargedRequest | None,
    ) -> PendingDecision:
        """Decides a request that may have limits, need models or be large.

        If the caller goes away meanwhile, what was charged stays charged.
        """
        if charge is None:
            # Not by `self.charge`: a coroutine costs as much as counters in memory.
            charged: Any = self.meter.charge(snapshot, request)
            if charged is not None and not isinstance(charged, tuple):
                charged = await charged
            charge = charged
        if charge is not None:
            request = charge.request
        if snapshot.ner and not stopped(snapshot, request):
            request = await self.find_entities(snapshot, request)
        try:
            pending = self._run_evaluation(snapshot, request, encoded_bytes, recorder)
            if not isinstance(pending, tuple):
                pending = await pending
        except RateLimited:
            if charge is not None:
                self.meter.settle(charge, _UNCOUNTED)
            raise
        if charge is not None:
            self.meter.settle(charge, pending[0])
        return pending

    async def run_payload(
        self,
        snapshot: Snapshot,
        request: Request,
        payload: Payload,
        history: str,
        recorder: DecisionRecorder,
        *,
        charge: ChargedRequest | None = None,
    ) -> PendingDecision:
        """Decides a payload on a snapshot; see `decide_payload` and `run`.

        Raises:
            RateLimited: too many large requests of the tenant wait.
        """
        request = with_model(request, payload)
        if charge is None:
            charge = await self.charge(snapshot, request)
        if charge is not None:
            request = request._replace(usage_snapshot=charge.request.usage_snapshot)
        questions = questions_of(snapshot, request, payload)
        if snapshot.ner and not stopped(snapshot, request):
            texts = texts_for_models(questions)
            findings = await self._entity_finder.find(texts, snapshot.ner)
            questions = with_entities(questions, findings)
        began = perf_counter()
        try:
            decision = await self._payload_decision(snapshot, request, questions, payload, history)
        except RateLimited:
            if charge is not None:
                self.meter.settle(charge, _UNCOUNTED)
            raise
        if charge is not None:
            self.meter.settle(charge, decision)
        request = request_to_record(snapshot, request, payload, decision)
        return decision, recorder.take(snapshot, request, decision, began)

    async def _payload_decision(
        self,
        snapshot: Snapshot,
        request: Request,
        questions: list[Asked],
        payload: Payload,
        history: str,
    ) -> Decision:
        async def evaluate(inputs: Sequence[Request]) -> Decision:
            asked = with_requests(questions, inputs)
            evaluated = self.evaluator.evaluate_payload(snapshot, asked, payload, history)
            return evaluated if isinstance(evaluated, Decision) else await evaluated

        inputs = [each.request for each in questions]
        return await self._approvals.decide(
            snapshot, request, inputs, evaluate, lambda: record_request(request, payload)
        )

    def _run_evaluation(
        self, snapshot: Snapshot, request: Request, encoded_bytes: int, recorder: DecisionRecorder
    ) -> PendingDecision | Awaitable[PendingDecision]:
        """Evaluates and records a request; returns what to await for it if it is heavy."""
        if snapshot.needs_clock:
            request = request._replace(server_time=time.time())
        if request.tokens:
            return self._run_granted(snapshot, request, encoded_bytes, recorder)
        began = perf_counter()
        marks = [("", began)] if snapshot.timed else None
        decision = self.evaluator.evaluate(snapshot, request, encoded_bytes, began, marks)
        if isinstance(decision, Decision) and not decision.holds:
            return decision, recorder.take(snapshot, request, decision, began, marks or ())

        async def run_slowly() -> PendingDecision:
            evaluated = decision if isinstance(decision, Decision) else await decision
            if evaluated.holds:
                evaluated = await self._approvals.settled(snapshot, request, evaluated)
            return evaluated, recorder.take(snapshot, request, evaluated, began, marks or ())

        return run_slowly()

    async def _run_granted(
        self, snapshot: Snapshot, request: Request, encoded_bytes: int, recorder: DecisionRecorder
    ) -> PendingDecision:
        """Evaluates and records a request that has tokens."""
        began = perf_counter()
        marks = [("", began)] if snapshot.timed else None

        async def evaluate(inputs: Sequence[Request]) -> Decision:
            (granted,) = inputs
            evaluated = self.evaluator.evaluate(snapshot, granted, encoded_bytes, began, marks)
            return evaluated if isinstance(evaluated, Decision) else await evaluated

        decision = await self._approvals.decide(
            snapshot, request, (request,), evaluate, lambda: request
        )
        return decision, recorder.take(snapshot, request, decision, began, marks or ())

    def uncharge(self, charges: Iterable[ChargedRequest | None]) -> None:
        """Takes back the charges of requests that are not decided."""
        for charge in charges:
            if charge is not None:
                self.meter.settle(charge, _UNCOUNTED)

    def conclude(
        self,
        snapshot: Snapshot | None,
        request: Request,
        charge: ChargedRequest | None,
        decision: Decision,
    ) -> Any:
        """Settles, observes and records a decision that was made piece by piece.

        Returns:
            The acknowledgement of the record; see `DecisionRecorder.take`.
        """
        if charge is not None:
            self.meter.settle(charge, decision)
        self.observe(decision)
        return self.recorder.take(snapshot, request, decision)

    def observe_unrecorded(self, decision: Decision) -> Decision:
        """Returns the BLOCK that replaces a decision whose record could not be written."""
        decision = unrecorded(decision)
        self.observe(decision)
        return decision

    async def answer(self, decision: Decision, acknowledgement: Any) -> Decision:
        """Returns the decision once its record is on disk; a BLOCK if it cannot be written.

        Args:
            decision: a decision that is to be answered.
            acknowledgement: of its record; None if the answer need not wait for one.
        """
        if acknowledgement is not None and not await acknowledgement:
            decision = unrecorded(decision)
        self.observe(decision)
        return decision


_UNCOUNTED: Final = failed_decision("", "")._replace(counted=False)
"""The decision on a request that was not decided, for the meter."""


def _stops(result: LayerResult, gates: set[str]) -> bool:
    return result.layer in gates and result.outcome is Outcome.BLOCK
