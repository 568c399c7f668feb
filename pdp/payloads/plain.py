"""Any JSON document, and plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pdp.payloads.reader import PartReader

JSON: Final = "json"
TEXT: Final = "text"


def is_any(document: Any) -> bool:
    """Any document is JSON."""
    return True


def read_any(reader: PartReader) -> None:
    """Takes nothing: the whole document is the rest, which is judged as one structure."""
