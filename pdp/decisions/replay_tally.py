"""Replays summed up: how many decisions would change, from what to what, and which policies did it.

Decisions come from the records (`pdp.decisions.replay`) or from requests that are judged twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.decisions.policy_hash import PolicyHasher
from pdp.decisions.replay import replay
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pdp.domain.decision import Match, Outcome
    from pdp.domain.decision_record import DecisionRecord
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot

ADDED: Final = "added"
GONE: Final = "gone"


class Responsible(NamedTuple):
    """A policy that matches on one side alone.

    Attributes:
        effect: `ADDED` where it matches on the policies in question, `GONE` where it no longer
            does.
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
    """The decisions that go from one outcome to another."""

    count: int = 0
    policies: Counter[Responsible] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class ReplayTally:
    """What a replay came to.

    Attributes:
        replayed: decisions that were judged again.
        changes: by the outcome then and the outcome now, where the two differ.
        not_replayed: how many could not be judged again, by the reason.
        gaps: what could not be held against how many of those that were.
        elsewhere: decisions that had been made on policies that have changed since.
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
        """Counts one decision that was judged again."""
        self.replayed += 1
        if then.outcome is now.outcome:
            return
        change = self.changes.setdefault((then.outcome, now.outcome), ChangeTally())
        change.count += 1
        change.policies.update(_responsible(then.matches, now.matches))
        if len(change.examples) < self.examples:
            change.examples.append(example)


class _Side(NamedTuple):
    outcome: Outcome
    matches: Sequence[Match]


def replay_records(
    records: Iterable[DecisionRecord], before: Snapshot, after: Snapshot, examples: int
) -> ReplayTally:
    """Judges recorded decisions again.

    Args:
        records: of the tenant.
        before: its policies as they are.
        after: the policies in question.
        examples: how many decisions of each change are named.
    """
    tally = ReplayTally(examples)
    # Revisions are the store's: they rise with what other tenants write, too.
    in_force = PolicyHasher().of(before)
    for record in records:
        again = replay(record, before, after)
        if again.decision is None:
            tally.not_replayed[again.obstacle] += 1
            continue
        tally.gaps.update(again.gaps)
        tally.elsewhere += record.policy_hash != in_force
        now = again.decision
        tally.add(
            _Side(record.outcome, record.matches),
            _Side(now.outcome, now.matches),
            Example(record.decision_id, record.time, now.reason_code, now.message),
        )
    return tally


def replay_requests(
    requests: Iterable[Request], before: Snapshot, after: Snapshot, examples: int
) -> ReplayTally:
    """Judges requests on the policies as they are and on those in question.

    Args:
        requests: each with an id, by which an example is named.
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
    known = set(map(_key, then))
    kept = set(map(_key, now))
    changed = [(each, ADDED) for each in now if _key(each) not in known]
    changed += [(each, GONE) for each in then if _key(each) not in kept]
    return list(
        dict.fromkeys(
            Responsible(each.layer, each.policy_id, each.name, effect) for each, effect in changed
        )
    )


def _key(match: Match) -> tuple[str, str, str]:
    return (match.layer, match.policy_id, match.action)
