"""The version history of a DLP rule, read from the change log (the DLP API).

The history of a platform rule has three sources: releases that changed the rule, the tenant's
customisations of it, and the tenant's activations and deactivations of its bundle. This module
merges them by revision, newest first, and undoes one change after the other. So a page costs what
the page has. Each version shows the rule of this tenant before and after the change.
"""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID, uuid5

from pdp.admin.pages import Page, revision_of, revision_token
from pdp.domain.compliance_bundle import STATE_KIND
from pdp.domain.dlp_rule import (
    CUSTOMISATION_KIND,
    KIND,
    DlpCustomisation,
    DlpRule,
    apply_customisation,
)
from pdp.domain.effective_dlp_rules import rule_in_bundle
from pdp.domain.placement import PLACEMENT_FIELDS
from pdp.domain.tenant import PLATFORM
from pdp.errors import RuleNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pdp.admin.pages import PageRequest
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
    *PLACEMENT_FIELDS,
)
"""The fields that a version may show."""

ALWAYS_SHOWN: Final = ("enabled", "action_tier")
"""The fields that a version shows even if they have not changed: they say what the rule does."""

_READ_SIZE: Final = 100
"""How many changes are read at once."""

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


def read_versions(
    reader: Reader, tenant_id: str, rule_id: str, request: PageRequest
) -> Page[DlpRuleVersion]:
    """Returns a page of the history of a rule for a tenant, newest first.

    Raises:
        InvalidArgument: there is no such page.
        RuleNotFound: the tenant has never had such a rule.
    """
    keys = ((KIND, tenant_id), (KIND, PLATFORM), (CUSTOMISATION_KIND, tenant_id))
    if not any(reader.history(*key, rule_id, limit=1) for key in keys):
        raise RuleNotFound(f"there is no DLP rule {rule_id}")
    bundle_ids = {
        body["bundle_id"]
        for change in reader.history(KIND, PLATFORM, rule_id)
        for body in (change.before, change.after)
        if body
    } - {""}
    walk = _versions(reader, tenant_id, rule_id, bundle_ids, revision_of(request))
    versions = list(islice(walk, request.size + 1))
    token = revision_token(versions[request.size - 1][0]) if len(versions) > request.size else ""
    total = None
    if request.counted and bundle_ids:
        # Not every change of a bundle is a version of the rule.
        total = sum(1 for _ in _versions(reader, tenant_id, rule_id, bundle_ids, None))
    elif request.counted:
        total = sum(reader.count_changes(*key, rule_id) for key in keys)
    return Page([version for _, version in versions[: request.size]], token, total)


def _versions(
    reader: Reader, tenant_id: str, rule_id: str, bundle_ids: Iterable[str], before: int | None
) -> Iterator[tuple[int, DlpRuleVersion]]:
    """Yields the versions below a revision, newest first, each with its revision."""
    state = _RuleState(
        stored=_Stream(reader, [(KIND, tenant_id, rule_id), (KIND, PLATFORM, rule_id)], before),
        customisation=_Stream(reader, [(CUSTOMISATION_KIND, tenant_id, rule_id)], before),
        activation=_Stream(reader, [(STATE_KIND, tenant_id, each) for each in bundle_ids], before),
    )
    after = state.rule()
    while (change := state.step_back()) is not None:
        rule = state.rule()
        # A change of the bundle that leaves the rule as it is, such as a new name, is no version.
        if (rule or after) and (change.kind != STATE_KIND or rule != after):
            yield change.revision, _version(tenant_id, rule_id, change, rule, after)
        after = rule


class _Stream:
    """The changes of some entities, newest first.

    Attributes:
        head: the newest change that was not stepped over; None at the end.
    """

    def __init__(
        self, reader: Reader, keys: Iterable[tuple[str, str, str]], before: int | None
    ) -> None:
        histories = [_history(reader, *key, before) for key in keys]
        self._changes = merge(*histories, key=lambda change: -change.revision)
        self.head = next(self._changes, None)

    def step_back(self) -> Change | None:
        """Returns the head, and makes the change before it the head."""
        head = self.head
        self.head = next(self._changes, None)
        return head

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The body of the entity at the head; None if it does not exist."""
        return self.head.after if self.head else None


class _RuleState(NamedTuple):
    """A tenant's rule at one point of its history, while the changes are undone."""

    stored: _Stream
    customisation: _Stream
    activation: _Stream

    def step_back(self) -> Change | None:
        """Undoes the newest change and returns it; returns None at the beginning."""
        newest = max(self, key=lambda each: each.head.revision if each.head else 0)
        return newest.step_back()

    def rule(self) -> DlpRule | None:
        """Returns the rule at this point."""
        body, change = self.stored.body, self.customisation.body
        if body is None:
            return None
        rule = DlpRule(**body)
        customisation = DlpCustomisation(**change) if change else None
        activation = self.activation.body
        if activation and activation["enabled"]:
            return rule_in_bundle(rule, customisation, enabled=True)
        return apply_customisation(rule, customisation)


def _history(
    reader: Reader, kind: str, owner: str, entity_id: str, before: int | None
) -> Iterator[Change]:
    while page := reader.history(kind, owner, entity_id, before=before, limit=_READ_SIZE):
        yield from page
        before = page[-1].revision


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
    for name in ("bundle_id", *PLACEMENT_FIELDS):
        if not values[name]:
            del values[name]
    return values
