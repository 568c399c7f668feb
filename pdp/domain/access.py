"""Access: roles, the roles that each includes, and scopes of calls (docs/access.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PEP: Final = "pep"
"""A policy enforcement point: may request decisions, and nothing else."""

AUDITOR: Final = "auditor"
"""May read."""

EDITOR: Final = "editor"
"""May change policies, read, and request decisions."""

ADMIN: Final = "admin"
"""May create credentials, and do all that an editor and an approver may do."""

APPROVER: Final = "approver"
"""May answer requests that wait for an approval."""

FOLLOWER: Final = "follower"
"""May receive the policies of a tenant, report decisions, and request them. No role includes it:
policies tell an agent how to get around them."""

ROLES: Final = (PEP, AUDITOR, EDITOR, ADMIN, APPROVER, FOLLOWER)

INCLUDED_ROLES: Final[Mapping[str, frozenset[str]]] = {
    PEP: frozenset({PEP}),
    AUDITOR: frozenset({AUDITOR}),
    EDITOR: frozenset({PEP, AUDITOR, EDITOR}),
    ADMIN: frozenset(ROLES) - {FOLLOWER},
    APPROVER: frozenset({APPROVER}),
    FOLLOWER: frozenset({PEP, FOLLOWER}),
}
"""Each role with the roles that it includes."""

ALL_TENANTS: Final = "*"
"""In a credential's list of tenants: all tenants, and the platform's own entities."""

Scope = Literal["tenant", "platform"]
"""What a call acts on: one tenant, or the platform."""


class Caller(NamedTuple):
    """Who asks for a decision.

    Attributes:
        name: its name in the change log; empty for a program that embeds the engine.
        person: the person that its credential names; empty if it names none.
        groups_trusted: whether it may name the groups of the user for what lets a request through:
            exceptions. Rules that stop a request use the groups in any case.
    """

    name: str = ""
    person: str = ""
    groups_trusted: bool = True


NO_CALLER: Final = Caller()


def expand_roles(roles: Iterable[str]) -> frozenset[str]:
    """Returns the roles with all roles that they include. Unknown names are skipped."""
    return frozenset().union(*(INCLUDED_ROLES.get(role, ()) for role in roles))
