"""Limits: how much a user, or the members of a group together, may use (docs/decide.md, limits)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from pdp.domain.group_resolver import NO_USER_GROUPS, GroupResolver, normalize_group
from pdp.domain.policy_set import changed_ids
from pdp.domain.request import NO_USAGE
from pdp.domain.usage import MAX_COUNT, ONE_REQUEST, Counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdp.domain.request import Subject, Usage
    from pdp.domain.usage import SubjectUsage, UsageSnapshot

KIND: Final = "limit"

Scope = Literal["user", "group"]

MICROS: Final = 1_000_000
"""Micro-dollars in a dollar."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a subject may use; None means no limit.

    Attributes:
        scope: `user`, or `group`, whose members share the limit.
        subject_id: the user's id, compared exactly; or the name or the id of a group.
        daily_cost_limit, monthly_cost_limit: in micro-dollars.
        is_active: whether the limit is in force. Usage is counted only while it is.
        created_at, updated_at: seconds since the epoch.
    """

    id: str
    scope: Scope
    subject_id: str
    daily_request_limit: int | None = None
    monthly_request_limit: int | None = None
    daily_token_limit: int | None = None
    monthly_token_limit: int | None = None
    daily_cost_limit: int | None = None
    monthly_cost_limit: int | None = None
    requests_per_minute: int | None = None
    is_active: bool = True
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def subject(self) -> str:
        """The subject in words: `user ann`."""
        return f"{self.scope} {self.subject_id}"


def body_of(limit: Limit) -> dict[str, Any]:
    """Returns the fields of `limit` as the store keeps them."""
    return {name: getattr(limit, name) for name in limit.__slots__}


class Bound(NamedTuple):
    """One number of a limit.

    Attributes:
        name: the number's name in JSON.
        attribute: its attribute in `Limit`.
        window: `minute`, `day` or `month`; also the attribute of `SubjectUsage`.
        measure: `requests`, `tokens` or `cost`; also the attribute of `Counts`.
        place: the index of the window in `SubjectUsage`, and of the measure in `Counts`.
        title: the number's name in words.
    """

    name: str
    attribute: str
    window: str
    measure: str
    place: tuple[int, int]
    title: str

    def count_in(self, usage: SubjectUsage) -> int:
        """Returns the count that this bound limits."""
        window, measure = self.place
        counts: Counts = usage[window]  # type: ignore[assignment] # the first three are Counts
        return counts[measure]


def _quota(window: str, measure: str, name: str) -> Bound:
    attribute = name.removesuffix("_usd")
    place = (("minute", "day", "month").index(window), Counts._fields.index(measure))
    return Bound(name, attribute, window, measure, place, attribute.replace("_", " "))


RATE: Final = Bound(
    "requests_per_minute", "requests_per_minute", "minute", "requests", (0, 0), "request rate"
)
QUOTAS: Final = (
    _quota("day", "requests", "daily_request_limit"),
    _quota("month", "requests", "monthly_request_limit"),
    _quota("day", "tokens", "daily_token_limit"),
    _quota("month", "tokens", "monthly_token_limit"),
    _quota("day", "cost", "daily_cost_limit_usd"),
    _quota("month", "cost", "monthly_cost_limit_usd"),
)
BOUNDS: Final = (RATE, *QUOTAS)


class ActiveLimit(NamedTuple):
    """A limit that is in force, with the bounds that it sets.

    `checks` has the same content as `bounds`, flat: window, measure, allowed count.
    """

    limit: Limit
    bounds: tuple[tuple[Bound, int], ...]
    checks: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, limit: Limit) -> ActiveLimit:
        """Returns the limit with its bounds."""
        values = ((bound, getattr(limit, bound.attribute)) for bound in BOUNDS)
        bounds = tuple((bound, value) for bound, value in values if value is not None)
        return cls(limit, bounds, tuple((*bound.place, value) for bound, value in bounds))

    def has_room(self, usage: SubjectUsage, requested: Counts) -> bool:
        """Returns whether `requested` is within all bounds; see `find_breach`."""
        for window, measure, allowed in self.checks:
            used: int = usage[window][measure]  # type: ignore[index] # those are Counts
            if used >= allowed or used + requested[measure] > allowed:
                return False
        return True


@dataclass(frozen=True, slots=True)
class LimitIndex:
    """The active limits of a tenant.

    Attributes:
        users: the limits of users, by user id.
        groups: the limits of groups, by `normalize_group`, in the order of their names.
        resolver: resolves the groups of a subject.
    """

    users: Mapping[str, ActiveLimit]
    groups: Mapping[str, tuple[ActiveLimit, ...]]
    resolver: GroupResolver = NO_USER_GROUPS

    @classmethod
    def from_limits(
        cls, limits: Iterable[Limit], resolver: GroupResolver = NO_USER_GROUPS
    ) -> LimitIndex:
        """Returns the index of the active limits."""
        now = {limit.id: limit for limit in limits}
        return cls({}, {}, resolver).with_changes({}, now, resolver)

    def with_changes(
        self,
        before: Mapping[str, Limit],
        now: Mapping[str, Limit],
        resolver: GroupResolver = NO_USER_GROUPS,
    ) -> LimitIndex:
        """Returns the index of the limits `now`, which reuses what this index has.

        Args:
            before: the limits of this index, by id.
            now: the limits by id.
            resolver: resolves the groups of a subject.
        """
        ids = changed_ids(before, now)
        users, groups = dict(self.users), dict(self.groups)
        # First all that are gone: another limit may have their subject now.
        for limit in (before[limit_id] for limit_id in ids if limit_id in before):
            if limit.scope == "user":
                users.pop(limit.subject_id, None)
            else:
                _change_group(groups, limit, ())
        for limit in (now[limit_id] for limit_id in ids if limit_id in now):
            if not limit.is_active:
                continue
            if limit.scope == "user":
                users[limit.subject_id] = ActiveLimit.of(limit)
            else:
                _change_group(groups, limit, (ActiveLimit.of(limit),))
        return LimitIndex(users, groups, resolver)

    def __bool__(self) -> bool:
        """Returns whether there is a limit."""
        return bool(self.users or self.groups)

    def of(self, subject: Subject) -> tuple[ActiveLimit, ...]:
        """Returns the limits of `subject`: the user's limit, then each group's limit once."""
        user_limit = self.users.get(subject.user_id)
        limits = () if user_limit is None else (user_limit,)
        groups = self.groups
        if not groups or not (subject.groups or self.resolver):
            return limits
        names = dict.fromkeys(map(normalize_group, subject.groups))
        if self.resolver:
            names |= dict.fromkeys(sorted(self.resolver.names_of(subject)))
        return (*limits, *(each for name in names for each in groups.get(name, ())))


def _change_group(
    groups: dict[str, tuple[ActiveLimit, ...]], limit: Limit, replacement: tuple[ActiveLimit, ...]
) -> None:
    """Replaces the limit of a group; groups whose names differ only in case have one entry."""
    name = normalize_group(limit.subject_id)
    others = (each for each in groups.get(name, ()) if each.limit.subject_id != limit.subject_id)
    limits = sorted((*others, *replacement), key=lambda each: each.limit.subject_id)
    if limits:
        groups[name] = tuple(limits)
    else:
        groups.pop(name, None)


class Breach(NamedTuple):
    """A bound that a request exceeds.

    Attributes:
        retry_at: when the request may pass; None if it needs more than the bound ever allows.
    """

    bound: Bound
    used: int
    allowed: int
    requested: int
    retry_at: float | None


def counts_of(usage: Usage) -> Counts:
    """Returns the counts of one request with its tokens and cost. A cost never rounds to zero."""
    if usage is NO_USAGE:
        return ONE_REQUEST
    cost = round(min(usage.cost_usd * MICROS, MAX_COUNT))
    return Counts(1, usage.tokens, cost or int(usage.cost_usd > 0))


def find_breach(
    usage: SubjectUsage, snapshot: UsageSnapshot, bound: Bound, allowed: int, requested: Counts
) -> Breach | None:
    """Returns how a request exceeds a bound; None if it does not.

    A request exceeds the bound if it needs more than is left. It also does if nothing is left,
    regardless of what it needs, because it may not know this yet.
    """
    window, measure = bound.place
    used = bound.count_in(usage)
    needed: int = requested[measure]
    if used < allowed and used + needed <= allowed:
        return None
    retry_at: float | None = None
    if allowed and needed <= allowed:
        ends = (usage.frees_at, snapshot.calendar.day_end, snapshot.calendar.month_end)
        retry_at = ends[window]
    return Breach(bound, used, allowed, needed, retry_at)
