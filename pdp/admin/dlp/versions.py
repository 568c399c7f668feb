"""The version history of a DLP rule, read from the change log (the DLP API).

The history of a platform rule has three sources: releases that changed the rule, the tenant's
customisations of it, and the tenant's activations and deactivations of its bundle. This module
merges them by revision. Each version shows the rule of this tenant before and after the change.
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

VERSION_FIELDS: Final = (
    "detector_name",
    "detector_type",
    "entity_type",
    "action_tier",
    "enabled",
    "confidence_threshold",
    "config_json",
    "bundle_id",
)
"""The fields that a version may show."""

ALWAYS_SHOWN: Final = ("enabled", "action_tier")
"""The fields that a version shows even if they have not changed: they say what the rule does."""

_NAMESPACE: Final = UUID("7d0c3e55-0b43-5a86-9a5f-1f6a4c1d2b90")


class DlpRuleVersion(NamedTuple):
    """One change of a rule.

    Attributes:
        change_type: `create`, `update` or `delete`.
        old_values, new_values: None if the rule did not exist before, or does not exist after.
        changed_at: seconds since the epoch.
    """

    id: str
    rule_id: str
    changed_by: str
    change_type: str
    old_values: Mapping[str, Any] | None
    new_values: Mapping[str, Any] | None
    changed_at: float


def read_versions(reader: Reader, tenant_id: str, rule_id: str) -> list[DlpRuleVersion]:
    """Returns the history of a rule for a tenant, newest first.

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
    state = _RuleState()
    versions: list[DlpRuleVersion] = []
    for change in changes:
        before = state.rule
        state.apply(change)
        # A change of the bundle that leaves the rule as it is, such as a new name, is no version.
        if (before or state.rule) and (change.kind != STATE_KIND or before != state.rule):
            versions.append(_version(tenant_id, rule_id, change, before, state.rule))
    versions.reverse()
    return versions


class _RuleState:
    """A tenant's rule at one point of its history, while the changes are replayed."""

    def __init__(self) -> None:
        self._stored: DlpRule | None = None
        self._customisation: DlpCustomisation | None = None
        self._activated = False

    def apply(self, change: Change) -> None:
        after = change.after
        if change.kind == CUSTOMISATION_KIND:
            self._customisation = DlpCustomisation(**after) if after else None
        elif change.kind == STATE_KIND:
            self._activated = bool(after and after["enabled"])
        else:
            self._stored = DlpRule(**after) if after else None

    @property
    def rule(self) -> DlpRule | None:
        if self._stored is None:
            return None
        if self._activated:
            return rule_in_bundle(self._stored, self._customisation, enabled=True)
        return apply_customisation(self._stored, self._customisation)


def _version(
    tenant_id: str,
    rule_id: str,
    change: Change,
    before: DlpRule | None,
    after: DlpRule | None,
) -> DlpRuleVersion:
    change_type = "update"
    if before is None:
        change_type = "create"
    elif after is None:
        change_type = "delete"
    old, new = _values(before), _values(after)
    if old is not None and new is not None:
        fields = [
            name
            for name in VERSION_FIELDS
            if old.get(name) != new.get(name) or name in ALWAYS_SHOWN
        ]
        old, new = ({name: values.get(name) for name in fields} for values in (old, new))
    return DlpRuleVersion(
        id=str(uuid5(_NAMESPACE, f"{tenant_id}/{change.revision}")),
        rule_id=rule_id,
        changed_by=change.actor,
        change_type=change_type,
        old_values=old,
        new_values=new,
        changed_at=change.at,
    )


def _values(rule: DlpRule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    values = {name: getattr(rule, name) for name in VERSION_FIELDS}
    if not rule.bundle_id:
        del values["bundle_id"]
    return values
