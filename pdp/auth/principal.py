"""Principals, and the interface of authentication."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

from pdp.domain.access import ADMIN, INCLUDED_ROLES, Caller
from pdp.domain.tenant import DEFAULT_TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping

RejectionReason = Literal["missing", "malformed", "unknown", "expired", "invalid"]
"""Why a credential is rejected, for metrics. The caller does not get it."""

CredentialKind = Literal["none", "api_key", "jwt", "certificate", "local", "development"]
"""What a caller has proved itself with. `local` is a caller on the same machine without a
credential."""


class CredentialRejected(Exception):
    """A credential is not valid."""

    def __init__(self, reason: RejectionReason) -> None:
        super().__init__(reason)
        self.reason: RejectionReason = reason


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller.

    Attributes:
        name: the caller's name in the change log.
        tenants: the tenants that it may act for; None for all tenants and the platform.
        tenant_id: the tenant that it acts for if a call names none; empty if a call must name one.
        roles: its roles, with the roles that they include.
        groups_trusted: whether the groups of a user in its requests are believed for exceptions.
        person: the person that the credential names; empty if it names none.
        groups: the groups of that person, as the credential has them.
        kind: the kind of the credential.
        expires_at: when the credential expires, in seconds since the epoch; None for never.
        caller: what requests for decisions keep of it.
    """

    name: str
    tenants: frozenset[str] | None = frozenset()
    tenant_id: str = ""
    roles: frozenset[str] = frozenset()
    groups_trusted: bool = True
    person: str = ""
    groups: tuple[str, ...] = ()
    kind: CredentialKind = "none"
    expires_at: float | None = None
    caller: Caller = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        caller = Caller(self.name, self.person, self.groups_trusted)
        object.__setattr__(self, "caller", caller)

    def may_act_for(self, tenant_id: str) -> bool:
        """Returns whether the principal may act for the tenant."""
        return self.tenants is None or tenant_id in self.tenants


ANONYMOUS: Final = Principal("anonymous")


def principal_for(
    name: str,
    roles: frozenset[str],
    tenants: frozenset[str] | None,
    kind: CredentialKind,
    *,
    person: str = "",
    groups: tuple[str, ...] = (),
    expires_at: float | None = None,
) -> Principal:
    """Returns a principal with the tenant for calls that name none.

    A principal for one tenant acts for that tenant. A principal for all tenants acts for `default`,
    as in development mode. A principal for several tenants has to name one in each call.
    """
    tenant_id = DEFAULT_TENANT if tenants is None else ""
    if tenants is not None and len(tenants) == 1:
        (tenant_id,) = tenants
    return Principal(
        name,
        tenants,
        tenant_id,
        roles,
        person=person,
        groups=groups,
        kind=kind,
        expires_at=expires_at,
    )


class Authenticator(Protocol):
    """Identifies the caller."""

    def authenticate(self, metadata: Mapping[str, str], peer: tuple[str, ...] = ()) -> Principal:
        """Returns the principal of a call.

        Args:
            metadata: the headers of the call, with credentials; names in lower case.
            peer: the names in the client's certificate; empty if the connection has none.

        Raises:
            Unauthenticated: the call has no credential, or an invalid one.
        """


class DevelopmentAuthenticator:
    """Treats every caller as an admin of every tenant (`PDP_AUTH=dev`).

    This is safe only on a loopback address (`pdp.config` refuses others), and in a process that has
    the database itself.
    """

    def __init__(self, name: str = "dev-admin") -> None:
        """Takes the caller's name for the change log."""
        self._admin = principal_for(name, INCLUDED_ROLES[ADMIN], None, "development")

    def authenticate(self, metadata: Mapping[str, str], peer: tuple[str, ...] = ()) -> Principal:
        """Returns the development admin, with or without a credential."""
        return self._admin
