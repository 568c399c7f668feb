"""Export, import and rollback of all policies of a tenant."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.admin.write_checks import check_write
from pdp.domain import org_policy, policy_exception, tenant_settings
from pdp.domain.kinds import ENTITY_CLASSES, read_policies
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_tenant
from pdp.errors import AccessDenied, PreconditionFailed, Violation
from pdp.policy_files.change import (
    changes_between,
    logged_changes,
    policies_in,
    state_after,
    write_changes,
)
from pdp.policy_files.checks import Checks
from pdp.policy_files.differences import (
    CHANGED,
    HIDDEN,
    NEW_HIDDEN,
    EntryChange,
    FieldChange,
    differences,
)
from pdp.policy_files.entries import read_entries
from pdp.policy_files.exception_section import (
    needs_approval,
    proposed,
    same_request,
    with_approval_of,
)
from pdp.policy_files.secrets import masked
from pdp.policy_files.state import changed_after, last_revision, state_at, state_of
from pdp.policy_files.target import target_of
from pdp.policy_files.writing import document_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.admin.workspace import Workspace
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.write_warning import WriteWarning
    from pdp.policy_files.builder import Author
    from pdp.policy_files.change import PolicyChange
    from pdp.policy_files.entries import Entries
    from pdp.policy_files.state import State
    from pdp.policy_files.writing import Document
    from pdp.publisher import Publisher
    from pdp.store.port import Reader, Transaction

ADMIN_KINDS: Final = frozenset({tenant_settings.KIND, policy_exception.KIND})
"""The kinds that only admins may change, as over their own API."""

_IMPORTED: Final = "Imported a policy file"


class Export(NamedTuple):
    """A tenant's policies as a document, and their revision."""

    document: Document
    revision: int


class FileChange(NamedTuple):
    """What an import or a rollback changes.

    Attributes:
        changes: the policies that change.
        revision: the first revision in which the policies are in force; of a dry run, the revision
            that it was compared with.
        previous_revision: the revision of the policies before the change.
        warnings: what the author may not expect.
    """

    changes: Sequence[EntryChange]
    revision: int
    previous_revision: int
    warnings: Sequence[WriteWarning] = ()


class _ChangePlan(NamedTuple):
    before: State
    after: State
    steps: tuple[PolicyChange, ...]
    shipped: PolicySet
    places: Mapping[str, str]
    revision: int
    previous_revision: int

    def changes(self) -> list[EntryChange]:
        """Returns the policies that change, as the file names them."""
        before, after = (document_of(each, self.shipped) for each in (self.before, self.after))
        changes = differences(before, after)
        org_steps = [step for step in self.steps if step.kind == org_policy.KIND]
        if org_steps and not any(each.section == "org_policy" for each in changes):
            fields = (FieldChange("alert_rules", HIDDEN, NEW_HIDDEN),)
            changes.append(EntryChange(CHANGED, "org_policy", "", fields))
        return changes


