"""Summaries of replays: how many decisions would change, from what to what, and why.

The decisions come from records, a page at a time, or from requests that are evaluated twice.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.decisions.policy_hash import PolicyHasher
from pdp.decisions.replay import replay
from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision_record import DecisionRecord
from pdp.engine.evaluate import evaluate
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.domain.audit_log import AuditLog
    from pdp.domain.decision import Match, Outcome
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot

ADDED: Final = "added"
GONE: Final = "gone"

_CURSOR: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})\.([0-9]{1,18})")


class Responsible(NamedTuple):
    """A policy that matches on one side only.

    Attributes:
        effect: `ADDED` if it matches on the policies in question, `GONE` if it no longer does.
    """

    layer: str
    policy_id: str
    name: str
    effect: str


class Example(NamedTuple):
    """One decision that would change."""

    decision_id: str
    time: float
    reason_code: str
    message: str


@dataclass(slots=True)
class ChangeTally:
    """The decisions that change from one outcome to another."""

    count: int = 0
    policies: Counter[Responsible] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class ReplayTally:
    """The summary of a replay.

    Attributes:
        examples: how many decisions of each change are named.
        replayed: decisions that were made again.
        changes: by the outcome then and the outcome now, if the two differ.
        not_replayed: how many decisions could not be made again, by reason.
        gaps: how many of the replayed decisions lack a part, by what could not be checked.
        elsewhere: decisions that were made on policies that have changed since.
    """

    examples: int
    replayed: int = 0
    changes: dict[tuple[Outcome, Outcome], ChangeTally] = field(default_factory=dict)
    not_replayed: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    elsewhere: int = 0

    @property
    def changed(self) -> int:
        """How many decisions would change."""
        return sum(change.count for change in self.changes.values())

    def add(self, then: _Side, now: _Side, example: Example) -> None:
        """Counts one decision that was made again."""
        self.replayed += 1
        if then.outcome is now.outcome:
            return
        change = self.changes.setdefault((then.outcome, now.outcome), ChangeTally())
        change.count += 1
        change.policies.update(_responsible(then.matches, now.matches))
        if len(change.examples) < self.examples:
            change.examples.append(example)


class ReplayPage(NamedTuple):
    """A page of records that was replayed.

    Attributes:
        progress: the share of all records that is done, from 0 to 1.
        next_cursor: for the next page; empty after the last one.
    """

    tally: ReplayTally
    progress: float = 1.0
    next_cursor: str = ""


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


class _Side(NamedTuple):
    outcome: Outcome
    matches: Sequence[Match]


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
    position = _position(paging.cursor) if paging.cursor else _Position(0, 0, log.last())
    record_filter = RecordFilter(before.tenant_id, **selection)
    page = log.follow(record_filter, after=position.done, limit=paging.limit)
    rows = [row for row in page.records if row.sequence <= position.last]
    records = [DecisionRecord.from_json(json.loads(row.body)) for row in rows]
    tally = replay_records(records, before, after, paging.examples)
    done = page.more
    if done is None or done >= position.last:
        return ReplayPage(tally)
    first = position.first or (rows[0].sequence if rows else position.done + 1)
    progress = (done - first + 1) / (position.last - first + 1)
    return ReplayPage(tally, progress, f"{done}.{first}.{position.last}")


def replay_records(
    records: Iterable[DecisionRecord], before: Snapshot, after: Snapshot, examples: int
) -> ReplayTally:
    """Replays recorded decisions.

    Args:
        records: of the tenant.
        before: its policies as they are.
        after: the policies in question.
        examples: how many decisions of each change are named.
    """
    tally = ReplayTally(examples)
    # Revisions belong to the store: they rise with the changes of other tenants, too.
    hash_now = PolicyHasher().of(before)
    for record in records:
        replayed = replay(record, before, after)
        if replayed.decision is None:
            tally.not_replayed[replayed.obstacle] += 1
            continue
        tally.gaps.update(replayed.gaps)
        tally.elsewhere += record.policy_hash != hash_now
        now = replayed.decision
        tally.add(
            _Side(record.outcome, record.matches),
            _Side(now.outcome, now.matches),
            Example(record.decision_id, record.time, now.reason_code, now.message),
        )
    return tally


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
    for request in requests:
        then = evaluate(before, request, request.request_id)
        now = evaluate(after, request, request.request_id)
        tally.add(
            _Side(then.outcome, then.matches),
            _Side(now.outcome, now.matches),
            Example(request.request_id, request.timestamp, now.reason_code, now.message),
        )
    return tally


def _responsible(then: Sequence[Match], now: Sequence[Match]) -> list[Responsible]:
    keys_then = set(map(_key, then))
    keys_now = set(map(_key, now))
    changes = [(match, ADDED) for match in now if _key(match) not in keys_then]
    changes += [(match, GONE) for match in then if _key(match) not in keys_now]
    return list(
        dict.fromkeys(
            Responsible(match.layer, match.policy_id, match.name, effect)
            for match, effect in changes
        )
    )


def _key(match: Match) -> tuple[str, str, str]:
    return (match.layer, match.policy_id, match.action)


def _position(cursor: str) -> _Position:
    match = _CURSOR.fullmatch(cursor)
    position = _Position(*map(int, match.groups())) if match else None
    if position is None or not 0 < position.first <= position.done < position.last:
        raise InvalidArgument.of(Violation("cursor", "is not the `next_cursor` of a replay"))
    return position
