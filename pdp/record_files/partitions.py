"""The directories of record files: one for each tenant and day, in the form that Hive reads.

A value of a directory is percent-encoded, as Spark, DuckDB and PyArrow decode it. So no value can
name another directory. The files have the exact tenant in the column `tenant_id`.
"""

from __future__ import annotations

import hashlib
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Final

NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
"""What readers take for a missing value: for an empty tenant, and a time that is none."""

MAX_VALUE: Final = 180
"""The most characters of a value. File systems allow 255 bytes for a name."""

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_START_LENGTH: Final = 100
_PARTIAL_ESCAPE: Final = re.compile(r"%[0-9A-F]?\Z")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS: Final = 1_000_000


def directory_of(tenant_id: str, day: str) -> str:
    """Returns the directory of a tenant's records of a day, relative to the export.

    Args:
        tenant_id: any text.
        day: what `day_of` returns.
    """
    return f"tenant={_encode(tenant_id)}/day={day or NO_VALUE}"


def day_of(time: float | None) -> str:
    """Returns the day of a time in UTC, as `2026-02-26`; empty if it is not a time.

    Args:
        time: seconds since the epoch.
    """
    microseconds = microseconds_of(time)
    if microseconds is None:
        return ""
    return (_EPOCH + timedelta(microseconds=microseconds)).date().isoformat()


def microseconds_of(time: float | None) -> int | None:
    """Returns microseconds since the epoch; None if the time is not within the years 1 to 9999."""
    if time is None or not math.isfinite(time):
        return None
    microseconds = round(time * _MICROSECONDS)
    try:
        _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None
    return microseconds


def _encode(value: str) -> str:
    raw = value.encode("utf-8", "surrogatepass")
    text = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)
    if not text:
        return NO_VALUE
    if text == NO_VALUE:
        return f"%5F{text[1:]}"
    if text.endswith("."):  # some stores do not allow it
        text = f"{text[:-1]}%2E"
    if len(text) <= MAX_VALUE:
        return text
    start = _PARTIAL_ESCAPE.sub("", text[:_START_LENGTH])
    return f"{start}-sha256-{hashlib.sha256(raw).hexdigest()}"
