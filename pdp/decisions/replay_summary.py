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
from pdp.decisions.replay import find_unseen, replay
from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision_record import DecisionRecord
from pdp.engine.evaluate import evaluate
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.domain.audit_log import AuditLog
    from pdp.domain.decision import Match, Outcome
    from pdp.domain.decision_counts import CountedPeriod
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot

ADDED: Final = "added"
GONE: Final = "gone"
CHANGED: Final = "changed"

_CURSOR: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})\.([0-9]{1,18})")


class Responsible(NamedTuple):
    """A policy that matches on one side only, or with another action on each side.

    Attributes:
        effect: `ADDED` if it matches on the policies in question, `GONE` if it no longer does,
            `CHANGED` if its action differs.
        from_action, to_action: what it did and does; empty if it does not match.
    """

    layer: str
    policy_id: str
    name: str
    effect: str
    from_action: str = ""
    to_action: str = ""


class Example(NamedTuple):
    """One decision that would change.

    Attributes:
        decision_id, time, user_id: of the decision.
        reason_code, message: of the new outcome.
        policy: the first policy that is responsible; None if there is none.
        reason: why it matches, or why it did.
    """

    decision_id: str
    time: float
    user_id: str
    reason_code: str
    message: str
    policy: Responsible | None = None
    reason: str = ""


@dataclass(slots=True)
class ChangeTally:
    """The decisions that change from one outcome to another.

    Attributes:
        count: how many there are.
        samples: how many there are, by the rate of the sample that they are from.
    """

    count: int = 0
    samples: Counter[float] = field(default_factory=Counter)
    policies: Counter[Responsible] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class ReplayTally:
    """The summary of a replay.

    Attributes:
        examples: how many decisions of each change are named.
        replayed: decisions that were made again.
        samples: how many of them there are, by the rate of the sample that they are from; 1 for
            decisions that the logging level records.
        changes: by the outcome then and the outcome now, if the two differ.
        not_replayed: how many decisions could not be made again, by reason.
        gaps: how many of the replayed decisions lack a part, by what could not be checked.
        elsewhere: decisions that were made on policies that have changed since.
    """

    examples: int
    replayed: int = 0
    samples: Counter[float] = field(default_factory=Counter)
    changes: dict[tuple[Outcome, Outcome], ChangeTally] = field(default_factory=dict)
    not_replayed: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    elsewhere: int = 0

    @property
    def changed(self) -> int:
        """How many decisions would change."""
        return sum(change.count for change in self.changes.values())

    @property
    def changed_samples(self) -> Counter[float]:
        """How many decisions would change, by the rate of the sample that they are from."""
        total: Counter[float] = Counter()
        for change in self.changes.values():
            total.update(change.samples)
        return total

    @property
    def is_sampled(self) -> bool:
        """Whether any decision is from a sample."""
        return any(rate < 1 for rate in self.samples)

    def add(self, then: _Side, now: _Side, example: Example, sample_rate: float = 0.0) -> None:
        """Counts one decision that was made again.

        Args:
            then: the old decision.
            now: the new one.
            example: names the decision.
            sample_rate: the rate of the sample that it is from; 0 if it is from none.
        """
        rate = sample_rate or 1.0
        self.replayed += 1
        self.samples[rate] += 1
        if then.outcome is now.outcome:
            return
        change = self.changes.setdefault((then.outcome, now.outcome), ChangeTally())
        change.count += 1
        change.samples[rate] += 1
        responsible = _responsible(then.matches, now.matches)
        change.policies.update(dict.fromkeys(responsible, 1))
        if len(change.examples) < self.examples:
            for policy, reason in responsible.items():
                example = example._replace(policy=policy, reason=reason)
                break
            change.examples.append(example)


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
    records = [DecisionRecord.from_json(json.loads(row.body)) for row in rows]
    tally = replay_records(records, before, after, paging.examples)
    done = page.more
    if done is None or done >= position.last:
        return ReplayPage(tally, coverage=coverage)
    first = position.first or (rows[0].sequence if rows else position.done + 1)
    progress = (done - first + 1) / (position.last - first + 1)
    return ReplayPage(tally, progress, f"{done}.{first}.{position.last}", coverage)


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
    unseen = find_unseen(before, after)
    for record in records:
        replayed = replay(record, before, after, unseen)
        if replayed.decision is None:
            tally.not_replayed[replayed.obstacle] += 1
            continue
        tally.gaps.update(replayed.gaps)
        tally.elsewhere += record.policy_hash != hash_now
        now = replayed.decision
        tally.add(
            _Side(record.outcome, record.matches),
            _Side(now.outcome, now.matches),
            Example(
                record.decision_id,
                record.time,
                record.subject.user_id,
                now.reason_code,
                now.message,
            ),
            record.sample_rate,
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
            Example(
                request.request_id,
                request.timestamp,
                request.subject.user_id,
                now.reason_code,
                now.message,
            ),
        )
    return tally


def _responsible(then: Sequence[Match], now: Sequence[Match]) -> dict[Responsible, str]:
    """Returns the policies that match in another way, those of now first, and why each matches."""
    before, after = _by_policy(then), _by_policy(now)
    responsible: dict[Responsible, str] = {}
    for key, matches in after.items():
        new = matches[0]
        if key not in before:
            responsible[Responsible(*key, new.name, ADDED, to_action=new.action)] = new.reason
        elif _effects(before[key]) != _effects(matches):
            actions = before[key][0].action, new.action
            responsible[Responsible(*key, new.name, CHANGED, *actions)] = new.reason
    for key, matches in before.items():
        if key not in after:
            old = matches[0]
            responsible[Responsible(*key, old.name, GONE, old.action)] = old.reason
    return responsible


def _by_policy(matches: Sequence[Match]) -> dict[tuple[str, str], list[Match]]:
    by_policy: dict[tuple[str, str], list[Match]] = {}
    for match in matches:
        by_policy.setdefault((match.layer, match.policy_id), []).append(match)
    return by_policy


def _effects(matches: Sequence[Match]) -> set[tuple[str, str, str]]:
    return {(match.action, match.would_be, match.excepted_by) for match in matches}


def _position(cursor: str) -> _Position:
    match = _CURSOR.fullmatch(cursor)
    position = _Position(*map(int, match.groups())) if match else None
    if position is None or not 0 < position.first <= position.done < position.last:
        raise InvalidArgument.of(Violation("cursor", "is not the `next_cursor` of a replay"))
    return position
