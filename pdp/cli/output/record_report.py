"""Reports of decision records and of changes of policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pdp.cli.output.report import STYLES, Report, Table, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORD_COLUMNS: Final = (
    "time", "outcome", "risk", "reason", "policy", "user", "agent", "model", "decision",
)  # fmt: skip
CHANGE_COLUMNS: Final = ("revision", "time", "actor", "what", "kind", "name", "id", "summary")

_NONE: Final = "-"


def record_row(record: Mapping[str, Any]) -> list[str]:
    """Returns the cells of a record, by `RECORD_COLUMNS`."""
    subject, risk = record["subject"] or {}, record["risk"] or {}
    cells = [
        record["time"],
        record["outcome"],
        risk.get("level"),
        record["reason_code"],
        _policies(record),
        subject.get("user_id"),
        subject.get("agent_id"),
        _model(record),
        record["decision_id"],
    ]
    return [printable(each or _NONE) for each in cells]


def change_row(change: Mapping[str, Any]) -> list[str]:
    """Returns the cells of a change, by `CHANGE_COLUMNS`."""
    cells = [
        str(change["revision"]),
        change["at"],
        change["actor"],
        change["op"],
        change["kind"],
        _entity_name(change),
        change["entity_id"],
        change["summary"],
    ]
    return [printable(each or _NONE) for each in cells]


def record_report(record: Mapping[str, Any]) -> Report:
    """Returns the report of one record, with everything that it has."""
    outcome = record["outcome"]
    verdict = "allowed" if record["allowed"] else "not allowed"
    names = {each["policy_id"]: each["name"] for each in record["matches"]}
    return Report(
        headline=f"{outcome} ({verdict})",
        style=f"bold {STYLES.get(outcome, 'white')}",
        facts=[(label, value) for label, value in _facts(record) if value],
        tables=[
            Table(
                "Matches",
                ("layer", "policy", "id", "action", "severity", "reason"),
                [_match(each) for each in record["matches"]],
            ),
            Table(
                "Warnings",
                ("policy", "message"),
                [
                    [names.get(each["policy_id"]) or each["policy_id"], each["message"]]
                    for each in record["warnings"]
                ],
            ),
            Table("Obligations", ("type", "details"), _obligations(record)),
            Table("Findings", ("type", "place", "confidence"), _findings(record)),
            Table("Risk", ("points", "layer", "policy"), _factors(record, names)),
        ],
    )


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    subject, risk = record["subject"] or {}, record["risk"] or {}
    yield "message", record["message"]
    yield "reason", record["reason_code"]
    yield "time", record["time"]
    yield "risk", f"{risk.get('score', 0)} {risk.get('level', '')}"
    yield "user", subject.get("user_id", "")
    yield "groups", ", ".join(subject.get("groups", ()))
    yield "agent", subject.get("agent_id", "")
    yield "customer", record["customer_id"]
    yield "model", _model(record)
    yield "action", record["action"]
    yield "tool", record["tool"]
    yield "direction", record["direction"]
    if record["text_length"]:
        yield "text", f"{record['text_length']} characters, SHA-256 {record['text_sha256']}"
    yield "redacted text", record["redacted_text"] or ""
    arguments = record["redacted_arguments"]
    yield "redacted arguments", json.dumps(arguments, ensure_ascii=False) if arguments else ""
    yield "frameworks", ", ".join(record["frameworks"])
    yield "personal data", "detected" if record["pii_detected"] else ""
    if record["incomplete"]:
        yield "incomplete", "yes: the request could not be checked completely"
    if record.get("stale"):
        yield "stale", f"yes: by the policies of {record['policies_known_at']}"
    yield "revision", str(record["revision"])
    yield "logging level", record["logging_level"]
    yield "sample rate", str(record.get("sample_rate", ""))
    yield "session", record.get("session_id", "")
    yield "payload", record.get("payload_format", "")
    yield "request", record["request_id"]
    yield "decision", record["decision_id"]
    yield "tenant", record["tenant_id"]


def _match(match: Mapping[str, Any]) -> list[str]:
    action = match["action"]
    if match.get("would_be"):
        action += f", in monitor mode: would be {match['would_be']}"
    if match.get("excepted_by"):
        action += f", excepted by {match['excepted_by']}"
    name, policy_id = match["name"], match["policy_id"]
    return [match["layer"], name, policy_id, action, match["severity"], match["reason"]]


def _obligations(record: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            each["type"],
            json.dumps({key: each[key] for key in each if key != "type"}, ensure_ascii=False),
        ]
        for each in record["obligations"]
    ]


def _findings(record: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            each["entity_type"],
            f"{each.get('path') or 'text'}, {each['start']} to {each['end']}",
            str(each["confidence"]),
        ]
        for each in record["entities"]
    ]


def _factors(record: Mapping[str, Any], names: Mapping[str, str]) -> list[list[str]]:
    risk = record["risk"] or {}
    return [
        [str(each["points"]), each["layer"], names.get(each["id"]) or each["id"]]
        for each in risk.get("factors", ())
    ]


def _policies(record: Mapping[str, Any]) -> str:
    """Returns the name of the policy that decided, and how many others matched."""
    matches = record["matches"]
    if not matches:
        return ""
    outcome = record["outcome"].casefold()
    in_force = [each for each in matches if not (each.get("would_be") or each.get("excepted_by"))]
    deciding = next(
        (each for each in in_force if each["action"].casefold() == outcome),
        (in_force or matches)[0],
    )
    name: str = deciding["name"] or deciding["policy_id"]
    return name if len(matches) == 1 else f"{name} +{len(matches) - 1}"


def _model(record: Mapping[str, Any]) -> str:
    model = record["model"] or {}
    return "/".join(each for each in (model.get("provider"), model.get("model")) if each)


def _entity_name(change: Mapping[str, Any]) -> str:
    """Returns the name of a changed object; empty if it has none."""
    body = change["after"] or change["before"] or {}
    if "model_id" in body and "provider" in body:
        return f"{body['provider']}/{body['model_id']}"
    name = body.get("name")
    return name if isinstance(name, str) else ""
