"""Encodes decision records as JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from pdp.domain.decision_record import DecisionRecord

_to_json: Final = msgspec.json.Encoder().encode
_to_ascii: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def encode_record(record: DecisionRecord) -> str:
    """Returns a record as JSON that every store can hold.

    A request may contain numbers and characters that JSON or UTF-8 cannot represent. They are
    replaced or escaped: otherwise the store would refuse the whole batch.
    """
    value = record.to_json()
    if _is_finite(record):
        try:
            return _to_json(value).decode()
        except ValueError:  # a lone surrogate
            pass
    return _to_ascii(_replace_non_finite(value))


def _is_finite(record: DecisionRecord) -> bool:
    """Returns whether a record holds neither NaN nor infinity; the encoder would write `null`."""
    numbers = record.asked_at + record.cost_usd + (record.subject.risk_score or 0)
    if record.entities:
        numbers += sum(each.confidence for each in record.entities)
    return math.isfinite(numbers) and (
        record.redacted_arguments is None or _holds_finite(record.redacted_arguments)
    )


def _holds_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_holds_finite, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_holds_finite, value))
    return True


def _replace_non_finite(value: Any) -> Any:
    """Returns `value` with NaN and infinities replaced by their names."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _replace_non_finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replace_non_finite(item) for item in value]
    return value
