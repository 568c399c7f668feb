"""Approval and confirmation tokens: signed, bound to one input of one subject, and used once."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jwt

from pdp.decisions.input_hash import tag_of
from pdp.domain.approval import TOKEN_EXPIRED, TOKEN_FOREIGN, TOKEN_INVALID, ApprovalFailed

if TYPE_CHECKING:
    from jwt.types import Options

    from pdp.domain.request import Request

_ALGORITHM: Final = "HS256"
_TYPE: Final = "pdp-hold+jwt"
_OPTIONS: Final[Options] = {
    "verify_exp": False,  # it has a reason of its own
    "verify_aud": False,
    "require": ["kind", "jti", "exp", "tenant", "sub", "input", "parts", "rules"],
}


class HoldToken(NamedTuple):
    """What a token says.

    Attributes:
        kind: `pdp.domain.approval.KIND` or `CONFIRMATION_KIND`.
        id: the id of the approval or of the confirmation.
        tenant_id: the tenant.
        subject: the digest of the subject; see `subject_digest`.
        input_hash: the input that it fits.
        parts: the tags of the inputs; see `tag_of`.
        rules: the rules that a confirmation lets pass, by `Hold.key`. An approval has its own list.
        expires_at: when it expires, in whole seconds since the epoch.
    """

    kind: str
    id: str
    tenant_id: str
    subject: str
    input_hash: str
    parts: tuple[str, ...]
    rules: tuple[str, ...]
    expires_at: int


def sign(key: bytes, token: HoldToken) -> str:
    """Returns a token as text. The same token has the same text."""
    claims: dict[str, Any] = {
        "kind": token.kind,
        "jti": token.id,
        "exp": token.expires_at,
        "tenant": token.tenant_id,
        "sub": token.subject,
        "input": token.input_hash,
        "parts": list(token.parts),
        "rules": list(token.rules),
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"typ": _TYPE})


def read_token(key: bytes, text: str, request: Request) -> HoldToken:
    """Returns what a token of a request says.

    Args:
        key: the key of the installation.
        text: the token.
        request: the request that has it.

    Raises:
        ApprovalFailed: it is not valid, was given to another tenant or subject, or has expired.
    """
    try:
        claims = jwt.decode(text, key, algorithms=[_ALGORITHM], options=_OPTIONS)
        token = HoldToken(
            str(claims["kind"]),
            str(claims["jti"]),
            str(claims["tenant"]),
            str(claims["sub"]),
            str(claims["input"]),
            tuple(map(str, claims["parts"])),
            tuple(map(str, claims["rules"])),
            int(claims["exp"]),
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise ApprovalFailed(TOKEN_INVALID) from error
    subject = subject_digest(key, request)
    if token.tenant_id != request.tenant_id or not hmac.compare_digest(token.subject, subject):
        raise ApprovalFailed(TOKEN_FOREIGN)
    if token.expires_at <= time.time():
        raise ApprovalFailed(TOKEN_EXPIRED)
    return token


def subject_digest(key: bytes, request: Request) -> str:
    """Returns the digest of the user and the agent of a request, in its tenant."""
    subject = request.subject
    names = (request.tenant_id, request.customer_id, subject.user_id, subject.agent_id)
    text = "\0".join(f"{len(name)}:{name}" for name in names)
    return tag_of(hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex())
