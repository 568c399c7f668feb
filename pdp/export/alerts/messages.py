"""What an alert says: message blocks as Slack takes them, and nothing of the request's text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.export.siem.text import compact, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.decision_record import DecisionRecord

_MAX_HEADER: Final = 150
_MAX_FIELD: Final = 2000
_MAX_MATCHES: Final = 5
"""Slack's own bounds; and how many matches are worth reading in a message."""


def alert_message(rule_name: str, record: DecisionRecord, suppressed: int = 0) -> bytes:
    """Returns the message of a decision that a rule was met by.

    Args:
        rule_name: of the rule.
        record: of the decision.
        suppressed: how many alike came before and were not told of.
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
    note = f"{suppressed} more like it since the last message" if suppressed else ""
    return _message(head, fields, _why(record), note)


def summary_message(rule_name: str, suppressed: int) -> bytes:
    """Returns the message of how many decisions alike were not told of one by one."""
    return _message(
        f"{rule_name}: {suppressed} more like the last one",
        {},
        "They came within the de-duplication window of the message before.",
        "",
    )


def trial_message(rule_name: str, tenant_id: str, actor: str) -> bytes:
    """Returns the message of a test delivery."""
    return _message(
        f"{rule_name}: test",
        {"Tenant": tenant_id, "Asked for by": actor},
        "This is a test of the alert rule. No decision was made.",
        "",
    )


def _why(record: DecisionRecord) -> str:
    reasons = [record.message] if record.message else []
    reasons += [
        f"{each.layer}: {each.name} ({each.action}, {each.severity})"
        for each in record.matches[:_MAX_MATCHES]
    ]
    if len(record.matches) > _MAX_MATCHES:
        reasons.append(f"and {len(record.matches) - _MAX_MATCHES} more")
    return "\n".join(reasons) or "no policy matched"


def _message(head: str, fields: Mapping[str, str], why: str, note: str) -> bytes:
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(head, _MAX_HEADER)}}
    ]
    if fields:
        blocks.append(
            {
                "type": "section",
                "fields": [_text(f"*{name}*\n{_escaped(value)}") for name, value in fields.items()],
            }
        )
    blocks.append({"type": "section", "text": _text(_escaped(why))})
    if note:
        blocks.append({"type": "context", "elements": [_text(note)]})
    return compact({"text": _escaped(head), "blocks": blocks})


def _text(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": _cut(text, _MAX_FIELD)}


def _escaped(text: str) -> str:
    """Returns `text` with what Slack would take for a link or a mention made plain."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
