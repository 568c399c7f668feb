"""Records as the texts that are kept."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pdp.domain.decision_record import DecisionRecord

_to_json: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode
_to_ascii: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def body_of(record: DecisionRecord) -> str:
    """Returns a record as JSON, whatever numbers and characters a caller has put into it.

    What the store could not read would keep it from taking the records of others as well.
    """
    value = record.to_json()
    try:
        text = _to_json(value)
        text.encode()
    except ValueError:  # NaN or infinity, or a lone surrogate
        return _to_ascii(_finite(value))
    return text


def _finite(value: Any) -> Any:
    """Returns `value` with words in place of the numbers that JSON has not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
