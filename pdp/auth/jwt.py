"""Signed tokens to principals (RFC 7519): PyJWT checks the signature, this what PyJWT leaves open.

What is closed here: an algorithm is taken only together with a key of its own kind, so neither
`none` nor a public key used as an HMAC secret gets anywhere; keys come from the settings alone,
whatever `jwk`, `jku`, `x5u` or `x5c` a token brings; `kid` is compared, never a path or a query; a
token with `crit` is refused; issuer, audience, subject and expiry have to be there.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt
from cachetools import TLRUCache, TTLCache

from pdp.auth.principal import Principal, principal_for
from pdp.auth.rejections import CredentialRejected
from pdp.domain.access import ALL_TENANTS, expand_roles
from pdp.domain.tenant import is_tenant_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.auth.jwks import KeySet
    from pdp.auth.rejections import Why

MAX_TOKEN_LENGTH: Final = 8192
MAX_KID_LENGTH: Final = 256
MAX_SUBJECT_LENGTH: Final = 256
MAX_TENANTS: Final = 1000

VERIFIED_TTL_S: Final = 60.0
"""How long a token counts without its signature being checked again; never beyond its expiry."""

REFUSED_TTL_S: Final = 10.0
MAX_CACHED: Final = 10_000

_REQUIRED: Final = ("exp", "iss", "aud", "sub")


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say, and where it says who its subject is.

    Attributes:
        issuer, audience: what `iss` and `aud` must be.
        leeway_s: by how much clocks may differ.
        roles_claim: lists roles, as a list or separated by spaces.
        tenants_claim: lists tenants in the same way; `*` stands for all.
    """

    issuer: str
    audience: str
    leeway_s: float = 30.0
    roles_claim: str = "roles"
    tenants_claim: str = "tenants"


class _Verified:
    __slots__ = ("expires_at", "principal")

    def __init__(self, principal: Principal, expires_at: float) -> None:
        self.principal = principal
        self.expires_at = expires_at


def _until(_digest: bytes, verified: _Verified, now: float) -> float:
    return min(now + VERIFIED_TTL_S, verified.expires_at)


class TokenVerifier:
    """Verifies tokens. Confined to one thread, the server's event loop."""

    def __init__(
        self,
        rules: TokenRules,
        keys: Callable[[], KeySet],
        unknown_key: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Args:
        rules: what tokens must say.
        keys: returns the keys that count: the same set until they change.
        unknown_key: told of a token that is signed by a key not among them.
        clock: tells what is cached when it expires.
        """
        self._rules = rules
        self._keys = keys
        self._unknown_key = unknown_key
        self._seen = keys()
        self._verified: TLRUCache[bytes, _Verified] = TLRUCache(MAX_CACHED, _until, clock)
        self._refused: TTLCache[bytes, Why] = TTLCache(MAX_CACHED, REFUSED_TTL_S, clock)

    def principal_of(self, token: str) -> Principal:
        """Returns the subject of a token.

        Raises:
            Refused: the token does not count.
        """
        if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
            raise CredentialRejected("malformed")
        keys = self._keys()
        if keys is not self._seen:  # what old keys have signed, new ones may not have
            self._verified.clear()
            self._refused.clear()
            self._seen = keys
        digest = hashlib.sha256(token.encode()).digest()
        found = self._verified.get(digest)
        if found is not None:
            return found.principal
        why = self._refused.get(digest)
        if why is not None:
            raise CredentialRejected(why)
        try:
            verified = self._verify(token, keys)
        except CredentialRejected as refusal:
            self._refused[digest] = refusal.why
            raise
        self._verified[digest] = verified
        return verified.principal

    def _verify(self, token: str, keys: KeySet) -> _Verified:
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
        return _Verified(self._principal(claims), expires_at)

    def _key(self, token: str, keys: KeySet) -> Any:
        """Returns the key that the token says to be signed by, if that is one of ours."""
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
            self._unknown_key()
            raise CredentialRejected("unknown")
        return key

    def _principal(self, claims: dict[str, Any]) -> Principal:
        subject = claims["sub"]
        if not 0 < len(subject) <= MAX_SUBJECT_LENGTH or not subject.isprintable():
            raise CredentialRejected("invalid")
        roles = expand_roles(_listed(claims.get(self._rules.roles_claim, ())))
        named = _listed(claims.get(self._rules.tenants_claim, ()))
        if ALL_TENANTS in named:
            return principal_for(f"jwt:{subject}", roles, None)
        if len(named) > MAX_TENANTS or not all(map(is_tenant_id, named)):
            raise CredentialRejected("invalid")
        return principal_for(f"jwt:{subject}", roles, frozenset(named))


def _listed(claim: Any) -> list[str]:
    """Returns what a claim lists.

    Raises:
        Refused: it is no list of strings, and no string.
    """
    if isinstance(claim, str):
        return claim.split()
    if not isinstance(claim, (list, tuple)) or not all(isinstance(each, str) for each in claim):
        raise CredentialRejected("invalid")
    return list(claim)
