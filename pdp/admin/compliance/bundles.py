"""Compliance bundles: those that ship with the product, and a tenant's own (the bundle API)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from pdp.admin.compliance.changes import (
    BundleUpgrade,
    change_bundle,
    check_upgrade,
    release_rules_and_groups,
    set_rules,
    switch_bundle,
    upgrade_bundle,
)
from pdp.admin.compliance.entities import (
    BundleSummary,
    StoredBundle,
    check_name,
    find_bundle,
    list_bundles,
    put_bundle,
    put_snapshot,
)
from pdp.admin.compliance.versions import BundleVersion, read_versions
from pdp.admin.policy_sets import BUNDLE_KINDS, GROUP_KINDS, read_policy_sets
from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.compliance_bundle import (
    KIND,
    MAX_BUNDLES,
    SNAPSHOT_KIND,
    ComplianceBundle,
    all_bundles,
)
from pdp.domain.user_group import UserGroup, all_groups
from pdp.errors import InvalidArgument, PlatformReadonly, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.pages import Page, PageRequest
    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction


class MatrixRow(NamedTuple):
    """A user group and all bundles, each with whether it is in force for the group's users."""

    group: UserGroup
    bundles: Sequence[tuple[ComplianceBundle, bool]]


class ComplianceBundles:
    """Administers the compliance bundles of a tenant."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(
        self, tenant_id: str, enabled: bool | None = None, framework: str = ""
    ) -> Sequence[BundleSummary]:
        """Returns the seeded bundles, then the tenant's own, each in order of creation.

        Args:
            tenant_id: the tenant.
            enabled: True for the bundles that are in force for all users, False for the others;
                None for all.
            framework: the code of a regulation, in any case; empty for all.
        """
        bundles = await self._workspace.read(lambda reader: list_bundles(reader, tenant_id))
        code = framework.casefold()
        return [
            each
            for each in bundles
            if enabled in {None, each.bundle.enabled}
            and code in {"", each.bundle.regulatory_framework.casefold()}
        ]

    async def matrix(self, tenant_id: str) -> Sequence[MatrixRow]:
        """Returns all user groups with all bundles."""

        def work(reader: Reader) -> Sequence[MatrixRow]:
            policies = read_policy_sets(reader, tenant_id, (*BUNDLE_KINDS, *GROUP_KINDS))
            bundles = all_bundles(*policies).values()
            return [
                MatrixRow(
                    group, [(each, each.enabled or each.id in group.bundle_ids) for each in bundles]
                )
                for group in all_groups(*policies).values()
            ]

        return await self._workspace.read(work)

    async def get(self, tenant_id: str, bundle_id: str) -> Versioned[StoredBundle]:
        """Returns a bundle with its rules.

        Raises:
            BundleNotFound: the tenant has no such bundle.
        """
        bundle = await self._workspace.read(
            lambda reader: find_bundle(reader, tenant_id, bundle_id)
        )
        return Versioned(bundle, bundle.revision)

    async def create(
        self, tenant_id: str, actor: str, draft: ComplianceBundle, rule_ids: Sequence[str] = ()
    ) -> WriteResult[Versioned[StoredBundle]]:
        """Creates a bundle of the tenant.

        Args:
            tenant_id: the tenant.
            actor: who makes the change.
            draft: the bundle; its id and times are set here.
            rule_ids: the tenant's own rules to add to it; they stay enabled or disabled.

        Raises:
            InvalidArgument: a rule is not the tenant's own, or there are too many bundles.
            NameExists: another bundle has the name.
        """

        def work(transaction: Transaction) -> Versioned[StoredBundle]:
            if transaction.count(KIND, tenant_id) >= MAX_BUNDLES:
                reason = f"a tenant may have at most {MAX_BUNDLES} compliance bundles"
                raise InvalidArgument(reason, Violation("name", reason))
            check_name(transaction, tenant_id, draft.name)
            bundle = replace(draft, id=str(uuid4()), created_at=transaction.now)
            summary = f'Created compliance bundle "{bundle.name}"'
            put_bundle(transaction, tenant_id, bundle, actor=actor, summary=summary)
            set_rules(transaction, tenant_id, bundle, rule_ids, actor=actor)
            created = put_snapshot(
                transaction, tenant_id, bundle.id, "create", actor=actor, summary=summary
            )
            return Versioned(created, created.revision)

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        bundle_id: str,
        changes: Mapping[str, Any],
        *,
        rule_ids: Sequence[str] | None = None,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[StoredBundle]]:
        """Changes the fields in `changes`; of a seeded bundle, for this tenant only.

        Writes nothing if nothing would change.

        Args:
            tenant_id: the tenant.
            actor: who makes the change.
            bundle_id: the bundle.
            changes: new values of the metadata and of `enabled`, which also enables or disables
                the bundle's rules.
            rule_ids: the tenant's own rules that the bundle has afterwards; None leaves its rules
                as they are.
            precondition: checked against the revision of the bundle.

        Raises:
            BundleNotFound: the tenant has no such bundle.
            InvalidArgument: a rule is not the tenant's own.
            NameExists: another bundle has the name.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> Versioned[StoredBundle]:
            current = find_bundle(transaction, tenant_id, bundle_id)
            precondition.check(current.revision)
            changed = change_bundle(
                transaction, tenant_id, actor, current, changes, rule_ids=rule_ids
            )
            return Versioned(changed, changed.revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        bundle_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Deletes a bundle of the tenant; its rules and its history are kept.

        Raises:
            BundleNotFound: the tenant has no such bundle.
            PlatformReadonly: the bundle is seeded.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> None:
            current = find_bundle(transaction, tenant_id, bundle_id)
            bundle = current.bundle
            if bundle.is_seeded:
                raise PlatformReadonly(
                    f'"{bundle.name}" ships with the product and cannot be deleted; deactivate it',
                    Violation("bundle_id", "names a seeded bundle"),
                )
            precondition.check(current.revision)
            summary = f'Deleted compliance bundle "{bundle.name}"'
            put_snapshot(transaction, tenant_id, bundle_id, "delete", actor=actor, summary=summary)
            release_rules_and_groups(transaction, tenant_id, bundle, actor=actor)
            for kind in (SNAPSHOT_KIND, KIND):
                transaction.delete(kind, tenant_id, bundle_id, actor=actor, summary=summary)

        return await self._workspace.write(tenant_id, work)

    async def switch(
        self,
        tenant_id: str,
        actor: str,
        bundle_id: str,
        *,
        enabled: bool,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[StoredBundle]]:
        """Enables or disables a bundle and all its rules for all users.

        Raises:
            BundleNotFound: the tenant has no such bundle.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> Versioned[StoredBundle]:
            current = find_bundle(transaction, tenant_id, bundle_id)
            precondition.check(current.revision)
            changed = switch_bundle(transaction, tenant_id, actor, current, enabled=enabled)
            return Versioned(changed, changed.revision)

        return await self._workspace.write(tenant_id, work)

    async def upgrade(
        self,
        tenant_id: str,
        actor: str,
        bundle_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[BundleUpgrade]]:
        """Upgrades a seeded bundle to its latest definition; adds a version before and after.

        Raises:
            BundleNotFound: the tenant has no such bundle.
            NoUpgrade: the bundle is not seeded, or has its latest definition.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> Versioned[BundleUpgrade]:
            current = find_bundle(transaction, tenant_id, bundle_id)
            check_upgrade(current.bundle)
            precondition.check(current.revision)
            return upgrade_bundle(transaction, tenant_id, actor, current.bundle)

        return await self._workspace.write(tenant_id, work)

    async def versions(
        self, tenant_id: str, bundle_id: str, request: PageRequest
    ) -> Page[BundleVersion]:
        """Returns a page of a bundle's versions, newest first, also if the bundle was deleted.

        Raises:
            BundleNotFound: the tenant has never had such a bundle.
            InvalidArgument: there is no such page.
        """
        return await self._workspace.read(
            lambda reader: read_versions(reader, tenant_id, bundle_id, request)
        )
