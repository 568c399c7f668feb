"""Records as the texts that are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pdp.domain.decision_record import DecisionRecord

_to_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_to_ascii: Final = json.JSONEncoder(separators=(",", ":")).encode


def body_of(record: DecisionRecord) -> str:
    """Returns a record as JSON."""
    value = record.to_json()
    text = _to_json(value)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which only a caller in this process can send
        return _to_ascii(value)
    return text
