"""Percent-encoding, read strictly."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from pdp.errors import MalformedRequest, Violation

_MALFORMED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def decoded(raw: bytes, where: str) -> str:
    """Returns the text that `raw` stands for.

    Args:
        raw: one segment of a path, or one name or value of a query.
        where: what an error calls it.

    Raises:
        MalformedRequest: a `%` without two hexadecimal digits, or bytes that are not UTF-8.
    """
    if _MALFORMED.search(raw):
        raise _malformed(where, "malformed percent-encoding")
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed(where, "not UTF-8") from None


def _malformed(where: str, reason: str) -> MalformedRequest:
    return MalformedRequest(f"{where}: {reason}", Violation(where, reason))
