"""Records decisions: which ones, and what is answered if a record cannot be written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from pdp.audit.decision_counter import DecisionCounter
from pdp.decisions.record_builder import PendingRecord, count_key
from pdp.decisions.recording_level import sample_rate
from pdp.domain.decision import Fault
from pdp.domain.layers import ENGINE
from pdp.engine.evaluate import failed_decision
from pdp.engine.findings import Scan
from pdp.errors import ServerNeeded, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.engine.evaluation import Mark
    from pdp.engine.snapshot import Snapshot

_NODE_WEIGHT: Final = 50
"""The memory of any value in a document, in characters, besides its own characters."""

NOT_RECORDED: Final = "The decision could not be recorded, so the request is blocked to be safe."


class RecordSink(Protocol):
    """Takes decisions that wait to be recorded."""

    def record(self, pending: PendingRecord, weight: int = 0, *, optional: bool = False) -> Any:
        """Takes a decision; see `Recorder.record`."""


class GroupedSink(RecordSink, Protocol):
    """Takes decisions that are queued together."""

    def put(self) -> None:
        """Queues the decisions."""


class RecordQueue(RecordSink, Protocol):
    """The queue of the recorder; `pdp.audit.recorder.Recorder` is one."""

    def group(self) -> GroupedSink:
        """Returns a group of decisions that are queued together."""


class DecisionRecorder:
    """Hands decisions to the recorder if the tenant's logging level keeps them, and counts all."""

    def __init__(
        self, queue: RecordQueue | None = None, counter: DecisionCounter | None = None
    ) -> None:
        """Takes what decisions are handed to.

        Args:
            queue: the queue of the recorder; None records nothing.
            counter: counts the decisions that are not queued; the recorder counts the others.
        """
        self._queue = queue
        self._sink: RecordSink | None = queue
        self._counter = counter or DecisionCounter()

    @contextmanager
    def together(self) -> Iterator[DecisionRecorder]:
        """Returns a recorder whose decisions are queued together, when the context ends at last.

        One commit writes them, and the recorder's thread does not wake for each.
        """
        if self._queue is None:
            yield self
            return
        group, recorder = self._queue.group(), DecisionRecorder(counter=self._counter)
        recorder._sink = group
        try:
            yield recorder
        except ServerNeeded:  # the server decides all of them, and records them
            raise
        except BaseException:
            group.put()
            raise
        group.put()

    def take(
        self,
        snapshot: Snapshot | None,
        request: Request,
        decision: Decision,
        began: float = 0.0,
        marks: Sequence[Mark] = (),
    ) -> Any:
        """Queues a decision for recording, if it is recorded. Never waits.

        Args:
            snapshot: what the decision is based on; None if there was no snapshot.
            request: the request.
            decision: the decision.
            began: when evaluation began, by `time.perf_counter`; 0 if it was not measured.
            marks: when its layers finished.

        Returns:
            The acknowledgement that the answer must wait for: it says whether the record is on
            disk. None if the answer need not wait.
        """
        if decision.plain and snapshot is not None and not snapshot.records_plain:
            next(self._counter.steps[snapshot.plain_key])
            return None  # most decisions: only the levels that record everything record a plain one
        sink = self._sink
        if sink is None:
            return None
        rate = sample_rate(snapshot, decision)
        if rate is None:
            key = count_key(snapshot, request, decision.outcome)
            next(self._counter.steps[key])
            return None
        duration_s = time.perf_counter() - began if began else 0.0
        pending = PendingRecord(snapshot, request, decision, time.time(), duration_s, marks, rate)
        weight = _weight(request)
        if isinstance(decision.scan, Scan):
            weight += decision.scan.weight
        return sink.record(pending, weight, optional=rate > 0)


def _weight(request: Request) -> int:
    """Returns roughly how many characters a request holds, for the bound of the queue."""
    documents = (request.arguments, request.context, request.subject.attributes)
    return len(request.text) + sum(_characters(each) for each in documents if each)


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_NODE_WEIGHT + len(key) + _characters(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return sum(_NODE_WEIGHT + _characters(item) for item in value)
    return _NODE_WEIGHT


def unrecorded(decision: Decision) -> Decision:
    """Returns the BLOCK that is answered if a decision must be recorded and was not.

    It replaces every outcome, so that the answer does not depend on the state of the disk.
    """
    fault = Fault(ENGINE, StoreUnavailable("the record could not be written"))
    return failed_decision(
        decision.request_id, decision.decision_id, message=NOT_RECORDED, fault=fault
    )
