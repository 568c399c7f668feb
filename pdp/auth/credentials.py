"""Authentication by the credentials of a call (`PDP_AUTH=required`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.auth.principal import CredentialRejected
from pdp.domain.api_key import MARK
from pdp.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.auth.client_certificates import ClientTable
    from pdp.auth.jwt import TokenVerifier
    from pdp.auth.keys import KeyRing
    from pdp.auth.principal import Principal, RejectionReason

KEY_HEADER: Final = "x-api-key"
AUTHORIZATION: Final = "authorization"

_SCHEME: Final = "bearer"
_SCHEME_LENGTH: Final = len("Bearer ")
_BEARER_KEY: Final = f"Bearer {MARK}"
_MISSING: Final = "a credential is required: send X-API-Key, or Authorization: Bearer"
_INVALID: Final = "the credential is not valid: it is unknown, expired or revoked"


def has_credential(metadata: Mapping[str, str]) -> bool:
    """Returns whether the metadata of a call has a key or a token, valid or not."""
    return KEY_HEADER in metadata or AUTHORIZATION in metadata


class CredentialAuthenticator:
    """Accepts an API key, a token or a client certificate.

    A key or a token takes precedence over the certificate: the certificate identifies the
    connection, the key or token identifies the caller. If the key or token is not valid, the call
    is refused, regardless of the certificate.
    """

    def __init__(
        self,
        keys: KeyRing,
        tokens: TokenVerifier | None,
        clients: ClientTable,
        count_refusal: Callable[[RejectionReason], None],
    ) -> None:
        """Initialises the authenticator.

        Args:
            keys: the API keys.
            tokens: verifies tokens; None if tokens are not accepted.
            clients: the principals of client certificates.
            count_refusal: counts each refused call by its reason.
        """
        self._keys = keys
        self._tokens = tokens
        self._clients = clients
        self._count_refusal = count_refusal

    def authenticate(self, metadata: Mapping[str, str], peer: tuple[str, ...] = ()) -> Principal:
        """Returns the caller; see `Authenticator.authenticate`."""
        key = metadata.get(KEY_HEADER)
        bearer = metadata.get(AUTHORIZATION)
        try:
            if bearer is not None:
                return self._bearer(bearer, key)
            if key is not None:
                return self._keys.principal_of(key)
        except CredentialRejected as rejection:
            self._count_refusal(rejection.reason)
            raise Unauthenticated(_INVALID) from None
        principal = self.of_certificate(peer)
        if principal is None:
            self._count_refusal("unknown" if peer else "missing")
            raise Unauthenticated(_MISSING)
        return principal

    def of_certificate(self, peer: tuple[str, ...]) -> Principal | None:
        """Returns the principal of a client certificate; None if it is not a credential.

        Args:
            peer: the names in the certificate; empty if the connection has none.
        """
        return self._clients.principal_of(peer) if peer else None

    def _bearer(self, header: str, key: str | None) -> Principal:
        if key is None and header.startswith(_BEARER_KEY):  # the usual spelling
            return self._keys.principal_of(header[_SCHEME_LENGTH:])
        scheme, _, token = header.partition(" ")
        if scheme.lower() != _SCHEME or key is not None:  # two credentials may have two owners
            raise CredentialRejected("malformed")
        token = token.strip()
        if token.startswith(MARK):
            return self._keys.principal_of(token)
        if self._tokens is None:
            raise CredentialRejected("unknown")
        return self._tokens.principal_of(token)
