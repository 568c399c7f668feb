"""Tokens and keys as tests make them."""

from __future__ import annotations

import base64
import json
import time
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER: Final = "https://id.example"
AUDIENCE: Final = "pdp"
SECRET: Final = b"0123456789abcdef0123456789abcdef"

RSA: Final = rsa.generate_private_key(65537, 2048)
EC: Final = ec.generate_private_key(ec.SECP256R1())
ED: Final = ed25519.Ed25519PrivateKey.generate()
PRIVATE: Final[dict[str, Any]] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


def claims(**changes: Any) -> dict[str, Any]:
    """Returns what a good token says, with `changes`; None takes a claim out."""
    now = time.time()
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "iat": int(now),
        "exp": int(now) + 600,
        "roles": ["editor"],
        "tenants": ["acme"],
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


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
    """Returns a token of any parts, as an attacker would write it."""
    parts = [json.dumps(header).encode(), json.dumps(body).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def public_pem(algorithm: str) -> bytes:
    """Returns a public key as a secret that everyone knows."""
    pem: bytes = (
        PRIVATE[algorithm]
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return pem


def jwk(algorithm: str, **changes: Any) -> dict[str, Any]:
    """Returns the public key of an algorithm."""
    public = PRIVATE[algorithm].public_key()
    described = jwt.algorithms.get_default_algorithms()[algorithm].to_jwk(public, as_dict=True)
    return {**described, "kid": algorithm, "use": "sig", "alg": algorithm, **changes}


def jwks(*keys: dict[str, Any]) -> bytes:
    """Returns a key set; of all three algorithms where no keys are named."""
    return json.dumps({"keys": list(keys) or [jwk(each) for each in PRIVATE]}).encode()
