"""Times: read from texts, and read off a clock in the policy's time zone.

A time is a number of seconds since the epoch. One that no calendar date of the years 1 to 9999
stands for is unknown.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from math import floor
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from pdp.engine.conditions.kinds import ValueType, kind_of
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping

UNITS: Final[Mapping[str, int]] = MappingProxyType(
    {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}
)
"""What `timestamp_diff` counts in."""

_FIRST: Final = -62_135_596_800  # 0001-01-01T00:00:00Z
_BEYOND: Final = 253_402_300_800  # 10000-01-01T00:00:00Z
_DAY: Final = 86_400
_LONGEST: Final = 40
_is_time: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
).fullmatch


class Clock:
    """What conditions ask about times, in one time zone."""

    __slots__ = ("zone",)

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone

    def read(self, value: Any) -> float | None:
        """Returns the time that a text says; None for all else.

        A text is RFC 3339, `2026-02-26T03:00:00Z`. Without an offset it is in the zone, and
        without a time of day it is midnight there.
        """
        if kind_of(value) is not ValueType.TEXT or len(value) > _LONGEST or not _is_time(value):
            return None
        try:
            moment = datetime.fromisoformat(str(value).upper())
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self.zone)
            return moment.timestamp()
        except (ValueError, OverflowError):
            return None

    def hour(self, seconds: float | None) -> float | None:
        """`hour`: from 0 to 23."""
        local = self._local(seconds)
        return None if local is None else local.hour

    def minute(self, seconds: float | None) -> float | None:
        """`minute`: from 0 to 59."""
        local = self._local(seconds)
        return None if local is None else local.minute

    def day_of_week(self, seconds: float | None) -> float | None:
        """`day_of_week`: 1 for Monday to 7 for Sunday (ISO 8601)."""
        local = self._local(seconds)
        return None if local is None else local.isoweekday()

    def date(self, seconds: float | None) -> str | None:
        """`date`: for instance `2026-02-26`."""
        local = self._local(seconds)
        return None if local is None else local.date().isoformat()

    def _local(self, seconds: float | None) -> datetime | None:
        if seconds is None or not _FIRST <= seconds < _BEYOND:
            return None
        try:
            return datetime.fromtimestamp(floor(seconds), self.zone)
        except (ValueError, OverflowError):  # on the first or last day there is, elsewhere
            return None


class UtcClock(Clock):
    """The same in UTC, where the time of day is plain arithmetic, twice as fast."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(UTC)

    def hour(self, seconds: float | None) -> float | None:
        """`hour`: from 0 to 23."""
        if seconds is None or not _FIRST <= seconds < _BEYOND:
            return None
        return seconds // 3600 % 24

    def minute(self, seconds: float | None) -> float | None:
        """`minute`: from 0 to 59."""
        if seconds is None or not _FIRST <= seconds < _BEYOND:
            return None
        return seconds // 60 % 60

    def day_of_week(self, seconds: float | None) -> float | None:
        """`day_of_week`: 1 for Monday to 7 for Sunday (ISO 8601)."""
        if seconds is None or not _FIRST <= seconds < _BEYOND:
            return None
        return (seconds // _DAY + 3) % 7 + 1  # the epoch was a Thursday


@lru_cache(maxsize=64)
def clock_of(timezone: str) -> Clock:
    """Returns the clock of a time zone.

    Args:
        timezone: its name in the IANA database, for instance `Europe/Berlin`.

    Raises:
        InvalidArgument: there is no such time zone.
    """
    if timezone == "UTC":
        return UtcClock()
    # The name ends up in a path: zoneinfo refuses those that leave its directory, and what is no
    # zone there ("posixrules", "localtime", a directory) differs from machine to machine.
    if timezone[:1].isupper() and timezone.isascii():
        try:
            return Clock(ZoneInfo(timezone))
        except (ValueError, OSError, KeyError):
            pass
    reason = (
        f'there is no time zone "{timezone[:64]}"; name one of the IANA database, '
        'for instance "UTC" or "Europe/Berlin"'
    )
    raise InvalidArgument.of(Violation("timezone", reason))
