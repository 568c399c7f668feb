"""Signed tokens and their keys."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER: Final = "https://id.example"
AUDIENCE: Final = "pdp"
SECRET: Final = b"0123456789abcdef0123456789abcdef"

LONG_AGO: Final = 1_000_000_000
"""A time in 2001 when tokens are issued, so that no test depends on the current time."""

FAR_AHEAD: Final = 4_102_444_800
"""A time in 2100 when tokens expire."""

RSA: Final = rsa.generate_private_key(65537, 2048)
EC: Final = ec.generate_private_key(ec.SECP256R1())
ED: Final = ed25519.Ed25519PrivateKey.generate()
PRIVATE: Final[dict[str, Any]] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


def claims(**changes: Any) -> dict[str, Any]:
    """Returns the claims of a valid token, with `changes`; None removes a claim."""
    valid = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "iat": LONG_AGO,
        "exp": FAR_AHEAD,
        "roles": ["editor"],
        "tenants": ["acme"],
    }
    return {name: value for name, value in {**valid, **changes}.items() if value is not None}


def token(
    algorithm: str = "RS256",
    key: Any = None,
    *,
    kid: Any = None,
    header: Any = None,
    **changes: Any,
) -> str:
    """Returns a signed token."""
    key = PRIVATE[algorithm] if key is None else key
    headers = {"kid": algorithm if kid is None else kid, **(header or {})}
    return jwt.encode(claims(**changes), key, algorithm, headers=headers)


def by_hand(header: Any, body: Any, signature: bytes = b"") -> str:
    """Returns a token of arbitrary parts, as an attacker would build it."""
    parts = [json.dumps(header).encode(), json.dumps(body).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def public_pem(algorithm: str) -> bytes:
    """Returns a public key in PEM form, for attacks that use it as the secret of HS256."""
    pem: bytes = (
        PRIVATE[algorithm]
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return pem


def jwk(algorithm: str, **changes: Any) -> dict[str, Any]:
    """Returns the public key of an algorithm as a JWK."""
    public = PRIVATE[algorithm].public_key()
    described = jwt.algorithms.get_default_algorithms()[algorithm].to_jwk(public, as_dict=True)
    return {**described, "kid": algorithm, "use": "sig", "alg": algorithm, **changes}


def jwks(*keys: dict[str, Any]) -> bytes:
    """Returns a key set; if no keys are named, one key for each algorithm."""
    return json.dumps({"keys": list(keys) or [jwk(each) for each in PRIVATE]}).encode()
