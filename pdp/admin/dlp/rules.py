"""DLP rules: the platform's with a tenant's customisations, and the tenant's own (the DLP API)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pdp.admin.dlp.entities import (
    StoredDlpRule,
    check_rule_count,
    customise_rule,
    find_rule,
    own_rule,
    put_rule,
    read_platform_rules,
)
from pdp.admin.dlp.versions import DlpRuleVersion, read_versions
from pdp.admin.pages import Page, PageRequest, list_page
from pdp.admin.placements import check_placement
from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.dlp_rule import ACTION_TIERS, KIND, DlpRule
from pdp.domain.tenant import PLATFORM
from pdp.engine.dlp.config import read_config
from pdp.errors import PlatformReadonly, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.domain.detector import EntityDetector
    from pdp.store.port import Reader, Transaction


class DlpRules:
    """Administers the DLP rules of a tenant."""

    def __init__(self, workspace: Workspace, catalog: Mapping[str, EntityDetector]) -> None:
        """Args:
        workspace: runs the use cases.
        catalog: the detectors that rules may name.
        """
        self._workspace = workspace
        self._catalog = catalog

    async def list(
        self, tenant_id: str, request: PageRequest, *, enabled: bool | None, detector_type: str
    ) -> Page[StoredDlpRule]:
        """Returns a page of the platform's rules, then the tenant's, each in order of creation.

        Raises:
            InvalidArgument: there is no such page.
        """
        matching: dict[str, str | bool] = {} if enabled is None else {"enabled": enabled}
        if detector_type:
            matching["detector_type"] = detector_type

        def work(reader: Reader) -> Page[StoredDlpRule]:
            def shipped() -> Sequence[StoredDlpRule]:
                rules = read_platform_rules(reader, tenant_id).values()
                return [
                    StoredDlpRule(rule, PLATFORM, 0)
                    for rule in rules
                    if all(getattr(rule, name) == value for name, value in matching.items())
                ]

            return list_page(
                reader,
                KIND,
                tenant_id,
                request,
                shipped=shipped,
                own=own_rule,
                matching=matching,
            )

        return await self._workspace.read(work)

    async def get(self, tenant_id: str, rule_id: str) -> Versioned[StoredDlpRule]:
        """Returns a rule of the platform or the tenant.

        Raises:
            RuleNotFound: the tenant has no such rule.
        """

        def work(reader: Reader) -> Versioned[StoredDlpRule]:
            stored_rule = find_rule(reader, tenant_id, rule_id)
            return Versioned(stored_rule, stored_rule.revision)

        return await self._workspace.read(work)

    async def create(
        self, tenant_id: str, actor: str, draft: DlpRule
    ) -> WriteResult[Versioned[StoredDlpRule]]:
        """Creates a rule of the tenant from `draft`; its id and times are set here.

        Raises:
            InvalidArgument: the rule's document is not well-formed, or there are too many rules.
            InvalidPattern: the rule's pattern is not RE2.
            NameExists: another rule of the tenant has the name.
        """
        read_config(draft, self._catalog)
        check_placement(draft, ACTION_TIERS)

        def work(transaction: Transaction) -> Versioned[StoredDlpRule]:
            check_rule_count(transaction, tenant_id, 1)
            now = transaction.now
            rule = replace(draft, id=str(uuid4()), created_at=now, updated_at=now)
            stored_rule = put_rule(transaction, tenant_id, rule, actor=actor, summary="Created")
            return Versioned(stored_rule, stored_rule.revision)

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        rule_id: str,
        changes: Mapping[str, Any],
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[StoredDlpRule]]:
        """Changes the fields in `changes`; `config_json` is replaced as a whole.

        Changes of a platform rule are stored as the tenant's customisation of it.

        Raises:
            InvalidArgument: the rule would not be well-formed.
            InvalidPattern: the rule's pattern is not RE2.
            NameExists: another rule of the tenant has the name.
            PlatformReadonly: `changes` would change a field of a platform rule that a tenant may
                not set.
            PreconditionFailed: `precondition` does not hold.
            RuleNotFound: the tenant has no such rule.
            RuleRequired: `changes` would switch the rule off, and an enabled bundle requires it.
        """

        def work(transaction: Transaction) -> Versioned[StoredDlpRule]:
            current = find_rule(transaction, tenant_id, rule_id)
            precondition.check(current.revision)
            if current.of_platform:
                changed = customise_rule(transaction, tenant_id, actor, current, changes)
            else:
                rule = replace(current.rule, **changes, updated_at=transaction.now)
                read_config(rule, self._catalog)
                check_placement(rule, ACTION_TIERS)
                summary = f"Updated {', '.join(changes)}" if changes else "No change"
                changed = put_rule(transaction, tenant_id, rule, actor=actor, summary=summary)
            return Versioned(changed, changed.revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        rule_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Deletes a rule of the tenant; its versions are kept.

        Raises:
            PlatformReadonly: the rule ships with the product.
            PreconditionFailed: `precondition` does not hold.
            RuleNotFound: the tenant has no such rule.
        """

        def work(transaction: Transaction) -> None:
            current = find_rule(transaction, tenant_id, rule_id)
            if current.of_platform:
                name = current.rule.detector_name
                raise PlatformReadonly(
                    f'"{name}" ships with the product and cannot be deleted; disable it',
                    Violation("rule_id", "names a platform rule"),
                )
            precondition.check(current.revision)
            transaction.delete(KIND, tenant_id, rule_id, actor=actor, summary="Deleted")

        return await self._workspace.write(tenant_id, work)

    async def versions(
        self, tenant_id: str, rule_id: str, request: PageRequest
    ) -> Page[DlpRuleVersion]:
        """Returns a page of a rule's history, newest first, also if the rule was deleted.

        Raises:
            InvalidArgument: there is no such page.
            RuleNotFound: the tenant has never had such a rule.
        """
        return await self._workspace.read(
            lambda reader: read_versions(reader, tenant_id, rule_id, request)
        )

    def patterns(self, category: str) -> Mapping[str, Sequence[EntityDetector]]:
        """Returns the detectors that ship with the product, by category.

        Args:
            category: only this category; empty for all categories.
        """
        detectors: dict[str, list[EntityDetector]] = {category: []} if category else {}
        for each in self._catalog.values():
            if not category or each.category == category:
                detectors.setdefault(each.category, []).append(each)
        return detectors
