"""The values that a single setting may have. A message says what is wrong, and what to write."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from pdp.config.addresses import is_loopback_ip, split_address
from pdp.domain.tenant import is_tenant_id
from pdp.errors import ConfigError

LogLevel = Literal["debug", "info", "warning", "error"]


def _check_address(text: str) -> str:
    if not text.startswith("unix:"):
        try:
            split_address(text)
        except ConfigError as error:
            raise ValueError(error.message) from None
    return text


def _check_path(value: Any) -> Any:
    if value == "":  # an empty path would be the working directory
        raise ValueError("the path is empty. Name a path, or leave the setting out.")
    return value


def _check_url(text: str) -> str:
    if text and not _URL.match(text):
        named = "the text" if "@" in text else repr(text)  # it may hold a password
        raise ValueError(f"{named} is not a URL. Use sqlite:///PATH.")
    return text


def _check_public_url(text: str) -> str:
    if text and not _is_public_url(text):
        raise ValueError(
            f"{text!r} cannot be used. Use https://HOST[:PORT][/PATH] without a slash at the end, "
            "a query or a user; http only for a loopback address."
        )
    return text


def _is_public_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        host, _ = url.hostname or "", url.port
    except ValueError:
        return False
    plain = url.scheme == "http" and (host == "localhost" or is_loopback_ip(host))
    return _PUBLIC_URL.fullmatch(text) is not None and bool(host) and (text[:5] == "https" or plain)


def _check_follow_url(text: str) -> str:
    if text and not _is_follow_url(text):
        raise ValueError(
            f"{text!r} cannot be used. Use https://HOST:PORT, http only for a loopback address, or "
            "unix:PATH."
        )
    return text


def _is_follow_url(text: str) -> bool:
    if text.startswith("unix:"):
        return len(text) > len("unix:")
    if not _is_public_url(text):
        return False
    url = urlsplit(text)
    return url.port is not None and not url.path


_LIMITS_SCHEMES: Final = ("valkey", "valkeys", "redis", "rediss")


def _check_limits_url(text: str) -> str:
    try:
        is_url = not text or urlsplit(text).scheme in _LIMITS_SCHEMES
    except ValueError:
        is_url = False
    if not is_url:  # the message has no part of it: it may hold a password
        raise ValueError(
            "the value is not the URL of a server. Use valkey://HOST:PORT or redis://HOST:PORT, "
            "with an s after the scheme for TLS."
        )
    return text


_SIGNING_KEY_BYTES: Final = 32


def _check_signing_key(text: str) -> str:
    try:
        is_key = not text or len(b64decode(text, validate=True)) == _SIGNING_KEY_BYTES
    except ValueError:
        is_key = False
    if not is_key:
        raise ValueError(
            f"{text!r} is no signing key. Use what `pdp policies signing-key` prints: 32 bytes in "
            "base64."
        )
    return text


def _check_tenants(text: str) -> str:
    for tenant_id in filter(None, text.split(",")):
        if not is_tenant_id(tenant_id):
            raise ValueError(
                f"{tenant_id!r} is not the id of a tenant. Use ids of A-Z a-z 0-9 . _ - and commas."
            )
    return text


def lower(value: Any) -> Any:
    """Returns a text in lower case, so that `REQUIRED` is `required`; other values as they are."""
    return value.lower() if isinstance(value, str) else value


_LITELLM_FIELDS: Final = (
    "user_api_key_alias",
    "user_api_key_end_user_id",
    "user_api_key_org_id",
    "user_api_key_team_alias",
    "user_api_key_team_id",
    "user_api_key_user_email",
    "user_api_key_user_id",
)
"""The fields of LiteLLM that can say who asks."""


def _check_litellm_field(text: str) -> str:
    if text and text not in _LITELLM_FIELDS:
        raise ValueError(f"{text!r} is no such field. Use one of {', '.join(_LITELLM_FIELDS)}.")
    return text


_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PUBLIC_URL: Final = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(?:/[A-Za-z0-9._~%-]+)*")

Address = Annotated[str, AfterValidator(_check_address)]
LiteLLMField = Annotated[str, AfterValidator(_check_litellm_field)]
StoreUrl = Annotated[str, AfterValidator(_check_url)]
PublicUrl = Annotated[str, AfterValidator(_check_public_url)]
FollowUrl = Annotated[str, AfterValidator(_check_follow_url)]
LimitsUrl = Annotated[str, AfterValidator(_check_limits_url)]
SigningKey = Annotated[str, AfterValidator(_check_signing_key)]
TenantList = Annotated[str, AfterValidator(_check_tenants)]
NamedPath = Annotated[Path, BeforeValidator(_check_path)]
