"""DLP rules (seed 002): the platform's as a tenant has them, and the tenant's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pdp.admin.dlp.entities import (
    KeptRule,
    all_rules,
    check_room,
    customise,
    find_rule,
    put_rule,
)
from pdp.admin.dlp.versions import DlpVersion, versions_of
from pdp.admin.versioned import ANYTHING, Expectation, Versioned
from pdp.domain.dlp_rule import KIND, DlpRule
from pdp.engine.dlp.config import read_config
from pdp.errors import PlatformReadonly, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace, Written
    from pdp.domain.detector import EntityDetector
    from pdp.store.port import Reader, Transaction


class DlpRules:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace, catalog: Mapping[str, EntityDetector]) -> None:
        """Takes the detectors that rules may name."""
        self._workspace = workspace
        self._catalog = catalog

    async def list(
        self, tenant_id: str, *, enabled: bool | None, detector_type: str
    ) -> Sequence[KeptRule]:
        """Returns the platform's rules, then the tenant's own, each in order of creation."""
        found = await self._workspace.read(lambda reader: all_rules(reader, tenant_id))
        return [
            kept
            for kept in found
            if (enabled is None or kept.rule.enabled is enabled)
            and (not detector_type or kept.rule.detector_type == detector_type)
        ]

    async def get(self, tenant_id: str, rule_id: str) -> Versioned[KeptRule]:
        """Returns a rule of the platform or the tenant.

        Raises:
            RuleNotFound: the tenant has none.
        """

        def work(reader: Reader) -> Versioned[KeptRule]:
            kept = find_rule(reader, tenant_id, rule_id)
            return Versioned(kept, kept.revision)

        return await self._workspace.read(work)

    async def create(
        self, tenant_id: str, actor: str, draft: DlpRule
    ) -> Written[Versioned[KeptRule]]:
        """Makes a rule of the tenant from `draft`, whose id, bundle and times do not count.

        Raises:
            InvalidArgument: its document is not well-formed, or there are too many rules.
            InvalidPattern: its pattern is not RE2.
            NameExists: another one of the tenant's own has the name.
        """
        read_config(draft, self._catalog)

        def work(transaction: Transaction) -> Versioned[KeptRule]:
            check_room(transaction, tenant_id, 1)
            now = transaction.now
            rule = replace(draft, id=str(uuid4()), created_at=now, updated_at=now)
            kept = put_rule(transaction, tenant_id, rule, actor=actor, summary="Created")
            return Versioned(kept, kept.revision)

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        rule_id: str,
        changes: Mapping[str, Any],
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[KeptRule]]:
        """Changes the fields in `changes`; `config_json` is replaced whole.

        What is set of a platform rule is kept as the tenant's own.

        Raises:
            InvalidArgument: the rule would not be well-formed.
            InvalidPattern: its pattern is not RE2.
            NameExists: another one of the tenant's own has the name.
            PlatformReadonly: of a platform rule, something else was to be changed than how strict
                it is.
            PreconditionFailed: the rule is not as expected.
            RuleNotFound: the tenant has no such rule.
            RuleRequired: it was to be switched off, and an enabled bundle requires it.
        """

        def work(transaction: Transaction) -> Versioned[KeptRule]:
            kept = find_rule(transaction, tenant_id, rule_id)
            expected.check(kept.revision)
            if kept.of_platform:
                changed = customise(transaction, tenant_id, actor, kept, changes)
            else:
                rule = replace(kept.rule, **changes, updated_at=transaction.now)
                read_config(rule, self._catalog)
                summary = f"Updated {', '.join(changes)}" if changes else "No change"
                changed = put_rule(transaction, tenant_id, rule, actor=actor, summary=summary)
            return Versioned(changed, changed.revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self, tenant_id: str, actor: str, rule_id: str, expected: Expectation = ANYTHING
    ) -> Written[None]:
        """Takes a rule of the tenant out of force and out of sight; its versions stay.

        Raises:
            PlatformReadonly: it ships with the product.
            PreconditionFailed: the rule is not as expected.
            RuleNotFound: the tenant has no such rule.
        """

        def work(transaction: Transaction) -> None:
            kept = find_rule(transaction, tenant_id, rule_id)
            if kept.of_platform:
                name = kept.rule.detector_name
                raise PlatformReadonly(
                    f'"{name}" ships with the product and cannot be deleted; disable it',
                    Violation("rule_id", "names a platform rule"),
                )
            expected.check(kept.revision)
            transaction.delete(KIND, tenant_id, rule_id, actor=actor, summary="Deleted")

        return await self._workspace.write(tenant_id, work)

    async def versions(self, tenant_id: str, rule_id: str) -> Sequence[DlpVersion]:
        """Returns a rule's history, newest first; a deleted rule's too.

        Raises:
            RuleNotFound: the tenant has never had such a rule.
        """
        return await self._workspace.read(lambda reader: versions_of(reader, tenant_id, rule_id))

    def patterns(self, category: str) -> Mapping[str, Sequence[EntityDetector]]:
        """Returns the detectors that ship with the product, by category.

        Args:
            category: the only one that is wanted; empty for all.
        """
        found: dict[str, list[EntityDetector]] = {category: []} if category else {}
        for each in self._catalog.values():
            if not category or each.category == category:
                found.setdefault(each.category, []).append(each)
        return found
