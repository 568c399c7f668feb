"""Masks secrets in texts of other systems: a response may repeat the request's credentials."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SEPARATORS: Final = re.compile(r"[\s,;:=/?&@]+")
_MIN_PART: Final = 8
"""A part of a secret with at least this many characters is masked as well."""


class SecretMask:
    """Replaces secrets in texts, in all their usual encodings."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Args:
        secrets: the secrets that never change.
        """
        self._fixed = frozenset(form for each in secrets for form in _forms(each))
        self.set_token("")

    def set_token(self, token: str) -> None:
        """Masks a token as well. It replaces the previous token."""
        # Longest first: if one secret begins with another one, nothing of it remains.
        self._secrets = sorted(self._fixed.union(_forms(token)), key=len, reverse=True)

    def apply(self, text: str) -> str:
        """Returns `text` with all secrets masked."""
        for each in self._secrets:
            text = text.replace(each, "***")
        return text


def _forms(secret: str) -> Iterator[str]:
    """Yields a secret and its long parts, each plain, URL-encoded and JSON-encoded."""
    decoded = unquote_plus(secret)
    parts = [part for whole in (secret, decoded) for part in _SEPARATORS.split(whole)]
    for each in (secret, decoded, *(part for part in parts if len(part) >= _MIN_PART)):
        if each:
            yield from (each, quote(each, safe=""), quote_plus(each), json.dumps(each)[1:-1])
