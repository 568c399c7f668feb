"""Between decisions and the recorder: what is kept, and what is answered where it cannot be."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pdp.decisions.records import Pending, is_kept
from pdp.domain.decision import Fault
from pdp.domain.layers import ENGINE
from pdp.domain.org_policy import DEFAULT_ORG_POLICY
from pdp.engine.evaluate import unjudged
from pdp.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.audit.recorder import Recorder
    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.engine.evaluation import Mark
    from pdp.engine.snapshot import Snapshot

_ITEM: Final = 50
"""What anything in a document takes, besides its characters."""

NOT_RECORDED: Final = "The decision could not be recorded, so the request is blocked to be safe."


class Records:
    """Hands decisions to the recorder, where the tenant's logging level keeps them."""

    def __init__(self, recorder: Recorder[Pending] | None = None) -> None:
        """Takes the recorder; None records nothing."""
        self._recorder = recorder

    def take(
        self,
        snapshot: Snapshot | None,
        request: Request,
        decision: Decision,
        began: float = 0.0,
        marks: Sequence[Mark] = (),
    ) -> Any:
        """Has a decision recorded, where it is kept; waits for nothing.

        Args:
            snapshot: what it was decided on; None where there was nothing to decide on.
            request: what was asked.
            decision: what it came to.
            began: when deciding began, by `time.perf_counter`; 0 where it was not measured.
            marks: when its layers came to an end.

        Returns:
            What the answer is to wait for: whether the record is on disk. None where it need not.
        """
        if decision.plain and snapshot is not None and not snapshot.timed:
            return None  # most of them: found out at once, since nothing else is
        policy = DEFAULT_ORG_POLICY if snapshot is None else snapshot.org
        recorder = self._recorder
        if recorder is None or not is_kept(policy.logging_level, decision):
            return None
        took = time.perf_counter() - began if began else 0.0
        pending = Pending(snapshot, request, decision, time.time(), took, marks)
        return recorder.record(pending, _weight(request))


def _weight(request: Request) -> int:
    """Returns how many characters a request holds, roughly, for the bound of what may wait."""
    documents = (request.arguments, request.context, request.subject.attributes)
    return len(request.text) + sum(_characters(each) for each in documents if each)


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_ITEM + len(key) + _characters(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return sum(_ITEM + _characters(item) for item in value)
    return _ITEM


def unrecorded(decision: Decision) -> Decision:
    """Returns the BLOCK that is answered where a decision had to be recorded and was not.

    Also where it was no ALLOW, so that what is answered does not depend on what the disk does.
    """
    fault = Fault(ENGINE, StoreUnavailable("the record could not be written"))
    return unjudged(decision.request_id, decision.decision_id, message=NOT_RECORDED, fault=fault)
