"""The version histories of compliance bundles (seed 002), read from the change log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from pdp.admin.compliance.entities import RULE_KINDS, holdings, snapshot_body
from pdp.catalog import ACTOR
from pdp.domain.compliance_bundle import KIND, SNAPSHOT_KIND, ComplianceBundle
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.effective_dlp_rules import rules_of_bundle
from pdp.domain.policy_set import PolicySet
from pdp.domain.tenant import PLATFORM
from pdp.errors import BundleNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.store.port import Reader

MAX_VERSIONS: Final = 1000
"""Of one bundle, that can be read; the newest."""

INSTALL: Final = "install"

_VERSIONS: Final = UUID("5b0c2f3e-1d44-5b6a-8b8e-6f3a9d6c7e21")
"""Names versions by their revisions, and what ships by its bundle, so that an id stays."""


@dataclass(frozen=True, slots=True)
class BundleVersion:
    """What a bundle was.

    Attributes:
        id: a UUID.
        bundle: as it was, without its definitions.
        rules: as they were.
        change_type: why it was kept.
        summary: what had been changed, in words.
        changed_by: who had changed it.
        created_at: seconds since the epoch.
    """

    id: str
    bundle: ComplianceBundle
    rules: tuple[DlpRule, ...]
    change_type: str
    summary: str
    changed_by: str
    created_at: float


def versions_of(reader: Reader, tenant_id: str, bundle_id: str) -> list[BundleVersion]:
    """Returns a bundle's versions, newest first; those of a deleted one too.

    Raises:
        BundleNotFound: the tenant has no such bundle, and had none.
    """
    found = [
        _version(change.after, str(change.revision), change.actor, change.at)
        for change in reader.history(SNAPSHOT_KIND, tenant_id, bundle_id)
        if change.after is not None
    ]
    shipped = reader.get(KIND, PLATFORM, bundle_id)
    if shipped is not None:
        # What the tenant began with, which it has not changed itself.
        bundle = ComplianceBundle(**shipped.body)
        platform, _ = holdings(reader, tenant_id, RULE_KINDS)
        rules = rules_of_bundle(bundle, platform, PolicySet())
        summary = f'Compliance bundle "{bundle.name}" as it ships'
        body = snapshot_body(bundle, rules, INSTALL, summary)
        found.append(_version(body, bundle_id, ACTOR, shipped.created_at))
    if not found:
        raise BundleNotFound(f"there is no compliance bundle {bundle_id}")
    return found[:MAX_VERSIONS]


def _version(body: Mapping[str, Any], key: str, actor: str, at: float) -> BundleVersion:
    return BundleVersion(
        id=str(uuid5(_VERSIONS, key)),
        bundle=ComplianceBundle(**body["bundle"]),
        rules=tuple(DlpRule(**rule) for rule in body["rules"]),
        change_type=body["change_type"],
        summary=body["summary"],
        changed_by=actor,
        created_at=at,
    )
