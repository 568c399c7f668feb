"""Who calls, and how that is found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pdp.domain.access import ADMIN, INCLUDED_ROLES
from pdp.domain.tenant import DEFAULT_TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls.

    Attributes:
        name: as it is written into the change log.
        tenants: the tenants that it may act for; None for all, and for what they share.
        tenant_id: the tenant that it acts for where a call names none; empty where it must.
        roles: all that it has, those that others include too.
    """

    name: str
    tenants: frozenset[str] | None = frozenset()
    tenant_id: str = ""
    roles: frozenset[str] = frozenset()

    def may_act_for(self, tenant_id: str) -> bool:
        """Whether it may act for the tenant."""
        return self.tenants is None or tenant_id in self.tenants


ANONYMOUS: Final = Principal("anonymous")


def principal_for(name: str, roles: frozenset[str], tenants: frozenset[str] | None) -> Principal:
    """Returns a principal that acts for its only tenant where a call names none.

    One for all tenants acts for `default` then, as development mode does; one for several has to be
    told.
    """
    tenant_id = DEFAULT_TENANT if tenants is None else ""
    if tenants is not None and len(tenants) == 1:
        (tenant_id,) = tenants
    return Principal(name, tenants, tenant_id, roles)


class Authenticator(Protocol):
    """Finds out who calls."""

    def authenticate(self, metadata: Mapping[str, str], peer: tuple[str, ...] = ()) -> Principal:
        """Returns the principal of a call.

        Args:
            metadata: with its credentials; names in lower case.
            peer: the names in the client's certificate, where the connection has one.

        Raises:
            Unauthenticated: there is no credential, or it does not count.
        """


class DevelopmentAuthenticator:
    """Takes everyone for an admin of every tenant (`PDP_AUTH=dev`).

    Safe only on a loopback address, where `pdp.config` refuses any other, and for whoever has the
    database itself.
    """

    def __init__(self, name: str = "dev-admin") -> None:
        """Takes the name that is written into the change log."""
        self._admin = principal_for(name, INCLUDED_ROLES[ADMIN], None)

    def authenticate(self, metadata: Mapping[str, str], peer: tuple[str, ...] = ()) -> Principal:
        """Returns the development admin, with any credential or none."""
        return self._admin
