"""Access: roles, the roles that each includes, and scopes of calls (docs/access.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PEP: Final = "pep"
"""A policy enforcement point: may request decisions, and nothing else."""

AUDITOR: Final = "auditor"
"""May read."""

EDITOR: Final = "editor"
"""May change policies, read, and request decisions."""

ADMIN: Final = "admin"
"""May create credentials, and do all that an editor may do."""

ROLES: Final = (PEP, AUDITOR, EDITOR, ADMIN)

INCLUDED_ROLES: Final[Mapping[str, frozenset[str]]] = {
    PEP: frozenset({PEP}),
    AUDITOR: frozenset({AUDITOR}),
    EDITOR: frozenset({PEP, AUDITOR, EDITOR}),
    ADMIN: frozenset(ROLES),
}
"""Each role with the roles that it includes."""

ALL_TENANTS: Final = "*"
"""In a credential's list of tenants: all tenants, and the platform's own entities."""

Scope = Literal["tenant", "platform"]
"""What a call acts on: one tenant, or the platform."""


def expand_roles(roles: Iterable[str]) -> frozenset[str]:
    """Returns the roles with all roles that they include. Unknown names are skipped."""
    return frozenset().union(*(INCLUDED_ROLES.get(role, ()) for role in roles))
