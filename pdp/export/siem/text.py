"""Formats JSON and times for events."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

# Created once: `json.dumps` creates an encoder for each call with non-default options.
_encode: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":")
).encode


def compact(value: Any) -> bytes:
    """Returns `value` as JSON on one line, without spaces."""
    return _encode(value).encode("utf-8", "replace")


def timestamp(at: float) -> str:
    """Returns seconds since the epoch as an RFC 3339 time in UTC, with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
