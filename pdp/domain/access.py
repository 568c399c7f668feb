"""Who may do what: roles, what each includes, the tenants it counts for (docs/access.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PEP: Final = "pep"
"""Asks for decisions, and nothing else: a policy enforcement point."""

AUDITOR: Final = "auditor"
"""Reads."""

EDITOR: Final = "editor"
"""Changes policies; reads and asks, too."""

ADMIN: Final = "admin"
"""Makes credentials; does whatever an editor does, too."""

ROLES: Final = (PEP, AUDITOR, EDITOR, ADMIN)

INCLUDED: Final[Mapping[str, frozenset[str]]] = {
    PEP: frozenset({PEP}),
    AUDITOR: frozenset({AUDITOR}),
    EDITOR: frozenset({PEP, AUDITOR, EDITOR}),
    ADMIN: frozenset(ROLES),
}
"""Each role with those that it includes."""

ALL_TENANTS: Final = "*"
"""Stands for every tenant, and for what they share, where a credential's tenants are listed."""

Scope = Literal["tenant", "platform"]
"""For whom a call acts: one tenant, or all at once."""


def including(roles: Iterable[str]) -> frozenset[str]:
    """Returns the roles with all that they include; names that are no role count for nothing."""
    return frozenset().union(*(INCLUDED.get(role, ()) for role in roles))
