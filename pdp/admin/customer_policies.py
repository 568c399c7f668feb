"""Policies of a tenant's customers, and their versions (the customer policy API)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.customer_policy import KIND, MAX_BYTES, CustomerPolicy, body_of, find_violations
from pdp.domain.stored_entity import StoredEntity
from pdp.engine.rules.customers import (
    MAX_PATTERNS,
    compile_customer,
    refuse_hyphenated_names,
)
from pdp.errors import (
    CustomerNotFound,
    InvalidArgument,
    RequestTooLarge,
    Violation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction

MAX_CUSTOMERS: Final = 10_000
"""How many customers of one tenant may have a policy."""

MAX_FAULTS: Final = 32
"""How many faults one error names."""


@dataclass(frozen=True, slots=True)
class CustomerPolicyVersion:
    """A past or present version of a policy.

    Attributes:
        changed_by: who made the change.
        changed_at: seconds since the epoch.
        summary: what was changed, as a sentence.
    """

    policy: CustomerPolicy
    changed_by: str
    changed_at: float
    summary: str


@dataclass(frozen=True, slots=True)
class CustomerPolicyHistory:
    """A page of a policy's versions, newest first.

    Attributes:
        versions: the versions of the page.
        total: how many versions there are.
        current: the version in force; None if the policy was deleted.
    """

    versions: Sequence[CustomerPolicyVersion]
    total: int
    current: int | None


class CustomerPolicies:
    """Administers the policies of a tenant's customers."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def get(self, tenant_id: str, customer_id: str) -> Versioned[CustomerPolicy]:
        """Returns a customer's policy.

        Raises:
            CustomerNotFound: the customer has no policy.
        """

        def work(reader: Reader) -> Versioned[CustomerPolicy]:
            entity = _find(reader, tenant_id, customer_id)
            return Versioned(CustomerPolicy(**entity.body), entity.revision)

        return await self._workspace.read(work)

    async def put(
        self,
        tenant_id: str,
        actor: str,
        customer_id: str,
        document: Mapping[str, Any],
        precondition: Precondition = NO_PRECONDITION,
        *,
        mode: str = "",
    ) -> WriteResult[Versioned[CustomerPolicy]]:
        """Creates a customer's policy or replaces it as a whole, and adds a version.

        Raises:
            InvalidArgument: the document has faults, of which the error names up to `MAX_FAULTS`;
                or the customer's id cannot be stored, or there are too many customers.
            InvalidCondition: the conditions of the document have faults.
            RequestTooLarge: the document is larger than `MAX_BYTES`.
            PreconditionFailed: `precondition` does not hold.
        """
        if "\0" in customer_id:
            raise InvalidArgument.of(Violation("customer_id", "must not contain NUL"))
        # A document may have a thousand conditions; they must not block the event loop.
        await asyncio.to_thread(check_policy, CustomerPolicy(customer_id, document))

        def work(transaction: Transaction) -> Versioned[CustomerPolicy]:
            entity = transaction.get(KIND, tenant_id, customer_id)
            precondition.check(entity.revision if entity else None)
            before = CustomerPolicy(**entity.body) if entity else None
            if before is None and transaction.count(KIND, tenant_id) >= MAX_CUSTOMERS:
                reason = f"a tenant may have policies of at most {MAX_CUSTOMERS} customers"
                raise InvalidArgument.of(Violation("customer_id", reason))
            policy = CustomerPolicy(
                customer_id,
                document,
                version=1 + _last_version(transaction, tenant_id, customer_id, before),
                created_at=before.created_at if before else transaction.now,
                updated_at=transaction.now,
                mode=mode,
            )
            stored = transaction.put(
                StoredEntity(KIND, tenant_id, customer_id, body_of(policy)),
                actor=actor,
                summary=_summary(before, policy),
            )
            return Versioned(policy, stored.revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        customer_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Deletes a policy; the customer is unknown afterwards. The history is kept.

        Raises:
            CustomerNotFound: the customer has no policy.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> None:
            precondition.check(_find(transaction, tenant_id, customer_id).revision)
            transaction.delete(KIND, tenant_id, customer_id, actor=actor, summary="Deleted")

        return await self._workspace.write(tenant_id, work)

    async def versions(
        self, tenant_id: str, customer_id: str, *, number: int, size: int
    ) -> CustomerPolicyHistory:
        """Returns a page of a policy's history, also if the policy was deleted.

        Args:
            tenant_id: the tenant.
            customer_id: the customer.
            number: the number of the page, from 1.
            size: how many versions a page has.

        Raises:
            CustomerNotFound: the customer has never had a policy.
        """

        def work(reader: Reader) -> CustomerPolicyHistory:
            def history(**bounds: int) -> list[CustomerPolicyVersion]:
                changes = reader.history(KIND, tenant_id, customer_id, deletions=False, **bounds)
                return [
                    CustomerPolicyVersion(
                        CustomerPolicy(**change.after), change.actor, change.at, change.summary
                    )
                    for change in changes
                    if change.after is not None
                ]

            newest = history(limit=1)
            if not newest:
                raise _not_found(customer_id)
            in_force = reader.get(KIND, tenant_id, customer_id) is not None
            return CustomerPolicyHistory(
                history(skip=(number - 1) * size, limit=size),
                reader.count_changes(KIND, tenant_id, customer_id, deletions=False),
                newest[0].policy.version if in_force else None,
            )

        return await self._workspace.read(work)


def check_policy(policy: CustomerPolicy, prefix: str = "") -> None:
    """Checks a policy's document against its bounds and compiles its conditions.

    Args:
        policy: the policy.
        prefix: put before the paths of fields, if the document is part of another one.

    Raises:
        InvalidArgument: the document has faults; the error names up to `MAX_FAULTS`.
        InvalidCondition: the conditions of the document have faults.
        RequestTooLarge: the document is larger than `MAX_BYTES`.
    """
    size = len(json.dumps(policy.document, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_BYTES:
        raise RequestTooLarge(f"the policies are larger than {MAX_BYTES} bytes")
    violations = [
        Violation(prefix + field, reason)
        for field, reason in islice(find_violations(policy.document), MAX_FAULTS)
    ]
    if violations:
        raise InvalidArgument.of(*violations)
    patterns = compile_customer(policy, prefix).patterns
    if patterns > MAX_PATTERNS:
        reason = f"at most {MAX_PATTERNS} patterns of MATCHES and LIKE, not {patterns}"
        raise InvalidArgument.of(Violation(f"{prefix}custom_rules", reason))
    refuse_hyphenated_names(policy, prefix)


def _find(reader: Reader, tenant_id: str, customer_id: str) -> StoredEntity:
    entity = reader.get(KIND, tenant_id, customer_id)
    if entity is None:
        raise _not_found(customer_id)
    return entity


def _last_version(
    reader: Reader, tenant_id: str, customer_id: str, before: CustomerPolicy | None
) -> int:
    """Returns the number of the newest version, also of a deleted policy; 0 if it is new."""
    if before is not None:
        return before.version
    newest = reader.history(KIND, tenant_id, customer_id, limit=1, deletions=False)
    return int(newest[0].after["version"]) if newest and newest[0].after else 0


def _summary(before: CustomerPolicy | None, after: CustomerPolicy) -> str:
    """Returns a sentence that names the changed fields."""
    if before is None:
        return "Created"
    old, new = before.document, after.document
    changed = [key for key in sorted({*old, *new}) if old.get(key, ...) != new.get(key, ...)]
    return f"Changed {', '.join(changed)}" if changed else "No change"


def _not_found(customer_id: str) -> CustomerNotFound:
    return CustomerNotFound(f"there is no policy of customer {customer_id}")
