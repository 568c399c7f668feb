"""Evaluates requests on an event loop: at once, or in a thread if that takes long.

The scan takes a known time, so it says whether the rest takes long. Where an evaluation runs does
not change its decision.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

from pdp.decisions.heavy_work import HeavyWork
from pdp.decisions.input_hash import with_input_hash
from pdp.decisions.payloads import begin_all, judge_aside, judge_if_light
from pdp.domain.ids import new_id
from pdp.engine.evaluate import begin, finish, finish_if_light
from pdp.engine.text.json_text import may_be_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from pdp.decisions.payloads import Asked
    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.engine.evaluation import EvaluationState, Mark
    from pdp.engine.snapshot import Snapshot
    from pdp.payloads.payload import Payload

LARGE_TEXT: Final = 16_384
"""Characters of text from which a thread scans it. The first scan of a text of a new kind takes
several times longer than the next one, because RE2 builds the states of its automaton."""

LARGE_JSON: Final = 8_192
"""Bytes of a request with arguments, or characters of a text that looks like JSON, from which a
thread scans it: each value in it takes about 2 µs."""

LIGHT_COST: Final = 96 << 10
"""Bytes to locate patterns in (`EvaluationState.cost`) that the event loop may search: about 0.25
ms. What it finds there has a bound of its own: see `pdp.engine.work.LIGHT_MATCHES`."""

MAX_SCAN_S: Final = 0.001
"""If the scans of two small requests in a row take longer, their tenant has patterns that make them
slow. The next decisions of this tenant run in a thread, until a scan is fast again."""

MAX_SLOW_TENANTS: Final = 10_000


class Evaluator:
    """Evaluates requests. All methods are called on one event loop.

    Attributes:
        heavy: the threads for evaluations that take long.
    """

    def __init__(self) -> None:
        self.heavy = HeavyWork()
        self._slow_tenants: set[str] = set()
        self._suspects: set[str] = set()

    def evaluate(
        self,
        snapshot: Snapshot,
        request: Request,
        encoded_bytes: int,
        began: float,
        marks: list[Mark] | None = None,
    ) -> Decision | Awaitable[Decision]:
        """Returns the decision on a request, under a new id; what to await for it if it is heavy.

        No coroutine is made for most requests, because a coroutine costs as much as a layer.

        Args:
            snapshot: the tenant's policies.
            request: the request, with its timestamp set.
            encoded_bytes: the size of a request that has arguments or names a customer, else 0.
            began: the time now, by `time.perf_counter`.
            marks: see `pdp.engine.evaluate.evaluate`.

        Raises:
            RateLimited: when it is awaited, if too many large requests of the tenant wait.
        """
        tenant_id, decision_id = request.tenant_id, new_id()
        if self._slow_tenants and tenant_id in self._slow_tenants:
            return self._evaluate_slow(snapshot, request, decision_id, marks)
        if _is_large(request, encoded_bytes):
            return self.heavy.run(tenant_id, evaluate_aside, snapshot, request, decision_id, marks)
        evaluation = begin(snapshot, request, decision_id, None, marks)
        if perf_counter() - began > MAX_SCAN_S:
            self._suspect(tenant_id)
        elif self._suspects:
            self._suspects.discard(tenant_id)
        decision = None
        if evaluation.cost(encoded_bytes) <= LIGHT_COST:
            decision = finish_if_light(evaluation)
        if decision is not None:
            if decision.plain and not (snapshot.records_plain or request.want_input_hash):
                return decision  # most decisions
            return with_input_hash(snapshot, request, decision)
        evaluation.yield_to_others()
        return self.heavy.run(tenant_id, _finish_aside, evaluation)

    def evaluate_payload(
        self,
        snapshot: Snapshot,
        questions: Sequence[Asked],
        payload: Payload,
        history: str = "",
    ) -> Decision | Awaitable[Decision]:
        """Returns the decision on a payload, under a new id; what to await for it if it is heavy.

        Args:
            snapshot: the tenant's policies.
            questions: the parts as requests.
            payload: the payload.
            history: see `pdp.decisions.payloads.judge`.

        Raises:
            RateLimited: when it is awaited, if too many large requests of the tenant wait.
        """
        tenant_id, decision_id, size = snapshot.tenant_id, new_id(), len(payload.body)
        if size >= LARGE_JSON or tenant_id in self._slow_tenants:
            return self.heavy.run(
                tenant_id, judge_aside, snapshot, questions, payload, decision_id, history
            )
        begun = begin_all(snapshot, questions, decision_id)
        if sum(each.cost(size) for each in begun) <= LIGHT_COST:
            decision = judge_if_light(snapshot, questions, payload, begun, history)
            if decision is not None:
                return decision
        return self.heavy.run(
            tenant_id, judge_aside, snapshot, questions, payload, decision_id, history
        )

    def _suspect(self, tenant_id: str) -> None:
        """Notes a slow scan. One alone may be slow because the processor was busy elsewhere."""
        if tenant_id in self._suspects:
            self._suspects.discard(tenant_id)
            if len(self._slow_tenants) < MAX_SLOW_TENANTS:
                self._slow_tenants.add(tenant_id)
        elif len(self._suspects) < MAX_SLOW_TENANTS:
            self._suspects.add(tenant_id)

    async def _evaluate_slow(
        self, snapshot: Snapshot, request: Request, decision_id: str, marks: list[Mark] | None
    ) -> Decision:
        """Evaluates a request of a slow tenant, and finds out whether its scans are fast again."""
        tenant_id = request.tenant_id
        decision, scan_s = await self.heavy.run(
            tenant_id, _evaluate_timed, snapshot, request, decision_id, marks
        )
        if scan_s < MAX_SCAN_S:
            self._slow_tenants.discard(tenant_id)
        return decision


def evaluate_aside(
    snapshot: Snapshot, request: Request, decision_id: str, marks: list[Mark] | None = None
) -> Decision:
    """Returns the decision on a request, in a thread beside the event loop.

    The arguments are those of `pdp.engine.evaluate.evaluate`.
    """
    return _evaluate_timed(snapshot, request, decision_id, marks)[0]


def _evaluate_timed(
    snapshot: Snapshot, request: Request, decision_id: str, marks: list[Mark] | None
) -> tuple[Decision, float]:
    """Returns the decision, and how long its scan took, in seconds."""
    began = perf_counter()
    evaluation = begin(snapshot, request, decision_id, None, marks)
    scan_s = perf_counter() - began
    evaluation.yield_to_others()
    return _finish_aside(evaluation), scan_s


def _finish_aside(evaluation: EvaluationState) -> Decision:
    return with_input_hash(evaluation.snapshot, evaluation.request, finish(evaluation))


def _is_large(request: Request, encoded_bytes: int) -> bool:
    """Returns whether the scan of a request takes more than about 1 ms."""
    text = request.text
    return encoded_bytes >= LARGE_JSON or (
        len(text) >= LARGE_JSON and (len(text) >= LARGE_TEXT or may_be_json(text))
    )
