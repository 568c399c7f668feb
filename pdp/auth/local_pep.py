"""Authentication of callers on the same machine without a credential (`PDP_AUTH=local-pep`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.auth.credentials import has_credential
from pdp.auth.principal import Principal
from pdp.domain.access import INCLUDED_ROLES, PEP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.auth.credentials import CredentialAuthenticator

NAME: Final = "local-pep"
"""The name of the principal, which all callers without a credential share."""


class LocalPepAuthenticator:
    """Gives a call without a credential the role `pep` for one tenant.

    This is safe only if the server listens on loopback or on Unix sockets alone (`pdp.config`
    refuses other listeners). The address of the peer is not used: a proxy would make every caller
    local. A call with a credential is authenticated by it; one that is not valid is refused.
    """

    def __init__(self, tenant_id: str, credentials: CredentialAuthenticator) -> None:
        """Initialises the authenticator.

        Args:
            tenant_id: the tenant that a call without a credential acts for.
            credentials: authenticates the calls with a credential.
        """
        self._credentials = credentials
        self._local = Principal(
            NAME,
            frozenset({tenant_id}),
            tenant_id,
            INCLUDED_ROLES[PEP],
            groups_trusted=False,
            kind="local",
        )

    def authenticate(self, metadata: Mapping[str, str], peer: tuple[str, ...] = ()) -> Principal:
        """Returns the caller; see `Authenticator.authenticate`."""
        if has_credential(metadata):
            return self._credentials.authenticate(metadata, peer)
        return self._credentials.of_certificate(peer) or self._local
