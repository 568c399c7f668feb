"""What a redaction leaves of a value (docs/dlp.md, Kinds of redaction)."""

from __future__ import annotations

from typing import Final

REPLACE: Final = "replace"
"""A fixed text, the same for all values."""

MASK: Final = "mask"
"""Stars, and the last characters of the value."""

HASH: Final = "hash"
"""A keyed hash, the same for a value in all requests of a tenant."""

PLACEHOLDER: Final = "placeholder"
"""A keyed hash, the same for a value in all requests of a session."""

REDACTION_KINDS: Final = (REPLACE, MASK, HASH, PLACEHOLDER)


def kind_by_value(redaction: str) -> str:
    """Returns a kind of redaction; empty if its replacement does not depend on the value."""
    return "" if redaction == REPLACE else redaction
