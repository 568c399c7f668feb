"""Reports of decisions and simulations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pdp.cli.output.report import STYLES, Report, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MATCH_FIELDS: Final = ("layer", "policy_id", "name", "action", "severity", "reason")


def decision_report(decision: Mapping[str, Any]) -> Report:
    """Returns the report of a DecideResponse in JSON form."""
    outcome = decision["outcome"]
    verdict = "allowed" if decision["allowed"] else "not allowed"
    names = {each["policy_id"]: each["name"] for each in decision["matches"]}
    return Report(
        headline=f"{outcome} ({verdict})",
        style=f"bold {STYLES.get(outcome, 'white')}",
        facts=list(_facts(decision)),
        tables=[
            Table(
                "Matches",
                ("layer", "policy", "name", "action", "severity", "reason"),
                [_match_row(each) for each in decision["matches"]],
            ),
            Table(
                "Warnings",
                ("policy", "message"),
                [
                    [names.get(each["policy_id"]) or each["policy_id"], each["message"]]
                    for each in decision["warnings"]
                ],
            ),
            Table(
                "Obligations",
                ("type", "details"),
                [_obligation(each) for each in decision["obligations"]],
            ),
            Table(
                "Trace",
                ("layer", "policy", "outcome", "matched", "reason"),
                [_trace_row(each) for each in decision.get("trace", ())],
            ),
        ],
    )


def simulation_report(answer: Mapping[str, Any]) -> Report:
    """Returns the report of a SimulateResponse in JSON form, with the result of every layer."""
    report = decision_report(answer["decision"])
    layers = Table(
        "Layers",
        ("layer", "outcome", "reason"),
        [[each["layer"], each["outcome"], each["reason"]] for each in answer["layers"]],
    )
    return Report(report.headline, report.style, report.facts, [layers, *report.tables])


def _facts(decision: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if decision["message"]:
        yield "message", decision["message"]
    if decision["reason_code"]:
        yield "reason", f"{decision['reason_code']} (status {decision['status_hint']})"
    if decision["incomplete"]:
        yield "incomplete", "yes: the request could not be checked completely"
    if decision.get("stale"):
        yield "stale", f"yes: by the policies of {decision['policies_known_at']}"
    yield "risk", _risk(decision["risk"])
    if decision["pii_detected"]:
        yield "personal data", "detected"
    if decision["frameworks"]:
        yield "frameworks", ", ".join(decision["frameworks"])
    if decision.get("redacted_text") is not None:
        yield "redacted text", decision["redacted_text"]
    if decision.get("redacted_arguments") is not None:
        yield "redacted arguments", json.dumps(decision["redacted_arguments"], ensure_ascii=False)
    if decision.get("payload_format"):
        yield "payload", decision["payload_format"]
    if decision.get("redacted_payload") is not None:
        yield "redacted payload", decision["redacted_payload"]
    if decision.get("unjudged"):
        yield "not judged", ", ".join(decision["unjudged"])
    yield "revision", str(decision["revision"])
    yield "decision", decision["decision_id"]


def _risk(risk: Mapping[str, Any]) -> str:
    factors = ", ".join(
        f"{each['points']} {each['layer']} {each['id']}" for each in risk["factors"]
    )
    return f"{risk['score']} {risk['level']}" + (f" ({factors})" if factors else "")


def _match_row(match: Mapping[str, Any]) -> list[str]:
    row = [match[key] for key in _MATCH_FIELDS]
    if match.get("pointer"):
        row[-1] += f" (in {match['pointer']})"
    return row


def _obligation(obligation: Mapping[str, Any]) -> list[str]:
    details = {key: value for key, value in obligation.items() if key != "type"}
    return [obligation["type"], json.dumps(details, ensure_ascii=False)]


def _trace_row(row: Mapping[str, Any]) -> list[str]:
    # Names are easier to read. The ids of what matched are in the table of matches.
    policy, rule = (row[f"{each}_name"] or row[f"{each}_id"] for each in ("policy", "rule"))
    policy += f" / {rule}" if rule else ""
    return [row["layer"], policy, row["outcome"], "yes" if row["matched"] else "", row["reason"]]
