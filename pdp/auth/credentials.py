"""What a call brings with it, and whose that is (`PDP_AUTH=required`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.auth.rejections import CredentialRejected
from pdp.domain.api_key import MARK
from pdp.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.auth.client_certificates import ClientTable
    from pdp.auth.jwt import TokenVerifier
    from pdp.auth.keys import KeyRing
    from pdp.auth.principal import Principal
    from pdp.auth.rejections import Why

KEY_HEADER: Final = "x-api-key"
AUTHORIZATION: Final = "authorization"

_SCHEME: Final = "bearer"
_SCHEME_LENGTH: Final = len("Bearer ")
_BEARER_KEY: Final = f"Bearer {MARK}"
_MISSING: Final = "a credential is required: send X-API-Key, or Authorization: Bearer"
_NOT_COUNTING: Final = "the credential does not count: it is unknown, expired or revoked"


class CredentialAuthenticator:
    """Takes an API key, a token or a client certificate for whoever it was given to.

    A key or a token goes before the certificate: that says who the connection is from, they say
    who the call is. One that does not count is refused, whatever the certificate.
    """

    def __init__(
        self,
        keys: KeyRing,
        tokens: TokenVerifier | None,
        clients: ClientTable,
        refused: Callable[[Why], None],
    ) -> None:
        """Args:
        keys: the API keys.
        tokens: what verifies tokens; None where none are taken.
        clients: whose client certificates are.
        refused: counts what is refused, by why.
        """
        self._keys = keys
        self._tokens = tokens
        self._clients = clients
        self._refused = refused

    def authenticate(self, metadata: Mapping[str, str], peer: tuple[str, ...] = ()) -> Principal:
        """Returns who calls; see `Authenticator.authenticate`."""
        key = metadata.get(KEY_HEADER)
        bearer = metadata.get(AUTHORIZATION)
        try:
            if bearer is not None:
                return self._bearer(bearer, key)
            if key is not None:
                return self._keys.principal_of(key)
        except CredentialRejected as refusal:
            self._refused(refusal.why)
            raise Unauthenticated(_NOT_COUNTING) from None
        principal = self._clients.principal_of(peer) if peer else None
        if principal is None:
            self._refused("unknown" if peer else "missing")
            raise Unauthenticated(_MISSING)
        return principal

    def _bearer(self, header: str, key: str | None) -> Principal:
        if key is None and header.startswith(_BEARER_KEY):  # as nearly all are written
            return self._keys.principal_of(header[_SCHEME_LENGTH:])
        scheme, _, token = header.partition(" ")
        if scheme.lower() != _SCHEME or key is not None:  # two credentials may be two people's
            raise CredentialRejected("malformed")
        token = token.strip()
        if token.startswith(MARK):
            return self._keys.principal_of(token)
        if self._tokens is None:
            raise CredentialRejected("unknown")
        return self._tokens.principal_of(token)
