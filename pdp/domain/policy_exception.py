"""Exceptions: for whom, where and until when a policy is lifted (docs/exceptions.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

KIND: Final = "policy_exception"

MAX_EXCEPTIONS: Final = 1_000
"""Exceptions of one tenant."""

MAX_TENANT_PATTERNS: Final = 1_000
"""Value patterns of all exceptions of one tenant."""

PROPOSED: Final = "proposed"
APPROVED: Final = "approved"

SUBJECT_FIELDS: Final = ("groups", "users", "agents", "customers")
"""The fields that say for whom an exception is."""

TARGET_FIELDS: Final = ("policies", "families", "dlp_rules", "entity_types", "rules")
"""The fields that say what an exception lifts, besides `org_risk`."""


class ExceptionState(NamedTuple):
    """Where an exception stands; see `PolicyException`. Only the server sets these fields."""

    state: str
    proposed_by: str
    approved_by: str


def new_approval(author: str, *, needs_approval: bool) -> ExceptionState:
    """Returns where an exception stands as its author makes it: approved, if that is enough.

    Args:
        author: who makes it.
        needs_approval: whether another person must approve it.
    """
    if needs_approval:
        return ExceptionState(PROPOSED, author, "")
    return ExceptionState(APPROVED, author, author)


@dataclass(frozen=True, slots=True)
class PolicyException:
    """A policy, lifted for some requests.

    A request meets an exception if it meets each list that is not empty, and the expression.

    Attributes:
        everyone: whether the exception is for all subjects; only then may it name none, unless it
            is for single values.
        groups, users, agents, customers: for whom it is.
        policies: the IDs of the static policies that it lifts.
        families: the families of system policies that it lifts, such as `command`.
        dlp_rules: the IDs of the DLP rules that it lifts.
        entity_types: the types of data that it lifts, in all DLP rules.
        rules: the IDs of the rules of packs that it lifts.
        org_risk: whether it lifts the block of the org policy by risk.
        models: names of models or patterns with `*`; matched exactly as they are written.
        tools, scope, expression: the requests and places for which it holds.
        values: if set, only findings of exactly these values are lifted.
        value_patterns: RE2; if set, only findings whose whole value matches one are lifted.
        valid_from, valid_until: seconds since the epoch, by the server's clock; None for no bound.
        reason, ticket: why.
        owner: who answers for it.
        state: `PROPOSED` or `APPROVED`; only an approved exception lifts anything.
        proposed_by, approved_by: the callers who did so.
        created_at, updated_at: seconds since the epoch.
    """

    id: str
    name: str
    reason: str = ""
    ticket: str = ""
    owner: str = ""
    description: str = ""
    everyone: bool = False
    groups: Sequence[str] = ()
    users: Sequence[str] = ()
    agents: Sequence[str] = ()
    customers: Sequence[str] = ()
    policies: Sequence[str] = ()
    families: Sequence[str] = ()
    dlp_rules: Sequence[str] = ()
    entity_types: Sequence[str] = ()
    rules: Sequence[str] = ()
    org_risk: bool = False
    models: Sequence[str] = ()
    tools: Sequence[str] = ()
    scope: Sequence[str] = ()
    expression: str = ""
    values: Sequence[str] = ()
    value_patterns: Sequence[str] = ()
    valid_from: float | None = None
    valid_until: float | None = None
    state: str = APPROVED
    proposed_by: str = ""
    approved_by: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def is_by_value(self) -> bool:
        """Whether it lifts single values only."""
        return bool(self.values or self.value_patterns)


def body_of(exception: PolicyException) -> dict[str, Any]:
    """Returns the fields of `exception` as the store keeps them."""
    return {name: getattr(exception, name) for name in exception.__slots__}
