"""The principals of signed tokens (RFC 7519). PyJWT verifies the signature.

This module adds what PyJWT leaves to its caller:

- A key is used only with the algorithm of its type. So `none` is refused, and a public key cannot
  be used as an HMAC secret.
- Keys come only from the settings. `jwk`, `jku`, `x5u` and `x5c` of a token are ignored.
- `kid` is only compared, never used as a path or in a query.
- A token with `crit` is refused.
- Issuer, audience, subject and expiry are required.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt
from cachetools import TLRUCache, TTLCache

from pdp.auth.principal import CredentialRejected, Principal, principal_for
from pdp.domain.access import ALL_TENANTS, expand_roles
from pdp.domain.tenant import is_tenant_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.auth.jwks import KeySet
    from pdp.auth.principal import RejectionReason

MAX_TOKEN_LENGTH: Final = 8192
MAX_KID_LENGTH: Final = 256
MAX_SUBJECT_LENGTH: Final = 256
MAX_TENANTS: Final = 1000
MAX_GROUPS: Final = 1000
MAX_GROUP_LENGTH: Final = 256

VERIFIED_TTL_S: Final = 60.0
"""How long a verified token is cached; never beyond its expiry."""

REJECTED_TTL_S: Final = 10.0
MAX_CACHED: Final = 10_000

_REQUIRED: Final = ("exp", "iss", "aud", "sub")


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The requirements on tokens, and the claims with roles, tenants and groups.

    Attributes:
        issuer, audience: the required values of `iss` and `aud`.
        leeway_s: the accepted difference of clocks.
        roles_claim: the claim with the roles, as a list or separated by spaces.
        tenants_claim: the claim with the tenants, in the same form; `*` means all tenants.
        groups_claim: the claim with the groups of the person, as a list.
    """

    issuer: str
    audience: str
    leeway_s: float = 30.0
    roles_claim: str = "roles"
    tenants_claim: str = "tenants"
    groups_claim: str = "groups"


class _VerifiedToken:
    __slots__ = ("expires_at", "principal")

    def __init__(self, principal: Principal, expires_at: float) -> None:
        self.principal = principal
        self.expires_at = expires_at


def _until(_digest: bytes, verified: _VerifiedToken, now: float) -> float:
    return min(now + VERIFIED_TTL_S, verified.expires_at)


class TokenVerifier:
    """Verifies tokens. Confined to one thread, the server's event loop."""

    def __init__(
        self,
        rules: TokenRules,
        keys: Callable[[], KeySet],
        report_unknown_key: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Initialises the verifier.

        Args:
            rules: the requirements on tokens.
            keys: returns the valid keys: the same set until they change.
            report_unknown_key: called if a token's key is not in the set.
            clock: returns the time for the caches, in seconds since the epoch.
        """
        self._rules = rules
        self._keys = keys
        self._report_unknown_key = report_unknown_key
        self._last_keys = keys()
        self._verified: TLRUCache[bytes, _VerifiedToken] = TLRUCache(MAX_CACHED, _until, clock)
        self._rejected: TTLCache[bytes, RejectionReason] = TTLCache(
            MAX_CACHED, REJECTED_TTL_S, clock
        )

    def principal_of(self, token: str) -> Principal:
        """Returns the subject of a token.

        Raises:
            CredentialRejected: the token is not valid.
        """
        if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
            raise CredentialRejected("malformed")
        keys = self._keys()
        if keys is not self._last_keys:  # cached results belong to the old keys
            self._verified.clear()
            self._rejected.clear()
            self._last_keys = keys
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None:
            return known.principal
        reason = self._rejected.get(digest)
        if reason is not None:
            raise CredentialRejected(reason)
        try:
            verified = self._verify(token, keys)
        except CredentialRejected as rejection:
            self._rejected[digest] = rejection.reason
            raise
        self._verified[digest] = verified
        return verified.principal

    def _verify(self, token: str, keys: KeySet) -> _VerifiedToken:
        key = self._key(token, keys)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=self._rules.leeway_s,
                options={"require": list(_REQUIRED)},
            )
            expires_at = float(claims["exp"]) + self._rules.leeway_s
        except jwt.ExpiredSignatureError:
            raise CredentialRejected("expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise CredentialRejected("invalid") from None
        return _VerifiedToken(self._principal(claims), expires_at)

    def _key(self, token: str, keys: KeySet) -> Any:
        """Returns the key that the token names."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise CredentialRejected("malformed") from None
        kid = header.get("kid", "")
        if "crit" in header or not isinstance(kid, str) or len(kid) > MAX_KID_LENGTH:
            raise CredentialRejected("malformed")
        algorithm = header.get("alg")
        key = keys.find(kid, algorithm) if isinstance(algorithm, str) else None
        if key is None:
            self._report_unknown_key()
            raise CredentialRejected("unknown")
        return key

    def _principal(self, claims: dict[str, Any]) -> Principal:
        subject = claims["sub"]
        if not 0 < len(subject) <= MAX_SUBJECT_LENGTH or not subject.isprintable():
            raise CredentialRejected("invalid")
        roles = expand_roles(_values(claims.get(self._rules.roles_claim, ())))
        tenants = _values(claims.get(self._rules.tenants_claim, ()))
        groups = _groups(claims.get(self._rules.groups_claim))
        if ALL_TENANTS in tenants:
            bound_to = None
        elif len(tenants) > MAX_TENANTS or not all(map(is_tenant_id, tenants)):
            raise CredentialRejected("invalid")
        else:
            bound_to = frozenset(tenants)
        return principal_for(
            f"jwt:{subject}",
            roles,
            bound_to,
            "jwt",
            person=subject,
            groups=groups,
            expires_at=float(claims["exp"]),
        )


def _groups(claim: Any) -> tuple[str, ...]:
    """Returns the groups of a claim. One that is not understood has none: groups only add rights.

    The claim has another purpose as well, so it is no reason to reject a token.
    """
    if not isinstance(claim, list) or len(claim) > MAX_GROUPS:
        return ()
    return tuple(each for each in claim if isinstance(each, str) and len(each) <= MAX_GROUP_LENGTH)


def _values(claim: Any) -> list[str]:
    """Returns the values of a claim that is a list of strings, or words in one string.

    Raises:
        CredentialRejected: the claim has another type.
    """
    if isinstance(claim, str):
        return claim.split()
    if not isinstance(claim, (list, tuple)) or not all(isinstance(each, str) for each in claim):
        raise CredentialRejected("invalid")
    return list(claim)
