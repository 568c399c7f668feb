"""Schedules of chain rules: days of the week and times of the day in a time zone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.engine.conditions.times import Clock, clock_of
from pdp.errors import InvalidArgument

if TYPE_CHECKING:
    from pdp.domain.request import Request

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MEMBERS: Final = ("days", "from", "until", "timezone")
_DAY_MINUTES: Final = 24 * 60
_read_time: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])").fullmatch


class InvalidSchedule(ValueError):
    """A schedule is invalid. The message says what is required."""


class Schedule(NamedTuple):
    """Times at which a rule applies.

    Attributes:
        days: the days on which it begins, 1 for Monday to 7 for Sunday.
        begin: the minute of the day at which it begins.
        end: the minute of the day before which it ends; at most `begin` if that is the next day.
        clock: reads times in its time zone.
    """

    days: frozenset[int]
    begin: int
    end: int
    clock: Clock

    def covers(self, at: float) -> bool:
        """Whether a time, in seconds since the epoch, is in the schedule."""
        hour, minute = self.clock.hour(at), self.clock.minute(at)
        day = self.clock.day_of_week(at)
        if hour is None or minute is None or day is None:
            return False
        now, today = int(hour) * 60 + int(minute), int(day)
        if self.begin < self.end:
            return today in self.days and self.begin <= now < self.end
        yesterday = today - 1 or len(DAYS)
        return (now >= self.begin and today in self.days) or (
            now < self.end and yesterday in self.days
        )


def time_of(request: Request) -> float:
    """Returns the time by which schedules are read: that of the server's clock, if it is known."""
    return request.timestamp if request.server_time is None else request.server_time


def read_schedule(value: Any) -> Schedule:
    """Parses a schedule.

    Raises:
        InvalidSchedule: the value is invalid.
    """
    if not isinstance(value, Mapping) or not value:
        raise InvalidSchedule("must be an object with days, or with from and until")
    unknown = next((name for name in value if name not in _MEMBERS), None)
    if unknown is not None:
        raise InvalidSchedule(f"has only the members {', '.join(_MEMBERS)}, not {unknown[:64]!r}")
    begin, end = _minutes(value.get("from"), "from"), _minutes(value.get("until"), "until")
    if (begin is None) != (end is None):
        raise InvalidSchedule("must have both from and until, or none of them")
    if begin is not None and begin == end:
        raise InvalidSchedule("must have a from and an until that differ")
    days = value.get("days")
    if days is None and begin is None:
        raise InvalidSchedule("must have days, or from and until")
    return Schedule(
        _days(days),
        begin or 0,
        _DAY_MINUTES if end is None else end,
        _clock(value.get("timezone")),
    )


def _minutes(value: Any, name: str) -> int | None:
    if value is None:
        return None
    time = _read_time(value) if isinstance(value, str) else None
    minutes = int(time[1]) * 60 + int(time[2]) if time else -1
    if not 0 <= minutes <= (_DAY_MINUTES if name == "until" else _DAY_MINUTES - 1):
        raise InvalidSchedule(f"{name} must be a time of day such as 09:00")
    return minutes


def _days(value: Any) -> frozenset[int]:
    if value is None:
        return frozenset(range(1, len(DAYS) + 1))
    if type(value) is not list or not value or any(each not in DAYS for each in value):
        raise InvalidSchedule(f"days must be a list of {', '.join(DAYS)}")
    return frozenset(DAYS.index(each) + 1 for each in value)


def _clock(value: Any) -> Clock:
    try:
        return clock_of("UTC" if value is None else value if isinstance(value, str) else "")
    except InvalidArgument as error:
        raise InvalidSchedule(f"timezone: {error.violations[0].reason}") from None
