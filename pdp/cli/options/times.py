"""Times as commands accept them: a date and time, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from pdp.cli.failures import UsageError

_AGO: Final = re.compile(r"(\d{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def is_relative(text: str) -> bool:
    """Returns whether a time is how long ago, so that it is another one with every call."""
    return _AGO.fullmatch(text) is not None


def parse_time(text: str, option: str) -> str:
    """Returns a time in RFC 3339; empty if `text` is empty.

    Args:
        text: an ISO 8601 time, in UTC if it has no offset, or a duration such as `24h`, which means
            that long before now.
        option: the name of the option, for the error.

    Raises:
        UsageError: the text is not a time.
    """
    if not text:
        return ""
    ago = _AGO.fullmatch(text)
    if ago:
        when = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            hint = "write 2026-02-26T03:00:00Z, or 90m, 24h or 7d"
            raise UsageError(f'{option}: "{text}" is not a time; {hint}') from None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
