"""The result of a replay as the message of the contract, the same wherever it was computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pdp._gen.pdp.v1 import simulate_pb2 as pb
from pdp.domain.decision import Outcome
from pdp.domain.sampling import estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.decisions.replay_summary import ReplayPage
    from pdp.decisions.replay_tally import ChangeTally, Example, Responsible
    from pdp.domain.decision_counts import CountedPeriod

T = TypeVar("T", str, "Responsible")


def replay_response(page: ReplayPage) -> pb.ReplayResponse:
    """Returns a page of a replay, or a whole one, as a message."""
    tally = page.tally
    changes = sorted(tally.changes.items(), key=lambda item: (-item[1].count, item[0]))
    response = pb.ReplayResponse(
        replayed=tally.replayed,
        changed=tally.changed,
        changes=[_change(then, now, each) for (then, now), each in changes],
        not_replayed=_counts(tally.not_replayed),
        gaps=_counts(tally.gaps),
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
    message.policies.extend(_policy(each, count) for each, count in _ranked(change.policies))
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


def _counts(counts: Mapping[str, int]) -> list[pb.ReplayCount]:
    return [pb.ReplayCount(reason=reason, count=count) for reason, count in _ranked(counts)]


def _ranked(counts: Mapping[T, int]) -> list[tuple[T, int]]:
    """Returns counts with the highest first, in an order that does not depend on how they arose."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
