"""Reports of approvals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.cli.output.record_report import record_report
from pdp.cli.output.report import Report, Table, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

APPROVAL_COLUMNS: Final = (
    "id", "state", "expires", "asked by", "user", "agent", "action", "message",
)  # fmt: skip

_NONE: Final = "-"

_STYLES: Final = {"pending": "magenta", "approved": "green", "denied": "red"}


def approval_row(approval: Mapping[str, Any]) -> list[str]:
    """Returns the cells of an approval, by `APPROVAL_COLUMNS`."""
    record = approval["record"] or {}
    subject = record.get("subject") or {}
    cells = [
        approval["id"],
        approval["state"],
        approval["expires_at"],
        approval["asked_by"],
        subject.get("user_id"),
        subject.get("agent_id"),
        record.get("action") or record.get("tool"),
        approval["message"],
    ]
    return [printable(each or _NONE) for each in cells]


def approval_report(approval: Mapping[str, Any], *, with_record: bool) -> Report:
    """Returns the report of an approval and its rules.

    Args:
        approval: the approval.
        with_record: whether the report has the record of the held request.
    """
    state = approval["state"]
    facts = [(label, value) for label, value in _facts(approval) if value]
    tables = [Table("Rules", ("layer", "rule", "asks", "approved by"), _rules(approval))]
    if with_record and approval["record"]:
        record = record_report(approval["record"])
        labels = {label for label, _ in facts}
        facts += [(label, value) for label, value in record.facts if label not in labels]
        tables += record.tables
    return Report(
        headline=f"{approval['id']} is {state}",
        style=f"bold {_STYLES.get(state, 'white')}",
        facts=facts,
        tables=tables,
    )


def _facts(approval: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "message", approval["message"]
    yield "asked by", approval["asked_by"]
    yield "expires", approval["expires_at"]
    yield "answered by", approval.get("answered_by", "")
    yield "answered at", approval["answered_at"] or ""
    yield "answer", approval.get("answer_reason", "")
    yield "used at", approval["used_at"] or ""


def _rules(approval: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            each["layer"],
            each["name"] or each["policy_id"],
            ", ".join(each["approvers"]),
            each.get("approved_by") or _NONE,
        ]
        for each in approval["rules"]
    ]
