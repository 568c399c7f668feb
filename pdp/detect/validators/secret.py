"""Validators for secrets: distinguish them from placeholders, names and examples."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_MAX_SECRET: Final = 4096
_PLACEHOLDER: Final = re.compile(
    r"example|sample|dummy|placeholder|redacted|change[_-]?me|insert[_-]|your[_-]|[_-]here\b|replace"
    r"|fake|todo|fixme|xxxx|\*\*\*|\.\.\.|<|>|\$\{|\{\{|%s|0123456789|1234567890|abcdefgh",
    re.IGNORECASE,
)
_MIN_CHARACTERS: Final = 6
_MIN_ENTROPY: Final = 3.0
_MIN_PASSWORD_LENGTH: Final = 6
_MIN_PASSWORD_CHARACTERS: Final = 4
_COMMON_PASSWORDS: Final = frozenset(
    {
        *("password", "passwd", "secret", "string", "null", "none", "true", "false", "undefined"),
        *("pass", "pwd", "pw", "passphrase", "token", "key"),
        *("required", "optional", "hidden", "value", "username", "test", "testing"),
    }
)
# A word, a short number, or a name such as v2, ed25519 or PKCS7PrivateKeyTypes.
_WORD: Final = re.compile(r"[A-Za-z]*|[0-9]{1,4}|[A-Za-z]{1,8}[0-9]{1,5}(?:[A-Z][a-z]{2,}){0,6}")
_BETWEEN_WORDS: Final = re.compile(r"[-_./=+~]")
_NAME: Final = re.compile(r"[a-z_]*(?:password|secret|token|key|repo)[a-z_]*", re.IGNORECASE)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def live_secret(text: str) -> bool:
    """Whether `text`, which has the format of a secret, is not a placeholder or an example.

    Placeholders and examples have few different characters, or contain a word such as EXAMPLE.
    Source: the placeholders in the documentation of the providers.
    """
    text = text[:_MAX_SECRET]
    return len(set(text)) >= _MIN_CHARACTERS and _PLACEHOLDER.search(text) is None


def high_entropy(text: str) -> bool:
    """Whether `text` looks random: at least 3 bits per character, and not a sequence of words.

    Source: Shannon entropy, with which secret scanners distinguish keys from names.
    """
    if not live_secret(text) or _UUID.fullmatch(text):
        return False
    if all(_WORD.fullmatch(part) for part in _BETWEEN_WORDS.split(text[:_MAX_SECRET])):
        return False
    return _entropy(text[:_MAX_SECRET]) >= _MIN_ENTROPY and any(map(str.isdigit, text))


def _entropy(text: str) -> float:
    length = len(text)
    return -sum(n / length * math.log2(n / length) for n in Counter(text).values())


def written_password(text: str) -> bool:
    """Whether `text` is a password, and not a placeholder or a name such as "password".

    Source: the placeholders in manuals and schemas.
    """
    text = text[:_MAX_SECRET]
    if len(text) < _MIN_PASSWORD_LENGTH or _PLACEHOLDER.search(text):
        return False
    return len(set(text)) >= _MIN_PASSWORD_CHARACTERS and text.lower() not in _COMMON_PASSWORDS


def url_credentials(text: str) -> bool:
    """Whether the password in `text`, a user name and a password, is not a placeholder.

    Source: RFC 3986 for the format; the placeholders in manuals.
    """
    password = text[:_MAX_SECRET].partition(":")[2]
    if len(set(password)) <= 1 or _PLACEHOLDER.search(password) or _NAME.fullmatch(password):
        return False
    return password.lower().removeprefix("my") not in _COMMON_PASSWORDS


def json_web_token(text: str) -> bool:
    """Whether `text` begins with the header of a JSON Web Token: JSON that names its algorithm.

    Source: RFC 7519.
    """
    header = text[:_MAX_SECRET].partition(".")[0]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(decoded, dict) and "alg" in decoded


VALIDATORS: Final[tuple[Validator, ...]] = (
    live_secret,
    high_entropy,
    written_password,
    url_credentials,
    json_web_token,
)
