"""Policies of a tenant's customers and their versions (seeds 001, 004)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.versioned import ANYTHING, Expectation, Versioned
from pdp.domain.customer_policy import KIND, MAX_BYTES, CustomerPolicy, body_of, find_violations
from pdp.domain.stored_entity import StoredEntity
from pdp.engine.rules.customers import compile_customer
from pdp.errors import (
    CustomerNotFound,
    InvalidArgument,
    RequestTooLarge,
    Violation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction

MAX_CUSTOMERS: Final = 10_000
"""Customers that one tenant may have policies of."""

MAX_FAULTS: Final = 32
"""Faults that one error names."""


@dataclass(frozen=True, slots=True)
class CustomerPolicyVersion:
    """A policy as it once was, with who made it so, when (seconds since the epoch) and why."""

    policy: CustomerPolicy
    changed_by: str
    changed_at: float
    summary: str


@dataclass(frozen=True, slots=True)
class History:
    """A page of a policy's versions, newest first.

    Attributes:
        versions: those of the page.
        total: how many there are.
        current: the version in force; None where the policy was deleted.
    """

    versions: Sequence[CustomerPolicyVersion]
    total: int
    current: int | None


class CustomerPolicies:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def get(self, tenant_id: str, customer_id: str) -> Versioned[CustomerPolicy]:
        """Returns a customer's policy.

        Raises:
            CustomerNotFound: there is none.
        """

        def work(reader: Reader) -> Versioned[CustomerPolicy]:
            record = _find(reader, tenant_id, customer_id)
            return Versioned(CustomerPolicy(**record.body), record.revision)

        return await self._workspace.read(work)

    async def put(
        self,
        tenant_id: str,
        actor: str,
        customer_id: str,
        document: Mapping[str, Any],
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[CustomerPolicy]]:
        """Creates a customer's policy, or replaces it as a whole, and makes a version.

        Raises:
            InvalidArgument: the document has faults; it names them, up to `MAX_FAULTS`. Or the
                customer's id cannot be kept, or is one too many.
            InvalidCondition: so have its conditions.
            RequestTooLarge: it is larger than `MAX_BYTES`.
            PreconditionFailed: the policy is not as its writer expects.
        """
        if "\0" in customer_id:
            raise InvalidArgument.of(Violation("customer_id", "must not contain NUL"))
        # A document may have a thousand conditions: the event loop need not wait for them.
        await asyncio.to_thread(check, CustomerPolicy(customer_id, document))

        def work(transaction: Transaction) -> Versioned[CustomerPolicy]:
            present = transaction.get(KIND, tenant_id, customer_id)
            expected.check(present.revision if present else None)
            before = CustomerPolicy(**present.body) if present else None
            if before is None and transaction.count(KIND, tenant_id) >= MAX_CUSTOMERS:
                reason = f"a tenant may have policies of at most {MAX_CUSTOMERS} customers"
                raise InvalidArgument.of(Violation("customer_id", reason))
            policy = CustomerPolicy(
                customer_id,
                document,
                version=1 + _last_version(transaction, tenant_id, customer_id, before),
                created_at=before.created_at if before else transaction.now,
                updated_at=transaction.now,
            )
            record = StoredEntity(KIND, tenant_id, customer_id, body_of(policy))
            record = transaction.put(record, actor=actor, summary=_summary(before, policy))
            return Versioned(policy, record.revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self, tenant_id: str, actor: str, customer_id: str, expected: Expectation = ANYTHING
    ) -> Written[None]:
        """Takes a policy out of force, so that the customer is unknown; its history stays.

        Raises:
            CustomerNotFound: there is none.
            PreconditionFailed: the policy is not as its writer expects.
        """

        def work(transaction: Transaction) -> None:
            expected.check(_find(transaction, tenant_id, customer_id).revision)
            transaction.delete(KIND, tenant_id, customer_id, actor=actor, summary="Deleted")

        return await self._workspace.write(tenant_id, work)

    async def versions(
        self, tenant_id: str, customer_id: str, *, number: int, size: int
    ) -> History:
        """Returns a page of a policy's history; a deleted policy's too.

        Args:
            tenant_id: whose customer it is.
            customer_id: the customer.
            number: of the page, from 1.
            size: versions on a page.

        Raises:
            CustomerNotFound: there has never been such a policy.
        """

        def work(reader: Reader) -> History:
            changes = reader.history(KIND, tenant_id, customer_id)
            if not changes:
                raise _unknown(customer_id)
            versions = [
                CustomerPolicyVersion(
                    CustomerPolicy(**change.after), change.actor, change.at, change.summary
                )
                for change in changes
                if change.after is not None
            ]
            in_force = changes[0].after is not None
            start = (number - 1) * size
            return History(
                versions[start : start + size],
                len(versions),
                versions[0].policy.version if in_force else None,
            )

        return await self._workspace.read(work)


def check(policy: CustomerPolicy, prefix: str = "") -> None:
    """Holds a policy's document against its bounds and compiles its conditions.

    Args:
        policy: the policy.
        prefix: put before the fields' paths, for a document that lies in another.

    Raises:
        InvalidArgument: it has faults; the error names them, up to `MAX_FAULTS`.
        InvalidCondition: so have its conditions.
        RequestTooLarge: it is larger than `MAX_BYTES`.
    """
    size = len(json.dumps(policy.document, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_BYTES:
        raise RequestTooLarge(f"the policies are larger than {MAX_BYTES} bytes")
    found = [
        Violation(prefix + field, reason)
        for field, reason in islice(find_violations(policy.document), MAX_FAULTS)
    ]
    if found:
        raise InvalidArgument.of(*found)
    compile_customer(policy, prefix)


def _find(reader: Reader, tenant_id: str, customer_id: str) -> StoredEntity:
    record = reader.get(KIND, tenant_id, customer_id)
    if record is None:
        raise _unknown(customer_id)
    return record


def _last_version(
    reader: Reader, tenant_id: str, customer_id: str, before: CustomerPolicy | None
) -> int:
    """Returns the newest version there has been, also of a policy that was deleted; 0 for none."""
    if before is not None:
        return before.version
    deleted = next(iter(reader.history(KIND, tenant_id, customer_id)), None)
    return int(deleted.before["version"]) if deleted and deleted.before else 0


def _summary(before: CustomerPolicy | None, after: CustomerPolicy) -> str:
    """Says what changed, in words."""
    if before is None:
        return "Created"
    old, new = before.document, after.document
    changed = [key for key in sorted({*old, *new}) if old.get(key, ...) != new.get(key, ...)]
    return f"Changed {', '.join(changed)}" if changed else "No change"


def _unknown(customer_id: str) -> CustomerNotFound:
    return CustomerNotFound(f"there is no policy of customer {customer_id}")
