"""What a replay has found: how many decisions would change, from what to what, and why.

Tallies can be merged: the decisions may be divided between any number of them, in any way, and
merged in any order. The result is that of one tally for all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.decision import Match, Outcome

ADDED: Final = "added"
GONE: Final = "gone"
CHANGED: Final = "changed"

_order_of: Final = attrgetter("order")


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


class ChangeCause(NamedTuple):
    """A policy that is responsible for a change, and why it matches, or why it did."""

    policy: Responsible
    reason: str


class ReplayResult(NamedTuple):
    """What the replay of one decision has given.

    Attributes:
        order: its place among all decisions; those with the lowest become examples.
        decision_id, time, user_id: of the decision.
        then: the old outcome; None if the record cannot be read.
        now: the new one; None if the decision could not be made again.
        obstacle: why it could not; empty if it could.
        gaps: parts of the policies that could not be checked.
        elsewhere: whether it was made on policies that have changed since.
        sample_rate: the rate of the sample that it is from; 0 if it is from none.
        reason_code, message: of the new outcome, if that is another one.
        causes: the policies that are responsible, if the outcome is another one.
    """

    order: int
    decision_id: str
    time: float
    user_id: str
    then: Outcome | None
    now: Outcome | None = None
    obstacle: str = ""
    gaps: tuple[str, ...] = ()
    elsewhere: bool = False
    sample_rate: float = 0.0
    reason_code: str = ""
    message: str = ""
    causes: tuple[ChangeCause, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether the decision would have another outcome."""
        return self.now is not None and self.now is not self.then


class Example(NamedTuple):
    """One decision that would change.

    Attributes:
        order: see `ReplayResult`.
        decision_id, time, user_id: of the decision.
        reason_code, message: of the new outcome.
        policy: the first policy that is responsible; None if there is none.
        reason: why it matches, or why it did.
    """

    order: int
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
        policies: in how many of them each policy is responsible.
        examples: the first ones, in their order.
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

    def add(self, result: ReplayResult) -> None:
        """Counts one decision."""
        if result.now is None:
            self.not_replayed[result.obstacle] += 1
            return
        self.gaps.update(result.gaps)
        self.elsewhere += result.elsewhere
        rate = result.sample_rate or 1.0
        self.replayed += 1
        self.samples[rate] += 1
        if result.then is None or not result.is_changed:
            return
        change = self.changes.setdefault((result.then, result.now), ChangeTally())
        change.count += 1
        change.samples[rate] += 1
        change.policies.update(dict.fromkeys((each.policy for each in result.causes), 1))
        self._keep_examples(change, [_example(result)])

    def add_unchanged(
        self, samples: Mapping[float, int], gaps: Mapping[str, int], elsewhere: int
    ) -> None:
        """Counts decisions whose outcome would stay; the arguments are like the attributes."""
        for rate, count in samples.items():
            self.samples[rate or 1.0] += count
            self.replayed += count
        self.gaps.update(gaps)
        self.elsewhere += elsewhere

    def merge(self, other: ReplayTally) -> None:
        """Adds the decisions of another tally, which has none of the same."""
        self.replayed += other.replayed
        self.samples.update(other.samples)
        self.not_replayed.update(other.not_replayed)
        self.gaps.update(other.gaps)
        self.elsewhere += other.elsewhere
        for key, theirs in other.changes.items():
            change = self.changes.setdefault(key, ChangeTally())
            change.count += theirs.count
            change.samples.update(theirs.samples)
            change.policies.update(theirs.policies)
            self._keep_examples(change, theirs.examples)

    def _keep_examples(self, change: ChangeTally, more: Sequence[Example]) -> None:
        kept = change.examples
        if len(kept) == self.examples and (not kept or more[0].order > kept[-1].order):
            return
        change.examples = sorted((*kept, *more), key=_order_of)[: self.examples]


def _example(result: ReplayResult) -> Example:
    example = Example(
        result.order,
        result.decision_id,
        result.time,
        result.user_id,
        result.reason_code,
        result.message,
    )
    if not result.causes:
        return example
    return example._replace(policy=result.causes[0].policy, reason=result.causes[0].reason)


def causes_of(then: Sequence[Match], now: Sequence[Match]) -> tuple[ChangeCause, ...]:
    """Returns the policies that match in another way, those of now first, and why each matches."""
    before, after = _by_policy(then), _by_policy(now)
    causes: dict[Responsible, str] = {}
    for key, matches in after.items():
        new = matches[0]
        if key not in before:
            causes[Responsible(*key, new.name, ADDED, to_action=new.action)] = new.reason
        elif _effects(before[key]) != _effects(matches):
            actions = before[key][0].action, new.action
            causes[Responsible(*key, new.name, CHANGED, *actions)] = new.reason
    for key, matches in before.items():
        if key not in after:
            old = matches[0]
            causes[Responsible(*key, old.name, GONE, old.action)] = old.reason
    return tuple(ChangeCause(*each) for each in causes.items())


def _by_policy(matches: Sequence[Match]) -> dict[tuple[str, str], list[Match]]:
    by_policy: dict[tuple[str, str], list[Match]] = {}
    for match in matches:
        by_policy.setdefault((match.layer, match.policy_id), []).append(match)
    return by_policy


def _effects(matches: Sequence[Match]) -> set[tuple[str, str, str]]:
    return {(match.action, match.would_be, match.excepted_by) for match in matches}
