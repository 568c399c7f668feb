"""The keys that verify tokens: a shared secret, or a JSON Web Key Set (RFC 7517)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_JWKS_BYTES: Final = 1024 * 1024
MAX_KEYS: Final = 100
MIN_SECRET_BYTES: Final = 32
"""HS256 is as strong as its secret. RFC 7518 (3.2) requires as many bits as the hash has."""

MIN_RSA_BITS: Final = 2048

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key, and the only algorithm that it is used with."""

    algorithm: str
    key: Any


class KeySet:
    """Keys by key id and algorithm. Immutable."""

    __slots__ = ("_keys", "_only")

    def __init__(self, keys: dict[tuple[str, str], SigningKey]) -> None:
        self._keys = keys
        algorithms = [algorithm for _, algorithm in keys]
        # A token without a key id is accepted if only one key has its algorithm.
        self._only = {
            algorithm: key
            for (_, algorithm), key in keys.items()
            if algorithms.count(algorithm) == 1
        }

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str, algorithm: str) -> SigningKey | None:
        """Returns the key with this id and algorithm; None if the set does not have it.

        Args:
            kid: the key id; empty if the token has none.
            algorithm: the algorithm that the token names.
        """
        return self._keys.get((kid, algorithm)) if kid else self._only.get(algorithm)


NO_KEYS: Final = KeySet({})


def read_secret(file: Path) -> KeySet:
    """Reads the secret for HS256 from a file, without surrounding white space.

    Raises:
        ConfigError: the file cannot be read, or its secret is too short.
    """
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"PDP_JWT_SECRET_FILE: {file} cannot be read: {error.strerror}. Name a file that this "
            "process can read."
        ) from None
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigError(
            f"PDP_JWT_SECRET_FILE: the secret in {file} has {len(secret)} bytes. Use at least "
            f"{MIN_SECRET_BYTES} random bytes, for instance from openssl rand -hex 32."
        )
    return _SharedSecret(SigningKey("HS256", secret))


class _SharedSecret(KeySet):
    """One secret for tokens with any key id."""

    __slots__ = ("_key",)

    def __init__(self, key: SigningKey) -> None:
        super().__init__({("", key.algorithm): key})
        self._key = key

    def find(self, kid: str, algorithm: str) -> SigningKey | None:
        return self._key if algorithm == self._key.algorithm else None


def parse_jwks(raw: bytes) -> KeySet:
    """Returns the keys of a set that can verify accepted algorithms; others are skipped.

    Raises:
        ValueError: the text is not a key set, or a set that must not be used. The message is a
            clause that completes "cannot be used: ".
    """
    if len(raw) > MAX_JWKS_BYTES:
        raise ValueError(f"it is larger than {MAX_JWKS_BYTES} bytes")
    try:
        document = json.loads(raw)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it is not JSON") from None
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise ValueError(f'it must be an object with a list "keys" of at most {MAX_KEYS} keys')
    by_id: dict[tuple[str, str], SigningKey] = {}
    for each in keys:
        key = _signing_key(each)
        if key is None:
            continue
        key_id = (str(each.get("kid", "")), key.algorithm)
        if key_id in by_id:
            raise ValueError(f'it has two keys for {key.algorithm} with the kid "{key_id[0]}"')
        by_id[key_id] = key
    if not by_id:
        raise ValueError("it has no key for RS256, ES256 or EdDSA")
    return KeySet(by_id)


def _signing_key(jwk: Any) -> SigningKey | None:
    """Returns a key for signatures; None if the key has another use or type."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    if jwk.get("kty") != "oct" and jwk.keys() & _PRIVATE:
        raise ValueError("it has a private key, which must be replaced because it is exposed")
    if jwk.get("kty") not in {"RSA", "EC", "OKP"}:
        return None
    try:
        key = jwt.PyJWK.from_dict({name: each for name, each in jwk.items() if name != "alg"}).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, AttributeError):
        return None
    algorithm = _algorithm(key)
    if algorithm is None or jwk.get("alg", algorithm) not in {algorithm, _ALIASES.get(algorithm)}:
        return None
    return SigningKey(algorithm, key)


_ALIASES: Final = {"EdDSA": "Ed25519"}


def _algorithm(key: Any) -> str | None:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "EdDSA"
    return None
