"""OCSF 1.8.0: the attributes that all events have, and the numbers of its enumerations.

Written by hand, because no maintained library has the event classes that are needed here.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from pdp.domain.decision import Outcome

SCHEMA_VERSION: Final = "1.8.0"
VENDOR: Final = "pdp"
PRODUCT: Final = {
    "name": "Policy Decision Point",
    "vendor_name": VENDOR,
    "uid": "pdp",
    "version": version("pdp"),
}

SECURITY_CONTROL: Final = "security_control"
AI_OPERATION: Final = "ai_operation"

API_ACTIVITY: Final = 6003
DATA_SECURITY_FINDING: Final = 2006
DETECTION_FINDING: Final = 2004
ENTITY_MANAGEMENT: Final = 3004

CLASS_NAMES: Final = {
    API_ACTIVITY: "API Activity",
    DATA_SECURITY_FINDING: "Data Security Finding",
    DETECTION_FINDING: "Detection Finding",
    ENTITY_MANAGEMENT: "Entity Management",
}
CATEGORY_NAMES: Final = {
    2: "Findings",
    3: "Identity & Access Management",
    6: "Application Activity",
}

OTHER: Final = 99
CREATE: Final = 1
"""The activity id of a new finding or entity."""

SUCCESS: Final = 1
FAILURE: Final = 2
STATUSES: Final = {SUCCESS: "Success", FAILURE: "Failure"}
NEW: Final = 1
"""The status id of a new finding."""

INFORMATIONAL: Final = 1
SEVERITIES: Final = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}
SEVERITY_OF_LEVEL: Final = {"none": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
"""The severity id by risk level or by policy severity; both use the same names."""

RISK_LEVELS: Final = {
    "none": (0, "Info"),
    "low": (1, "Low"),
    "medium": (2, "Medium"),
    "high": (3, "High"),
    "critical": (4, "Critical"),
}

ALERTABLE: Final = 4
"""The lowest severity id of an alert."""

_ALLOWED: Final = (1, "Allowed")
_DENIED: Final = (2, "Denied")
_OBSERVED: Final = (3, "Observed")
_MODIFIED: Final = (4, "Modified")

DISPOSITIONS: Final = {
    Outcome.ALLOW: (_ALLOWED, (1, "Allowed")),
    Outcome.WARN: (_OBSERVED, (17, "Logged")),
    Outcome.ALLOW_WITH_OVERRIDE: (_ALLOWED, (1, "Allowed")),
    Outcome.ROUTE_TO: (_MODIFIED, (11, "Corrected")),
    Outcome.REDACT: (_MODIFIED, (11, "Corrected")),
    Outcome.PROMPT: (_DENIED, (23, "Challenge")),
    Outcome.ESCALATE: (_DENIED, (23, "Challenge")),
    Outcome.CANCEL: (_DENIED, (2, "Blocked")),
    Outcome.BLOCK: (_DENIED, (2, "Blocked")),
}
"""The action and the disposition of each outcome, for the profile `security_control`."""


def event(
    class_uid: int,
    activity: tuple[int, str],
    *,
    uid: str,
    at: float,
    severity_id: int,
    message: str,
    tenant_id: str,
    profiles: tuple[str, ...] = (),
    correlation_uid: str = "",
) -> dict[str, Any]:
    """Returns the attributes that every event has.

    Args:
        class_uid: the event class.
        activity: the id and the name of the activity.
        uid: identifies the event; the same if it is sent again.
        at: when it happened, in seconds since the epoch.
        severity_id: one of `SEVERITIES`.
        message: for people.
        tenant_id: the tenant.
        profiles: the profiles whose attributes it has.
        correlation_uid: the same for related events.
    """
    name, category_uid = CLASS_NAMES[class_uid], class_uid // 1000
    metadata = {
        "version": SCHEMA_VERSION,
        "product": PRODUCT,
        "uid": uid,
        "profiles": list(profiles),
        "tenant_uid": tenant_id,
        "log_name": "pdp",
        **({"correlation_uid": correlation_uid} if correlation_uid else {}),
    }
    return {
        "class_uid": class_uid,
        "class_name": name,
        "category_uid": category_uid,
        "category_name": CATEGORY_NAMES[category_uid],
        "activity_id": activity[0],
        "activity_name": activity[1],
        "type_uid": class_uid * 100 + activity[0],
        "type_name": f"{name}: {activity[1]}",
        "time": round(at * 1000),
        "severity_id": severity_id,
        "severity": SEVERITIES[severity_id],
        "message": message,
        "metadata": metadata,
    }
