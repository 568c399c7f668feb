"""Keeps secrets out of what others have written: an answer may repeat what it was asked with."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PARTS: Final = re.compile(r"[\s,;:=/?&@]+")
_LONG: Final = 8
"""From so many characters on, a part of a secret is one itself."""


class Hiding:
    """Takes secrets out of texts, however they are written there."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Args:
        secrets: those that are known from the beginning.
        """
        self._own = frozenset(form for each in secrets for form in _forms(each))
        self.also("")

    def also(self, secret: str) -> None:
        """Hides another one, in place of the last that was given so: a token that is renewed."""
        # The longest first, so that of two secrets that begin alike nothing is left over.
        self._all = sorted(self._own.union(_forms(secret)), key=len, reverse=True)

    def hidden(self, text: str) -> str:
        """Returns `text` without any of the secrets."""
        for each in self._all:
            text = text.replace(each, "***")
        return text


def _forms(secret: str) -> Iterator[str]:
    """Yields a secret, its long parts, and both as addresses and JSON may have them."""
    decoded = unquote_plus(secret)
    parts = [part for whole in (secret, decoded) for part in _PARTS.split(whole)]
    for each in (secret, decoded, *(part for part in parts if len(part) >= _LONG)):
        if each:
            yield from (each, quote(each, safe=""), quote_plus(each), json.dumps(each)[1:-1])