class PolicyFiles:
    """Reads and writes all policies of a tenant at once."""

    def __init__(self, workspace: Workspace, publisher: Publisher) -> None:
        """Args:
        workspace: runs the use cases.
        publisher: has the platform's policies.
        """
        self._workspace = workspace
        self._publisher = publisher

    async def export(self, tenant_id: str, revision: int = 0) -> Export:
        """Returns the tenant's policies.

        Args:
            tenant_id: the tenant.
            revision: an earlier revision; 0 for the policies in force.

        Raises:
            InvalidArgument: there is no such revision.
        """

        def work(reader: Reader) -> tuple[State, PolicySet, int]:
            state = (
                state_at(reader, tenant_id, revision) if revision else state_of(reader, tenant_id)
            )
            return state, _shipped(reader), revision or last_revision(reader, tenant_id)

        state, shipped, at = await self._workspace.read(work)
        return Export(await asyncio.to_thread(document_of, state, shipped), at)

    async def import_(
        self,
        tenant_id: str,
        author: Author,
        policies: Mapping[str, Any],
        *,
        replace: bool,
        dry_run: bool,
        summary: str = "",
        base_revision: int | None = None,
    ) -> FileChange:
        """Changes the tenant's policies to those of a document, in one transaction.

        Args:
            tenant_id: the tenant.
            author: who makes the change.
            policies: the document.
            replace: whether policies that the document does not have are removed from its
                sections.
            dry_run: whether to write nothing.
            summary: for the change log; empty for a default.
            base_revision: the last revision that the author knows; None for any.

        Raises:
            AccessDenied: the author may not change some of the policies.
            InvalidArgument: or a subclass: the document has faults; nothing was changed.
            PreconditionFailed: the policies were changed after `base_revision`.
        """
        entries = await asyncio.to_thread(read_entries, masked(policies))

        def plan(reader: Reader) -> _ChangePlan:
            _check_base(reader, tenant_id, base_revision)
            return self._import_plan(reader, tenant_id, author, entries, replace=replace)

        return await self._change(tenant_id, author, plan, summary or _IMPORTED, dry_run=dry_run)

    async def rollback(
        self,
        tenant_id: str,
        author: Author,
        revision: int,
        *,
        dry_run: bool,
        base_revision: int | None = None,
    ) -> FileChange:
        """Changes the tenant's policies to those of an earlier revision.

        Raises:
            AccessDenied: the author may not change some of the policies.
            InvalidArgument: there is no such revision.
            PreconditionFailed: the policies were changed after `base_revision`.
        """

        def plan(reader: Reader) -> _ChangePlan:
            _check_base(reader, tenant_id, base_revision)
            before = state_of(reader, tenant_id)
            target = _approved_again(state_at(reader, tenant_id, revision), before, author)
            steps = changes_between(before, target)
            after = state_after(before, steps)
            previous = last_revision(reader, tenant_id)
            return _ChangePlan(
                before, after, steps, _shipped(reader), {}, reader.revision(), previous
            )

        summary = f"Rolled back to revision {revision}"
        return await self._change(tenant_id, author, plan, summary, dry_run=dry_run)

    def _import_plan(
        self,
        reader: Reader,
        tenant_id: str,
        author: Author,
        entries: Entries,
        *,
        replace: bool,
    ) -> _ChangePlan:
        before, shipped = state_of(reader, tenant_id), _shipped(reader)
        target = target_of(entries, before, shipped, author, replace=replace)
        steps = changes_between(before, target.state)
        after = state_after(before, steps)
        changed = {(step.kind, step.entity_id) for step in steps if step.op != "delete"}
        checks = Checks(before, after, changed, target.places, shipped)
        checks.run(policies_in(after), self._publisher.platform.detectors)
        places = {key.partition("/")[2]: place for key, place in target.places.items()}
        previous = last_revision(reader, tenant_id)
        return _ChangePlan(before, after, steps, shipped, places, reader.revision(), previous)

    async def _change(
        self,
        tenant_id: str,
        author: Author,
        plan_of: Callable[[Reader], _ChangePlan],
        summary: str,
        *,
        dry_run: bool,
    ) -> FileChange:
        if dry_run:
            plan = await self._workspace.read(plan_of)
            _check_access(plan, author)
            warnings = await asyncio.to_thread(self._warnings, tenant_id, plan)
            changes = await asyncio.to_thread(plan.changes)
            return FileChange(changes, plan.revision, plan.previous_revision, warnings)
        places: dict[str, str] = {}

        def work(transaction: Transaction) -> _ChangePlan:
            plan = plan_of(transaction)
            _check_access(plan, author)
            places.update(plan.places)
            write_changes(
                transaction,
                tenant_id,
                plan.before,
                plan.steps,
                actor=author.name,
                summary=summary,
            )
            return plan

        written = await self._workspace.write(tenant_id, work, places)
        plan = written.value
        changes = await asyncio.to_thread(plan.changes)
        return FileChange(changes, written.revision, plan.previous_revision, written.warnings)

    def _warnings(self, tenant_id: str, plan: _ChangePlan) -> Sequence[WriteWarning]:
        """Compiles the policies as a write does; returns its warnings."""
        platform = self._publisher.platform
        snapshot = compile_tenant(platform, tenant_id, policies_in(plan.after), plan.revision)
        changes = logged_changes(tenant_id, plan.before, plan.steps)
        return check_write(snapshot, changes, plan.places)


def _check_base(reader: Reader, tenant_id: str, base_revision: int | None) -> None:
    """Refuses a change that its author has made without knowing a later one."""
    newer = None if base_revision is None else changed_after(reader, tenant_id, base_revision)
    if newer is not None:
        reason = f"the policies were changed at revision {newer}; read them again"
        raise PreconditionFailed(
            f"nothing was changed because base_revision does not hold: {reason}",
            Violation("base_revision", reason),
        )


def _approved_again(target: State, before: State, author: Author) -> State:
    """Returns an earlier state; exceptions that it restores must be approved again, if at all."""
    kind = policy_exception.KIND
    needed = needs_approval(author, before, target)
    present = before[kind]
    restored = {
        exception_id: with_approval_of(body, present[exception_id])
        if exception_id in present and same_request(body, present[exception_id])
        else proposed(body, author, needs_approval=needed)
        for exception_id, body in target[kind].items()
    }
    return {**target, kind: restored}


def _check_access(plan: _ChangePlan, author: Author) -> None:
    if not author.is_admin and any(step.kind in ADMIN_KINDS for step in plan.steps):
        raise AccessDenied("only an admin may change tenant_settings and exceptions")


def _shipped(reader: Reader) -> PolicySet:
    return read_policies(
        entity for kind in ENTITY_CLASSES for entity in reader.list(kind, PLATFORM)
    )
