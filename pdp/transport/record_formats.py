"""Writes decision records as NDJSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Final

from pdp.jsonpb import encode
from pdp.jsonpb.timestamps import timestamp_text
from pdp.transport.record_messages import to_record, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.audit.reader import LogEntry
    from pdp.domain.decision_record import DecisionRecord

NDJSON_TYPE: Final = "application/x-ndjson"
CSV_TYPE: Final = "text/csv; charset=utf-8"

_COLUMNS: Final[dict[str, Callable[[DecisionRecord], object]]] = {
    "time": lambda r: timestamp_text(to_timestamp(r.time)),
    "decision_id": lambda r: r.decision_id,
    "request_id": lambda r: r.request_id,
    "tenant_id": lambda r: r.tenant_id,
    "user_id": lambda r: r.subject.user_id,
    "groups": lambda r: ";".join(r.subject.groups),
    "agent_id": lambda r: r.subject.agent_id,
    "customer_id": lambda r: r.customer_id,
    "direction": lambda r: r.direction,
    "channel": lambda r: r.channel,
    "provider": lambda r: r.provider,
    "model": lambda r: r.model,
    "action": lambda r: r.action,
    "tool": lambda r: r.tool,
    "outcome": lambda r: r.outcome.name,
    "allowed": lambda r: str(r.allowed).lower(),
    "reason_code": lambda r: r.reason_code,
    "message": lambda r: r.message,
    "risk_score": lambda r: r.risk.score,
    "risk_level": lambda r: r.risk.level,
    "policies": lambda r: ";".join(dict.fromkeys(each.policy_id for each in r.matches)),
    "frameworks": lambda r: ";".join(r.frameworks),
    "pii_detected": lambda r: str(r.pii_detected).lower(),
    "incomplete": lambda r: str(r.incomplete).lower(),
    "revision": lambda r: r.revision,
    "policy_hash": lambda r: r.policy_hash,
    "text_sha256": lambda r: r.text_sha256,
    "text_length": lambda r: r.text_length,
    "redacted_text": lambda r: r.redacted_text,
    "duration_us": lambda r: r.duration_us,
}

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""The first characters of a cell that a spreadsheet would run as a formula."""


def ndjson_lines(page: Sequence[LogEntry]) -> str:
    """Returns a line of JSON for each record, in the same form as in lists of records."""
    return "".join(f"{json.dumps(encode(to_record(each)), ensure_ascii=False)}\n" for each in page)


def csv_header() -> str:
    """Returns the line of column names."""
    return _lines([list(_COLUMNS)])


def csv_lines(page: Sequence[LogEntry]) -> str:
    """Returns a CSV line for each record."""
    return _lines([[_cell(column(each.record)) for column in _COLUMNS.values()] for each in page])


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _lines(rows: list[list[object]] | list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
