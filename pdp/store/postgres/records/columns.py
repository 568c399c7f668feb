"""The columns of a record that searches use, computed from its body.

The process that appends computes them, so the database parses no JSON. The verification computes
them again: a column that contradicts its body is reported.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

import msgspec

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""NUL, and surrogates without their partner, which JSON can escape and PostgreSQL cannot hold."""


class SearchColumns(NamedTuple):
    """The columns. A text that the database cannot hold has replacement characters."""

    tenant_id: str | None = None
    decision_id: str | None = None
    time: float | None = None
    outcome: str | None = None
    risk_level: str | None = None
    user_id: str | None = None
    agent_id: str | None = None
    customer_id: str | None = None
    provider: str | None = None
    model: str | None = None
    action: str | None = None
    reason_code: str | None = None
    request_id: str | None = None
    pii_detected: bool | None = None


class SearchValues(NamedTuple):
    """What a record can be found by.

    Attributes:
        columns: the columns of the record.
        policy_ids: the policies that matched, each once, in order.
    """

    columns: SearchColumns
    policy_ids: tuple[str, ...]


class _RiskPart(msgspec.Struct):
    level: str | None = None


class _SubjectPart(msgspec.Struct):
    user_id: str | None = None
    agent_id: str | None = None


class _MatchPart(msgspec.Struct):
    policy_id: str | None = None


class _SearchedRecord(msgspec.Struct):
    tenant_id: str | None = None
    decision_id: str | None = None
    time: float | None = None
    outcome: str | None = None
    risk: _RiskPart | None = None
    subject: _SubjectPart | None = None
    customer_id: str | None = None
    provider: str | None = None
    model: str | None = None
    action: str | None = None
    reason_code: str | None = None
    request_id: str | None = None
    pii_detected: bool | None = None
    matches: list[_MatchPart] | None = None


_decode: Final = msgspec.json.Decoder(_SearchedRecord).decode
_NOTHING: Final = SearchValues(SearchColumns(), ())


def search_values(body: bytes) -> SearchValues:
    """Returns what a record can be found by; nothing if the body is not a record."""
    try:
        record = _decode(body)
    except (ValueError, RecursionError):
        try:
            record = msgspec.convert(json.loads(body), _SearchedRecord)
        except (ValueError, RecursionError):
            return _NOTHING
    risk, subject = record.risk or _RiskPart(), record.subject or _SubjectPart()
    columns = SearchColumns(
        _storable(record.tenant_id),
        _storable(record.decision_id),
        record.time,
        _storable(record.outcome),
        _storable(risk.level),
        _storable(subject.user_id),
        _storable(subject.agent_id),
        _storable(record.customer_id),
        _storable(record.provider),
        _storable(record.model),
        _storable(record.action),
        _storable(record.reason_code),
        _storable(record.request_id),
        record.pii_detected,
    )
    policy_ids = {_storable(each.policy_id) for each in record.matches or ()}
    return SearchValues(columns, tuple(sorted(each for each in policy_ids if each)))


def _storable(text: str | None) -> str | None:
    return _UNSTORABLE.sub("\ufffd", text) if text else text
