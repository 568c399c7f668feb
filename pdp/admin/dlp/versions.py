"""The history of a DLP rule, read from the change log (seed 002).

Of a platform rule it is what releases have changed of it, what the tenant has set, and when its
bundle was switched on and off: all are put together here, in the order in which they came, so that
each record says how the tenant had the rule before and after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID, uuid5

from pdp.domain.compliance_bundle import STATE_KIND
from pdp.domain.dlp_rule import (
    CUSTOMISATION_KIND,
    KIND,
    DlpCustomisation,
    DlpRule,
    apply_customisation,
)
from pdp.domain.effective_dlp_rules import rule_in_bundle
from pdp.domain.tenant import PLATFORM
from pdp.errors import RuleNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.stored_entity import Change
    from pdp.store.port import Reader

SHOWN: Final = (
    "detector_name",
    "detector_type",
    "entity_type",
    "action_tier",
    "enabled",
    "confidence_threshold",
    "config_json",
    "bundle_id",
)
"""The fields that a record may hold."""

ALWAYS: Final = ("enabled", "action_tier")
"""Those that a record of an update always holds, so that a reader sees what the rule did."""

_NAMESPACE: Final = UUID("7d0c3e55-0b43-5a86-9a5f-1f6a4c1d2b90")


class DlpVersion(NamedTuple):
    """One change of a rule.

    Attributes:
        change_type: `create`, `update` or `delete`.
        old_values, new_values: None where there was, or is, no rule.
        changed_at: seconds since the epoch.
    """

    id: str
    rule_id: str
    changed_by: str
    change_type: str
    old_values: Mapping[str, Any] | None
    new_values: Mapping[str, Any] | None
    changed_at: float


def versions_of(reader: Reader, tenant_id: str, rule_id: str) -> list[DlpVersion]:
    """Returns the history of a rule as a tenant has had it, newest first.

    Raises:
        RuleNotFound: the tenant has never had such a rule.
    """
    changes = [
        *reader.history(KIND, tenant_id, rule_id),
        *reader.history(KIND, PLATFORM, rule_id),
        *reader.history(CUSTOMISATION_KIND, tenant_id, rule_id),
    ]
    if not changes:
        raise RuleNotFound(f"there is no DLP rule {rule_id}")
    bundle_ids = {
        body["bundle_id"]
        for change in changes
        for body in (change.before, change.after)
        if body and change.tenant_id == PLATFORM
    }
    for bundle_id in bundle_ids - {""}:
        changes += reader.history(STATE_KIND, tenant_id, bundle_id)
    changes.sort(key=lambda change: change.revision)
    past = _Past()
    found: list[DlpVersion] = []
    for change in changes:
        before = past.rule
        past.take(change)
        # Another change of its bundle, its name for instance, is none of the rule.
        if (before or past.rule) and (change.kind != STATE_KIND or before != past.rule):
            found.append(_version(tenant_id, rule_id, change, before, past.rule))
    found.reverse()
    return found


class _Past:
    """A rule as a tenant had it, while its changes are gone through."""

    def __init__(self) -> None:
        self._shipped: DlpRule | None = None
        self._own: DlpCustomisation | None = None
        self._activated = False

    def take(self, change: Change) -> None:
        after = change.after
        if change.kind == CUSTOMISATION_KIND:
            self._own = DlpCustomisation(**after) if after else None
        elif change.kind == STATE_KIND:
            self._activated = bool(after and after["enabled"])
        else:
            self._shipped = DlpRule(**after) if after else None

    @property
    def rule(self) -> DlpRule | None:
        if self._shipped is None:
            return None
        if self._activated:
            return rule_in_bundle(self._shipped, self._own, enabled=True)
        return apply_customisation(self._shipped, self._own)


def _version(
    tenant_id: str,
    rule_id: str,
    change: Change,
    before: DlpRule | None,
    after: DlpRule | None,
) -> DlpVersion:
    kind = "update"
    if before is None:
        kind = "create"
    elif after is None:
        kind = "delete"
    old, new = _values(before), _values(after)
    if old is not None and new is not None:
        told = [name for name in SHOWN if old.get(name) != new.get(name) or name in ALWAYS]
        old, new = ({name: values.get(name) for name in told} for values in (old, new))
    return DlpVersion(
        id=str(uuid5(_NAMESPACE, f"{tenant_id}/{change.revision}")),
        rule_id=rule_id,
        changed_by=change.actor,
        change_type=kind,
        old_values=old,
        new_values=new,
        changed_at=change.at,
    )


def _values(rule: DlpRule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    values = {name: getattr(rule, name) for name in SHOWN}
    if not rule.bundle_id:
        del values["bundle_id"]
    return values
