"""Compliance bundles (seed 002): those that ship with the product, and a tenant's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from pdp.admin.compliance.changes import (
    Upgrade,
    change_bundle,
    check_upgrade,
    switch_bundle,
    upgrade_bundle,
)
from pdp.admin.compliance.entities import (
    BUNDLE_KINDS,
    GROUP_KINDS,
    KeptBundle,
    ListedBundle,
    check_name,
    find_bundle,
    holdings,
    list_bundles,
    put_bundle,
    put_snapshot,
)
from pdp.admin.compliance.history import BundleVersion, versions_of
from pdp.admin.compliance.members import place_rules, release_bundle
from pdp.admin.versioned import ANYTHING, Expectation, Versioned
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

    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction


class MatrixRow(NamedTuple):
    """A user group with all bundles, each with whether it is in force for the group's users."""

    group: UserGroup
    bundles: Sequence[tuple[ComplianceBundle, bool]]


class ComplianceBundles:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(
        self, tenant_id: str, enabled: bool | None = None, framework: str = ""
    ) -> Sequence[ListedBundle]:
        """Returns the seeded bundles, then the tenant's own, each in order of creation.

        Args:
            tenant_id: whose they are.
            enabled: those alone that are, or are not, in force for all users; None for both.
            framework: those alone of a regulation, by its code in any case; empty for all.
        """
        found = await self._workspace.read(lambda reader: list_bundles(reader, tenant_id))
        code = framework.casefold()
        return [
            each
            for each in found
            if enabled in {None, each.bundle.enabled}
            and code in {"", each.bundle.regulatory_framework.casefold()}
        ]

    async def matrix(self, tenant_id: str) -> Sequence[MatrixRow]:
        """Returns all user groups with all bundles."""

        def work(reader: Reader) -> Sequence[MatrixRow]:
            held = holdings(reader, tenant_id, (*BUNDLE_KINDS, *GROUP_KINDS))
            bundles = all_bundles(*held).values()
            return [
                MatrixRow(
                    group, [(each, each.enabled or each.id in group.bundle_ids) for each in bundles]
                )
                for group in all_groups(*held).values()
            ]

        return await self._workspace.read(work)

    async def get(self, tenant_id: str, bundle_id: str) -> Versioned[KeptBundle]:
        """Returns a bundle with its rules.

        Raises:
            BundleNotFound: the tenant has none.
        """
        kept = await self._workspace.read(lambda reader: find_bundle(reader, tenant_id, bundle_id))
        return Versioned(kept, kept.revision)

    async def create(
        self, tenant_id: str, actor: str, draft: ComplianceBundle, rule_ids: Sequence[str] = ()
    ) -> Written[Versioned[KeptBundle]]:
        """Makes a bundle of the tenant.

        Args:
            tenant_id: whose it will be.
            actor: who makes it.
            draft: whose id and times do not count.
            rule_ids: the tenant's own rules to put into it; they stay enabled or disabled.

        Raises:
            InvalidArgument: a rule is not the tenant's own, or there are too many bundles.
            NameExists: another bundle has the name.
        """

        def work(transaction: Transaction) -> Versioned[KeptBundle]:
            if transaction.count(KIND, tenant_id) >= MAX_BUNDLES:
                reason = f"a tenant may have at most {MAX_BUNDLES} compliance bundles"
                raise InvalidArgument(reason, Violation("name", reason))
            check_name(transaction, tenant_id, draft.name)
            bundle = replace(draft, id=str(uuid4()), created_at=transaction.now)
            summary = f'Created compliance bundle "{bundle.name}"'
            put_bundle(transaction, tenant_id, bundle, actor=actor, summary=summary)
            place_rules(transaction, tenant_id, bundle, rule_ids, actor=actor)
            kept = put_snapshot(
                transaction, tenant_id, bundle.id, "create", actor=actor, summary=summary
            )
            return Versioned(kept, kept.revision)

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        bundle_id: str,
        changes: Mapping[str, Any],
        *,
        rule_ids: Sequence[str] | None = None,
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[KeptBundle]]:
        """Changes the fields in `changes`; of a seeded bundle, for the tenant alone.

        Without any change nothing is written.

        Args:
            tenant_id: whose it is.
            actor: who changes it.
            bundle_id: the bundle.
            changes: of its metadata and of `enabled`, which switches the bundle's rules with it.
            rule_ids: the tenant's own rules that are to be in it from now on; None for those that
                are.
            expected: what the bundle must be.

        Raises:
            BundleNotFound: the tenant has no such bundle.
            InvalidArgument: a rule is not the tenant's own.
            NameExists: another bundle has the name.
            PreconditionFailed: the bundle is not as expected.
        """

        def work(transaction: Transaction) -> Versioned[KeptBundle]:
            kept = find_bundle(transaction, tenant_id, bundle_id)
            expected.check(kept.revision)
            kept = change_bundle(transaction, tenant_id, actor, kept, changes, rule_ids=rule_ids)
            return Versioned(kept, kept.revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self, tenant_id: str, actor: str, bundle_id: str, expected: Expectation = ANYTHING
    ) -> Written[None]:
        """Deletes a bundle of the tenant; its rules stay, and its history can still be read.

        Raises:
            BundleNotFound: the tenant has no such bundle.
            PlatformReadonly: it is seeded.
            PreconditionFailed: the bundle is not as expected.
        """

        def work(transaction: Transaction) -> None:
            kept = find_bundle(transaction, tenant_id, bundle_id)
            if kept.bundle.is_seeded:
                raise PlatformReadonly(
                    f'"{kept.bundle.name}" ships with the product and cannot be deleted; '
                    "deactivate it",
                    Violation("bundle_id", "names a seeded bundle"),
                )
            expected.check(kept.revision)
            summary = f'Deleted compliance bundle "{kept.bundle.name}"'
            put_snapshot(transaction, tenant_id, bundle_id, "delete", actor=actor, summary=summary)
            release_bundle(transaction, tenant_id, kept.bundle, actor=actor)
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
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[KeptBundle]]:
        """Puts a bundle and all its rules in force for all users, or out of it.

        Raises:
            BundleNotFound: the tenant has no such bundle.
            PreconditionFailed: the bundle is not as expected.
        """

        def work(transaction: Transaction) -> Versioned[KeptBundle]:
            kept = find_bundle(transaction, tenant_id, bundle_id)
            expected.check(kept.revision)
            kept = switch_bundle(transaction, tenant_id, actor, kept, enabled=enabled)
            return Versioned(kept, kept.revision)

        return await self._workspace.write(tenant_id, work)

    async def upgrade(
        self, tenant_id: str, actor: str, bundle_id: str, expected: Expectation = ANYTHING
    ) -> Written[Versioned[Upgrade]]:
        """Brings a seeded bundle to its latest definition, with a version before and after.

        Raises:
            BundleNotFound: the tenant has no such bundle.
            NoUpgrade: it is not seeded, or is at its latest definition.
            PreconditionFailed: the bundle is not as expected.
        """

        def work(transaction: Transaction) -> Versioned[Upgrade]:
            kept = find_bundle(transaction, tenant_id, bundle_id)
            check_upgrade(kept.bundle)
            expected.check(kept.revision)
            return upgrade_bundle(transaction, tenant_id, actor, kept.bundle)

        return await self._workspace.write(tenant_id, work)

    async def versions(self, tenant_id: str, bundle_id: str) -> Sequence[BundleVersion]:
        """Returns what a bundle was after each of its changes, newest first.

        Those of a deleted one can still be read.

        Raises:
            BundleNotFound: the tenant has no such bundle, and had none.
        """
        return await self._workspace.read(lambda reader: versions_of(reader, tenant_id, bundle_id))
