"""The version history of a compliance bundle, read from the change log (the bundle API)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from pdp.admin.compliance.entities import snapshot_body
from pdp.admin.pages import Page, version_page
from pdp.admin.policy_sets import read_policy_sets
from pdp.catalog import ACTOR
from pdp.domain import dlp_rule
from pdp.domain.compliance_bundle import KIND, SNAPSHOT_KIND, ComplianceBundle
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.effective_dlp_rules import rules_of_bundle
from pdp.domain.policy_set import PolicySet
from pdp.domain.tenant import PLATFORM
from pdp.errors import BundleNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.admin.pages import PageRequest
    from pdp.domain.stored_entity import Change, StoredEntity
    from pdp.store.port import Reader

MAX_VERSIONS: Final = 1000
"""How many versions of one bundle a whole list has; the newest ones. Pages have all versions."""

_LAST_PAGE: Final = "s0"
"""The token of the page with the first version of a bundle that ships with the product."""

INSTALL: Final = "install"

_NAMESPACE: Final = UUID("5b0c2f3e-1d44-5b6a-8b8e-6f3a9d6c7e21")
"""Makes the id of a version from its revision, and that of the first version from the bundle's id.

So the ids do not change.
"""


@dataclass(frozen=True, slots=True)
class BundleVersion:
    """A past or present version of a bundle.

    Attributes:
        id: a UUID.
        bundle: the bundle in this version, without its definitions.
        rules: the rules in this version.
        change_type: the kind of change that the version follows.
        summary: what was changed, as a sentence.
        changed_by: who made the change.
        created_at: seconds since the epoch.
    """

    id: str
    bundle: ComplianceBundle
    rules: tuple[DlpRule, ...]
    change_type: str
    summary: str
    changed_by: str
    created_at: float


def read_versions(
    reader: Reader, tenant_id: str, bundle_id: str, request: PageRequest
) -> Page[BundleVersion]:
    """Returns a page of a bundle's versions, newest first, also if the bundle was deleted.

    Raises:
        BundleNotFound: the tenant has never had such a bundle.
        InvalidArgument: there is no such page.
    """
    seeded = reader.get(KIND, PLATFORM, bundle_id)
    changed = reader.history(SNAPSHOT_KIND, tenant_id, bundle_id, limit=1, deletions=False)
    if seeded is None and not changed:
        raise BundleNotFound(f"there is no compliance bundle {bundle_id}")
    page: Page[Change] = Page()
    if request.token != _LAST_PAGE:
        page = version_page(reader, SNAPSHOT_KIND, tenant_id, bundle_id, request)
    versions = [
        _version(change.after or {}, str(change.revision), change.actor, change.at)
        for change in page.items
    ]
    token, total = page.next_token, page.total
    if request.counted:
        of_tenant = reader.count_changes(SNAPSHOT_KIND, tenant_id, bundle_id, deletions=False)
        total = of_tenant + (seeded is not None)
    if seeded is not None and not token:
        if len(versions) == request.size:
            token = _LAST_PAGE
        else:
            versions.append(_seeded_version(reader, tenant_id, seeded))
    return Page(versions, token, total)


def _seeded_version(reader: Reader, tenant_id: str, seeded: StoredEntity) -> BundleVersion:
    """Returns the first version: the bundle as it ships. The tenant has not written it."""
    bundle = ComplianceBundle(**seeded.body)
    platform, _ = read_policy_sets(reader, tenant_id, (dlp_rule.KIND,), own=())
    rules = rules_of_bundle(bundle, platform, PolicySet())
    summary = f'Compliance bundle "{bundle.name}" as it ships'
    body = snapshot_body(bundle, rules, INSTALL, summary)
    return _version(body, seeded.id, ACTOR, seeded.created_at)


def _version(body: Mapping[str, Any], name: str, actor: str, at: float) -> BundleVersion:
    return BundleVersion(
        id=str(uuid5(_NAMESPACE, name)),
        bundle=ComplianceBundle(**body["bundle"]),
        rules=tuple(DlpRule(**rule) for rule in body["rules"]),
        change_type=body["change_type"],
        summary=body["summary"],
        changed_by=actor,
        created_at=at,
    )
