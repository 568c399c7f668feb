"""What takes the place of a redacted value: a mask, a keyed hash, or a placeholder.

The key of a tenant is derived from the key of the installation. Without a key, a value is replaced
by a fixed text, because the plain hash of a card number can be guessed.
"""

from __future__ import annotations

import hmac
import json
import re
import unicodedata
from typing import Final

from pdp.domain.redaction_kind import HASH, MASK
from pdp.engine.text.characters import COMBINING_MARKS, INVISIBLE_CHARACTERS

MIN_KEY_BYTES: Final = 32

WITHHELD: Final = "[REDACTED]"
"""Replaces a value if there is no key for its hash."""

HASH_DIGITS: Final = 16
"""The hexadecimal digits of a hash: one of 2.8e12. See `_letters`."""

PLACEHOLDER_DIGITS: Final = 12
"""The hexadecimal digits of a placeholder: one of 2.2e9."""

_LETTERS: Final = "abcdef"

FULL_MASK: Final = "********"
"""The mask of a value of which nothing may be shown. It does not show the length."""

MAX_MASKED: Final = 256
"""The longest value, in characters, of which a mask shows anything."""

_MIN_MASKED: Final = 8
"""The fewest letters and digits of a value of which a mask shows any."""

_SHOWN: Final = 4
_LEAST_HIDDEN_PARTS: Final = 3
"""A mask shows at most `_SHOWN` characters, and at most one in `_LEAST_HIDDEN_PARTS`."""

_SEPARATORS: Final = frozenset(" -./()+:,")
_EMAIL: Final = re.compile(
    r"[A-Za-z0-9._%+-]{1,64}(@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9-]{1,63}){1,8})"
)
_GAPS: Final = re.compile(r"[\s()\-\u2010-\u2015\u2212]+")
_LEAST_COMPACT: Final = 9
"""The fewest characters of a number whose gaps do not count. The gaps of a date do."""

_INVISIBLE: Final = dict.fromkeys((*INVISIBLE_CHARACTERS, *COMBINING_MARKS))
_LABEL_GAP: Final = re.compile(r"[^A-Z]+")
_MAX_LABEL: Final = 40
_DEFAULT_LABEL: Final = "REDACTED"


class Pseudonyms:
    """Computes what takes the place of values in one request.

    The same value has the same hash in all requests of a tenant, and the same placeholder in all
    requests of a session.
    """

    __slots__ = ("_installation_key", "_session", "_tenant_id", "_tenant_key")

    def __init__(self, installation_key: bytes, tenant_id: str, session: str) -> None:
        """Takes the key of the installation, the tenant, and what placeholders are stable within.

        Args:
            installation_key: the key of the installation; empty for none.
            tenant_id: the tenant.
            session: names the session; see `session_of`.
        """
        self._installation_key = installation_key
        self._tenant_id = tenant_id
        self._session = session
        self._tenant_key = b""

    def replacement(self, kind: str, value: str, label: str, *, is_secret: bool) -> str:
        """Returns what takes the place of a value.

        Args:
            kind: `MASK`, `HASH` or `PLACEHOLDER` of `pdp.domain.redaction_kind`.
            value: the value as it is written in the request.
            label: the kind of data, for hashes and placeholders.
            is_secret: whether the value is a secret: nothing of it is shown.
        """
        if kind == MASK:
            return FULL_MASK if is_secret else mask(value)
        if len(self._installation_key) < MIN_KEY_BYTES:
            return WITHHELD
        normalized = canonical(value, is_secret=is_secret)
        if kind == HASH:
            digits = _letters(self._digest("hash", normalized), HASH_DIGITS)
        else:
            digest = self._digest("placeholder", self._session, normalized)
            digits = _letters(digest, PLACEHOLDER_DIGITS)
        return f"[{label_of(label)}_{digits}]"

    def _digest(self, *parts: str) -> bytes:
        if not self._tenant_key:
            self._tenant_key = _hmac(self._installation_key, "redaction", self._tenant_id)
        return _hmac(self._tenant_key, *parts)


NO_PSEUDONYMS: Final = Pseudonyms(b"", "", "")
"""Has no key."""


def session_of(session_id: str, request_id: str) -> str:
    """Returns what names a session: its ID; the ID of the request if it has no session."""
    return f"session {session_id}" if session_id else f"request {request_id}"


def _hmac(key: bytes, *parts: str) -> bytes:
    # JSON tells the parts apart, whatever is in them.
    return hmac.digest(key, json.dumps(parts).encode(), "sha256")


def _letters(digest: bytes, count: int) -> str:
    """Returns a digest as hexadecimal digits that are letters.

    A detector would take other digits for an account number or an identity card, and find the
    replacement again.
    """
    number = int.from_bytes(digest, "big")
    letters: list[str] = []
    for _ in range(count):
        number, letter = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return "".join(letters)


def mask(value: str) -> str:
    """Returns a value with all letters and digits replaced but the last ones.

    Of an e-mail address the domain stays. Of another value the last 4 letters and digits stay, and
    at most a third of them; none of a value of fewer than 8. Spaces and punctuation as in numbers
    stay. Any other character is replaced.
    """
    email = _EMAIL.fullmatch(value)
    if email is not None:
        return f"***{email[1]}"
    if len(value) > MAX_MASKED:
        return FULL_MASK
    count = sum(map(str.isalnum, value))
    shown = 0 if count < _MIN_MASKED else min(_SHOWN, count // _LEAST_HIDDEN_PARTS)
    hidden = count - shown
    masked: list[str] = []
    for character in value:
        if character in _SEPARATORS:
            masked.append(character)
        elif not character.isalnum():
            masked.append("*")
        else:
            hidden -= 1
            masked.append(character if hidden < 0 else "*")
    return "".join(masked)


def canonical(value: str, *, is_secret: bool = False) -> str:
    """Returns a value in the form that is hashed, so that its spellings have one hash.

    Escapes of JSON are decoded, and invisible characters removed. Unless it is a secret, capitals
    and full-width characters do not count either, nor do the gaps of a number.
    """
    text = _unescaped(value) if "\\" in value else value
    if not text.isascii():
        text = text.translate(_INVISIBLE)
    if is_secret:
        return text
    text = unicodedata.normalize("NFKC", text).casefold()
    compact = _GAPS.sub("", text)
    if len(compact) >= _LEAST_COMPACT and _is_number(compact):
        return compact
    return " ".join(text.split())


def _is_number(text: str) -> bool:
    return text.removeprefix("+").isalnum() and any(map(str.isdigit, text))


def _unescaped(value: str) -> str:
    try:
        decoded = json.loads(f'"{value}"')
    except ValueError:
        return value
    # A lone surrogate cannot be encoded.
    return str(decoded).encode("utf-8", "replace").decode()


def label_of(name: str) -> str:
    """Returns a name as it is in a hash or a placeholder: capitals and underscores."""
    return _LABEL_GAP.sub("_", name.upper()).strip("_")[:_MAX_LABEL] or _DEFAULT_LABEL
