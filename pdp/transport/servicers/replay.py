"""SimulateService.Replay: what a change of policies would do to recorded decisions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from pdp.admin.point_in_time import snapshot_at
from pdp.decisions.replay_summary import (
    Paging,
    ReplayPage,
    replay_decisions,
    replay_page,
    replay_requests,
)
from pdp.domain.decision import Outcome
from pdp.errors import InvalidArgument, StoreUnavailable, Violation
from pdp.messages.conversion import to_request
from pdp.messages.value_count import check_all_values
from pdp.transport.replay_response import replay_response
from pdp.transport.servicers.simulate import with_candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1 import simulate_pb2 as pb
    from pdp._gen.pdp.v1.decide_pb2 import DecideRequest
    from pdp.admin.workspace import Workspace
    from pdp.decisions.decider import Decider
    from pdp.domain.audit_log import AuditLog
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.transport.call import Call, Endpoint

DEFAULT_LIMIT: Final = 1000
DEFAULT_EXAMPLES: Final = 3


class ReplayServicer:
    """Decides again what was decided before. It counts nothing and records nothing."""

    def __init__(
        self,
        decider: Decider,
        workspace: Workspace,
        log: AuditLog | None,
        flush_counts: Callable[[], None],
    ) -> None:
        """Takes what a replay works with.

        Args:
            decider: has the snapshots in force.
            workspace: has the policies of earlier revisions.
            log: the log of decisions; None if none are recorded.
            flush_counts: adds the decisions of this process that were counted until now to the log.
        """
        self._decider = decider
        self._workspace = workspace
        self._log = log
        self._flush_counts = flush_counts

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {"Replay": self.replay}

    async def replay(self, call: Call, message: Message) -> pb.ReplayResponse:
        """Decides recorded decisions, or the caller's requests, on other policies.

        Raises:
            InvalidArgument: the cursor or the revision is invalid, or the overlay or a request is.
            InvalidPattern: a candidate's pattern is not RE2.
            StoreUnavailable: the policies or the records cannot be read.
        """
        body = cast("pb.ReplayRequest", message)
        tenant_id = call.tenant_id
        before = await self._decider.snapshot(tenant_id)
        after = before
        if body.revision:
            after = await self._workspace.read(
                lambda reader: snapshot_at(reader, before.platform, tenant_id, body.revision)
            )
        if body.HasField("overlay"):
            after = await asyncio.to_thread(with_candidates, after, body.overlay)
        replay = self._requests if body.requests else self._records
        return replay_response(await asyncio.to_thread(replay, body, before, after))

    def _requests(self, body: pb.ReplayRequest, before: Snapshot, after: Snapshot) -> ReplayPage:
        check_all_values(body.requests, "requests")
        requests = [
            _request(each, before.tenant_id, index) for index, each in enumerate(body.requests)
        ]
        return ReplayPage(replay_requests(requests, before, after, _examples(body)))

    def _records(self, body: pb.ReplayRequest, before: Snapshot, after: Snapshot) -> ReplayPage:
        if self._log is None:
            raise StoreUnavailable(
                "no decisions are recorded here; send requests to replay instead"
            )
        if body.recorded.decision_ids:
            decision_ids = _decision_ids(body.recorded)
            return replay_decisions(self._log, before, after, decision_ids, _examples(body))
        self._flush_counts()
        paging = Paging(body.cursor, body.limit or DEFAULT_LIMIT, _examples(body))
        return replay_page(self._log, before, after, selection_fields(body.recorded), paging)


def _decision_ids(selection: pb.ReplaySelection) -> Sequence[str]:
    """Returns the decisions that are selected by their ids.

    Raises:
        InvalidArgument: other conditions are set, too.
    """
    others = [field.name for field, _ in selection.ListFields() if field.name != "decision_ids"]
    if others:
        reason = "cannot be combined with decision_ids"
        raise InvalidArgument.of(*(Violation(f"recorded.{name}", reason) for name in others))
    return selection.decision_ids


def _request(body: DecideRequest, tenant_id: str, index: int) -> Request:
    place = f"requests[{index}]"
    return to_request(body, tenant_id, body.request_id or place, f"{place}.")


def _examples(body: pb.ReplayRequest) -> int:
    return body.examples if body.HasField("examples") else DEFAULT_EXAMPLES


def _outcome(number: int) -> str:
    if number not in Outcome._value2member_map_:
        raise InvalidArgument.of(Violation("recorded.outcomes", f"{number} is no outcome"))
    return Outcome(number).name


def selection_fields(selection: pb.ReplaySelection) -> dict[str, Any]:
    """Returns the fields of a `RecordFilter`, beside the tenant.

    Raises:
        InvalidArgument: an outcome is none.
    """
    return {
        "since": selection.since.ToNanoseconds() / 1e9 if selection.HasField("since") else None,
        "until": selection.until.ToNanoseconds() / 1e9 if selection.HasField("until") else None,
        "outcomes": tuple(map(_outcome, selection.outcomes)),
        "user_id": selection.user_id,
        "customer_id": selection.customer_id,
        "policy_id": selection.policy_id,
    }
