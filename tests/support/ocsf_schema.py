"""Checks events against the parts of the OCSF 1.8.0 schema that they use.

Source: the schema of version 1.8.0 as `schema.ocsf.io/1.8.0` describes it, from the repository
`ocsf/ocsf-schema`: `events/application/api_activity.json`, `events/findings/finding.json`,
`events/findings/data_security_finding.json`, `events/findings/detection_finding.json`,
`events/iam/entity_management.json`, `events/base_event.json`, `profiles/security_control.json`,
`dictionary.json`, and the objects by their names in `objects/`. Copied by hand: attributes whose
requirement is `required`, constraints of objects, and the numbers of enumerations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

BASE: Final = {
    "activity_id",
    "category_uid",
    "class_uid",
    "metadata",
    "severity_id",
    "time",
    "type_uid",
}

REQUIRED: Final = {
    6003: BASE | {"actor", "api", "src_endpoint"},
    2006: BASE | {"finding_info"},
    2004: BASE | {"finding_info"},
    3004: BASE | {"entity"},
}

ACTIVITIES: Final = {
    6003: {0, 1, 2, 3, 4, 99},
    2006: {0, 1, 2, 3, 4, 99},
    2004: {0, 1, 2, 3, 99},
    3004: {*range(14), 99},
}

PROFILES: Final = {
    "security_control": {"action_id", "disposition_id"},
    "ai_operation": {"ai_model"},
}
"""The attributes that a profile requires. For `security_control`, both are its purpose."""

OBJECTS: Final = {
    "metadata": {"product", "version"},
    "api": {"operation"},
    "finding_info": {"title", "uid"},
    "ai_model": {"ai_provider", "name"},
}

AT_LEAST_ONE: Final = {
    "actor": {"process", "user", "invoked_by", "session", "app_name", "app_uid"},
    "src_endpoint": {
        *("ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid"),
        *("interface_name", "domain"),
    },
    "entity": {"name", "uid", "device", "group", "org", "policy", "user", "email"},
    "user": {"account", "name", "uid", "uid_alt"},
    "product": {"name", "uid", "vendor_name"},
    "service": {"name", "uid"},
    "policy": {"name", "uid"},
    "request": {"uid"},
}

ENUMS: Final = {
    "action_id": {0, 1, 2, 3, 4, 99},
    "disposition_id": {*range(28), 99},
    "severity_id": {*range(7), 99},
    "status_id": {*range(7), 99},
    "risk_level_id": {*range(5), 99},
    "type_id": {*range(8), 99},
    "data_lifecycle_state_id": {0, 1, 2, 3, 99},
    "detection_system_id": {*range(13), 99},
    "category_id": {*range(7), 99},
}

INTEGERS: Final = {"time", "type_uid", "class_uid", "category_uid", "duration", "created_time"}


def faults(event: Mapping[str, Any]) -> list[str]:
    """Returns the violations of the schema in an event."""
    class_uid = event["class_uid"]
    problems = [f"no {name}" for name in sorted(REQUIRED[class_uid] - event.keys())]
    if event["category_uid"] != class_uid // 1000:
        problems.append("category_uid")
    if event["activity_id"] not in ACTIVITIES[class_uid]:
        problems.append("activity_id")
    if event["type_uid"] != class_uid * 100 + event["activity_id"]:
        problems.append("type_uid")
    if event["activity_id"] == 99 and not event.get("activity_name"):
        problems.append("activity_name")
    for profile in event["metadata"].get("profiles", ()):
        missing = PROFILES[profile] - event.keys()
        problems += [f"{profile} without {name}" for name in sorted(missing)]
    if "disposition_id" in event and "security_control" not in event["metadata"]["profiles"]:
        problems.append("disposition_id without its profile")
    return problems + list(_object_faults("event", event))


def _object_faults(name: str, value: Any) -> list[str]:
    problems: list[str] = []
    if isinstance(value, list):
        for each in value:
            problems += _object_faults(name.removesuffix("s"), each)
    elif isinstance(value, Mapping) and name != "unmapped":
        problems += [f"{name}.{each}" for each in sorted(OBJECTS.get(name, set()) - value.keys())]
        if name in AT_LEAST_ONE and not AT_LEAST_ONE[name] & value.keys():
            problems.append(f"{name} has none of the attributes of which it needs one")
        for each, field in value.items():
            problems += _object_faults(each, field)
    elif name in ENUMS and value not in ENUMS[name]:
        problems.append(f"{name}={value}")
    elif name in INTEGERS and type(value) is not int:
        problems.append(f"{name} is not an integer")
    return problems
