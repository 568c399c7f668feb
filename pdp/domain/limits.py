"""Limits: how much a user, or the members of a group together, may use (decide.md, limits).

Days and months are those of UTC. A minute is the last 60 seconds, whenever they began. Money is
counted in whole micro-dollars, so that sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from pdp.domain.request import NO_USAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdp.domain.request import Subject, Usage

KIND: Final = "limit"

Scope = Literal["user", "group"]

MICROS: Final = 1_000_000
"""Micro-dollars of a dollar."""

MOST: Final = 2**53 - 1
"""No count goes beyond it, so that each is a number in JSON."""

MINUTE_S: Final = 60
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Limit:
    """What a subject may use; None is unlimited.

    Attributes:
        scope: `user`, or `group`, whose members share the limit.
        subject_id: the user's or the group's id, compared exactly.
        daily_cost_limit, monthly_cost_limit: in micro-dollars.
        is_active: whether it is in force; while it is not, nothing is counted for it.
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
        """Whose limit it is, in words."""
        return f"{self.scope} {self.subject_id}"


def body_of(limit: Limit) -> dict[str, Any]:
    """Returns the fields of `limit` as the store keeps them."""
    return {name: getattr(limit, name) for name in limit.__slots__}


class Counts(NamedTuple):
    """What was used in one window; cost in micro-dollars."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0


NOTHING: Final = Counts()
ONE_REQUEST: Final = Counts(1)


class Bound(NamedTuple):
    """One number of a limit.

    Attributes:
        name: as it is called in JSON.
        attribute: of `Limit`.
        window: `minute`, `day` or `month`; also the attribute of `Spending`.
        measure: `requests`, `tokens` or `cost`; also the attribute of `Counts`.
        place: the index of the window in `Spending`, and that of the measure in `Counts`.
        title: in words.
    """

    name: str
    attribute: str
    window: str
    measure: str
    place: tuple[int, int]
    title: str


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


class LimitInForce(NamedTuple):
    """An active limit, with the bounds that are set in it.

    `checks` says the same as `bounds`, flat: window, measure, what is allowed.
    """

    limit: Limit
    bounds: tuple[tuple[Bound, int], ...]
    checks: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, limit: Limit) -> LimitInForce:
        """Returns the limit with its bounds picked out."""
        values = ((bound, getattr(limit, bound.attribute)) for bound in BOUNDS)
        bounds = tuple((bound, value) for bound, value in values if value is not None)
        return cls(limit, bounds, tuple((*bound.place, value) for bound, value in bounds))

    def has_room(self, spending: Spending, asked: Counts) -> bool:
        """Whether `asked` is within every bound; see `breach`."""
        for window, measure, allowed in self.checks:
            used: int = spending[window][measure]  # type: ignore[index] # those are Counts
            if used >= allowed or used + asked[measure] > allowed:
                return False
        return True


@dataclass(frozen=True, slots=True)
class LimitBook:
    """The limits of a tenant that are in force, by whom they are for."""

    users: Mapping[str, LimitInForce]
    groups: Mapping[str, LimitInForce]

    @classmethod
    def from_limits(cls, limits: Iterable[Limit], previous: LimitBook | None = None) -> LimitBook:
        """Returns the book of those that are active; what `previous` has of them is taken over."""
        held = {"user": previous.users, "group": previous.groups} if previous else {}
        by_scope: dict[str, dict[str, LimitInForce]] = {"user": {}, "group": {}}
        for limit in limits:
            if not limit.is_active:
                continue
            known = held[limit.scope].get(limit.subject_id) if held else None
            if known is None or known.limit is not limit:
                known = LimitInForce.of(limit)
            by_scope[limit.scope][limit.subject_id] = known
        return cls(by_scope["user"], by_scope["group"])

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.users or self.groups)

    def of(self, subject: Subject) -> tuple[LimitInForce, ...]:
        """Returns the limits that apply to `subject`: the user's own, then each group's once."""
        own = self.users.get(subject.user_id)
        found = () if own is None else (own,)
        groups = self.groups
        if not (groups and subject.groups):
            return found
        named = dict.fromkeys(subject.groups)
        return (*found, *(groups[group] for group in named if group in groups))


class Calendar(NamedTuple):
    """The day and the month that a moment lies in; ends are the starts of the next ones."""

    day_start: int
    day_end: int
    month_start: int
    month_end: int

    @classmethod
    def of(cls, now: float) -> Calendar:
        """Returns the calendar at `now`, in seconds since the epoch."""
        day_start = int(now // DAY_S) * DAY_S
        month = datetime.fromtimestamp(day_start, UTC).replace(day=1)
        turn = month.month == 12  # noqa: PLR2004 - December
        following = month.replace(
            year=month.year + 1 if turn else month.year, month=1 if turn else month.month + 1
        )
        return cls(day_start, day_start + DAY_S, int(month.timestamp()), int(following.timestamp()))


class Spending(NamedTuple):
    """What the subject of a limit has used.

    Attributes:
        minute, day, month: in these windows, the request in hand not counted.
        frees_at: when the minute has room for one request again, where its limit is used up.
        empty_at: when nothing is counted in the minute any more, if nothing is added.
    """

    minute: Counts = NOTHING
    day: Counts = NOTHING
    month: Counts = NOTHING
    frees_at: float | None = None
    empty_at: float = 0.0

    def of(self, bound: Bound) -> int:
        """Returns what of a bound is used."""
        window, measure = bound.place
        counts: Counts = self[window]  # type: ignore[assignment] # the first three are Counts
        return counts[measure]


class Spent(NamedTuple):
    """The counters at the moment of a decision, as a value.

    Attributes:
        at: by the server's clock, in seconds since the epoch: a request's own timestamp could
            choose a window that is still empty.
        calendar: of that moment.
        by_limit: what was used, by id of each limit that applies.
    """

    at: float
    calendar: Calendar
    by_limit: Mapping[str, Spending]


class Breach(NamedTuple):
    """A bound that a request is over.

    Attributes:
        retry_at: when it may pass; None where it asks for more than the bound ever allows.
    """

    bound: Bound
    used: int
    allowed: int
    asked: int
    retry_at: float | None


def asked_by(usage: Usage) -> Counts:
    """Returns what a request uses: itself, and its tokens and cost. No cost rounds to nothing."""
    if usage is NO_USAGE:
        return ONE_REQUEST
    cost = round(min(usage.cost_usd * MICROS, MOST))
    return Counts(1, usage.tokens, cost or int(usage.cost_usd > 0))


def breach(
    spending: Spending, spent: Spent, bound: Bound, allowed: int, asked: Counts
) -> Breach | None:
    """Returns how a request is over one bound; None where it is not.

    It is where it asks for more than is left, and where nothing is left, whatever it asks for: a
    request may not know what it will use.
    """
    window, measure = bound.place
    used = spending.of(bound)
    wanted: int = asked[measure]
    if used < allowed and used + wanted <= allowed:
        return None
    retry_at: float | None = None
    if allowed and wanted <= allowed:
        ends = (spending.frees_at, spent.calendar.day_end, spent.calendar.month_end)
        retry_at = ends[window]
    return Breach(bound, used, allowed, wanted, retry_at)
