"""SimulateService.Replay: what a change of policies would do to recorded decisions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from pdp._gen.pdp.v1 import simulate_pb2 as pb
from pdp.admin.point_in_time import snapshot_at
from pdp.decisions.replay_summary import Paging, ReplayPage, replay_page, replay_requests
from pdp.domain.decision import Outcome
from pdp.errors import InvalidArgument, StoreUnavailable, Violation
from pdp.messages.conversion import to_request
from pdp.messages.value_count import check_all_values
from pdp.transport.servicers.simulate import with_candidates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1.decide_pb2 import DecideRequest
    from pdp.admin.workspace import Workspace
    from pdp.decisions.decider import Decider
    from pdp.decisions.replay_summary import ChangeTally, Example, Responsible
    from pdp.domain.audit_log import AuditLog
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.transport.call import Call, Endpoint

DEFAULT_LIMIT: Final = 1000
DEFAULT_EXAMPLES: Final = 3


class ReplayServicer:
    """Decides again what was decided before. It counts nothing and records nothing."""

    def __init__(self, decider: Decider, workspace: Workspace, log: AuditLog | None) -> None:
        self._decider = decider
        self._workspace = workspace
        self._log = log

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
        return _response(await asyncio.to_thread(replay, body, before, after))

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
        paging = Paging(body.cursor, body.limit or DEFAULT_LIMIT, _examples(body))
        return replay_page(self._log, before, after, _selection_fields(body.recorded), paging)


def _request(body: DecideRequest, tenant_id: str, index: int) -> Request:
    place = f"requests[{index}]"
    return to_request(body, tenant_id, body.request_id or place, f"{place}.")


def _examples(body: pb.ReplayRequest) -> int:
    return body.examples if body.HasField("examples") else DEFAULT_EXAMPLES


def _outcome(number: int) -> str:
    if number not in Outcome._value2member_map_:
        raise InvalidArgument.of(Violation("recorded.outcomes", f"{number} is no outcome"))
    return Outcome(number).name


def _selection_fields(selection: pb.ReplaySelection) -> dict[str, Any]:
    return {
        "since": selection.since.ToNanoseconds() / 1e9 if selection.HasField("since") else None,
        "until": selection.until.ToNanoseconds() / 1e9 if selection.HasField("until") else None,
        "outcomes": tuple(map(_outcome, selection.outcomes)),
        "user_id": selection.user_id,
        "customer_id": selection.customer_id,
        "policy_id": selection.policy_id,
    }


def _response(page: ReplayPage) -> pb.ReplayResponse:
    tally = page.tally
    changes = sorted(tally.changes.items(), key=lambda item: (-item[1].count, item[0]))
    return pb.ReplayResponse(
        replayed=tally.replayed,
        changed=tally.changed,
        changes=[_change(then, now, each) for (then, now), each in changes],
        not_replayed=_counts(tally.not_replayed.items()),
        gaps=_counts(tally.gaps.items()),
        on_other_policies=tally.elsewhere,
        progress=page.progress,
        next_cursor=page.next_cursor,
    )


def _change(then: Outcome, now: Outcome, change: ChangeTally) -> pb.ReplayChange:
    message = pb.ReplayChange(to=int(now), count=change.count)  # type: ignore[arg-type] # the proto's
    setattr(message, "from", int(then))  # a word of Python's own
    message.policies.extend(_policy(each, count) for each, count in change.policies.most_common())
    message.examples.extend(map(_example, change.examples))
    return message


def _policy(policy: Responsible, count: int) -> pb.ReplayPolicy:
    return pb.ReplayPolicy(
        layer=policy.layer,
        policy_id=policy.policy_id,
        name=policy.name,
        effect=policy.effect,
        count=count,
    )


def _example(example: Example) -> pb.ReplayExample:
    message = pb.ReplayExample(
        decision_id=example.decision_id, reason_code=example.reason_code, message=example.message
    )
    message.time.FromMicroseconds(round(example.time * 1e6))
    return message


def _counts(counts: Iterable[tuple[str, int]]) -> list[pb.ReplayCount]:
    return [pb.ReplayCount(reason=reason, count=count) for reason, count in counts]
