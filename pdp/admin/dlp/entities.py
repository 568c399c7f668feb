"""DLP rules as the store has them, for the use cases on rules, versions, exports and imports."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.admin.compliance.entities import BUNDLE_KINDS, Holdings, holdings
from pdp.domain.compliance_bundle import STATE_KIND, all_bundles
from pdp.domain.dlp_rule import (
    CUSTOMISATION_KIND,
    KIND,
    DlpCustomisation,
    DlpRule,
    body_of,
)
from pdp.domain.effective_dlp_rules import platform_rules
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import (
    InvalidArgument,
    NameExists,
    PlatformReadonly,
    RuleNotFound,
    RuleRequired,
    Violation,
)
from pdp.store.port import NameTaken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.store.port import Reader, Transaction

MAX_RULES: Final = 10_000
"""DLP rules that one tenant may have of its own."""

SETTABLE: Final = ("enabled", "action_tier", "confidence_threshold")
"""What a tenant may set of a platform rule."""


class KeptRule(NamedTuple):
    """A rule as a tenant has it.

    Attributes:
        rule: with what the tenant has customised, where it is the platform's.
        owner: whose it is; `PLATFORM` for one that ships with the product.
        revision: of the last change of it or, where it is the platform's, of what the tenant has
            set of it or of its bundle.
    """

    rule: DlpRule
    owner: str
    revision: int

    @property
    def of_platform(self) -> bool:
        """Whether it ships with the product."""
        return self.owner == PLATFORM


def held(reader: Reader, tenant_id: str) -> Holdings:
    """Returns the policies that tell which rules a tenant has, and how."""
    return holdings(reader, tenant_id, (KIND, CUSTOMISATION_KIND, *BUNDLE_KINDS))


def all_rules(reader: Reader, tenant_id: str) -> list[KeptRule]:
    """Returns the platform's rules, then the tenant's own, each in order of creation.

    Their revisions are not told.
    """
    platform, own = held(reader, tenant_id)
    shipped = platform_rules(platform, own).values()
    found = [KeptRule(rule, PLATFORM, 0) for rule in shipped]
    return found + [KeptRule(rule, tenant_id, 0) for rule in own.of_kind(KIND).values()]


def find_rule(reader: Reader, tenant_id: str, rule_id: str) -> KeptRule:
    """Returns a rule of the platform or the tenant.

    Raises:
        RuleNotFound: the tenant has none.
    """
    record = reader.get(KIND, tenant_id, rule_id)
    if record is not None:
        return KeptRule(DlpRule(**record.body), tenant_id, record.revision)
    shipped = reader.get(KIND, PLATFORM, rule_id)
    if shipped is not None:
        rule = platform_rules(*held(reader, tenant_id)).get(rule_id)
        if rule is not None:
            own = reader.get(CUSTOMISATION_KIND, tenant_id, rule_id)
            state = reader.get(STATE_KIND, tenant_id, rule.bundle_id) if rule.bundle_id else None
            revisions = [each.revision for each in (shipped, own, state) if each is not None]
            return KeptRule(rule, PLATFORM, max(revisions))
    raise RuleNotFound(f"there is no DLP rule {rule_id}")


def put_rule(
    transaction: Transaction, tenant_id: str, rule: DlpRule, *, actor: str, summary: str
) -> KeptRule:
    """Writes a rule of the tenant's own.

    Raises:
        NameExists: another one of its own has the name.
    """
    record = StoredEntity(KIND, tenant_id, rule.id, body_of(rule), name=rule.detector_name)
    try:
        kept = transaction.put(record, actor=actor, summary=summary)
    except NameTaken as taken:
        raise NameExists(
            f'there is a DLP rule "{rule.detector_name}" already',
            Violation("detector_name", f"is the name of {taken.holder_id}"),
        ) from None
    return KeptRule(rule, tenant_id, kept.revision)


def customise(
    transaction: Transaction,
    tenant_id: str,
    actor: str,
    kept: KeptRule,
    changes: Mapping[str, Any],
) -> KeptRule:
    """Keeps what a tenant sets of a platform rule as its own; returns the rule as it then has it.

    Raises:
        PlatformReadonly: something else was to be changed.
        RuleRequired: it was to be switched off, and an enabled bundle requires it.
    """
    _check_settable(kept.rule, changes)
    rule_id = kept.rule.id
    _check_required(transaction, tenant_id, kept.rule, changes)
    present = transaction.get(CUSTOMISATION_KIND, tenant_id, rule_id)
    own = DlpCustomisation(**present.body) if present else DlpCustomisation(rule_id)
    settings = {name: changes[name] for name in SETTABLE if name in changes}
    changed = replace(own, **settings, updated_at=transaction.now)
    summary = f"Set {', '.join(settings)}" if settings else "No change"
    record = StoredEntity(CUSTOMISATION_KIND, tenant_id, rule_id, body_of(changed))
    transaction.put(record, actor=actor, summary=summary)
    return find_rule(transaction, tenant_id, rule_id)


def check_room(reader: Reader, tenant_id: str, more: int) -> None:
    """Checks that a tenant may have `more` rules.

    Raises:
        InvalidArgument: it may not.
    """
    if reader.count(KIND, tenant_id) + more > MAX_RULES:
        reason = f"a tenant may have at most {MAX_RULES} DLP rules"
        raise InvalidArgument(reason, Violation("detector_name", reason))


def _check_settable(rule: DlpRule, changes: Mapping[str, Any]) -> None:
    violations = [
        Violation(name, "is read-only in a platform rule")
        for name, value in changes.items()
        if name not in SETTABLE and value != getattr(rule, name)
    ]
    if violations:
        raise PlatformReadonly(
            f'"{rule.detector_name}" ships with the product; only {", ".join(SETTABLE)} can be set',
            *violations,
        )


def _check_required(
    reader: Reader, tenant_id: str, rule: DlpRule, changes: Mapping[str, Any]
) -> None:
    off = [
        name
        for name, value in (("enabled", False), ("action_tier", "none"))
        if changes.get(name) == value and name in changes
    ]
    if not (off and rule.bundle_id):
        return
    bundle = all_bundles(*held(reader, tenant_id)).get(rule.bundle_id)
    if bundle is not None and bundle.enabled:
        raise RuleRequired(
            f'bundle "{bundle.name}" requires rule "{rule.detector_name}"; '
            "deactivate the bundle first",
            *(Violation(name, "is required by an enabled bundle") for name in off),
        )
