"""SimulateService.Replay: what a change of policies would do to recorded decisions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from pdp._gen.pdp.v1 import simulate_pb2 as pb
from pdp.admin.point_in_time import snapshot_at
from pdp.decisions.replay_summary import Paging, ReplayPage, replay_page, replay_requests
from pdp.domain.decision import Outcome
from pdp.domain.sampling import estimate
from pdp.errors import InvalidArgument, StoreUnavailable, Violation
from pdp.messages.conversion import to_request
from pdp.messages.value_count import check_all_values
from pdp.transport.servicers.simulate import with_candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from google.protobuf.message import Message

    from pdp._gen.pdp.v1.decide_pb2 import DecideRequest
    from pdp.admin.workspace import Workspace
    from pdp.decisions.decider import Decider
    from pdp.decisions.replay_summary import ChangeTally, Example, Responsible
    from pdp.domain.audit_log import AuditLog
    from pdp.domain.decision_counts import CountedPeriod
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
        self._flush_counts()
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
    response = pb.ReplayResponse(
        replayed=tally.replayed,
        changed=tally.changed,
        changes=[_change(then, now, each) for (then, now), each in changes],
        not_replayed=_counts(tally.not_replayed.items()),
        gaps=_counts(tally.gaps.items()),
        on_other_policies=tally.elsewhere,
        progress=page.progress,
        next_cursor=page.next_cursor,
    )
    if page.coverage is not None:
        response.coverage.CopyFrom(_coverage(page.coverage))
    if tally.is_sampled:
        changed = tally.changed_samples
        response.samples.extend(
            pb.ReplaySample(sample_rate=rate, replayed=count, changed=changed[rate])
            for rate, count in sorted(tally.samples.items())
        )
        samples = {rate: changed[rate] for rate in tally.samples}
        response.estimated_changed.CopyFrom(_estimate(samples))
        response.estimated_decisions.CopyFrom(_estimate(tally.samples))
    return response


def _coverage(period: CountedPeriod) -> pb.ReplayCoverage:
    unrecorded = period.made - period.recorded
    is_complete = not (unrecorded or period.removed or period.uncounted_before)
    seen = period.recorded - period.removed
    message = pb.ReplayCoverage(
        made=period.made,
        recorded=period.recorded,
        unrecorded=unrecorded,
        removed=period.removed,
        share=seen / period.made if period.made else float(is_complete),
        complete=is_complete,
        counts=[
            pb.ReplayCoverageCount(
                level=each.level,
                outcome=int(Outcome[each.outcome]),  # type: ignore[arg-type] # the proto's
                made=each.made,
                recorded=each.recorded,
            )
            for each in period.counts
        ],
    )
    for name in ("since", "until", "uncounted_before"):
        time = getattr(period, name)
        if time is not None:
            getattr(message, name).FromMicroseconds(round(time * 1e6))
    return message


def _estimate(samples: Mapping[float, int]) -> pb.ReplayEstimate:
    value, low, high = estimate(samples)
    return pb.ReplayEstimate(count=value, low=low, high=high)


def _change(then: Outcome, now: Outcome, change: ChangeTally) -> pb.ReplayChange:
    message = pb.ReplayChange(to=int(now), count=change.count)  # type: ignore[arg-type] # the proto's
    setattr(message, "from", int(then))  # a word of Python's own
    message.policies.extend(_policy(each, count) for each, count in change.policies.most_common())
    message.examples.extend(_example(each, then, now) for each in change.examples)
    if any(rate < 1 for rate in change.samples):
        message.samples.extend(
            pb.ReplaySample(sample_rate=rate, replayed=count, changed=count)
            for rate, count in sorted(change.samples.items())
        )
        message.estimate.CopyFrom(_estimate(change.samples))
    return message


def _policy(policy: Responsible, count: int) -> pb.ReplayPolicy:
    return pb.ReplayPolicy(**policy._asdict(), count=count)


def _example(example: Example, then: Outcome, now: Outcome) -> pb.ReplayExample:
    message = pb.ReplayExample(
        decision_id=example.decision_id,
        reason_code=example.reason_code,
        message=example.message,
        user_id=example.user_id,
        to=int(now),  # type: ignore[arg-type] # the proto's
        reason=example.reason,
    )
    setattr(message, "from", int(then))  # a word of Python's own
    if example.policy is not None:
        message.layer, message.policy_id = example.policy.layer, example.policy.policy_id
        message.policy_name, message.effect = example.policy.name, example.policy.effect
    message.time.FromMicroseconds(round(example.time * 1e6))
    return message


def _counts(counts: Iterable[tuple[str, int]]) -> list[pb.ReplayCount]:
    return [pb.ReplayCount(reason=reason, count=count) for reason, count in counts]
