"""Limits of users and groups: their administration and their usage (docs/decide.md, Limits)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.pages import Page, PageRequest, list_page
from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.limits import KIND, ActiveLimit, Limit, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.errors import InvalidArgument, LimitExists, LimitNotFound, Violation
from pdp.store.codec import check_texts
from pdp.store.port import NameTaken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.domain.usage import UsageSnapshot
    from pdp.store.port import Reader, Transaction
    from pdp.usage.metering import Metering

MAX_LIMITS: Final = 100_000
"""How many limits one tenant may have."""

IMMUTABLE: Final = ("scope", "subject_id")
"""The fields that identify a limit's subject; an update cannot change them."""


@dataclass(frozen=True, slots=True)
class UsageReport:
    """A page of limits, and what their subjects have used."""

    page: Page[Limit]
    spent: UsageSnapshot


class Limits:
    """Administers the limits of a tenant and reports their usage."""

    def __init__(self, workspace: Workspace, metering: Metering) -> None:
        self._workspace = workspace
        self._metering = metering

    async def list(self, tenant_id: str, request: PageRequest) -> Page[Limit]:
        """Returns a page of the tenant's limits, in order of creation.

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
                own=lambda entity: Limit(**entity.body),
            )
        )

    async def get(self, tenant_id: str, limit_id: str) -> Versioned[Limit]:
        """Returns one limit.

        Raises:
            LimitNotFound: the tenant has no such limit.
        """
        return await self._workspace.read(lambda reader: _find(reader, tenant_id, limit_id))

    async def create(
        self, tenant_id: str, actor: str, draft: Limit
    ) -> WriteResult[Versioned[Limit]]:
        """Creates a limit from `draft`; its id and times are set here.

        Raises:
            LimitExists: the subject has a limit already.
            InvalidArgument: the tenant has too many limits, or the subject's id cannot be stored.
        """
        check_texts(subject_id=draft.subject_id)

        def work(transaction: Transaction) -> Versioned[Limit]:
            if transaction.count(KIND, tenant_id) >= MAX_LIMITS:
                raise InvalidArgument.of(
                    Violation("limits", f"a tenant may have at most {MAX_LIMITS} limits")
                )
            now = transaction.now
            limit = replace(draft, id=str(uuid.uuid4()), created_at=now, updated_at=now)
            summary = f"Created the limit of {limit.subject}"
            return _put(transaction, tenant_id, actor, limit, summary)

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        limit_id: str,
        changes: Mapping[str, Any],
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[Limit]]:
        """Changes the fields in `changes`; the counters keep their values.

        Writes nothing if the fields have these values already.

        Raises:
            LimitNotFound: the tenant has no such limit.
            InvalidArgument: `changes` would change the subject of the limit.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> Versioned[Limit]:
            current = _find(transaction, tenant_id, limit_id)
            precondition.check(current.revision)
            old = current.value
            for name in IMMUTABLE:
                if changes.get(name, getattr(old, name)) != getattr(old, name):
                    reason = f'cannot be changed from "{getattr(old, name)}"; create another limit'
                    raise InvalidArgument.of(Violation(name, reason))
            new = replace(old, **changes)
            if new == old:
                return current
            new = replace(new, updated_at=transaction.now)
            summary = f"Updated {', '.join(_changed_fields(old, new))}"
            return _put(transaction, tenant_id, actor, new, summary)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        limit_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Deletes a limit.

        Raises:
            LimitNotFound: the tenant has no such limit.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> None:
            current = _find(transaction, tenant_id, limit_id)
            precondition.check(current.revision)
            summary = f"Deleted the limit of {current.value.subject}"
            transaction.delete(KIND, tenant_id, limit_id, actor=actor, summary=summary)

        return await self._workspace.write(tenant_id, work)

    async def usage(self, tenant_id: str, request: PageRequest) -> UsageReport:
        """Returns a page of what the tenant's subjects have used.

        The first page has all counts of other processes.

        Raises:
            InvalidArgument: there is no such page.
            StoreUnavailable: the store cannot be used.
        """
        page = await self.list(tenant_id, request)
        limits = [ActiveLimit.of(limit) for limit in page.items]
        refresh = not request.token
        return UsageReport(page, await self._metering.spent(tenant_id, limits, refresh=refresh))


def _find(reader: Reader, tenant_id: str, limit_id: str) -> Versioned[Limit]:
    entity = reader.get(KIND, tenant_id, limit_id)
    if entity is None:
        raise LimitNotFound(f"there is no limit {limit_id}")
    return Versioned(Limit(**entity.body), entity.revision)


def _put(
    transaction: Transaction, tenant_id: str, actor: str, limit: Limit, summary: str
) -> Versioned[Limit]:
    # The scope is "user" or "group", so two subjects never share a name.
    name = f"{limit.scope}:{limit.subject_id}"
    entity = StoredEntity(KIND, tenant_id, limit.id, body_of(limit), name=name)
    try:
        return Versioned(limit, transaction.put(entity, actor=actor, summary=summary).revision)
    except NameTaken as error:
        raise LimitExists(
            f"{limit.subject} has a limit already",
            Violation("subject_id", f"has the limit {error.holder_id}"),
        ) from None


def _changed_fields(old: Limit, new: Limit) -> list[str]:
    return [
        name
        for name in Limit.__slots__
        if name != "updated_at" and getattr(old, name) != getattr(new, name)
    ]
