"""Summaries of replays: how many decisions would change, from what to what, and why.

The decisions come from records, a page at a time, or from requests that are evaluated twice.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.decisions.policy_hash import PolicyHasher
from pdp.decisions.replay import find_unseen, replay
from pdp.decisions.replay_tally import ReplayResult, ReplayTally, causes_of
from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision_record import DecisionRecord
from pdp.engine.evaluate import evaluate
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pdp.domain.audit_log import AuditLog
    from pdp.domain.decision import Decision, Match
    from pdp.domain.decision_counts import CountedPeriod
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot

NO_RECORD: Final = "records: there is none of this decision, or it was removed"

_CURSOR: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})\.([0-9]{1,18})")


class ReplayPage(NamedTuple):
    """A page of records that was replayed.

    Attributes:
        progress: the share of all records that is done, from 0 to 1.
        next_cursor: for the next page; empty after the last one.
        coverage: how many decisions of the period were recorded; on the first page only.
    """

    tally: ReplayTally
    progress: float = 1.0
    next_cursor: str = ""
    coverage: CountedPeriod | None = None


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page to replay.

    Attributes:
        cursor: `next_cursor` of the last page; empty for the first.
        limit: decisions on a page.
        examples: how many decisions of each change are named.
    """

    cursor: str
    limit: int
    examples: int


class _Position(NamedTuple):
    done: int
    first: int
    last: int


def replay_page(
    log: AuditLog, before: Snapshot, after: Snapshot, selection: Mapping[str, Any], paging: Paging
) -> ReplayPage:
    """Replays a page of a tenant's recorded decisions, oldest first.

    Decisions that are recorded after the first page was read are not included.

    Args:
        log: the log of the decisions.
        before: the tenant's policies as they are.
        after: the policies in question.
        selection: fields of `RecordFilter`, beside the tenant.
        paging: which page.

    Raises:
        InvalidArgument: the cursor is not one of ours.
        StoreUnavailable: the records cannot be read.
    """
    coverage = None
    if paging.cursor:
        position = _position(paging.cursor)
    else:
        coverage = log.counts(
            before.tenant_id,
            since=selection.get("since"),
            until=selection.get("until"),
            outcomes=selection.get("outcomes", ()),
        )
        position = _Position(0, 0, log.last())
    record_filter = RecordFilter(before.tenant_id, **selection)
    page = log.follow(record_filter, after=position.done, limit=paging.limit)
    rows = [row for row in page.records if row.sequence <= position.last]
    records = [(row.sequence, DecisionRecord.from_json(json.loads(row.body))) for row in rows]
    tally = replay_records(records, before, after, paging.examples)
    done = page.more
    if done is None or done >= position.last:
        return ReplayPage(tally, coverage=coverage)
    first = position.first or (rows[0].sequence if rows else position.done + 1)
    progress = (done - first + 1) / (position.last - first + 1)
    return ReplayPage(tally, progress, f"{done}.{first}.{position.last}", coverage)


def replay_decisions(
    log: AuditLog, before: Snapshot, after: Snapshot, decision_ids: Iterable[str], examples: int
) -> ReplayPage:
    """Replays single recorded decisions of a tenant.

    Args:
        log: the log of the decisions.
        before: the tenant's policies as they are.
        after: the policies in question.
        decision_ids: which decisions; an id that occurs twice counts once.
        examples: how many decisions of each change are named.

    Raises:
        StoreUnavailable: the records cannot be read.
    """
    tenant_id = before.tenant_id
    rows = {each: log.get(tenant_id, each) for each in dict.fromkeys(decision_ids)}
    records = [
        (row.sequence, DecisionRecord.from_json(json.loads(row.body)))
        for row in rows.values()
        if row is not None
    ]
    tally = replay_records(records, before, after, examples)
    for decision_id, row in rows.items():
        if row is None:
            tally.add(ReplayResult(0, decision_id, 0.0, "", None, obstacle=NO_RECORD))
    return ReplayPage(tally)


def replay_records(
    records: Iterable[tuple[int, DecisionRecord]], before: Snapshot, after: Snapshot, examples: int
) -> ReplayTally:
    """Replays recorded decisions.

    Args:
        records: of the tenant, each with its position in the log.
        before: its policies as they are.
        after: the policies in question.
        examples: how many decisions of each change are named.
    """
    tally = ReplayTally(examples)
    for result in replay_each(records, before, after):
        tally.add(result)
    return tally


def replay_each(
    records: Iterable[tuple[int, DecisionRecord]], before: Snapshot, after: Snapshot
) -> Iterator[ReplayResult]:
    """Yields the result of each recorded decision; see `replay_records`."""
    # Revisions belong to the store: they rise with the changes of other tenants, too.
    hash_now = PolicyHasher().of(before)
    unseen = find_unseen(before, after)
    for position, record in records:
        replayed = replay(record, before, after, unseen)
        now = replayed.decision
        result = ReplayResult(
            position,
            record.decision_id,
            record.time,
            record.subject.user_id,
            record.outcome,
            obstacle=replayed.obstacle,
            sample_rate=record.sample_rate,
        )
        if now is not None:
            result = _with_decision(result, record.matches, now)._replace(
                gaps=replayed.gaps, elsewhere=record.policy_hash != hash_now
            )
        yield result


def replay_requests(
    requests: Iterable[Request], before: Snapshot, after: Snapshot, examples: int
) -> ReplayTally:
    """Evaluates requests on the policies as they are and on those in question.

    Args:
        requests: each with an id, which names it as an example.
        before: the tenant's policies as they are.
        after: the policies in question.
        examples: how many requests of each change are named.
    """
    tally = ReplayTally(examples)
    for position, request in enumerate(requests):
        then = evaluate(before, request, request.request_id)
        now = evaluate(after, request, request.request_id)
        result = ReplayResult(
            position,
            request.request_id,
            request.timestamp,
            request.subject.user_id,
            then.outcome,
        )
        tally.add(_with_decision(result, then.matches, now))
    return tally


def _with_decision(result: ReplayResult, then: Sequence[Match], now: Decision) -> ReplayResult:
    if now.outcome is result.then:
        return result._replace(now=now.outcome)
    return result._replace(
        now=now.outcome,
        reason_code=now.reason_code,
        message=now.message,
        causes=causes_of(then, now.matches),
    )


def _position(cursor: str) -> _Position:
    match = _CURSOR.fullmatch(cursor)
    position = _Position(*map(int, match.groups())) if match else None
    if position is None or not 0 < position.first <= position.done < position.last:
        raise InvalidArgument.of(Violation("cursor", "is not the `next_cursor` of a replay"))
    return position
