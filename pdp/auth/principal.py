"""Who calls, and how that is found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pdp.domain.tenant import DEFAULT_TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls.

    Attributes:
        name: as it is written into the change log.
        tenants: the tenants that it may act for; None for all.
        tenant_id: the tenant that it acts for where a call names none.
    """

    name: str
    tenants: frozenset[str] | None = frozenset()
    tenant_id: str = ""

    def may_act_for(self, tenant_id: str) -> bool:
        """Whether it may act for the tenant."""
        return self.tenants is None or tenant_id in self.tenants


ANONYMOUS: Final = Principal("anonymous")


class Authenticator(Protocol):
    """Finds out who calls."""

    def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        """Returns the principal of the credentials in `metadata` (names in lower case)."""


class DevelopmentAuthenticator:
    """Takes everyone for an admin of every tenant (`PDP_AUTH=dev`).

    Safe only on a loopback address: `pdp.config` refuses any other.
    """

    _ADMIN: Final = Principal("dev-admin", tenants=None, tenant_id=DEFAULT_TENANT)

    def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        """Returns the development admin, with any credential or none."""
        return self._ADMIN
