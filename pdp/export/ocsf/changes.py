"""Admin changes as OCSF events: Entity Management, one for each row of the change log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.export.ocsf import schema

if TYPE_CHECKING:
    from pdp.domain.stored_entity import Change

_ACTIVITIES: Final = {"create": (1, "Create"), "update": (3, "Update"), "delete": (4, "Delete")}
_TYPES: Final = {"user_group": (3, "Group")}
_POLICY: Final = (5, "Policy")
_DISABLE: Final = (9, "Disable")
_ENABLE: Final = (8, "Enable")
_KILLED: Final = "kill_switch_disabled_at"


def change_uid(change: Change) -> str:
    """Returns the uid of a change's event: no other change has it, on a server that was restored
    from a backup and counts on from there either.
    """
    return f"change-{change.revision}-{round(change.at * 1000)}"


def event_of(change: Change) -> dict[str, Any]:
    """Returns the event of a change.

    It names the fields that changed and not their values: those hold webhook addresses, patterns
    and whatever else is for admins alone. They are in the admin audit trail, by the same revision.
    """
    event = schema.event(
        schema.ENTITY_MANAGEMENT,
        _activity(change),
        uid=change_uid(change),
        at=change.at,
        severity_id=schema.INFORMATIONAL,
        message=f"{change.actor}: {change.summary}",
        tenant_id=change.tenant_id,
    )
    type_id, type_name = _type(change.kind)
    event |= {
        "status_id": schema.SUCCESS,
        "status": schema.STATUSES[schema.SUCCESS],
        "actor": {"user": {"name": change.actor, "uid": change.actor}},
        "entity": {
            "uid": change.entity_id,
            "name": _name(change),
            "type_id": type_id,
            "type": type_name,
            "version": str(change.revision),
        },
        "comment": change.summary,
        "unmapped": {
            "kind": change.kind,
            "revision": change.revision,
            "changed_fields": _changed(change),
        },
    }
    return event


def _activity(change: Change) -> tuple[int, str]:
    """Returns what was done; a kill switch that is turned is neither more nor less than that."""
    if change.before is not None and change.after is not None:
        was, is_ = change.before.get(_KILLED), change.after.get(_KILLED)
        if (was is None) != (is_ is None):
            return _DISABLE if was is None else _ENABLE
    return _ACTIVITIES[change.op]


def _type(kind: str) -> tuple[int, str]:
    if kind.endswith(("policy", "pack", "rule", "chain", "bundle", "override")):
        return _POLICY
    return _TYPES.get(kind, (schema.OTHER, kind))


def _name(change: Change) -> str:
    body = change.after or change.before or {}
    name = body.get("name") or body.get("display_name")
    return name if isinstance(name, str) else change.entity_id


def _changed(change: Change) -> list[str]:
    before, after = change.before or {}, change.after or {}
    return sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
