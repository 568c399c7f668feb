"""Encodes decision records as JSON."""

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


def encode_record(record: DecisionRecord) -> str:
    """Returns a record as JSON that every store can hold.

    A request may contain numbers and characters that JSON or UTF-8 cannot represent. They are
    replaced or escaped: otherwise the store would refuse the whole batch.
    """
    value = record.to_json()
    try:
        text = _to_json(value)
        text.encode()
    except ValueError:  # NaN, infinity or a lone surrogate
        return _to_ascii(_replace_non_finite(value))
    return text


def _replace_non_finite(value: Any) -> Any:
    """Returns `value` with NaN and infinities replaced by their names."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _replace_non_finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replace_non_finite(item) for item in value]
    return value
