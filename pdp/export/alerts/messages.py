"""The messages of alerts, as Slack message blocks. They never contain text of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.decision import ObligationType
from pdp.export.siem.text import compact, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.decision import Obligation
    from pdp.domain.decision_record import DecisionRecord

_MAX_HEADER: Final = 150
_MAX_FIELD: Final = 2000
"""The limits of Slack, in characters."""

_MAX_MATCHES: Final = 5
"""The most matches that a message lists."""


def alert_message(
    rule_name: str, record: DecisionRecord, suppressed: int = 0, public_url: str = ""
) -> bytes:
    """Returns the message about a decision that matches a rule.

    Args:
        rule_name: the name of the rule.
        record: the decision.
        suppressed: how many similar alerts before were not sent.
        public_url: the URL of the server, for a link to the approval; empty for no link.
    """
    verb = "allowed" if record.allowed else "not allowed"
    head = f"{rule_name}: {record.outcome.name} ({verb})"
    fields = {
        "Risk": f"{record.risk.score} ({record.risk.level})",
        "Tenant": record.tenant_id,
        "User": record.subject.user_id or "not given",
        "Agent": record.subject.agent_id or "not given",
        "Action": record.action or record.tool or "not given",
        "Model": "/".join(filter(None, (record.provider, record.model))) or "not given",
        "Decision": record.decision_id,
        "Time": timestamp(record.time),
    }
    link = ""
    for each in record.obligations:
        if each.type is ObligationType.APPROVAL and each.approval_id:
            fields |= _approval(each)
            link = f"{public_url}/v1/approvals/{each.approval_id}" if public_url else ""
    note = f"{suppressed} similar alerts since the last message" if suppressed else ""
    return _message(head, fields, _reasons(record), note, link)


def summary_message(rule_name: str, suppressed: int) -> bytes:
    """Returns the message about the alerts that a window suppressed."""
    return _message(
        f"{rule_name}: {suppressed} more similar alerts",
        {},
        "They came within the de-duplication window of the previous message.",
        "",
    )


def make_test_message(rule_name: str, tenant_id: str, actor: str) -> bytes:
    """Returns the message of a test delivery."""
    return _message(
        f"{rule_name}: test",
        {"Tenant": tenant_id, "Requested by": actor},
        "This is a test of the alert rule. No decision was made.",
        "",
    )


def _approval(obligation: Obligation) -> dict[str, str]:
    """Returns what a message says of the approval that a request waits for; never its token."""
    fields = {"Approval": f"{obligation.approval_id} ({obligation.approval_state})"}
    if obligation.expires_at is not None:
        fields["Expires"] = timestamp(obligation.expires_at)
    return fields


def _reasons(record: DecisionRecord) -> str:
    reasons = [record.message] if record.message else []
    reasons += [
        f"{each.layer}: {each.name} ({each.action}, {each.severity})"
        for each in record.matches[:_MAX_MATCHES]
    ]
    if len(record.matches) > _MAX_MATCHES:
        reasons.append(f"and {len(record.matches) - _MAX_MATCHES} more")
    return "\n".join(reasons) or "no policy matched"


def _message(
    head: str, fields: Mapping[str, str], reasons: str, note: str, link: str = ""
) -> bytes:
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _truncate(head, _MAX_HEADER)}}
    ]
    if fields:
        blocks.append(
            {
                "type": "section",
                "fields": [_text(f"*{name}*\n{_escape(value)}") for name, value in fields.items()],
            }
        )
    blocks.append({"type": "section", "text": _text(_escape(reasons))})
    if link:  # its characters need no escaping: the settings and the id have only a few
        blocks.append({"type": "section", "text": _text(f"<{link}|Show the approval>")})
    if note:
        blocks.append({"type": "context", "elements": [_text(note)]})
    return compact({"text": _escape(head), "blocks": blocks})


def _text(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": _truncate(text, _MAX_FIELD)}


def _escape(text: str) -> str:
    """Escapes the characters that start a link or a mention in Slack."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _truncate(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
