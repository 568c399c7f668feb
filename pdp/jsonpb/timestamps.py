"""Converts timestamps from and to RFC 3339 text."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from pdp.strictjson.problems import InvalidValue, type_mismatch

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

EXAMPLE: Final = "2025-01-02T10:00:00Z"

_RFC_3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_EPOCH: Final = date(1970, 1, 1).toordinal()
_DAY_S: Final = 86_400
_MIN_S: Final = -62_135_596_800  # 0001-01-01T00:00:00Z
_MAX_S: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_NANO_DIGITS: Final = 9
_MILLI: Final = 1_000_000
_MICRO: Final = 1_000


def fill_timestamp(message: Timestamp, value: object) -> None:
    """Sets `message` to the time in `value`.

    Raises:
        InvalidValue: it is not an RFC 3339 time in the years 1 to 9999.
    """
    if type(value) is not str:
        raise InvalidValue(type_mismatch(f"a time such as {EXAMPLE}", value))
    parts = _RFC_3339.fullmatch(value)
    if parts is None:
        raise InvalidValue(f"must be a time such as {EXAMPLE} (RFC 3339, with its offset)")
    message.seconds = _seconds(parts)
    fraction = parts[7]
    # RFC 3339 allows more digits than a Timestamp can hold: they are cut off.
    message.nanos = int(fraction[:_NANO_DIGITS].ljust(_NANO_DIGITS, "0")) if fraction else 0


def _seconds(parts: re.Match[str]) -> int:
    year, month, day, hour, minute, second = map(int, parts.groups()[:6])
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 - the numbers of a clock
        raise InvalidValue("is not a time of day: hours go to 23, minutes and seconds to 59")
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        raise InvalidValue("is not a date of the calendar") from None
    seconds = days * _DAY_S + hour * 3600 + minute * 60 + second - _offset(parts)
    if not _MIN_S <= seconds <= _MAX_S:
        raise InvalidValue("must be in the years 1 to 9999, in UTC")
    return seconds


def _offset(parts: re.Match[str]) -> int:
    if parts[8] is None:
        return 0
    hours, minutes = int(parts[9]), int(parts[10])
    if hours > 23 or minutes > 59:  # noqa: PLR2004 - the numbers of a clock
        raise InvalidValue("has an invalid offset: hours go to 23, minutes to 59")
    seconds = hours * 3600 + minutes * 60
    return -seconds if parts[8] == "-" else seconds


def timestamp_text(message: Timestamp) -> str:
    """Returns the time as RFC 3339 in UTC, with a fraction only if it is not zero."""
    to_the_second = datetime.fromtimestamp(message.seconds, UTC).isoformat()[:19]
    return f"{to_the_second}{_fraction(message.nanos)}Z"


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    if not nanos % _MILLI:
        return f".{nanos // _MILLI:03d}"
    if not nanos % _MICRO:
        return f".{nanos // _MICRO:06d}"
    return f".{nanos:09d}"
