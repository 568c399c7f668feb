"""The state of one evaluation: `evaluate` fills it, `combine` turns it into a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.engine.findings import NO_FINDINGS, Scan
from pdp.engine.layers.chain import ChainLayer
from pdp.engine.layers.customer import CustomerLayer
from pdp.engine.work import LIGHT_MATCHES

if TYPE_CHECKING:
    from pdp.domain.decision import Fault, Risk, Verdict
    from pdp.domain.request import Request
    from pdp.engine.findings import Findings
    from pdp.engine.layers.base import Layer
    from pdp.engine.snapshot import Snapshot
    from pdp.errors import WorkLimitExceeded

Mark = tuple[str, float]
"""A stage that finished, and the time at which it did, by `time.perf_counter`.

A list of marks begins with one that has no name: the time at which the evaluation started.
"""


_State = tuple[dict[str, "Verdict"], list["Fault"], int | None]


class EvaluationState:
    """What is known so far about the decision on one request.

    Attributes:
        snapshot: the policies in force.
        request: the request.
        decision_id: the ID of the decision.
        marks: if not None, a mark is added when the scan and each layer finish.
        verdicts: by layer, in the order in which the layers ran. A layer to which nothing applies
            has no entry.
        faults: the errors so far. Any fault makes the decision incomplete.
        stopped_by: the gate that stopped the request; empty if none did.
        scanned: whether the whole request was scanned for this decision, without an error.
        over_limit: the bound that the scan exceeded; None if it exceeded none.
        risk: the risk of the verdicts and faults so far; None if it is not computed.
        findings: the findings of the scan; None before the scan, and if a gate stopped the request.
    """

    __slots__ = (
        "decision_id",
        "faults",
        "findings",
        "marks",
        "over_limit",
        "request",
        "risk",
        "scanned",
        "snapshot",
        "stopped_by",
        "verdicts",
    )

    def __init__(
        self,
        snapshot: Snapshot,
        request: Request,
        decision_id: str,
        marks: list[Mark] | None = None,
    ) -> None:
        """Nothing is known yet.

        Args:
            snapshot: the policies in force.
            request: the request.
            decision_id: the ID of the decision.
            marks: see the attribute.
        """
        self.snapshot = snapshot
        self.request = request
        self.decision_id = decision_id
        self.marks = marks
        self.verdicts: dict[str, Verdict] = {}
        self.faults: list[Fault] = []
        self.stopped_by = ""
        self.findings: Findings | None = None
        self.scanned = False
        self.over_limit: WorkLimitExceeded | None = None
        self.risk: Risk | None = None

    def bound_to_light(self) -> None:
        """Makes the rest of the evaluation raise `NotLight` if an event loop should not do it."""
        if self.findings is not None and self.findings.hits:  # else it is shared, and has no work
            self.findings.work.most_matches = LIGHT_MATCHES

    def state(self) -> _State:
        """Returns what the layers change."""
        marks = self.marks
        return dict(self.verdicts), list(self.faults), None if marks is None else len(marks)

    def restore(self, state: _State) -> None:
        """Takes back what the layers have changed since `state` was called."""
        self.verdicts, self.faults, mark_count = state
        if self.marks is not None:
            del self.marks[mark_count:]

    @property
    def scan(self) -> Scan | None:
        """What the scan found, for the record of the decision.

        None if nothing was found, if the record needs a scan of its own because there was an error,
        or if the findings are so many that a decision should not keep them.
        """
        findings = self.findings
        if not self.scanned or findings is None or not findings.hits or self.faults:
            return None
        return Scan(self.request, findings) if findings.is_small else None

    @property
    def unmatched(self) -> bool:
        """Whether the whole request was scanned, and no pattern occurs in it."""
        return self.scanned and self.findings is NO_FINDINGS

    def yield_to_others(self) -> None:
        """Makes the rest of the evaluation let other threads run from time to time."""
        if self.findings is not None and self.findings.hits:  # else it is shared, and has no work
            self.findings.work.yields = True

    def cost(self, encoded_bytes: int) -> int:
        """Returns the bytes that the layers have to search: see `Findings.cost`.

        Args:
            encoded_bytes: the size of the request, if it has arguments or names a customer. The
                patterns of a customer's conditions search it at most once each.
        """
        findings = self.findings
        cost = findings.cost if findings is not None and findings.hits else 0
        if encoded_bytes:
            cost += encoded_bytes * sum(map(self._patterns_of, self.snapshot.layers))
        return cost

    def _patterns_of(self, layer: Layer) -> int:
        """Returns the number of patterns that the conditions of a layer search for."""
        if isinstance(layer, ChainLayer):
            return layer.searched_patterns
        customer_id = self.request.customer_id
        if customer_id and isinstance(layer, CustomerLayer):
            return layer.patterns_for(customer_id)
        return 0
