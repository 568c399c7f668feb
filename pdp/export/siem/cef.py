"""Converts an OCSF event to a line of the Common Event Format (CEF) of ArcSight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.export.ocsf import schema

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEVERITIES: Final = {1: 1, 2: 3, 3: 5, 4: 8, 5: 10}


def cef(document: Mapping[str, Any]) -> str:
    """Returns an event as a CEF line."""
    header = (
        "CEF:0",
        _escape_header(schema.VENDOR),
        _escape_header(str(schema.PRODUCT["name"])),
        _escape_header(str(schema.PRODUCT["version"])),
        str(document["type_uid"]),
        _escape_header(document["type_name"]),
        str(_SEVERITIES.get(document["severity_id"], 1)),
    )
    fields = {name: value for name, value in _extension(document).items() if value}
    extension = " ".join(
        f"{name}={_escape_extension(str(value))}" for name, value in fields.items()
    )
    return "|".join((*header, extension))


def _extension(document: Mapping[str, Any]) -> dict[str, Any]:
    actor = document.get("actor", {})
    api = document.get("api", {})
    policy = document.get("policy", {})
    metadata = document["metadata"]
    return {
        "rt": document["time"],
        "externalId": metadata["uid"],
        "msg": document["message"],
        "act": document.get("disposition"),
        "outcome": document.get("status"),
        "reason": document.get("status_code"),
        "suser": actor.get("user", {}).get("name"),
        "sproc": actor.get("app_name"),
        "request": api.get("operation"),
        "destinationServiceName": api.get("service", {}).get("name"),
        "cn1Label": "riskScore" if "risk_score" in document else None,
        "cn1": document.get("risk_score"),
        "cs1Label": "tenant",
        "cs1": metadata["tenant_uid"],
        "cs2Label": "policy" if policy else None,
        "cs2": policy.get("uid"),
    }


def _escape_header(text: str) -> str:
    return _one_line(text.replace("\\", "\\\\").replace("|", "\\|"))


def _escape_extension(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\r", "\\r").replace("\n", "\\n")


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")
