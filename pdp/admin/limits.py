"""Limits of users and groups: their administration, and how they stand (docs/decide.md, Limits)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.versioned import ANYTHING, Expectation, Versioned
from pdp.domain.limits import KIND, ActiveLimit, Limit, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.errors import InvalidArgument, LimitExists, LimitNotFound, Violation
from pdp.store.codec import check_texts
from pdp.store.port import NameTaken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace, Written
    from pdp.domain.usage import UsageSnapshot
    from pdp.store.port import Reader, Transaction
    from pdp.usage.synchronization import UsageSynchronizer

MAX_LIMITS: Final = 100_000
"""Limits that one tenant may have."""

FIXED: Final = ("scope", "subject_id")
"""What a limit is made for, and stays for."""


@dataclass(frozen=True, slots=True)
class UsageReport:
    """How limits stand: what their subjects have used, by limit."""

    limits: Sequence[Limit]
    spent: UsageSnapshot


class Limits:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace, metering: UsageSynchronizer) -> None:
        self._workspace = workspace
        self._metering = metering

    async def list(self, tenant_id: str) -> Sequence[Limit]:
        """Returns the tenant's limits in order of creation."""
        return await self._workspace.read(lambda reader: _limits(reader, tenant_id))

    async def get(self, tenant_id: str, limit_id: str) -> Versioned[Limit]:
        """Returns one limit.

        Raises:
            LimitNotFound: there is no such limit.
        """
        return await self._workspace.read(lambda reader: _find(reader, tenant_id, limit_id))

    async def create(self, tenant_id: str, actor: str, draft: Limit) -> Written[Versioned[Limit]]:
        """Makes a limit; its id and times are those of `draft` no longer.

        Raises:
            LimitExists: its subject has one already.
            InvalidArgument: the tenant has too many, or the subject's id cannot be kept.
        """
        check_texts(subject_id=draft.subject_id)

        def work(transaction: Transaction) -> Versioned[Limit]:
            if transaction.count(KIND, tenant_id) >= MAX_LIMITS:
                raise InvalidArgument.of(Violation("limits", f"there may be {MAX_LIMITS} at most"))
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
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[Limit]]:
        """Changes the fields in `changes`; what was counted stays. Without any, nothing is written.

        Raises:
            LimitNotFound: there is no such limit.
            InvalidArgument: it is to be for somebody else from now on.
            PreconditionFailed: the limit is not as expected.
        """

        def work(transaction: Transaction) -> Versioned[Limit]:
            present = _find(transaction, tenant_id, limit_id)
            expected.check(present.revision)
            old = present.value
            for name in FIXED:
                if changes.get(name, getattr(old, name)) != getattr(old, name):
                    why = f'cannot be changed from "{getattr(old, name)}"; make another limit'
                    raise InvalidArgument.of(Violation(name, why))
            new = replace(old, **changes)
            if new == old:
                return present
            new = replace(new, updated_at=transaction.now)
            summary = f"Updated {', '.join(_differing(old, new))}"
            return _put(transaction, tenant_id, actor, new, summary)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self, tenant_id: str, actor: str, limit_id: str, expected: Expectation = ANYTHING
    ) -> Written[None]:
        """Deletes a limit.

        Raises:
            LimitNotFound: there is no such limit.
            PreconditionFailed: the limit is not as expected.
        """

        def work(transaction: Transaction) -> None:
            present = _find(transaction, tenant_id, limit_id)
            expected.check(present.revision)
            summary = f"Deleted the limit of {present.value.subject}"
            transaction.delete(KIND, tenant_id, limit_id, actor=actor, summary=summary)

        return await self._workspace.write(tenant_id, work)

    async def usage(self, tenant_id: str) -> UsageReport:
        """Returns how the tenant's limits stand, other processes' counts included.

        Raises:
            StoreUnavailable: the store cannot be used.
        """
        await self._metering.sync()
        limits = await self.list(tenant_id)
        spent = self._metering.meter.spent(tenant_id, [ActiveLimit.of(limit) for limit in limits])
        return UsageReport(limits, spent)


def _limits(reader: Reader, tenant_id: str) -> list[Limit]:
    return [Limit(**record.body) for record in reader.list(KIND, tenant_id)]


def _find(reader: Reader, tenant_id: str, limit_id: str) -> Versioned[Limit]:
    record = reader.get(KIND, tenant_id, limit_id)
    if record is None:
        raise LimitNotFound(f"there is no limit {limit_id}")
    return Versioned(Limit(**record.body), record.revision)


def _put(
    transaction: Transaction, tenant_id: str, actor: str, limit: Limit, summary: str
) -> Versioned[Limit]:
    # The scope is one of two words, so a name cannot be that of two subjects.
    name = f"{limit.scope}:{limit.subject_id}"
    record = StoredEntity(KIND, tenant_id, limit.id, body_of(limit), name=name)
    try:
        return Versioned(limit, transaction.put(record, actor=actor, summary=summary).revision)
    except NameTaken as taken:
        raise LimitExists(
            f"{limit.subject} has a limit already",
            Violation("subject_id", f"has the limit {taken.holder_id}"),
        ) from None


def _differing(old: Limit, new: Limit) -> list[str]:
    return [
        name
        for name in Limit.__slots__
        if name != "updated_at" and getattr(old, name) != getattr(new, name)
    ]
