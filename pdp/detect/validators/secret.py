"""Checks that tell a live secret from a placeholder, a name and an example: see `validators`."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_SECRET: Final = 4096
_PLACEHOLDER: Final = re.compile(
    r"example|sample|dummy|placeholder|redacted|change[_-]?me|insert[_-]|your[_-]|[_-]here\b|replace"
    r"|fake|todo|fixme|xxxx|\*\*\*|\.\.\.|<|>|\$\{|\{\{|%s|0123456789|1234567890|abcdefgh",
    re.IGNORECASE,
)
_MIN_DIFFERENT: Final = 6
_MIN_ENTROPY: Final = 3.0
_MIN_PASSWORD: Final = 6
_MIN_DIFFERENT_OF_PASSWORD: Final = 4
_COMMON_PASSWORDS: Final = frozenset(
    {
        *("password", "passwd", "secret", "string", "null", "none", "true", "false", "undefined"),
        *("pass", "pwd", "pw", "passphrase", "token", "key"),
        *("required", "optional", "hidden", "value", "username", "test", "testing"),
    }
)
# A word, a short number, or a name such as v2, ed25519 and PKCS7PrivateKeyTypes.
_WORD: Final = re.compile(r"[A-Za-z]*|[0-9]{1,4}|[A-Za-z]{1,8}[0-9]{1,5}(?:[A-Z][a-z]{2,}){0,6}")
_BETWEEN_WORDS: Final = re.compile(r"[-_./=+~]")
_NAME: Final = re.compile(r"[a-z_]*(?:password|secret|token|key|repo)[a-z_]*", re.IGNORECASE)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def live_secret(text: str) -> bool:
    """Whether `text`, which has a secret's form, is no placeholder or example of one.

    Few different characters, or a word such as EXAMPLE in it, give those away. Source: what the
    makers' own documentation puts in a secret's place.
    """
    text = text[:_MAX_SECRET]
    return len(set(text)) >= _MIN_DIFFERENT and _PLACEHOLDER.search(text) is None


def high_entropy(text: str) -> bool:
    """Whether `text` looks drawn by lot: at least 3 bits a character, and no row of words.

    Source: Shannon's entropy, by which secret scanners tell a key from a name.
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
    """Whether `text` is a password that someone chose: no placeholder, no name of one.

    Source: what manuals and schemas put in a password's place.
    """
    text = text[:_MAX_SECRET]
    if len(text) < _MIN_PASSWORD or _PLACEHOLDER.search(text):
        return False
    return len(set(text)) >= _MIN_DIFFERENT_OF_PASSWORD and text.lower() not in _COMMON_PASSWORDS


def url_credentials(text: str) -> bool:
    """Whether `text`, a user name and a password, holds a password that is no placeholder.

    Source: RFC 3986 for the form; what manuals write in a password's place.
    """
    password = text[:_MAX_SECRET].partition(":")[2]
    if len(set(password)) <= 1 or _PLACEHOLDER.search(password) or _NAME.fullmatch(password):
        return False
    return password.lower().removeprefix("my") not in _COMMON_PASSWORDS


def json_web_token(text: str) -> bool:
    """Whether the head of `text` is that of a JSON Web Token: JSON that names its algorithm.

    Source: RFC 7519.
    """
    head = text[:_MAX_SECRET].partition(".")[0]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(decoded, dict) and "alg" in decoded


CHECKS: Final[tuple[Callable[[str], bool], ...]] = (
    *(live_secret, high_entropy, written_password, url_credentials, json_web_token),
)
