"""Selects records outside of a log, by the same filter as in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdp.domain.audit_log import RecordFilter
    from pdp.domain.decision_record import DecisionRecord


def selects(record_filter: RecordFilter, record: DecisionRecord) -> bool:
    """Returns whether a record meets all conditions of a filter, as a search of the log does."""
    of = record_filter
    return (
        record.tenant_id == of.tenant_id
        and (of.since is None or record.time >= of.since)
        and (of.until is None or record.time < of.until)
        and (not of.outcomes or record.outcome.name in of.outcomes)
        and (not of.risk_levels or record.risk.level in of.risk_levels)
        and (not of.user_id or record.subject.user_id == of.user_id)
        and (not of.agent_id or record.subject.agent_id == of.agent_id)
        and (not of.customer_id or record.customer_id == of.customer_id)
        and (not of.provider or record.provider == of.provider)
        and (not of.model or of.model in {record.model, f"{record.provider}/{record.model}"})
        and (not of.action or record.action == of.action)
        and (not of.policy_id or any(each.policy_id == of.policy_id for each in record.matches))
        and (not of.reason_code or record.reason_code == of.reason_code)
        and (not of.request_id or record.request_id == of.request_id)
        and (of.pii_detected is None or record.pii_detected == of.pii_detected)
    )
