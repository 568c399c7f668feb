"""Exceptions from policies: who may make them, and who must approve them (docs/exceptions.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from pdp.admin.pages import Page, PageRequest, list_page
from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.admin.tenant_settings import read_settings
from pdp.domain import dlp_rule, policy_pack, static_policy
from pdp.domain.policy_exception import (
    APPROVED,
    KIND,
    MAX_EXCEPTIONS,
    MAX_TENANT_PATTERNS,
    SUBJECT_FIELDS,
    TARGET_FIELDS,
    PolicyException,
    body_of,
    new_approval,
)
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.engine.rules.expressions import compile_expression
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import (
    ApprovalRefused,
    ExceptionNotFound,
    InvalidArgument,
    InvalidPattern,
    NameExists,
    Violation,
)
from pdp.store.port import NameTaken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction

_REFERENCES: Final = {
    "policies": (static_policy.KIND, "static policy"),
    "dlp_rules": (dlp_rule.KIND, "DLP rule"),
    "rules": (policy_pack.RULE_KIND, "rule of a pack"),
}
"""The kind of the entities that a list of IDs refers to, and what they are called."""


class Exceptions:
    """Administers the exceptions of a tenant."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, tenant_id: str, request: PageRequest) -> Page[PolicyException]:
        """Returns a page of the tenant's exceptions, in order of creation.

        Raises:
            InvalidArgument: there is no such page.
        """
        return await self._workspace.read(
            lambda reader: list_page(
                reader,
                KIND,
                tenant_id,
                request,
                shipped=tuple,
                own=lambda entity: PolicyException(**entity.body),
            )
        )

    async def get(self, tenant_id: str, exception_id: str) -> Versioned[PolicyException]:
        """Returns an exception.

        Raises:
            ExceptionNotFound: the tenant has no such exception.
        """
        return await self._workspace.read(lambda reader: _find(reader, tenant_id, exception_id))

    async def create(
        self, tenant_id: str, actor: str, draft: PolicyException, *, may_be_permanent: bool = False
    ) -> WriteResult[Versioned[PolicyException]]:
        """Creates an exception from `draft`; its id, state and times are set here.

        Args:
            tenant_id: the tenant.
            actor: who makes the exception.
            draft: the exception.
            may_be_permanent: whether the caller may make it without an end, whatever the tenant's
                settings say.

        Raises:
            InvalidArgument: the exception is not well-formed, or the tenant has too many.
            InvalidCondition: the expression is not a condition.
            InvalidPattern: a value pattern is not RE2.
            NameExists: another exception of the tenant has the name.
        """
        check_exception(draft)

        def work(transaction: Transaction) -> Versioned[PolicyException]:
            if transaction.count(KIND, tenant_id) >= MAX_EXCEPTIONS:
                reason = f"a tenant may have at most {MAX_EXCEPTIONS} exceptions"
                raise InvalidArgument.of(Violation("name", reason))
            now = transaction.now
            exception = replace(draft, id=str(uuid4()), created_at=now, updated_at=now)
            proposed = _propose(
                transaction, tenant_id, actor, exception, may_be_permanent=may_be_permanent
            )
            return _put(transaction, tenant_id, actor, proposed, "Created")

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        draft: PolicyException,
        *,
        may_be_permanent: bool = False,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[PolicyException]]:
        """Replaces the exception with the id of `draft`. It must be approved again, if at all.

        Args:
            tenant_id: the tenant.
            actor: who makes the change.
            draft: the exception.
            may_be_permanent: see `create`.
            precondition: checked against the revision of the exception.

        Raises:
            ExceptionNotFound: the tenant has no such exception.
            InvalidArgument: the exception is not well-formed.
            InvalidCondition: the expression is not a condition.
            InvalidPattern: a value pattern is not RE2.
            NameExists: another exception of the tenant has the name.
            PreconditionFailed: `precondition` does not hold.
        """
        check_exception(draft)

        def work(transaction: Transaction) -> Versioned[PolicyException]:
            current = _find(transaction, tenant_id, draft.id)
            precondition.check(current.revision)
            exception = replace(
                draft, created_at=current.value.created_at, updated_at=transaction.now
            )
            proposed = _propose(
                transaction, tenant_id, actor, exception, may_be_permanent=may_be_permanent
            )
            return _put(transaction, tenant_id, actor, proposed, "Replaced")

        return await self._workspace.write(tenant_id, work)

    async def approve(
        self,
        tenant_id: str,
        actor: str,
        exception_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[PolicyException]]:
        """Approves an exception. Writes nothing if it is approved already.

        Raises:
            ApprovalRefused: `actor` has proposed the exception.
            ExceptionNotFound: the tenant has no such exception.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> Versioned[PolicyException]:
            current = _find(transaction, tenant_id, exception_id)
            precondition.check(current.revision)
            if current.value.state == APPROVED:
                return current
            if current.value.proposed_by == actor:
                raise ApprovalRefused(
                    f'exception "{current.value.name}" must be approved by another person than '
                    f"{actor}, who proposed it"
                )
            approved = replace(
                current.value, state=APPROVED, approved_by=actor, updated_at=transaction.now
            )
            return _put(transaction, tenant_id, actor, approved, "Approved")

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        exception_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Deletes an exception.

        Raises:
            ExceptionNotFound: the tenant has no such exception.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> None:
            current = _find(transaction, tenant_id, exception_id)
            precondition.check(current.revision)
            summary = f'Deleted exception "{current.value.name}"'
            transaction.delete(KIND, tenant_id, exception_id, actor=actor, summary=summary)

        return await self._workspace.write(tenant_id, work)


def check_exception(draft: PolicyException) -> None:
    """Checks what can be checked without the store.

    Raises:
        InvalidArgument: the exception is not well-formed.
        InvalidCondition: the expression is not a condition.
        InvalidPattern: a value pattern is not RE2.
    """
    violations = list(_violations(draft))
    if violations:
        raise InvalidArgument.of(*violations)
    if draft.expression:
        compile_expression(draft.expression)
    bad_patterns: list[Violation] = []
    for index, pattern in enumerate(draft.value_patterns):
        try:
            CompiledPattern(pattern)
        except InvalidPattern as error:
            bad_patterns.append(Violation(f"value_patterns[{index}]", error.violations[0].reason))
    if bad_patterns:
        raise InvalidPattern.of(*bad_patterns)


def _violations(draft: PolicyException) -> Iterator[Violation]:
    if not (draft.org_risk or any(getattr(draft, name) for name in TARGET_FIELDS)):
        names = ", ".join(TARGET_FIELDS)
        yield Violation("policies", f"say what the exception lifts: {names} or org_risk")
    has_subject = any(getattr(draft, name) for name in SUBJECT_FIELDS)
    if draft.everyone and has_subject:
        yield Violation("everyone", f"must not be set together with {', '.join(SUBJECT_FIELDS)}")
    elif not (draft.everyone or has_subject or draft.is_by_value):
        names = ", ".join(SUBJECT_FIELDS)
        yield Violation("everyone", f"say for whom the exception is: {names}, or set everyone")
    if draft.is_by_value and (draft.rules or draft.org_risk):
        field = "values" if draft.values else "value_patterns"
        yield Violation(field, "a rule of a pack and the org policy find no values")
    begin, end = draft.valid_from, draft.valid_until
    if begin is not None and end is not None and end <= begin:
        yield Violation("valid_until", "must be after valid_from")


def _propose(
    transaction: Transaction,
    tenant_id: str,
    actor: str,
    exception: PolicyException,
    *,
    may_be_permanent: bool,
) -> PolicyException:
    """Returns the exception as it is stored: proposed, or approved if the tenant asks for no more.

    Raises:
        InvalidArgument: the exception needs an end, or refers to unknown policies.
    """
    settings = read_settings(transaction, tenant_id).value
    if exception.valid_until is None and not (may_be_permanent or settings.permanent_exceptions):
        reason = (
            "is required; the tenant setting permanent_exceptions allows exceptions without end"
        )
        raise InvalidArgument.of(Violation("valid_until", reason))
    violations = list(_reference_violations(transaction, tenant_id, exception))
    if violations:
        raise InvalidArgument.of(*violations)
    approval = new_approval(actor, needs_approval=settings.exceptions_need_approval)
    return replace(exception, owner=exception.owner or actor, **approval._asdict())


def _reference_violations(
    reader: Reader, tenant_id: str, exception: PolicyException
) -> Iterator[Violation]:
    for name, (kind, noun) in _REFERENCES.items():
        for index, entity_id in enumerate(getattr(exception, name)):
            owners = (tenant_id, PLATFORM)
            if all(reader.get(kind, owner, entity_id) is None for owner in owners):
                yield Violation(f"{name}[{index}]", f"is the ID of no {noun}")


def _find(reader: Reader, tenant_id: str, exception_id: str) -> Versioned[PolicyException]:
    entity = reader.get(KIND, tenant_id, exception_id)
    if entity is None:
        raise ExceptionNotFound(f"there is no exception {exception_id}")
    return Versioned(PolicyException(**entity.body), entity.revision)


def _put(
    transaction: Transaction, tenant_id: str, actor: str, exception: PolicyException, verb: str
) -> Versioned[PolicyException]:
    _check_pattern_count(transaction, tenant_id, exception)
    entity = StoredEntity(KIND, tenant_id, exception.id, body_of(exception), name=exception.name)
    summary = f'{verb} exception "{exception.name}"'
    try:
        stored = transaction.put(entity, actor=actor, summary=summary)
    except NameTaken as error:
        raise NameExists(
            f'there is an exception "{exception.name}" already',
            Violation("name", f"is the name of {error.holder_id}"),
        ) from None
    return Versioned(exception, stored.revision)


def _check_pattern_count(reader: Reader, tenant_id: str, exception: PolicyException) -> None:
    if not exception.value_patterns:
        return
    others = sum(
        len(entity.body["value_patterns"])
        for entity in reader.list(KIND, tenant_id)
        if entity.id != exception.id
    )
    if others + len(exception.value_patterns) > MAX_TENANT_PATTERNS:
        reason = f"the exceptions of a tenant may have at most {MAX_TENANT_PATTERNS} patterns"
        raise InvalidArgument.of(Violation("value_patterns", reason))
