"""Converts decisions to OCSF events: one API Activity each, and findings if there are any.

The input is the decision record, so no event contains raw text of the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.decision import ObligationType, Outcome
from pdp.export.ocsf import schema
from pdp.export.siem.text import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pdp.domain.decision import Match
    from pdp.domain.decision_record import DecisionRecord, RecordedEntity

_PROFILES: Final = (schema.SECURITY_CONTROL,)

_ACTIVITIES: Final = {
    **dict.fromkeys(("create", "insert", "write", "add", "send", "upload"), (1, "Create")),
    **dict.fromkeys(("read", "get", "list", "select", "search", "query"), (2, "Read")),
    **dict.fromkeys(("update", "alter", "set", "modify", "rename"), (3, "Update")),
    **dict.fromkeys(("delete", "drop", "remove", "truncate", "purge"), (4, "Delete")),
}
"""The activity by the verb of the requested action."""

_DECIDE: Final = (schema.OTHER, "Decide")

DATA_CATEGORIES: Final = {
    "pii": (1, "Personal"),
    "medical": (1, "Personal"),
    "financial": (3, "Financial"),
    "secret": (6, "Security"),
}
"""The OCSF data categories of the entity categories that are protected data."""

_APPLICATION_LEVEL_DLP: Final = 10
_IN_USE: Final = 3
_DLP: Final = "dlp"
_STATIC: Final = "static"

_ATTACKS: Final = {
    "sys_sqli_": ("T1190", "Exploit Public-Facing Application", "TA0001", "Initial Access"),
    "sys_command_": ("T1059", "Command and Scripting Interpreter", "TA0002", "Execution"),
}
"""The ATT&CK technique and tactic of system policies against attacks, by id prefix."""

_DATA_POLICIES: Final = ("sys_pii_", "sys_secret_", "sys_financial_", "sys_medical_")


def decision_events(record: DecisionRecord) -> Iterator[dict[str, Any]]:
    """Yields the events of a decision: its API Activity, then its findings."""
    yield _activity(record)
    leaks = _leaks(record)
    data = [each for each in record.entities if each.category in DATA_CATEGORIES]
    if leaks or data:
        yield _data_finding(record, leaks, data)
    attacks = _attacks(record)
    if attacks:
        yield _detection(record, attacks)


def _leaks(record: DecisionRecord) -> list[Match]:
    """Returns the matches of policies against data leaks."""
    return [
        each
        for each in record.matches
        if each.layer == _DLP
        or (each.layer == _STATIC and each.policy_id.startswith(_DATA_POLICIES))
    ]


def _attacks(record: DecisionRecord) -> list[Match]:
    """Returns the matches of static policies that are not about detected data."""
    detectors = {each.detector_id for each in record.entities if each.category in DATA_CATEGORIES}
    return [
        each
        for each in record.matches
        if each.layer == _STATIC
        and not each.policy_id.startswith(_DATA_POLICIES)
        and each.policy_id not in detectors
    ]


def _activity(record: DecisionRecord) -> dict[str, Any]:
    event = schema.event(
        schema.API_ACTIVITY,
        _activity_of(record),
        uid=record.decision_id,
        at=record.time,
        severity_id=schema.SEVERITY_OF_LEVEL.get(record.risk.level, schema.INFORMATIONAL),
        message=_sentence(record),
        tenant_id=record.tenant_id,
        profiles=(*_PROFILES, schema.AI_OPERATION) if _has_model(record) else _PROFILES,
        correlation_uid=record.request_id,
    )
    status = schema.SUCCESS if record.allowed else schema.FAILURE
    event |= {
        "status_id": status,
        "status": schema.STATUSES[status],
        "status_code": record.reason_code,
        "duration": round(record.duration_us / 1000),
        "actor": _actor(record),
        "src_endpoint": {"name": record.subject.agent_id or record.channel},
        "api": _api(record),
        "resources": _resources(record),
        "unmapped": _unmapped(record),
    }
    if _has_model(record):
        event["ai_model"] = {"ai_provider": record.provider, "name": record.model}
    return event | _control(record) | _policy(record.matches)


def _data_finding(
    record: DecisionRecord, matches: Sequence[Match], entities: Sequence[RecordedEntity]
) -> dict[str, Any]:
    types = sorted({each.entity_type for each in entities})
    names = ", ".join(types) or ", ".join(dict.fromkeys(each.name for each in matches))
    event = _finding(
        record, schema.DATA_SECURITY_FINDING, f"{record.decision_id}/data", f"Data found: {names}"
    )
    event["finding_info"]["types"] = types
    security: dict[str, Any] = {
        "data_lifecycle_state_id": _IN_USE,
        "data_lifecycle_state": "Data in-use",
        "detection_system_id": _APPLICATION_LEVEL_DLP,
        "detection_system": "Application-Level DLP",
        **_policy(matches),
    }
    categories = [DATA_CATEGORIES[each.category] for each in entities]
    if categories:
        security["category_id"], security["category"] = categories[0]
    event["data_security"] = security
    event["actor"] = _actor(record)
    event["src_endpoint"] = {"name": record.subject.agent_id or record.channel}
    event["unmapped"] |= {"entities": [_entity(each) for each in entities]}
    return event | _control(record) | _policy(matches)


def _detection(record: DecisionRecord, matches: Sequence[Match]) -> dict[str, Any]:
    names = ", ".join(dict.fromkeys(each.name for each in matches))
    event = _finding(
        record, schema.DETECTION_FINDING, f"{record.decision_id}/attack", f"Attack found: {names}"
    )
    event["severity_id"] = severity = max(
        schema.SEVERITY_OF_LEVEL.get(each.severity, schema.INFORMATIONAL) for each in matches
    )
    event["severity"] = schema.SEVERITIES[severity]
    event["is_alert"] = severity >= schema.ALERTABLE
    attacks = list(_techniques(matches))
    if attacks:
        event["finding_info"]["attacks"] = attacks
    event["evidences"] = [{"actor": _actor(record), "api": _api(record)}]
    control = _control(record)
    return event | control | ({"attacks": attacks} if attacks else {}) | _policy(matches)


def _finding(record: DecisionRecord, class_uid: int, uid: str, title: str) -> dict[str, Any]:
    event = schema.event(
        class_uid,
        (schema.CREATE, "Create"),
        uid=uid,
        at=record.time,
        severity_id=schema.SEVERITY_OF_LEVEL.get(record.risk.level, schema.INFORMATIONAL),
        message=title,
        tenant_id=record.tenant_id,
        profiles=_PROFILES,
        correlation_uid=record.request_id,
    )
    event["status_id"], event["status"] = schema.NEW, "New"
    event["is_alert"] = event["severity_id"] >= schema.ALERTABLE
    event["finding_info"] = {
        "uid": uid,
        "title": title,
        "created_time": event["time"],
        "related_events": [
            {
                "uid": record.decision_id,
                "type_uid": schema.API_ACTIVITY * 100 + _activity_of(record)[0],
            }
        ],
    }
    event["resources"] = _resources(record)
    event["unmapped"] = {"decision_id": record.decision_id, "outcome": record.outcome.name}
    return event


def _activity_of(record: DecisionRecord) -> tuple[int, str]:
    return _ACTIVITIES.get(record.action.rpartition(":")[2], _DECIDE)


def _sentence(record: DecisionRecord) -> str:
    sentence = f"{record.outcome.name} at risk {record.risk.score} ({record.risk.level})"
    return f"{sentence}: {record.reason_code}" if record.reason_code else sentence


def _has_model(record: DecisionRecord) -> bool:
    return bool(record.provider and record.model)


def _actor(record: DecisionRecord) -> dict[str, Any]:
    """Returns the caller. The schema requires a user or an application."""
    subject = record.subject
    actor: dict[str, Any] = {}
    if subject.user_id:
        actor["user"] = {"uid": subject.user_id, "name": subject.user_id}
        if subject.groups:
            actor["user"]["groups"] = [{"name": group} for group in subject.groups]
    if subject.agent_id:
        actor["app_uid"] = actor["app_name"] = subject.agent_id
    return actor or {"app_name": record.channel}


def _api(record: DecisionRecord) -> dict[str, Any]:
    return {
        "operation": record.action or record.tool or "decide",
        "service": {"name": record.provider or schema.PRODUCT["name"]},
        "request": {"uid": record.request_id or record.decision_id},
        "response": {"code": record.status_hint, "message": record.message},
    }


def _resources(record: DecisionRecord) -> list[dict[str, Any]]:
    target = record.target
    resource = {"type": target.resource_type, "uid": target.resource_id}
    attributes: dict[str, Any] = {name: value for name, value in resource.items() if value}
    if attributes and target.classifications:
        attributes["labels"] = list(target.classifications)
    return [attributes] if attributes else []


def _control(record: DecisionRecord) -> dict[str, Any]:
    """Returns the attributes of the profile `security_control`: the disposition and the risk."""
    (action_id, action), (disposition_id, disposition) = schema.DISPOSITIONS[record.outcome]
    level_id, level = schema.RISK_LEVELS[record.risk.level]
    severity = schema.SEVERITY_OF_LEVEL.get(record.risk.level, schema.INFORMATIONAL)
    return {
        "action_id": action_id,
        "action": action,
        "disposition_id": disposition_id,
        "disposition": disposition,
        "is_alert": record.outcome >= Outcome.PROMPT or severity >= schema.ALERTABLE,
        "risk_level_id": level_id,
        "risk_level": level,
        "risk_score": record.risk.score,
    }


def _policy(matches: Sequence[Match]) -> dict[str, Any]:
    if not matches:
        return {}
    first = matches[0]
    return {"policy": {"uid": first.policy_id, "name": first.name, "desc": first.reason}}


def _techniques(matches: Iterable[Match]) -> Iterator[dict[str, Any]]:
    for prefix, (technique, name, tactic, tactic_name) in _ATTACKS.items():
        if any(each.policy_id.startswith(prefix) for each in matches):
            yield {
                "technique": {"uid": technique, "name": name},
                "tactic": {"uid": tactic, "name": tactic_name},
            }


def _entity(entity: RecordedEntity) -> dict[str, Any]:
    return {
        "entity_type": entity.entity_type,
        "category": entity.category,
        "confidence": entity.confidence,
    }


def _unmapped(record: DecisionRecord) -> dict[str, Any]:
    """Returns useful facts that OCSF has no attribute for."""
    return {
        "decision_id": record.decision_id,
        "outcome": record.outcome.name,
        "revision": record.revision,
        "policy_hash": record.policy_hash,
        "customer_id": record.customer_id,
        "direction": record.direction,
        "channel": record.channel,
        "tool": record.tool,
        "text_sha256": record.text_sha256,
        "pii_detected": record.pii_detected,
        "incomplete": record.incomplete,
        **({"stale": True} if record.policies_known_at else {}),
        "frameworks": list(record.frameworks),
        "matches": [
            {
                "layer": each.layer,
                "policy_id": each.policy_id,
                "action": each.action,
                **({"approved_by": each.approved_by} if each.approved_by else {}),
            }
            for each in record.matches
        ],
        **_approval(record),
    }


def _approval(record: DecisionRecord) -> dict[str, Any]:
    """Returns the approval that the request waits for; nothing if it waits for none."""
    for each in record.obligations:
        if each.type is ObligationType.APPROVAL:
            approval = {"uid": each.approval_id, "state": each.approval_state}
            if each.expires_at is not None:
                approval["expires_at"] = timestamp(each.expires_at)
            return {"approval": approval}
    return {}
